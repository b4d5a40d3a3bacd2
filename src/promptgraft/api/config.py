"""Everything that `tune` may be told."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from promptgraft import tasks
from promptgraft.errors import did_you_mean
from promptgraft.modules import INITIALISERS, MODULES
from promptgraft.training import TrainingConfig
from promptgraft.training.baselines import BASELINES
from promptgraft.transfer.across_tasks import METHODS, settings_of

AUTO = "auto"  # see api.auto
PLAIN = ("soft-prompt", "prefix")  # methods that start from no other prompts
RATES = {  # learning rates that did best on validation data, by method and module
    ("soft-prompt", "direct"): 0.03,
    ("prefix", "direct"): 0.1,
}
NETWORK_RATE = 1e-3  # for mlp, linear and lstm


class TuneConfig(TrainingConfig):
    """Everything `tune` may be told."""

    model: str
    """A mini, a local folder or a model of the hub."""
    task: str
    """A built-in task, a file, a folder, a YAML file, or hub:NAME."""
    teachers: list[str] = Field(default_factory=list)
    """Prompts of any models, whose answers stand in for the labels of training and validation rows:
    no label is looked at but to score the test rows."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task, as `tasks.load` takes them: text, label, verbalizer, metrics, ..."""
    method: str = "soft-prompt"
    """soft-prompt or prefix; from a pool of source prompts, a method of transfer.across_tasks:
    crosspt, spot, ..., or auto, which tunes prompts in several ways and has them vote where answers
    are chosen, and where texts are written tunes the prefix that does best after few rows; or for
    comparison one of training.baselines: fine-tuning, lora, ..."""
    pool: list[str] = Field(default_factory=list)
    """Source prompts: names in the library, patterns such as *@mini/t5-s, or folders. What the run
    itself will be kept as is never among them; a tag keeps both."""
    transfer: dict[str, Any] = Field(default_factory=dict)
    """Settings of a method of transfer.across_tasks, as its class names them; of auto those of
    api.auto.AutoSettings."""
    weights: dict[str, Any] = Field(default_factory=dict)
    """Settings of a baseline, as its class names them: layers, share, rank, ..."""
    multitask: list[str] = Field(default_factory=list)
    """soft-prompt, prefix and baselines: other tasks, on whose rows together they are trained first
    (multi-task tuning, then tuning)."""
    multitask_steps: int = Field(default=1000, gt=0)
    """Optimizer steps on those rows."""
    module: str = "direct"
    """direct, mlp, linear or lstm."""
    hidden: int = Field(default=512, gt=0)
    """Width of the mlp or lstm."""
    fit: int = Field(default=0, ge=0)
    """Steps that fit the mlp, linear map or lstm to the initial prompt (500 in Prefix-Tuning's
    low-data settings); 0: a constant added to its output makes it exact."""
    length: int = Field(default=20, gt=0)
    """Virtual tokens, P; with a pool, by default as many as its prompts have."""
    init: str = "vocabulary"
    """own, random, uniform, vocabulary, text, wording, labels or prompt."""
    init_text: str | None = None
    """The text that init=text starts from; or the worded template that init=wording does, such as
    "{text} It was {mask} .": its words become virtual tokens in their places, `length` is their
    number. None: of the task's own wordings the one with the least loss on the training rows."""
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
    decoding: dict[str, Any] = Field(default_factory=dict)
    """How test outputs are written: num_beams, max_new_tokens, min_new_tokens, length_penalty, …"""
    samples: int = Field(default=2, ge=0)
    """Validation rows whose texts are written to samples.txt at every evaluation."""
    max_length: int | None = Field(default=None, gt=0)
    """Longest row in tokens; None: what the model takes."""
    checkpointing: bool = False
    """Run layers again in the backward pass rather than keep what they computed: less memory."""
    device: str = "auto"
    """auto, or what torch calls it: cpu, cuda, …"""
    dtype: str = "auto"
    """Of the frozen model: float32, bfloat16, float16, or auto, the faster of the first two."""
    out: Path | None = None
    """Folder of the run; default runs/TASK@MODEL."""
    tag: str | None = None
    """For the name in the library: task@model:tag."""
    keep_module: bool = False
    """Save the module with the prompt, to go on training."""

    @field_validator("task", "model", mode="before")
    @classmethod
    def _joined(cls, names: object) -> object:
        """A list, as YAML may have it, with + between."""
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return "+".join(names)
        return names

    @field_validator("method", "module", "init")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        known = {
            "method": [*PLAIN, *METHODS.names(), AUTO, *BASELINES.names()],
            "module": MODULES.names(),
            "init": INITIALISERS.names(),
        }[str(info.field_name)]
        if name not in known:
            raise ValueError(f"expected one of {', '.join(known)}.{did_you_mean(name, known)}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> "TuneConfig":
        if unread := [name for name in self._unread() if not self._is_usual(name)]:
            raise ValueError(
                f"{', '.join(unread)} would mean nothing with method={self.method}, "
                f"module={self.module}, init={self.init}; leave that out"
            )
        if (self.noise or self.hull) and (self.method == "prefix" or self.trains_weights):
            raise ValueError(
                f"noise and hull are for soft prompts, which stand among token embeddings; "
                f"{self.method} tunes none"
            )
        if self.multitask and self.method not in PLAIN and not self.trains_weights:
            raise ValueError(
                f"multitask is for {', '.join(PLAIN)} and baselines; {self.method} knows other "
                "tasks by their prompts, its pool, or is tuned for several tasks together"
            )
        if self.teachers and (self.few_shot or self.method == AUTO or self.trains_weights):
            raise ValueError(
                "teachers answer in place of labels, so not with few_shot, which counts them, "
                "method=auto, or a baseline"
            )
        return self

    @field_validator("pool", "multitask", "teachers", mode="before")
    @classmethod
    def _listed(cls, names: object) -> object:
        return [name for name in names.split(",") if name] if isinstance(names, str) else names

    def _unread(self) -> list[str]:
        """Settings that mean nothing beside the others."""
        borrows = self.method in METHODS.names()
        chosen_by = {
            "pool": not self.trains_weights,  # what else reads none says which methods do
            "transfer": borrows or self.method == AUTO,
            "weights": self.trains_weights,
            "module": self.method in PLAIN,
            "hidden": self.module != "direct" or self.method == AUTO,
            "fit": self.module != "direct",
            "init": not self.trains_weights,
            "init_text": self.init in ("text", "wording"),
            "init_prompt": self.init == "prompt",
        }
        return [name for name, read in chosen_by.items() if not read]

    def _is_usual(self, name: str) -> bool:
        usual = type(self).model_fields[name].get_default(call_default_factory=True)
        return bool(getattr(self, name) == usual)

    @property
    def trains_weights(self) -> bool:
        """Whether the method is a baseline, which leaves weights and no prompt."""
        return self.method in BASELINES.names()

    def training(self) -> TrainingConfig:
        """The part that the loop needs, with the learning rate decided."""
        rate = self.lr
        if rate is None and self.method in PLAIN:
            rate = RATES.get((self.method, self.module), NETWORK_RATE)
        elif rate is None and self.trains_weights:
            rate = BASELINES[self.method].rate
        elif rate is None:
            rate = settings_of(self.method, self.transfer).rate
        own = {name: getattr(self, name) for name in TrainingConfig.model_fields}
        return TrainingConfig(**own | {"lr": rate})

    def folder(self) -> Path:
        """Where the run is written."""
        task = "+".join(map(tasks.name_of, self.task.split("+")))
        name = f"{task}@{self.model}-{self.method}".replace("/", "-")
        return self.out or Path("runs") / name
