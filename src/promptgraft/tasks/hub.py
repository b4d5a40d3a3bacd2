"""Rows of data sets from the Hugging Face hub, or of a local folder that `datasets` can read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from promptgraft.errors import DataError
from promptgraft.tasks.files import NAMES
from promptgraft.tasks.readers import Placed, Source

TIMEOUT = 10.0  # seconds for the hub to say that it is there


def hub_sources(name: str, config: str | None) -> dict[str, Source]:
    """Split -> rows of a data set; labels become their names where the data set has names.

    name  a data set of the hub, or a local folder (files that `datasets` can read, or one that
          `save_to_disk` wrote)

    A split whose labels are all hidden (-1) is left out. Raises DataError, without trying again
    and again, if `datasets` is not installed, the hub cannot be reached or has no such data set.
    """
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"Loading hub:{name} needs the package datasets: pip install 'promptgraft[hub]'."
        ) from None
    local = Path(name).is_dir()
    if not local and not datasets.config.HF_HUB_OFFLINE:
        _reach(name)
    try:
        if local and any(Path(name, file).exists() for file in ("dataset_dict.json", "state.json")):
            loaded = datasets.load_from_disk(name)
        else:
            loaded = datasets.load_dataset(name, config)
    except Exception as error:  # whatever it is, the user asked for a data set and gets none
        raise DataError(f"The data set hub:{name} cannot be loaded: {error}") from error
    splits = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    return {
        split: partial(_rows, f"hub:{name}, {found}", splits[found])
        for split, names in NAMES.items()
        for found in [next((alias for alias in names if alias in splits), None)]
        if found is not None and not _hidden(splits[found])
    }


def _reach(name: str) -> None:
    """One question to the hub: `datasets` itself would ask for half a minute before it gives up."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        HfApi().dataset_info(name, timeout=TIMEOUT)
    except GatedRepoError:
        raise DataError(
            f"The data set {name} is gated: accept its terms on its page, then run hf auth login."
        ) from None
    except ValueError:  # of the form of the name
        raise DataError(
            f"{name} is neither a folder nor a name such as stanfordnlp/sst2."
        ) from None
    except RepositoryNotFoundError:
        raise DataError(f"The hub has no data set {name}, or it is private.") from None
    except Exception as error:  # the classes differ between versions of the hub's HTTP library
        raise DataError(
            f"The hub cannot be reached for {name} ({error}). Give a file or a folder instead of "
            "hub:…; if the data set is in the local cache, set HF_HUB_OFFLINE=1."
        ) from None


def _names(split: Any) -> dict[str, list[str]]:
    """Column -> names of its labels, for the columns that have some."""
    return {
        column: feature.names
        for column, feature in split.features.items()
        if hasattr(feature, "names")
    }


def _hidden(split: Any) -> bool:
    return any(len(split) and set(split.unique(column)) == {-1} for column in _names(split))


def _rows(place: str, split: Any) -> Placed:
    names = _names(split)
    for number, row in enumerate(split, start=1):
        for column, labels in names.items():
            if row[column] is not None:
                row[column] = labels[row[column]] if row[column] >= 0 else None
        yield f"{place}, row {number}", row
