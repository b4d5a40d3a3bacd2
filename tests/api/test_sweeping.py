"""A sweep comes to what its jobs come to one by one, whatever is stopped, killed or wrong."""

import csv
import json
import os
import signal
import statistics
import threading
import time

import psutil
import pytest
import yaml

from conftest import tiny
from promptgraft import api
from promptgraft.api import sweeping
from promptgraft.api.sweeping.processes import Ended
from promptgraft.api.sweeping.sweep import _alone
from promptgraft.errors import ConfigError, PromptgraftError, StoppedError
from promptgraft.library import Library
from promptgraft.training import read

BASE = {
    "task": "reviews.csv",
    "data": {"label": "stars", "verbalizer": {0: "bad", 1: "good"}},
    "data.text": "review",
    "model": "./bert",
    "dtype": "float32",
    "steps": 12,
    "batch_size": 4,
    "evaluate_every": 4,
    "checkpoint_every": 2,
    "length": 3,
}
LINES = [f"{('the film', 'a story')[n % 2]} number {n},{n % 2}" for n in range(60)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for kind in ("bert", "albert"):
        model = tiny(kind)
        model.save(tmp_path / kind)
    (tmp_path / "reviews.csv").write_text("review,stars\n" + "\n".join(LINES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(**grid):
    return sweeping.SweepConfig(base=BASE, grid=grid)


def alone(folder, **settings):
    """What `tune` makes of the settings by itself."""
    data = BASE["data"] | {"text": "review"}
    own = {key: value for key, value in BASE.items() if "data" not in key}
    return api.tune(
        library=Library(folder / "alone"), out=folder / "one", data=data, **own | settings
    )


def test_the_jobs_are_every_combination(folder):
    grid = {
        "model": ["./bert", "./albert"],
        "method": ["soft-prompt", {"method": "prefix", "lr": 0.1}],
        "data.text": ["review"],
        "seed": [0, 1],
    }
    jobs = sweeping.jobs(config(**grid), folder / "sw")
    assert len(jobs) == len({job.folder for job in jobs}) == 8
    *_, last = jobs
    assert last.point == {"model": "./albert", "method": "prefix", "lr": 0.1, "data.text": "review",
                          "seed": 1}  # fmt: skip
    assert (last.config.lr, last.config.steps, last.config.seed) == (0.1, 12, 1)
    assert last.config.data == {**BASE["data"], "text": "review"}
    again = sweeping.jobs(config(**grid | {"seed": [1, 2]}), folder / "sw")
    assert len({job.folder for job in jobs} & {job.folder for job in again}) == 4


def test_changed_data_make_other_jobs(folder):
    """Of any split; a task with its data unchanged keeps its jobs."""
    before, again = (sweeping.jobs(config(seed=[0]), folder / "sw") for _ in "ab")
    assert before == again
    (folder / "reviews.csv").write_text("review,stars\n" + "\n".join([*LINES[:-1], "the end,1"]))
    changed = sweeping.jobs(config(seed=[0]), folder / "sw")
    assert changed[0].folder != before[0].folder
    assert changed[0].config.tag != before[0].config.tag
    (folder / "reviews.csv").write_text("review,stars\n" + "\n".join(LINES))
    assert sweeping.jobs(config(seed=[0]), folder / "sw") == before
    with pytest.raises(ConfigError, match=r"none\.csv: There is no file"):
        sweeping.jobs(config(task=["none.csv", "reviews.csv"]), folder / "sw")


def test_everything_wrong_is_told_at_once(folder):
    base = BASE | {"stepps": 3, "out": "x"}
    sweep = sweeping.SweepConfig(base=base, grid={"lr": [0.1, -1], "data.lable": ["a"]})
    with pytest.raises(ConfigError) as told:
        sweeping.jobs(sweep, folder / "sw")
    lines = str(told.value).splitlines()
    assert lines[1:] == [
        "  base.out: a sweep gives each job its own.",
        "  base.stepps: there is no such setting. Did you mean 'steps'?",
        "  grid.lr: Input should be greater than 0 (got -1)",
    ]
    (folder / "wrong.yaml").write_text(yaml.safe_dump({"bass": {}, "grid": {"seed": []}}))
    with pytest.raises(ConfigError) as told:
        read(sweeping.SweepConfig, folder / "wrong.yaml")
    assert "Did you mean 'base'?" in str(told.value)
    assert "grid.seed" in str(told.value)
    with pytest.raises(ConfigError, match="seed=0 is there twice"):
        sweeping.jobs(config(seed=[0, 0]), folder / "sw")
    with pytest.raises(ConfigError, match="data is 3 already, which has no entries"):
        sweeping.jobs(config(data=[3], **{"data.text": ["a"]}), folder / "sw")


def same(folder, job, **settings):
    """Whether a job's prompt, in the library, and its scores are those of `tune` alone."""
    run = alone(folder, **settings)
    model = str(settings.get("model", BASE["model"])).strip("./")
    kept = Library(folder / "library").get(f"reviews@{model}:{job.config.tag}")
    results = json.loads((job.folder / "results.json").read_text())
    return kept == run.prompt and results["test"]["scores"] == run.evaluation.scores


def test_two_workers_and_a_failed_job(folder):
    """Models, methods and seeds; a job that cannot be done does not stop the others."""
    sweep = config(model=["./bert", "./albert"], lr=[0.1, 1e30], seed=[0, 1])
    library = Library(folder / "library")
    done = sweeping.sweep(sweep, folder / "sw", library=library, workers=2)
    assert set(done.failed) == {
        f"model=./{kind} lr=1e+30 seed={seed}" for kind in ("bert", "albert") for seed in (0, 1)
    }
    assert all("The loss" in error for error in done.failed.values())
    jobs = [job for job in sweeping.jobs(sweep, folder / "sw") if job.config.lr == 0.1]
    assert len(jobs) == 4
    for job in jobs:
        assert same(folder, job, lr=0.1, model=job.config.model, seed=job.config.seed)
    rows = list(csv.DictReader(done.table.open()))
    assert [(row["model"], row["lr"], row["seeds"]) for row in rows] == [
        ("./bert", "0.1", "2"), ("./bert", "1e+30", "0"),
        ("./albert", "0.1", "2"), ("./albert", "1e+30", "0"),
    ]  # fmt: skip
    scores = [
        json.loads((job.folder / "results.json").read_text())["test"]["scores"]["accuracy"]
        for job in jobs[:2]
    ]
    mean, low, high = (
        float(rows[0][name]) for name in ("accuracy", "accuracy low", "accuracy high")
    )
    assert mean == pytest.approx(statistics.fmean(scores))
    # Of two values Student's t at 97.5 % is 12.706.
    half = 12.706 * statistics.stdev(scores) / 2**0.5
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=1e-4)
    assert rows[1]["accuracy"] == ""


@pytest.fixture
def hears_ctrl_c():
    """A shell's background jobs ignore it, and the tests may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_killed_stopped_and_begun_again_is_never_stopped(folder):
    """kill -9 in the first job, Ctrl-C in the second; what is done is not done again."""
    last = 300  # far behind step 5: the second job must not end before Ctrl-C is heard
    sweep, library = config(seed=[0, 1], steps=[last]), Library(folder / "library")
    steps = {0: [], 1: []}
    workers = set()

    def watch(event):
        if isinstance(event, Ended):
            return
        job, now = event
        seed = job.config.seed
        steps[seed].append(now.step)
        if now.step != 5:
            return  # to look for workers takes longer than a step: the reports would pile up
        (worker,) = children(os.getpid())
        workers.add(worker)
        if seed == 0 and len(workers) == 1:
            os.kill(worker, signal.SIGKILL)
        if seed == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError, match="Stopped with 1 of 2 jobs done"):
        sweeping.sweep(sweep, folder / "sw", library=library, report=watch)
    assert len(workers) == 2
    first, second = sweeping.jobs(sweep, folder / "sw")
    assert steps[0].count(1) == 1, "it began anew, not from its checkpoint"
    assert steps[0].count(last) == 1
    assert first.done
    assert (second.folder / "checkpoint").is_dir()
    before = (first.folder / "results.json").stat().st_mtime_ns
    done = sweeping.sweep(sweep, folder / "sw", library=library, report=watch)
    assert not done.failed
    assert steps[1].count(1) == 1
    assert (first.folder / "results.json").stat().st_mtime_ns == before
    assert same(folder, first, seed=0, steps=last)
    assert same(folder, second, seed=1, steps=last)


def children(process):
    """The processes that a process started."""
    return [child.pid for child in psutil.Process(process).children()]


def test_a_folder_has_one_sweep_at_a_time(folder):
    """The lock is a file's, so it also holds within a process."""
    with (
        _alone(folder / "sw"),
        pytest.raises(PromptgraftError, match="Another sweep is at work in"),
    ):
        sweeping.sweep(config(seed=[0]), folder / "sw", library=Library(folder / "library"))


def test_on_ray_the_same_though_a_task_is_killed(folder, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else other tests leave them next to nothing
    long = {"steps": 400, "evaluate_every": 100}
    sweep = sweeping.SweepConfig(base=BASE | long, grid={"seed": [0, 1], "lr": [0.01, 1e30]})
    killed = []

    def kill():
        """The first task that has saved something."""
        while not list((folder / "sw").glob("*/checkpoint/progress.json")):
            time.sleep(0.01)
        for process in psutil.Process().children(recursive=True):
            if "ray::_attempt" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    library = Library(folder / "library")
    done = sweeping.sweep(sweep, folder / "sw", library=library, ray="local")
    assert killed
    assert set(done.failed) == {"seed=0 lr=1e+30", "seed=1 lr=1e+30"}
    for job in sweeping.jobs(sweep, folder / "sw"):
        if job.config.lr == 0.01:
            assert same(folder, job, lr=0.01, seed=job.config.seed, **long)
