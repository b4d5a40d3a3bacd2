"""PTG: a prompt for each input, by attention over a clustered pool of source prompts."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from promptgraft.errors import ConfigError
from promptgraft.models import Batch, FrozenModel, PromptTensors
from promptgraft.training.baselines import FineTuning
from promptgraft.transfer.across_tasks.clustering import cluster
from promptgraft.transfer.across_tasks.instances import Encodings
from promptgraft.transfer.across_tasks.learned import Fixed
from promptgraft.transfer.across_tasks.method import Borrowed, Given, Settings, Transfer, register
from promptgraft.transfer.across_tasks.similarity import as_weights, vectors


class PTGSettings(Settings):
    """PTG's choices; the last four are the ablations of its Table 5."""

    backbone: Literal["frozen", "tuned"] = "frozen"
    """tuned: the model's weights are trained too, as the released program does; the paper says both
    (a frozen BART, and a rate for it). The prompt is then kept with a model of its own."""
    lr_backbone: float | None = Field(default=None, gt=0)
    """backbone=tuned: the weights' learning rate; default 3e-5. The run's own lr is that of keys,
    query and attention."""

    reading: Literal["paper", "code"] = "paper"
    """paper: Eq. 2 and 4, cluster keys and prompt keys, one softmax. code: the released program's
    form, one key a prompt, a softmax for each query, value and output projections (soft prompts
    alone; its dropout is left out)."""
    balance: float = Field(default=0.5, ge=0, le=1)
    """λ, the share of the task's query."""
    heads: int = Field(default=16, gt=0)
    """Attention heads; the largest number up to it that divides the sizes."""
    encoder: str = "own"
    """The frozen model whose mean top layer is the instance query: own, or any model by name."""
    similarity: Literal["euclidean", "normalised", "cosine", "tokens"] = "euclidean"
    """What the pool is clustered by; euclidean is Eq. 1 as published."""
    clusters: int | None = Field(default=None, gt=0)
    """How many; None: by the eigengap."""
    groups: list[int] | None = None
    """The cluster of each source, in place of finding them."""
    pool: bool = True
    """False: one prompt for all, trained, starting from the pool's mean."""
    clustered: bool = True
    """False: the task's query looks the prompts' own keys up."""
    memory: bool = True
    """False: no keys; the mean of the pool, which nothing trains."""
    instance: bool = True
    """False: the task's query alone."""

    @model_validator(mode="after")
    def _fits(self) -> "PTGSettings":
        if self.lr_backbone is not None and self.backbone == "frozen":
            raise ValueError("lr_backbone is for backbone=tuned; a frozen model has no rate")
        return self

    @property
    def rate(self) -> float:
        return 1e-3


