"""Learning from source prompts by what they make the model answer (MPT, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from promptgraft.models import IGNORED, Emitter, Encoded, PromptTensors
from promptgraft.training import Objective


class Distillation(Objective):
    """The task's own loss + weight · (KL(teacher ‖ student) + |H_teacher - H_student|² / D).

    At every label: the divergence over the vocabulary, and the mean squared distance between the
    last hidden states [D]. The teacher of a row is the source prompt of its task.
    """

    def __init__(self, plain: Objective, teachers: Sequence[PromptTensors], weight: float) -> None:
        """teachers  for each target task the prompt tensors that it learns from"""
        self.plain, self.teachers, self.weight = plain, teachers, weight
        self.model, self.choices = plain.model, plain.choices

    def __call__(self, module: Emitter, encoded: Sequence[Encoded]) -> Tensor:
        batch = self.model.collate(encoded)
        states: list[Tensor] = []

        def look(_layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            states.append(arguments[0][batch.labels != IGNORED].float())
            return arguments

        with self.model.hooked(look):
            student, labels = self.model.labelled_logits(batch, module)
            with torch.no_grad():
                own = [self.teachers[task] for task in batch.tasks]
                teacher, _ = self.model.labelled_logits(batch, own)
        distance = functional.kl_div(
            student.log_softmax(-1), teacher.log_softmax(-1), reduction="sum", log_target=True
        )
        distance = distance + (states[1] - states[0]).square().mean(-1).sum()
        if self.choices is None:
            loss = functional.cross_entropy(student, labels, reduction="sum")
        else:
            loss = self.plain(module, encoded)
        return loss + self.weight * distance
