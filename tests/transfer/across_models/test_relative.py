"""The equations of the paper against loops, and the two readings where its code differs."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.transfer.across_models import method_of
from promptgraft.transfer.across_models.relative import (
    Relative,
    largest,
    matching_loss,
    relative_representation,
    several,
    to_scale,
)
from promptgraft.transfer.across_models.search import xavier
from spaces import sent, space

P, D, D_TARGET, K = 3, 12, 16, 80


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("promptgraft.models.loading.CACHE", tmp_path)
    torch.manual_seed(0)


def test_relative_representation_is_a_cosine_for_every_pair():
    prompt, anchors = torch.randn(P, D), torch.randn(K, D)
    got = relative_representation(prompt, anchors)
    for i in range(P):
        for k in range(K):
            dot = sum(float(a * b) for a, b in zip(prompt[i], anchors[k], strict=True))
            expected = dot / float(prompt[i].norm() * anchors[k].norm())
            assert got[i, k].item() == pytest.approx(expected, abs=1e-5)


def test_largest_keeps_the_highest_of_each_row():
    relative = torch.tensor([[0.1, -0.9, 0.5, 0.2]])
    assert largest(relative, 2, "signed").tolist() == [[False, False, True, True]]
    assert largest(relative, 2, "absolute").tolist() == [[False, True, True, False]]
    assert largest(relative, 9, "signed").all()


def test_matching_loss_looks_at_the_kept_anchors_alone():
    found, sought = torch.randn(P, K), torch.randn(P, K)
    mask = largest(sought, 10, "signed")
    by_hand = [
        1 - cosine_similarity(found[i][mask[i]], sought[i][mask[i]], dim=0) for i in range(P)
    ]
    assert matching_loss(found, sought, mask).item() == pytest.approx(sum(by_hand).item() / P)


def test_scale_of_the_target_table():
    table = 0.3 + 0.05 * torch.randn(500, D_TARGET)
    got = to_scale(torch.randn(P, D_TARGET), table)
    assert got.mean().item() == pytest.approx(table.mean().item(), abs=1e-6)
    assert got.std().item() == pytest.approx(table.std().item(), rel=1e-5)


def test_the_mask_of_all_sources_or_of_the_last():
    sources = [sent(torch.randn(P, D), torch.randn(K, D)) for _ in range(2)]
    relatives = [relative_representation(one.vectors, one.space.anchors) for one in sources]
    for mask_of, masked in (("all", several(relatives)), ("last", relatives[1])):
        relative, mask = Relative(top_k=10, mask_of=mask_of).encode(sources)
        assert torch.equal(mask, largest(masked, 10, "signed"))
        expected = several([one * mask for one in relatives])
        torch.testing.assert_close(relative, expected)


def test_a_mask_on_the_source_alone_leaves_zeros_to_be_matched():
    source = sent(torch.randn(P, D), torch.randn(K, D))
    relative, mask = Relative(top_k=10, masked="source").encode([source])
    assert mask is None
    assert ((relative != 0).sum(1) == 10).all()


@pytest.mark.parametrize("top_k", [None, 30])
@pytest.mark.parametrize("count", [1, 3])
def test_closed_form_is_where_the_search_ends(top_k, count):
    """Eq. 5 and 7, masked and not: the same objective and the same directions."""
    sources = [sent(torch.randn(P, D), torch.randn(K, D)) for _ in range(count)]
    target = space(torch.randn(K, D_TARGET))
    exact = Relative(top_k=top_k, ridge=0.0)
    adam = Relative(top_k=top_k, solver="adam", steps=5000)
    relative, mask = exact.encode(sources)
    solved, searched = exact.move(sources, target), adam.move(sources, target)
    assert cosine_similarity(solved, searched).min() > 1 - 1e-4

    def loss(found):
        return matching_loss(relative_representation(found, target.anchors), relative, mask)

    assert loss(solved) <= loss(searched) + 1e-6


@pytest.mark.parametrize("top_k", [20, 40, 70])  # solved row by row, and by gradients together
def test_each_row_of_a_mask_is_its_own_least_squares(top_k):
    one, target = sent(torch.randn(P, D), torch.randn(K, D)), space(torch.randn(K, D_TARGET))
    one.vectors[1] = 0.0
    method = Relative(top_k=top_k, normalise=False, ridge=0.0)
    wanted, mask = method.encode([one])
    found = method.move([one], target)
    assert mask is not None
    for row in (0, 2):
        kept = normalize(target.anchors, dim=-1)[mask[row]].double()
        expected = torch.linalg.lstsq(kept, wanted[row, mask[row]].double()[:, None]).solution
        assert torch.allclose(found[row], expected[:, 0].float(), rtol=1e-4, atol=1e-5)
    assert not found[1].any()


def test_the_search_takes_the_settings_of_adam():
    """Kingma and Ba, algorithm 1, by hand, with decay in the gradient."""
    source, target = sent(torch.randn(P, D), torch.randn(K, D)), space(torch.randn(K, D_TARGET))
    betas, lr, decay = (0.5, 0.7), 0.1, 0.3
    method = Relative(solver="adam", steps=3, lr=lr, betas=betas, weight_decay=decay, seed=4)
    relative, _ = method.encode([source])
    found = xavier((P, D_TARGET), 4).requires_grad_()
    first, second = torch.zeros_like(found), torch.zeros_like(found)
    for step in range(1, 4):
        loss = matching_loss(relative_representation(found, target.anchors), relative)
        gradient = torch.autograd.grad(loss, found)[0] + decay * found.detach()
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        moved = first / (1 - betas[0] ** step) / ((second / (1 - betas[1] ** step)).sqrt() + 1e-8)
        found = (found.detach() - lr * moved).requires_grad_()
    assert torch.allclose(method.move([source], target), found, atol=1e-5)
    with pytest.raises(ConfigError, match="betas"):
        method_of("relative", settings={"betas": [0.5, 1.0]})


def test_constrained_search_ends_at_the_targets_scale():
    """The released code's problem: no other prompt of that mean and deviation matches better."""
    source, target = sent(torch.randn(P, D), torch.randn(K, D)), space(torch.randn(K, D_TARGET))
    target.table.add_(0.8)
    method = Relative(solver="constrained", steps=3000)
    relative, _ = method.encode([source])

    def loss(found):
        scaled = to_scale(found, target.table)
        return matching_loss(relative_representation(scaled, target.anchors), relative).item()

    found = loss(method.move([source], target))
    free = loss(Relative().move([source], target))
    assert found <= free + 1e-6
    for seed in range(3):
        torch.manual_seed(seed)
        start = torch.randn(P, D_TARGET).requires_grad_()
        descent = torch.optim.SGD([start], lr=1.0)
        for _ in range(2000):
            descent.zero_grad()
            scaled = to_scale(start, target.table)
            matching_loss(relative_representation(scaled, target.anchors), relative).backward()
            descent.step()
        assert found <= loss(start.detach()) + 1e-3


