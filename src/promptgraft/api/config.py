"""Everything that `tune` may be told."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from promptgraft.training import TrainingConfig

RATES = {  # learning rates that did best on validation data, by method and module
    ("soft-prompt", "direct"): 0.03,
    ("prefix", "direct"): 0.01,
}
NETWORK_RATE = 1e-3  # for mlp, linear and lstm


class TuneConfig(TrainingConfig):
    """Everything `tune` may be told."""

    model: str
    """A mini, a local folder or a model of the hub."""
    task: str
    """A built-in task, a file, a folder, a YAML file, or hub:NAME."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task, as `tasks.load` takes them: text, label, verbalizer, metrics, ..."""
    method: Literal["soft-prompt", "prefix"] = "soft-prompt"
    module: str = "direct"
    """direct, mlp, linear or lstm."""
    hidden: int = Field(default=512, gt=0)
    """Width of the mlp or lstm."""
    length: int = Field(default=20, gt=0)
    """Virtual tokens, P."""
    init: str = "vocabulary"
    """own, random, vocabulary, text, labels or prompt."""
    init_text: str | None = None
    """The text that init=text starts from."""
    init_prompt: str | None = None
    """The prompt (a name in the library or a folder) that init=prompt starts from; if it was kept
    with a module of the same settings, the module goes on."""
    template: str | None = None
    """In place of the task's own."""
    few_shot: int | None = Field(default=None, gt=0)
    """Training rows: of every label for classification, in all for the rest. None: all."""
    lr: float | None = Field(default=None, gt=0)  # type: ignore[assignment]
    """Learning rate; None: the method's own."""
    test_rows: int | None = Field(default=None, gt=0)
    """Test rows to score at the end; None: all."""
    max_length: int | None = Field(default=None, gt=0)
    """Longest row in tokens; None: what the model takes."""
    device: str = "auto"
    dtype: str = "auto"
    out: Path | None = None
    """Folder of the run; default runs/TASK@MODEL."""
    tag: str | None = None
    """For the name in the library: task@model:tag."""
    keep_module: bool = False
    """Save the module with the prompt, to go on training."""

    def training(self) -> TrainingConfig:
        """The part that the loop needs, with the learning rate decided."""
        rate = self.lr or RATES.get((self.method, self.module), NETWORK_RATE)
        own = {name: getattr(self, name) for name in TrainingConfig.model_fields}
        return TrainingConfig(**own | {"lr": rate})

    def folder(self) -> Path:
        """Where the run is written."""
        name = f"{Path(self.task).name.split('.')[0]}@{self.model}-{self.method}".replace("/", "-")
        return self.out or Path("runs") / name
