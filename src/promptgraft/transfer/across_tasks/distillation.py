"""Learning from source prompts by what they make the model answer (MPT, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from promptgraft.models import Emitter, Encoded, PromptTensors
from promptgraft.training import Objective


class Distillation(Objective):
    """The task's own loss + weight · KL(teacher ‖ student) over the vocabulary at every label.

    The teacher of a row is the source prompt of its task. The paper's second distance, between
    hidden states, is left out.
    """

    def __init__(self, plain: Objective, teachers: Sequence[PromptTensors], weight: float) -> None:
        """teachers  for each target task the prompt tensors that it learns from"""
        self.plain, self.teachers, self.weight = plain, teachers, weight
        self.model, self.choices = plain.model, plain.choices

    def __call__(self, module: Emitter, encoded: Sequence[Encoded]) -> Tensor:
        batch = self.model.collate(encoded)
        student, labels = self.model.labelled_logits(batch, module)
        with torch.no_grad():
            own = [self.teachers[task] for task in batch.tasks]
            teacher, _ = self.model.labelled_logits(batch, own)
        distance = functional.kl_div(
            student.log_softmax(-1), teacher.log_softmax(-1), reduction="sum", log_target=True
        )
        if self.choices is None:
            loss = functional.cross_entropy(student, labels, reduction="sum")
        else:
            loss = self.plain(module, encoded)
        return loss + self.weight * distance
