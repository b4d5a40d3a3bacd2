"""Clusters: planted ones are found, the best cut among all is found where it can be tried."""

import itertools

import pytest
import torch

from promptgraft.transfer.across_tasks.clustering import bisect, cluster, eigengap, min_max_cut

PLANTED = [0, 1, 1, 2, 0, 2, 2, 1, 0, 0]


def planted(groups=PLANTED, within=0.9, between=0.1, noise=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.tensor([[within if a == b else between for a in groups] for b in groups])
    weights += noise * torch.rand(weights.shape, generator=generator)
    return (weights + weights.T) / 2


@pytest.mark.parametrize("seed", range(5))
def test_planted_clusters_are_found_and_counted(seed):
    weights = planted(seed=seed)
    assert eigengap(weights) == 3
    assert cluster(weights) == PLANTED
    assert cluster(weights, 3) == PLANTED
    assert len(set(cluster(weights, 2))) == 2


@pytest.mark.parametrize("seed", range(5))
def test_no_single_node_is_better_elsewhere(seed):
    weights = torch.rand(9, 9, generator=torch.Generator().manual_seed(seed))
    weights = weights + weights.T
    groups = cluster(weights, 3)
    assert len(set(groups)) == 3
    for node, group in itertools.product(range(9), range(3)):
        moved = [*groups[:node], group, *groups[node + 1 :]]
        if len(set(moved)) == 3:
            assert min_max_cut(weights, moved) >= min_max_cut(weights, groups) - 1e-6


def test_the_cut_as_a_loop():
    weights, groups = planted(), PLANTED
    expected = 0.0
    for group in range(3):
        inside = sum(
            float(weights[i, j])
            for i in range(10)
            for j in range(10)
            if groups[i] == group == groups[j]
        )
        across = sum(
            float(weights[i, j])
            for i in range(10)
            for j in range(10)
            if groups[i] == group != groups[j]
        )
        expected += across / inside
    assert min_max_cut(weights, groups) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_two_planted_halves_are_the_best_of_all_cuts(seed):
    groups = [0, 1, 0, 0, 1, 1, 0]
    weights = planted(groups, within=0.6, between=0.3, noise=0.2, seed=seed).double()
    found = list(map(int, bisect(weights)))
    every = [[0, *rest] for rest in itertools.product([0, 1], repeat=6) if any(rest)]
    best = min(min_max_cut(weights, cut) for cut in every)
    assert min_max_cut(weights, found) == pytest.approx(best)


def test_few_nodes():
    assert cluster(torch.ones(1, 1)) == [0]
    assert cluster(torch.eye(2) + 0.1) == [0, 1]
    assert cluster(planted(), 99) == list(range(10))
    assert cluster(planted(), 1) == [0] * 10
