"""Continuous prompts of frozen language models: tune, keep, move and serve them.

    import promptgraft as pg

    run = pg.tune(model="mini/bert-s", task="sst2")           # tuned, scored, kept in the library
    moved, name = pg.transfer(run.prompt, to="mini/bert-m")   # another model's, without training
    pg.evaluate(name).scores
    pg.generate("e2e@mini/gpt2-m", ["name : Cotto | Type : pub"])

Prompts go by their names in the library, by their folders, or as values; models, tasks and
libraries by their names, or as what is loaded already.

make         tune, tune_jointly, tune_shared, tune_weights, plan, resume; TuneConfig: settings
use          evaluate, generate, score, nearest_tokens
borrow       recommend, explain, clusters, similar
move         transfer, teach, refine
keep, share  Library, resolve, save, pack, push, pull, write_report
interchange  export, import_peft, import_tensors
values       SoftPrompt, Prefix, PromptCard, concat, mix
underneath   FrozenModel, Task and tasks.load, metrics, Engine and Request

What goes wrong and can be put right is a PromptgraftError. Nothing heavy is imported before it is
needed: `import promptgraft` takes milliseconds, the first verb seconds.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptgraft import metrics as metrics
    from promptgraft import tasks as tasks
    from promptgraft.api import Clusters as Clusters
    from promptgraft.api import Explanation as Explanation
    from promptgraft.api import JointConfig as JointConfig
    from promptgraft.api import JointRun as JointRun
    from promptgraft.api import Plan as Plan
    from promptgraft.api import Recommendation as Recommendation
    from promptgraft.api import Refined as Refined
    from promptgraft.api import Run as Run
    from promptgraft.api import SharedConfig as SharedConfig
    from promptgraft.api import SharedRun as SharedRun
    from promptgraft.api import TuneConfig as TuneConfig
    from promptgraft.api import Weights as Weights
    from promptgraft.api import clusters as clusters
    from promptgraft.api import evaluate as evaluate
    from promptgraft.api import explain as explain
    from promptgraft.api import generate as generate
    from promptgraft.api import nearest_tokens as nearest_tokens
    from promptgraft.api import plan as plan
    from promptgraft.api import recommend as recommend
    from promptgraft.api import refine as refine
    from promptgraft.api import resolve as resolve
    from promptgraft.api import resume as resume
    from promptgraft.api import score as score
    from promptgraft.api import teach as teach
    from promptgraft.api import transfer as transfer
    from promptgraft.api import tune as tune
    from promptgraft.api import tune_jointly as tune_jointly
    from promptgraft.api import tune_shared as tune_shared
    from promptgraft.api import tune_weights as tune_weights
    from promptgraft.api.curating import pack as pack
    from promptgraft.api.curating import similar as similar
    from promptgraft.api.exchange import export as export
    from promptgraft.api.exchange import import_peft as import_peft
    from promptgraft.api.exchange import import_tensors as import_tensors
    from promptgraft.api.reporting import write_report as write_report
    from promptgraft.api.sharing import pull as pull
    from promptgraft.api.sharing import push as push
    from promptgraft.errors import PromptgraftError as PromptgraftError
    from promptgraft.library import Library as Library
    from promptgraft.models import FrozenModel as FrozenModel
    from promptgraft.prompts import Ensemble as Ensemble
    from promptgraft.prompts import Prefix as Prefix
    from promptgraft.prompts import Prompt as Prompt
    from promptgraft.prompts import PromptCard as PromptCard
    from promptgraft.prompts import SoftPrompt as SoftPrompt
    from promptgraft.prompts import concat as concat
    from promptgraft.prompts import mix as mix
    from promptgraft.prompts import save as save
    from promptgraft.serving import Engine as Engine
    from promptgraft.serving import Request as Request
    from promptgraft.tasks import Task as Task
    from promptgraft.training import Evaluation as Evaluation
    from promptgraft.training import Report as Report
    from promptgraft.training import Scores as Scores
    from promptgraft.transfer.across_tasks import AdaptivePrompt as AdaptivePrompt

__version__ = "0.1.0"

_NAMES = {  # module -> what it gives; the imports above say the same to type checkers
    "api": "Clusters Explanation JointConfig JointRun Plan Recommendation Refined Run "
    "SharedConfig SharedRun TuneConfig Weights clusters evaluate explain generate "
    "nearest_tokens plan recommend refine "
    "resolve resume score teach transfer tune tune_jointly tune_shared tune_weights",
    "api.curating": "pack similar",
    "api.exchange": "export import_peft import_tensors",
    "api.reporting": "write_report",
    "api.sharing": "pull push",
    "errors": "PromptgraftError",
    "library": "Library",
    "models": "FrozenModel",
    "prompts": "Ensemble Prefix Prompt PromptCard SoftPrompt concat mix save",
    "serving": "Engine Request",
    "tasks": "Task",
    "training": "Evaluation Report Scores",
    "transfer.across_tasks": "AdaptivePrompt",
}
_HOMES = {name: f"{__name__}.{home}" for home, names in _NAMES.items() for name in names.split()}
_FOLDERS = ("metrics", "tasks")

__all__ = sorted((*_HOMES, *_FOLDERS))

if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name: str) -> Any:
        if name in _FOLDERS:
            return import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This module, in which `transfer` is the verb, whether its folder is imported or not."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
