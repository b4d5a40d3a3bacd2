"""What is minimised: the cross-entropy of a task's answers under the frozen model."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from promptgraft.errors import ConfigError
from promptgraft.models import IGNORED, Emitter, Encoded, FrozenModel, OnePrompt
from promptgraft.models.template import parse
from promptgraft.tasks import Row, Task


def answers_end(task: Task) -> bool:
    """Whether an answer ends with the end-of-sequence token: texts do, label words do not."""
    return task.verbalizer is None and task.vocabulary is None


def encode(
    model: FrozenModel, task: Task, rows: Sequence[Row], prompt: OnePrompt, template: str
) -> list[Encoded]:
    """Rows of a task with their answers, for training."""
    answers = [task.answer(row) for row in rows]
    return model.encode(rows, prompt, template, answers, stop=answers_end(task))


def labels_in(encoded: Sequence[Encoded]) -> int:
    """Tokens that are predicted in these rows."""
    return sum(label != IGNORED for row in encoded for label in (row.decoder_labels or row.labels))


def averaged_over(encoded: Sequence[Encoded], average: Literal["tokens", "sentences"]) -> int:
    """What the summed loss of a step is divided by."""
    return labels_in(encoded) if average == "tokens" else len(encoded)


class Objective:
    """The summed loss of some rows, differentiable in the module's parameters."""

    def __init__(
        self,
        model: FrozenModel,
        task: Task,
        kind: Literal["vocabulary", "choices"] = "vocabulary",
        template: str | None = None,
    ) -> None:
        """kind "choices": over the label words alone; the template decides about their tokens."""
        self.model = model
        self.choices: Tensor | None = None
        if kind == "choices":
            words = list((task.verbalizer or {}).values())
            parsed = parse(template or task.template(model.family))
            targets = model.encoder.targets(parsed, words, stop=False)
            ids = [tokens[-1] for tokens in targets]
            if not words or len(set(map(len, targets))) > 1 or len(set(ids)) < len(words):
                raise ConfigError(
                    "objective=choices needs label words that differ in one token; those of "
                    f"{task.name} are {', '.join(words) or 'none'}."
                )
            self.choices = torch.tensor(ids, device=model.device)

    def __call__(self, module: Emitter, encoded: Sequence[Encoded]) -> Tensor:
        """Cross-entropy in nats, summed over the labels; scalar."""
        batch = self.model.collate(encoded)
        if self.choices is None:
            return self.model.loss(batch, module, "sum")
        logits, labels = self.model.labelled_logits(batch, module)
        is_choice = labels[:, None] == self.choices  # not so for the <s> that BART begins with
        asked = is_choice.any(1)
        logits, labels = logits[asked][:, self.choices], is_choice[asked].int().argmax(1)
        return functional.cross_entropy(logits, labels, reduction="sum")