@register("ptg")
class PTG(Transfer):
    """p̃ = Σ_t s_t p_t with s = softmax(λ q_task · k^c_z(t) + (1 - λ) q_ins · k^p_t) (Eq. 4).

    Multi-head: queries and keys are projected, scores divided by the root of a head's size, and
    each head mixes its own share of the prompts' dimensions. The prompts stay as they are.
    """

    Settings: ClassVar = PTGSettings

    def __init__(self, given: Given, settings: PTGSettings) -> None:
        groups = _groups(given, settings)
        kept: dict[str, object] = {"groups": groups}
        if settings.backbone == "tuned":
            # Stored, it is PTG for a frozen model again: the tuned one. Instances are encoded by
            # the model as it was, whatever becomes of its copy.
            kept |= {"backbone": "frozen", "lr_backbone": None}
            kept |= {"encoder": given.model.name} if settings.encoder == "own" else {}
        super().__init__(given, settings.model_copy(update=kept))
        if settings.backbone == "tuned":
            self.tuned = FineTuning(given.model)
            self.rates = {"tuned": settings.lr_backbone or 3e-5}
        self.pool = Fixed(given.pool.stack())
        self.adapts = settings.pool and settings.memory and settings.instance
        if not settings.memory:
            return
        if not settings.pool:
            means = {name: table.mean(0) for name, table in given.pool.stack().items()}
            self.single = nn.ParameterDict(means)
            return
        encoder = None if settings.encoder == "own" else FrozenModel.load(settings.encoder)
        self.encodings = Encodings(given.model, encoder)
        size, widths = self.encodings.width, list(given.layout.widths().values())
        self.heads = max(n for n in range(1, settings.heads + 1) if not math.gcd(size, *widths) % n)
        self.task_query = nn.Parameter(torch.randn(size))
        if settings.instance or not settings.clustered or settings.reading == "code":
            self.prompt_keys = nn.Parameter(torch.randn(len(given.pool), size) / math.sqrt(size))
        self.project_query = nn.Linear(size, size, bias=False)
        if settings.reading == "code":
            if given.layout.kind != "soft-prompt":
                raise ConfigError("reading=code mixes soft prompts alone; use reading=paper.")
            self.project_value = nn.Linear(widths[0], widths[0])
            self.project_output = nn.Linear(widths[0], widths[0])
        else:
            self.project_key = nn.Linear(size, size, bias=False)
            if settings.clustered:
                count = max(groups) + 1
                self.cluster_keys = nn.Parameter(torch.randn(count, size) / math.sqrt(size))
        rows = given.rows
        usual = self.encodings.of_rows(rows).mean(0) if rows else torch.zeros(size)
        self.register_buffer("usual_query", usual)

    def forward(self, batch: Batch | None = None) -> PromptTensors:
        if not self.settings.memory:
            return self.layout.shape({name: t.mean(0) for name, t in self.pool().items()})
        if not self.settings.pool:
            return self.layout.shape(dict(self.single.items()))
        attend = self._code if self.settings.reading == "code" else self._paper
        if batch is not None and self.adapts:
            return self.layout.shape(attend(self.encodings(batch)))
        tables = attend(self.get_buffer("usual_query")[None])
        return self.layout.shape({name: table[0] for name, table in tables.items()})

    def attention(self, batch: Batch) -> Tensor | None:
        """The scores s of each row, mean over the heads: [B, S]."""
        return self._scores(self.encodings(batch)).mean(1) if self.adapts else None

    @torch.no_grad()
    def borrowed(self) -> Borrowed | None:
        """The scores for the mean query of the training rows, mean over the heads."""
        if not (self.settings.memory and self.settings.pool):
            return None
        weights = self._scores(self.get_buffer("usual_query")[None]).mean(1)
        return Borrowed(self.sources, weights, vectors(self.pool())[None])

    def _scores(self, instances: Tensor) -> Tensor:
        """Instance queries [B, d] to [B, heads, S]; the code's reading has them by query."""
        if self.settings.reading == "code":
            task, own = self._two_scores(instances)
            return self._balanced(task, own)
        if self.settings.clustered:
            task_keys = self.cluster_keys[self.settings.groups]
        else:
            task_keys = self.prompt_keys
        task = self._match(self.project_query(self.task_query)[None], self.project_key(task_keys))
        if self.settings.instance:
            own = self._match(self.project_query(instances), self.project_key(self.prompt_keys))
            task = self.settings.balance * task + (1 - self.settings.balance) * own
        return task.softmax(-1)

    def _match(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[B, d] and [S, d] to [B, heads, S]."""
        apart = [x.view(len(x), self.heads, -1) for x in (queries, keys)]
        matched: Tensor = torch.einsum("bhd,shd->bhs", *apart) / math.sqrt(apart[0].shape[-1])
        return matched

    def _paper(self, instances: Tensor) -> dict[str, Tensor]:
        """Tables [B, P, width]."""
        scores = self._scores(instances)
        return {name: self._mix(scores, table) for name, table in self.pool().items()}

    def _mix(self, scores: Tensor, table: Tensor) -> Tensor:
        """[B, heads, S] and [S, P, width] to [B, P, width]: each head mixes its own dimensions."""
        apart = table.view(*table.shape[:2], self.heads, -1)
        return torch.einsum("bhs,sphd->bphd", scores, apart).flatten(-2)

    def _two_scores(self, instances: Tensor) -> tuple[Tensor, Tensor]:
        """The code's two softmaxes: of the projected task query, and of the instance's own."""
        task = self._match(self.project_query(self.task_query)[None], self.prompt_keys).softmax(-1)
        return task, self._match(instances, self.prompt_keys).softmax(-1)

    def _code(self, instances: Tensor) -> dict[str, Tensor]:
        """λ · MHA(W q_task) + (1 - λ) · MHA(q_ins), both with the same values and output."""
        values = self.project_value(self.pool()["input"])
        task, own = (self.project_output(self._mix(s, values)) for s in self._two_scores(instances))
        return {"input": self._balanced(task, own)}

    def _balanced(self, task: Tensor, own: Tensor) -> Tensor:
        """λ of the task's and 1 - λ of the instance's; the task's alone without instances."""
        share = self.settings.balance if self.settings.instance else 1.0
        return share * task + (1 - share) * own


def _groups(given: Given, settings: PTGSettings) -> list[int]:
    """The cluster of each source."""
    count = len(given.pool)
    if settings.groups is not None:
        found = sorted(set(settings.groups))
        if len(settings.groups) != count or found != list(range(len(found))):
            raise ConfigError(
                f"groups must name one cluster 0, 1, 2, … for each of the {count} source prompts; "
                f"got {settings.groups}."
            )
        return settings.groups
    stacked = vectors(given.pool.stack())
    return cluster(as_weights(settings.similarity, stacked), settings.clusters)
