"""Curves: the numbers that are drawn, and the file."""

import pytest

from promptgraft.analysis import curves, pictures
from promptgraft.errors import BadFileError

LINES = [
    {"step": 1, "loss": 3.0},
    {"step": 2, "loss": 2.0, "validation": 50.0},
    {"step": 3, "loss": 1.0},
    {"step": 4, "loss": 1.5, "validation": 70.0},
    {"step": 6, "loss": 1.2, "validation": 60.0},
]


def test_running_mean_is_the_weighted_mean_of_the_past():
    values = [line["loss"] for line in LINES]
    for last, mean in enumerate(curves.running_mean(values)):
        weights = [curves.SMOOTHING ** (last - at) for at in range(last + 1)]
        expected = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        assert mean == pytest.approx(expected)


def test_scores_are_drawn_and_the_best_is_marked():
    loss, score = curves.draw(LINES, "accuracy").axes
    assert list(loss.lines[0].get_ydata()) == [3.0, 2.0, 1.0, 1.5, 1.2]
    assert list(score.lines[0].get_xdata()) == [2, 4, 6]
    assert list(score.lines[0].get_ydata()) == [50.0, 70.0, 60.0]
    assert score.texts[0].get_text() == "70"
    assert score.get_title("left") == "validation accuracy, per cent"


def test_a_loss_is_drawn_as_it_is():
    """metrics.jsonl holds its negative, for larger is better there."""
    lines = [line | {"validation": -line["loss"]} for line in LINES]
    score = curves.draw(lines, "loss").axes[1]
    assert list(score.lines[0].get_ydata()) == [3.0, 2.0, 1.0, 1.5, 1.2]
    assert score.texts[0].get_text() == "1"


def test_without_validation_there_is_the_loss_alone():
    assert len(curves.draw([{"step": 1, "loss": 1.0}], "accuracy").axes) == 1


def test_runs_are_compared_by_their_scores_or_their_losses():
    (scored,) = curves.compare({"a": LINES, "b": LINES}, "accuracy").axes
    assert scored.get_title("left") == "validation accuracy, per cent"
    assert [list(line.get_ydata()) for line in scored.lines] == [[50.0, 70.0, 60.0]] * 2
    once = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 2.0, "validation": 50.0}]
    (losses,) = curves.compare({"a": LINES, "b": once}, "accuracy").axes
    assert losses.get_title("left") == "training loss, nats"
    assert len(losses.lines[0].get_ydata()) == len(LINES)
    assert list(losses.lines[1].get_ydata()) == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("last", [1, 2, 3, 4, 7, 10, 1000])
def test_steps_are_whole(last):
    lines = [{"step": n, "loss": 1.0, "validation": 1.0} for n in range(1, last + 1)]
    both = [curves.draw(lines, "accuracy"), curves.compare({"a": lines}, "accuracy")]
    for place in (place for figure in both for place in figure.axes):
        assert all(tick == int(tick) for tick in place.get_xticks())


def test_save_writes_the_picture(tmp_path):
    pictures.save(curves.draw(LINES, "accuracy"), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_a_damaged_line_is_named(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    with pytest.raises(BadFileError, match="line 2"):
        curves.read(file)


@pytest.mark.parametrize("steps", [0, 1, 59, 60, 61, 1000])
def test_thinned_curves_keep_the_mean_of_equal_stretches(steps):
    lines = [{"step": n, "loss": float(n % 7)} for n in range(steps)]
    found = curves.thinned(lines)
    assert len(found) == min(steps, 60)
    if steps == 1000:
        assert found[0] == pytest.approx(sum(n % 7 for n in range(16)) / 16)
    if 0 < steps <= 60:
        assert list(found) == [line["loss"] for line in lines]
