"""The report: one page about a run, a folder of runs, or a library."""

import shlex
from datetime import datetime
from pathlib import Path

import promptgraft
from promptgraft.analysis import library_report, report
from promptgraft.analysis.run_report import is_run, read_run
from promptgraft.errors import PromptgraftError
from promptgraft.library import Library
from promptgraft.library.shards import holds_any


def write_report(what: Path | str, to: Path | str) -> Path:
    """Write a page that needs nothing but a browser: pictures inline, no network, no scripts.

    what  a run's folder, a folder of runs, or a library's folder

    Returns the file. Raises PromptgraftError if it is none of these, BadFileError if a run's files
    are damaged; what is damaged in a library is named on the page.
    """
    folder, file = Path(what), Path(to)
    if not folder.is_dir():
        raise PromptgraftError(f"{folder} is no folder; expected a run's or a library's.")
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    runs = [folder] if is_run(folder) else [path for path in inside if is_run(path)]
    if not runs and not holds_any(folder):  # asked before an index is made there
        raise PromptgraftError(
            f"{folder} has neither runs nor prompts; expected a run's or a library's folder."
        )
    report.save(_of_runs(folder, runs) if runs else _of_library(Library(folder)), file)
    return file


def _of_runs(folder: Path, runs: list[Path]) -> report.Report:
    parts = [read_run(run) for run in runs]
    title = parts[0].name if len(parts) == 1 else f"Runs in {folder.name}"
    # The first score of each: the one that its task names first.
    first = [
        (comparison.scores[0], comparison.what, part)
        for part in parts
        for comparison in part.comparisons[:1]
    ]
    headlines = [
        (
            f"{score.value:.{score.decimals}f}",
            f"{score.name} of {task}" + (f", {part.name}" if len(parts) > 1 else ""),
        )
        for score, task, part in first[:4]
    ]
    kept = [run for run in runs if (run / "prompt.json").exists()][:8]
    commands = [f"promptgraft show {shlex.quote(str(run))}" for run in kept]
    return report.Report(title, _made(), headlines, runs=parts, commands=commands)


def _of_library(library: Library) -> report.Report:
    listing = library.list()
    parts = library_report.parts(listing)
    counts = {
        "prompts": len(listing),
        "models": len({part.card.base.identity for part in parts}),
        "tasks": len({part.card.task for part in parts}),
    }
    more = len(listing) - len(parts)
    headlines = [(f"{count:,}", what) for what, count in counts.items()]
    where = shlex.quote(str(library.path))
    commands = [
        f"promptgraft {verb} {shlex.quote(listing[0].name)} --library {where}"
        for verb in ("show", "similar")
        if listing
    ]
    return report.Report(
        f"Prompts in {library.path.name}",
        _made(),
        headlines,
        prompts=parts,
        left_out=more,
        pictures=library_report.pictures(listing),
        lineage=library_report.lineage(library, listing),
        broken=listing.broken,
        commands=commands,
    )


def _made() -> str:
    return f"{datetime.now():%d %B %Y, %H:%M}. Made with promptgraft {promptgraft.__version__}."
