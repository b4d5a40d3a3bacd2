"""The commands, run in this process on tiny models: what they print, keep and answer."""

import io
import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from conftest import tiny
from promptgraft import api, cli
from promptgraft.cli import terminal

COMMANDS = (
    "demo",
    "init",
    "tune",
    "sweep",
    "eval",
    "generate",
    "score",
    "transfer",
    "ls",
    "show",
    "doctor",
)
COLUMNS = ["data.text=review", "data.label=stars", "data.verbalizer={0: bad, 1: good}"]
QUICK = ["steps=4", "batch_size=4", "evaluate_every=2", "length=3", "dtype=float32"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with models, data, a library, and in it a soft prompt and a prefix."""
    place = tmp_path_factory.mktemp("cli")
    for kind in ("bert", "albert", "gpt2"):
        model = tiny(kind)
        model.save(place / kind)
    lines = [f"{('the film', 'a story')[n % 2]} number {n},{n % 2}" for n in range(60)]
    (place / "reviews.csv").write_text("review,stars\n" + "\n".join(lines))
    tables = [{"source": f"name : {n}", "target": f"{n} is French ."} for n in range(60)]
    (place / "tables.jsonl").write_text("\n".join(map(json.dumps, tables)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PROMPTGRAFT_LIBRARY", str(place / "library"))
        for words in (
            ["tune", "reviews.csv", "--model", "./bert", *COLUMNS, *QUICK],
            ["tune", "tables.jsonl", "--model", "./gpt2", "--method", "prefix", *QUICK],
        ):
            with pytest.raises(SystemExit) as left:
                cli.main(words)
            assert left.value.code == 0
    return place


@pytest.fixture
def run(place, monkeypatch, command):
    """Run a command in that folder."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("PROMPTGRAFT_LIBRARY", str(place / "library"))
    return command


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(words):
    """Typer itself loads pydantic for the options of a command."""
    script = (
        "import sys; from promptgraft import cli\n"
        f"try: cli.main([*{words}, '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'numpy', 'yaml', 'jinja2'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    _, _, example = out.partition("Example:\n")
    assert f"  $ promptgraft {name}" in example
    said = [line for line in example.splitlines() if line.strip() and "$ " not in line]
    assert said, "no output: scripts/record_examples.py writes it down"


def test_tune_writes_the_run_folder(place):
    (folder,) = (place / "runs").glob("reviews*")
    assert {file.name for file in folder.iterdir()} == {
        "config.yaml",
        "prompt.safetensors",
        "prompt.json",
        "metrics.jsonl",
        "results.json",
        "curves.png",
        "README.md",
    }


def test_ls(run):
    code, out, _ = run("ls")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "NAME",
        "reviews@bert",
        "tables@gpt2",
    ]
    entries = json.loads(run("ls", "rev*", "--json")[1])
    assert [entry["name"] for entry in entries] == ["reviews@bert"]
    assert entries[0]["card"]["task"] == "reviews"
    code, out, err = run("ls", "nothing*")
    assert (code, out) == (0, "")
    assert "No prompts like nothing*" in err


def test_show(run):
    code, out, _ = run("show", "reviews")
    assert code == 0
    assert "0 = bad, 1 = good" in out
    assert "steps=4" in out
    assert re.search("Loss .* [▁-█]{4}  \\d", out)
    found = json.loads(run("show", "reviews@bert", "--tokens", "--json")[1])
    assert found["card"]["length"] == len(found["nearest_tokens"]) == 3
    by_folder = json.loads(run("show", found["path"], "--json")[1])
    assert by_folder["card"] == found["card"]


def test_eval_scores_data_like_that_of_the_run(run):
    """The columns and label words are on the prompt's card."""
    code, out, _ = run("eval", "reviews@bert", "--task", "reviews.csv", "--json")
    assert code == 0
    found = json.loads(out)
    card = json.loads(run("show", "reviews@bert", "--json")[1])["card"]
    assert found["rows"] == 6
    assert found["scores"]["accuracy"] == pytest.approx(card["metrics"]["test.accuracy"])
    low, high = found["intervals"]["accuracy"]
    assert low <= found["scores"]["accuracy"] <= high


def test_outputs_of_eval_are_what_score_reads(run, place):
    words = ["tables@gpt2", "--task", "tables.jsonl", "decoding.max_new_tokens=5"]
    code, out, _ = run("eval", *words, "decoding.num_beams=2", "--outputs", "written.txt", "--json")
    assert code == 0
    scores = json.loads(out)["scores"]
    assert len((place / "written.txt").read_text().splitlines()) == json.loads(out)["rows"]
    code, out, _ = run("score", "written.txt", "--task", "tables.jsonl", "--json")
    assert code == 0
    assert json.loads(out)["scores"] == scores


def test_eval_of_the_bare_model(run):
    code, out, _ = run("eval", "--model", "./bert", "-t", "reviews.csv", "--rows", "4", *COLUMNS)
    assert code == 0
    assert out.startswith("accuracy ")
    assert out.endswith("on 4 test rows\n")


def test_transfer_then_eval(run):
    code, out, _ = run("transfer", "reviews@bert", "--to", "./albert", "--tag", "moved")
    assert code == 0
    assert out.startswith("reviews@albert:moved: 3 virtual tokens")
    found = json.loads(run("show", "reviews@albert:moved", "--json")[1])
    assert found["card"]["parents"][0]["relation"] == "transferred-from"
    assert run("eval", "reviews@albert:moved", "--task", "reviews.csv")[0] == 0


def test_generate_from_arguments_a_file_and_standard_input(run, place, monkeypatch):
    sources = ["name : The Eagle", "name : 7"]
    (place / "sources.txt").write_text("\n".join(sources) + "\n\n")
    code, out, _ = run("generate", "tables@gpt2", *sources, "--max-new-tokens", "5", "--json")
    assert code == 0
    pairs = json.loads(out)
    assert [pair["source"] for pair in pairs] == sources
    from_file = run("generate", "tables", "--file", "sources.txt", "--max-new-tokens", "5")[1]
    assert from_file == "".join(pair["text"] + "\n" for pair in pairs)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(sources)))
    assert run("generate", "tables", "--max-new-tokens", "5")[1] == from_file
    drawn = [
        run("generate", "tables", "name : 7", "--temperature", "2", "--seed", "3", "--json")[1]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]