def test_the_own_model_gives_the_prompt_back():
    prompt, anchors = torch.randn(P, D), torch.randn(K, D)
    found = Relative().move([sent(prompt, anchors)], space(anchors))
    assert cosine_similarity(found, prompt).min() > 1 - 1e-6


def test_order_of_anchors_and_rotations_do_not_matter():
    prompt, anchors, there = torch.randn(P, D), torch.randn(K, D), torch.randn(K, D_TARGET)
    for method in (Relative(), Relative(top_k=30)):
        plain = method.move([sent(prompt, anchors)], space(there))
        order = torch.randperm(K)
        ordered = space(there[order])
        ordered.model.reference.fingerprint = "1" * 64
        torch.testing.assert_close(method.move([sent(prompt, anchors[order])], ordered), plain)
        turn = torch.linalg.qr(torch.randn(D_TARGET, D_TARGET)).Q
        turned = space(there @ turn)
        turned.model.reference.fingerprint = "2" * 64
        got = method.move([sent(prompt, anchors)], turned)
        torch.testing.assert_close(got, plain @ turn, rtol=1e-4, atol=1e-4)


def test_fewer_anchors_than_dimensions_match_exactly_with_the_least_norm():
    relative = torch.randn(P, 5)
    source, target = sent(torch.randn(P, D), torch.randn(5, D)), space(torch.randn(5, D_TARGET))
    relative, _ = Relative().encode([source])
    found = Relative().move([source], target)
    got = relative_representation(found, target.anchors)
    assert matching_loss(got, relative).item() == pytest.approx(0, abs=1e-6)
    span = normalize(target.anchors)
    inside = found @ torch.linalg.pinv(span) @ span
    torch.testing.assert_close(inside, found)  # nothing outside of what the anchors span


def test_zero_rows_stay_finite():
    prompt, anchors = torch.randn(P, D), torch.randn(K, D)
    prompt[0], anchors[3] = 0, 0
    target = space(torch.randn(K, D_TARGET))
    for method in (Relative(), Relative(top_k=30), Relative(solver="adam", steps=5)):
        assert torch.isfinite(method.move([sent(prompt, anchors)], target)).all()


def test_as_many_anchors_as_dimensions_that_all_look_one_way():
    size = 64
    prompt, anchors = torch.randn(P, size), torch.randn(size, size)
    there = 30 + 0.03 * torch.randn(size, size)  # float32's product of these is not definite
    unit = normalize(there).double()
    relative, _ = Relative().encode([sent(prompt, anchors)])
    gram = unit.T @ unit
    gram += 1e-6 * gram.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    literal = torch.linalg.solve(gram, unit.T @ relative.double().T).T.float()
    found = Relative().move([sent(prompt, anchors)], space(there))
    losses = [
        matching_loss(relative_representation(one, there), relative) for one in (found, literal)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-3)


def test_anchors_that_leave_a_direction_out_need_a_ridge():
    there = torch.randn(K, D_TARGET)
    there[:, 0] = 0
    source = sent(torch.randn(P, D), torch.randn(K, D))
    assert torch.isfinite(Relative().move([source], space(there))).all()
    other = space(there, "other")
    other.model.reference.fingerprint = "3" * 64
    with pytest.raises(PromptgraftError, match=r"80 anchors do not span .* 16 dimensions; give a"):
        Relative(ridge=0).move([source], other)
