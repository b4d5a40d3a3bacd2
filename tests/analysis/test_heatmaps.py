"""Pictures of matrices: the order of a clustered heatmap, and the numbers in the cells."""

import itertools

import pytest
import torch

from promptgraft.analysis.heatmaps import clustered
from promptgraft.analysis.pictures import save
from promptgraft.errors import ConfigError

NAMES = ["a", "b", "c", "d", "e"]
GROUPS = [0, 1, 0, 1, 0]


def test_prompts_of_a_group_stand_together_with_their_numbers(tmp_path):
    similarity = torch.rand(5, 5)
    similarity = (similarity + similarity.T) / 2
    figure, order = clustered(similarity, NAMES, GROUPS, "a title")
    assert sorted(order) == [0, 1, 2, 3, 4]
    groups = [GROUPS[node] for node in order]
    assert sum(a != b for a, b in itertools.pairwise(groups)) == 1
    place = figure.axes[1]
    assert [label.get_text() for label in place.get_yticklabels()] == [NAMES[n] for n in order]
    written = [text.get_text() for text in place.texts]
    assert written == [f"{similarity[a, b]:.2f}" for a in order for b in order]
    save(figure, tmp_path / "heat.svg")
    assert "<svg" in (tmp_path / "heat.svg").read_text()


def test_a_single_prompt():
    assert clustered(torch.ones(1, 1), ["a"], [0], "")[1] == [0]


def test_pictures_have_two_forms(tmp_path):
    from matplotlib.figure import Figure

    with pytest.raises(ConfigError, match=r"\.png or \.svg, not picture\.foo"):
        save(Figure(), tmp_path / "picture.foo")
    assert not list(tmp_path.iterdir())
