"""What shells get on TAB, asked as their scripts ask, and by a real bash."""

import os
import shutil
import subprocess
import sys

import pytest

from promptgraft import minis
from promptgraft.cli import completion
from promptgraft.library import Library
from promptgraft.prompts import ModelReference, PromptCard, SoftPrompt

NAMES = ["e2e@mini/gpt2-m", "sst2@google/t5:v2", "sst2@mini/bert-s", "sst2@mini/bert-s:demo"]
MAIN = (
    "import sys; from promptgraft import cli\n"
    "try: cli.main(sys.argv[1:])\n"
    "finally:\n"
    "    heavy = {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
    "    if heavy: print('HEAVY', heavy)\n"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    import torch

    base = ModelReference(
        name="m", fingerprint="ab", tokenizer_hash="cd", family="masked", embedding_size=4
    )
    made = Library(tmp_path_factory.mktemp("completion") / "library")
    card = PromptCard(kind="soft-prompt", length=2, base=base)
    for name in NAMES:
        made.add(SoftPrompt(torch.zeros(2, 4), card), name)
    return made


@pytest.fixture
def offered(library):
    """What is offered for the last word of a line."""

    def ask(line, shell="fish", **more):
        usual = {name: v for name, v in os.environ.items() if name != "PROMPTGRAFT_DATA"}
        variables = {
            **usual,
            "PROMPTGRAFT_LIBRARY": str(library.path),
            "_PROMPTGRAFT_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            **more,
        }
        done = subprocess.run(
            [sys.executable, "-c", MAIN], env=variables, capture_output=True, text=True, timeout=120
        )
        assert done.stderr == ""
        assert "HEAVY" not in done.stdout
        return [line.split("\t")[0] for line in done.stdout.splitlines() if line]

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("promptgraft show ss", NAMES[1:]),
        ("promptgraft show sst2@mini/bert-s:", NAMES[3:]),
        ("promptgraft transfer ", NAMES),
        ("promptgraft diff e2e@mini/gpt2-m e", NAMES[:1]),
        ("promptgraft generate x", []),
        ("promptgraft generate e2e@mini/gpt2-m --model mini/b", None),
        ("promptgraft eval --task ss", ["sst2"]),
        ("promptgraft simi", ["similar"]),
    ],
)
def test_fish_is_offered_what_fits(offered, line, expected):
    if expected is None:
        expected = [name for name in minis.names() if name.startswith("mini/b")]
    assert offered(line) == expected


def test_zsh_gets_names_with_their_colons_quoted(offered):
    (first, *rest) = offered("promptgraft show sst2@mini/bert-s", shell="zsh")
    assert first.startswith("_arguments")
    assert "sst2@mini/bert-s\\\\:demo" in " ".join([first, *rest])


def test_the_library_option_is_heeded(offered, tmp_path):
    assert offered(f"promptgraft show --library {tmp_path} ss") == []


def test_names_are_the_librarys(library, monkeypatch):
    """The folders are read here without the library's own code; both must see the same."""
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(library.path))
    context = type("Context", (), {"params": {}})()
    assert completion.prompts(context, "") == [entry.name for entry in library.list()]


def test_a_wrong_data_folder_is_no_traceback(offered):
    assert offered("promptgraft eval --task s", PROMPTGRAFT_DATA="/nowhere") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("promptgraft show sst2@m", "m", ["mini/bert-s", "mini/bert-s:demo"]),
        ("promptgraft show sst2@", "", ["google/t5:v2", "mini/bert-s", "mini/bert-s:demo"]),
        ("promptgraft show sst2@mini/bert-s:d", "d", ["demo"]),
        ("promptgraft show e", "e", ["e2e@mini/gpt2-m"]),
        ("promptgraft show ", "", NAMES),
    ],
)
def test_bash_gets_what_goes_on_behind_its_own_division(library, tmp_path, line, word, expected):
    """Bash divides words at @ and : and replaces what follows; `word` is what it says that is."""
    program = tmp_path / "promptgraft"
    program.write_text(f"#!{sys.executable}\nfrom promptgraft.cli import main\nmain()\n")
    program.chmod(0o755)
    script = completion.BASH % {
        "complete_func": "_promptgraft_completion",
        "prog_name": "promptgraft",
        "autocomplete_var": "_PROMPTGRAFT_COMPLETE",
    }
    asked = (
        f"{script}\nCOMP_LINE='{line}' COMP_POINT={len(line)}\n"
        f"_promptgraft_completion {program} '{word}' show\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    variables = {**os.environ, "PROMPTGRAFT_LIBRARY": str(library.path)}
    done = subprocess.run(
        ["bash", "--norc", "-c", asked], env=variables, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_shown(shell):
    variables = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "--show-completion", shell],
        env=variables, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0
    assert f"_PROMPTGRAFT_COMPLETE=complete_{shell}" in done.stdout
    assert ("COMP_LINE" in done.stdout) is (shell == "bash")  # ours, not typer's
