"""The benchmarks run; what they say about time is nobody's business here."""

import json
from pathlib import Path

import pytest

from conftest import tiny

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def bench_tuning(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("peft")
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_tuning

    return bench_tuning


def test_tuning_compares_with_peft_and_records(
    bench_tuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(bench_tuning.common, "RESULTS", tmp_path / "RESULTS.md")
    for note in ("first", "second"):
        bench_tuning.main(
            ["--size", "tiny", "--device", "cpu", "--quick", "--record", "--note", note]
        )
    record = (tmp_path / "RESULTS.md").read_text()
    rows = [line for line in record.splitlines() if line.startswith(("| gpt2", "| llama"))]
    assert len(rows) == 2 * 2 * len(bench_tuning.cases("tiny", "cpu"))
    assert record.index("first") < record.index("second")
    assert rows[0] in capsys.readouterr().out


def test_a_difference_stops_the_benchmark(bench_tuning, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_tuning, "EXACT", -1.0)
    with pytest.raises(SystemExit, match="Not the same computation"):
        bench_tuning.main(["--size", "tiny", "--device", "cpu", "--quick"])


def test_memory_of_a_case(bench_tuning):
    case = bench_tuning.asdict(bench_tuning.cases("tiny", "cpu")[0])
    spec = json.dumps({"case": case, "dtype": "float32", "who": "ours"})
    assert bench_tuning.memory_here(spec) > 1e6


def test_transfer_is_measured_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_transfer

    monkeypatch.setattr(bench_transfer.common, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(bench_transfer.loading, "CACHE", bench_transfer.loading.CACHE)
    bench_transfer.main(["--size", "tiny", "--prompts", "3", "--rounds", "1", "--record"])
    assert "3 prompts to one target" in capsys.readouterr().out
    assert (tmp_path / "RESULTS.md").read_text().count("| top-k") == 1
    monkeypatch.setattr(bench_transfer, "NEVER_WORSE", -1.0)
    with pytest.raises(SystemExit, match="closed form is worse"):
        bench_transfer.main(["--size", "tiny", "--prompts", "3", "--rounds", "1"])


def test_the_library_grows_and_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("peft")  # its version is on record
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_library

    monkeypatch.setattr(bench_library.common, "RESULTS", tmp_path / "RESULTS.md")
    bench_library.main(["--sizes", "16", "40", "--rounds", "1", "--record"])
    record = (tmp_path / "RESULTS.md").read_text()
    assert [line.split()[1] for line in record.splitlines() if line.startswith("|")] == [
        "prompts",
        "-------",
        "16",
        "40",
        "target",
    ]
    assert "| 40 " in capsys.readouterr().out
    with pytest.raises(SystemExit, match="not empty"):
        bench_library.main(["--out", str(tmp_path)])


def test_serving_is_measured_beside_peft(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_serving

    bench_serving.main(["--size", "tiny", "--requests", "3", "--rounds", "1"])
    printed = capsys.readouterr().out
    assert "| one prompt |" in printed
    assert "First token" in printed
    few = ["--distinct", "1", "2", "--requests", "2"]
    bench_serving.main(["--size", "tiny", "--rounds", "1", *few])
    assert "| 2                |" in capsys.readouterr().out


def test_many_tunings_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("peft")  # its version is on record
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_many

    monkeypatch.setattr(bench_many.common, "RESULTS", tmp_path / "RESULTS.md")
    few = ["--tunings", "2", "--steps", "2", "--batch-sizes", "2", "--rounds", "1"]
    bench_many.main([*few, "--device", "cpu", "--record"])
    assert "| 2       | 2     | float32 " in capsys.readouterr().out
    assert "many tunings together, cpu" in (tmp_path / "RESULTS.md").read_text()
    monkeypatch.setattr(bench_many, "SAME", -1.0)
    with pytest.raises(SystemExit, match="Not the same tunings"):
        bench_many.main([*few, "--device", "cpu"])


def test_prefixes_are_measured_beside_peft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("peft")
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_prefix

    model = tiny("gpt2", n_positions=512)
    model.save(tmp_path / "gpt2")
    monkeypatch.setattr(bench_prefix, "FEW", 10)
    few = ["--size", "tiny", "--device", "cpu", "--rounds", "1", "--no-memory"]
    bench_prefix.main([*few, "--low-data", str(tmp_path / "gpt2"), "--low-data-steps", "2"])
    printed = capsys.readouterr().out
    assert "| ours, bart, all three sites |" in printed
    assert "equal texts" in printed
    assert "2 steps of 8" in printed
    spec = json.dumps(["ours, gpt2, checkpointing", "tiny", "cpu"])
    bench_prefix.main(["--memory-of", spec])
    assert int(capsys.readouterr().out) > 1e6


def test_defaults_are_compared_and_no_run_is_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("peft")  # its version is on record
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_defaults

    monkeypatch.setattr(bench_defaults.common, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(bench_defaults, "OUT", tmp_path / "kept")
    monkeypatch.setattr(bench_defaults, "TRAIN_ROWS", 8)
    monkeypatch.setattr(bench_defaults, "VALIDATION_ROWS", 4)
    monkeypatch.setattr(bench_defaults, "INITS", ("labels",))
    monkeypatch.setattr(bench_defaults, "RATES", {"direct": (0.01,)})
    few = ["--tasks", "sst2", "--seeds", "2", "--steps", "4", "--device", "cpu"]
    bench_defaults.main([*few, "--record"])
    printed = capsys.readouterr().out
    assert printed.count("| prefix ") == 2  # once, and again with both seeds
    assert printed.split("\n\n", 1)[1].strip() in (tmp_path / "RESULTS.md").read_text()
    monkeypatch.setattr(bench_defaults.api, "tune", None)  # everything is kept
    bench_defaults.main(few)
    assert printed == capsys.readouterr().out