def test_score(run, place, monkeypatch):
    """Groups are scored apart; what is not here is left out and named; an empty line is a row."""
    from promptgraft.metrics import coco

    rows = [
        ("a : b", "A is b .", "seen"),
        ("c : d", "C is d .", "unseen"),
        ("e : f", "E .", "seen"),
    ]
    lines = [{"source": s, "target": t, "split_kind": kind} for s, t, kind in rows]
    (place / "outputs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (place / "outputs.txt").write_text("A is b .\n\nE .\n")
    monkeypatch.setattr(coco, "find_spec", lambda name: None)
    words = ["score", "outputs.txt", "--task", "outputs.jsonl", "--split", "train"]
    words += ["data.groups=split_kind", "data.validation=outputs.jsonl"]
    code, out, err = run(*words, "data.report=[exact_match, nist, meteor]")
    assert code == 0
    first, *groups = out.splitlines()
    assert first.startswith("exact_match 66.7 (")
    assert first.endswith("on 3 train rows")
    assert [line.split()[:3] for line in groups] == [
        ["seen:", "exact_match", "100.0"],
        ["unseen:", "exact_match", "0.0"],
    ]
    assert "meteor was left out: it needs the package pycocoevalcap" in err
    found = json.loads(run(*words, "--metric", "exact_match", "--json")[1])
    assert found["scores"] == {"exact_match": pytest.approx(200 / 3)}
    assert found["groups"]["unseen"] == {"exact_match": 0}
    code, _, err = run(*words, "--metric", "meteor")
    assert (code, "meteor needs the package" in err) == (1, True)
    (place / "outputs.txt").write_text("A is b .\n")
    assert "1 outputs, and the train split of outputs has 3 rows" in run(*words)[2]


def test_dry_run_says_what_it_takes_and_runs_nothing(run, place):
    words = ["tune", "--task", "reviews.csv", "--model", "./bert", *COLUMNS, *QUICK, "--out", "dry"]
    code, out, _ = run(*words, "--dry-run", "--json")
    assert code == 0
    plan = json.loads(out)
    assert plan["trainable"] == plan["stored"] == 3 * 16
    assert plan["share"] == plan["stored"] / plan["frozen"]
    assert plan["flops_per_step"] > 0
    assert plan["bytes_peak"] > 0
    assert not (place / "dry").exists()
    assert "Peak memory" in run(*words, "--dry-run")[1]
    whole = run(*words, "--method", "fine-tuning", "--dry-run")[1]
    assert "numbers, 100 % of the model's" in whole


def test_a_sample_is_shown_whenever_it_is_validated(run, place):
    words = ["tune", "tables.jsonl", "--model", "./gpt2", "--method", "prefix", *QUICK]
    code, _, err = run(*words, "steps=4", "evaluate_every=2", "--out", "sampled")
    assert code == 0
    first = (place / "sampled/samples.txt").read_text().splitlines()[:3]
    shown = [line for line in err.splitlines() if line.startswith(("Input", "Written", "Refer"))]
    assert len(shown) == 6
    for line, whole in zip(shown[3:], first, strict=True):
        assert line.rstrip() == whole.rstrip()


def test_settings_from_a_file_and_the_line(run, place):
    lines = ["task: reviews.csv", "model: ./bert", "steps: 9", "out: from-yaml", "length: 2"]
    columns = ["data:", "  text: review", "  label: stars", "  verbalizer: {0: bad, 1: good}"]
    (place / "tune.yaml").write_text("\n".join(lines + columns))
    code, out, _ = run("tune", "--config", "tune.yaml", "steps=2", "--tag", "yaml", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["name"] == "reviews@bert:yaml"
    assert found["folder"] == "from-yaml"
    assert found["outcome"]["steps"] == 2


def test_ctrl_c_keeps_the_run_and_resume_ends_it(run, place, monkeypatch):
    @contextmanager
    def interrupted(what, samples):
        yield lambda now: signal.raise_signal(signal.SIGINT) if now.step == 2 else None

    words = ["tune", "reviews.csv", "--model", "./bert", *COLUMNS, *QUICK, "--out", "stopped"]
    with monkeypatch.context() as patch:
        patch.setattr(terminal, "progress", interrupted)
        code, out, err = run(*words, "--tag", "stopped")
    assert (code, out) == (130, "")
    assert "promptgraft tune --resume stopped" in err
    assert (place / "stopped/checkpoint").is_dir()
    code, out, _ = run("tune", "--resume", "stopped", "--json")
    assert code == 0
    assert json.loads(out)["name"] == "reviews@bert:stopped"
    assert not (place / "stopped/checkpoint").exists()


def test_doctor(run, place):
    code, out, _ = run("doctor", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["library"] == str(place / "library")
    assert {"sst2", "agnews", "e2e"} <= set(found["tasks"])
    assert found["versions"]["torch"]
    assert found["dtype"]["chosen"] in ("float32", "bfloat16")
    code, out, _ = run("doctor")
    assert code == 0
    assert "Library" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["tune", "nowhere", "-m", "./bert"], 1, "no task, file or folder 'nowhere'"),
        (["tune", "sst2", "-m", "./bert", "stepz=3"], 1, "Did you mean 'steps'?"),
        (["tune", "sst2", "-m", "./nowhere"], 1, "nowhere"),
        (["eval", "revews@bert"], 1, "The nearest: reviews@bert"),
        (["eval", "reviews@bert"], 1, "--task"),
        (["tune", "--resume", "nowhere"], 1, "no checkpoint"),
        (["generate", "tables", "--file", "nowhere.txt"], 1, "nowhere.txt: No such file"),
        (["transfer", "tables", "--to", "./gpt2"], 1, "prefix"),
        (["transfer", "reviews@bert", "--to", "./albert", "--teach", "1"], 1, "to tune it on"),
        (["transfer", "reviews@bert", "--to", "./albert", "--refine", "1"], 1, "with --task"),
        (["transfer", "reviews@bert", "--to", "./albert", "--select-on", "test"], 1, "on dev"),
        (["tune", "sst2", "agnews", "-m", "./bert"], 1, "one task at a time"),
        (["tune"], 2, "name a task"),
        (["eval"], 2, "name a prompt"),
        (["eval", "reviews@bert", "text=review"], 2, "only data.* and decoding.*"),
        (["tune", "--resume", "stopped", "lr=1"], 2, "--resume"),
        (["tune", "--resume", "stopped", "-t", "sst2"], 2, "--resume"),
        (["generate", "tables", "x", "--file", "y"], 2, "not both"),
        (["ls", "\udcff"], 1, r"\xff is not UTF-8"),  # as Python gives what is none
        (["generate", "tables", "caf\udce9"], 1, r"caf\xe9 is not UTF-8"),
        (["ls", "--color"], 2, "No such option"),
        (["eval", "reviews@bert", "-t", "reviews.csv", "-m", "./gpt2"], 3, "promptgraft transfer"),
    ],
)
def test_errors_are_short_and_have_a_code(run, words, code, message):
    got, out, err = run(*words)
    assert (got, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_a_damaged_prompt(run, place):
    (folder,) = (place / "runs").glob("tables*")
    copy = place / "damaged"
    copy.mkdir()
    for file in folder.iterdir():
        data = file.read_bytes()
        (copy / file.name).write_bytes(data[:-4] if file.suffix == ".safetensors" else data)
    code, _, err = run("generate", "damaged", "name : 7")
    assert code == 3
    assert "prompt.safetensors" in err


def test_debug_shows_where(run):
    assert "Traceback" in run("--debug", "eval", "nothing@bert")[2]
    assert "Traceback" in run("eval", "nothing@bert", "--debug")[2]


def test_a_bug_is_called_one(run, monkeypatch):
    def broken(*_, **__):
        raise KeyError("oops")

    monkeypatch.setattr(api, "generate", broken)
    code, _, err = run("generate", "tables", "x")
    assert code == 70
    assert "Traceback" in err
    assert "this is a bug" in err


def test_the_installed_command_is_silent_but_for_its_answer(place):
    """No progress bars or warnings of the libraries."""
    command = "import sys; from promptgraft.cli import main; main(sys.argv[1:])"
    words = ["eval", "reviews@bert", "--task", "reviews.csv", "--rows", "3"]
    words += ["--library", str(place / "library"), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", command, *words], cwd=place, capture_output=True, text=True
    )
    assert done.stderr.strip() == ""
    assert json.loads(done.stdout)["rows"] == 3
