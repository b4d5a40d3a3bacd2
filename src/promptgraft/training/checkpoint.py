"""The state of a run on disk: everything needed to go on as if it had never stopped."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from promptgraft import files
from promptgraft.errors import BadFileError


@dataclass
class Progress:
    """Where a run is.

    step        optimizer steps done
    best_step   the step whose module is kept, 0 before the first evaluation
    best_score  its validation score, larger is better; None before the first evaluation
    waited      evaluations since then
    first_loss  mean loss per label of the first steps, to notice a run that diverges
    """

    step: int = 0
    best_step: int = 0
    best_score: float | None = None
    waited: int = 0
    first_loss: float | None = None


def save(
    folder: Path,
    progress: Progress,
    module: nn.Module,
    optimizer: Optimizer,
    best: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint; it replaces the one before only when it is complete."""
    moments = {
        f"{number}.{name}": value
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    with files.whole_folder(folder) as temporary:
        save_file(_plain(module.state_dict()), temporary / "module.safetensors")
        save_file(_plain(moments), temporary / "optimizer.safetensors")
        save_file(_plain(best), temporary / "best.safetensors")
        (temporary / "progress.json").write_text(json.dumps(asdict(progress)))


def load(
    folder: Path, module: nn.Module, optimizer: Optimizer
) -> tuple[Progress, dict[str, Tensor]]:
    """Restore module and optimizer in place; returns where the run is and its best module.

    Raises BadFileError if the checkpoint is damaged or belongs to another module.
    """
    files.heal(folder)
    try:
        progress = Progress(**json.loads((folder / "progress.json").read_text()))
        module.load_state_dict(load_file(folder / "module.safetensors"))
        best = load_file(folder / "best.safetensors")
        moments = load_file(folder / "optimizer.safetensors")
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BadFileError(
            f"The checkpoint {folder} cannot be used: {reason}. "
            "Start the run again in a new folder, or delete the checkpoint."
        ) from None
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    return progress, best


def kept_lines(path: Path, step: int) -> Iterator[str]:
    """The lines of a metrics file up to a step: later ones will be written again."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                yield line
        except (ValueError, KeyError):
            return  # the half line of a killed run; nothing after it counts


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
