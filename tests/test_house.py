"""Imports between the folders of the house go downwards only, and never in a circle."""

import ast
import graphlib
from pathlib import Path

import promptgraft

HOUSE = (  # from the roof to the cellar; a folder may import those that stand after it
    "cli",
    "serving",
    "studies",
    "api",
    "analysis",
    "transfer",
    "training",
    "modules",
    "library",
    "tasks",
    "metrics",
    "models",
    "prompts",
    "minis",
    "files",
    "errors",
)
ROOT = Path(promptgraft.__file__).parent


def imports(file: Path) -> set[str]:
    """The dotted names inside promptgraft that a file imports, function-local imports included."""
    package = ("promptgraft", *file.relative_to(ROOT).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            stem = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*stem, *([node.module] if node.module else [])))
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("promptgraft.")}


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def test_every_folder_has_its_place_in_the_house():
    tops = {file.relative_to(ROOT).parts[0].removesuffix(".py") for file in files()}
    assert tops - {"__init__", "__main__"} <= set(HOUSE)


def test_imports_go_downwards():
    upwards = []
    for file in files():
        place = file.relative_to(ROOT).parts[0].removesuffix(".py")
        if place not in HOUSE:
            continue  # the package's own __init__ and __main__ stand on the roof
        for name in imports(file):
            target = name.split(".")[1]
            if target in HOUSE and HOUSE.index(target) < HOUSE.index(place):
                upwards.append(f"{file.relative_to(ROOT)} imports {name}")
    assert not upwards


def test_no_circles_between_files():
    names = {}
    for file in files():
        parts = file.relative_to(ROOT.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    graph = {name: (imports(file) & names.keys()) - {name} for name, file in names.items()}
    # `from . import x` inside a package names the package too; only the module itself is meant.
    graph = {
        name: {other for other in others if not name.startswith(f"{other}.")}
        for name, others in graph.items()
    }
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle
