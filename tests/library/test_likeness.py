"""Likeness is the cosine of mean vectors; the index's sketches only say where to look."""

import numpy as np
import pytest
import torch

from promptgraft.library import Library, likeness
from promptgraft.prompts import ModelReference, Prefix, PromptCard, SoftPrompt

P, D, TOPICS, EACH = 3, 600, 30, 8


def card(kind: str = "soft-prompt", fingerprint: str = "ab", family: str = "seq2seq") -> PromptCard:
    base = ModelReference(
        name="mini/t5-s",
        fingerprint=fingerprint,
        tokenizer_hash="cd",
        family=family,
        embedding_size=D,
    )
    return PromptCard(kind=kind, length=P, base=base)


def made(seed: int) -> SoftPrompt:
    """Prompts of one topic point the same way, in all lengths."""
    generator = torch.Generator().manual_seed(seed % TOPICS)
    topic = torch.randn(1, D, generator=generator)
    noise = torch.randn(P, D, generator=torch.Generator().manual_seed(1000 + seed))
    return SoftPrompt((1 + seed % 5) * (topic + noise), card())


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    library = Library(tmp_path_factory.mktemp("library"))
    library.add_all((made(n), f"p{n}@m") for n in range(TOPICS * EACH))
    library.add(SoftPrompt(made(0).vectors, card(fingerprint="ff")), "other-model@m")
    return library


def by_hand(one: SoftPrompt, other: SoftPrompt) -> float:
    a, b = ([sum(row[d] for row in p.vectors.tolist()) / P for d in range(D)] for p in (one, other))
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / sum(x * x for x in a) ** 0.5 / sum(y * y for y in b) ** 0.5


@pytest.mark.parametrize("block", [7, likeness.BLOCK])
def test_the_nearest_are_those_of_a_search_through_all(library, block, monkeypatch):
    monkeypatch.setattr(likeness, "BLOCK", block)
    for seed in (0, 7, 123):
        found = library.similar(f"p{seed}@m", EACH - 1)
        every = {f"p{n}@m": by_hand(made(seed), made(n)) for n in range(TOPICS * EACH) if n != seed}
        best = sorted(every, key=lambda name: -every[name])[: EACH - 1]
        assert [one.name for one in found] == best
        assert [one.cosine for one in found] == pytest.approx([every[name] for name in best])
        assert all(one.name[1:-2].isdigit() for one in found)  # none of the other model


def test_a_prompt_that_is_not_in_the_library(library):
    (best,) = library.similar(made(5), 1)
    assert best == ("p5@m", pytest.approx(1))
    assert library.similar(SoftPrompt(made(5).vectors, card(fingerprint="00"))) == []


def test_what_came_without_a_sketch_gets_one(library, tmp_path):
    other = Library(tmp_path)
    for number in (0, 1, TOPICS):
        path = library.show(f"p{number}@m").path
        (other.path / path.name).symlink_to(path)
    found = other.similar("p0@m")
    assert [one.name for one in found] == [f"p{TOPICS}@m", "p1@m"]
    assert found == [one for one in library.similar("p0@m", 1000) if one.name in dict(found)]


def test_what_was_replaced_is_found_where_it_is_now(tmp_path):
    library = Library(tmp_path)
    library.add_all((made(n), f"p{n}@m") for n in range(4))
    library.add(made(TOPICS), "p3@m", replace=True)
    assert library.similar("p0@m", 1)[0].name == "p3@m"
    library.remove("p3@m")
    assert "p3@m" not in dict(library.similar("p0@m"))


def test_sketches_keep_cosines():
    generator = np.random.default_rng(0)
    for size in (200, 1000, 20000):
        one, two = generator.normal(size=(2, size))
        for share in (0, 0.5, 0.9, 1):
            mixed = share * one + (1 - share) * two
            a, b = (np.frombuffer(likeness.sketch(v), np.int8).astype(float) for v in (one, mixed))
            exact = likeness.cosine(one, mixed)
            assert likeness.cosine(a, b) == pytest.approx(exact, abs=0.03 if size == 200 else 0.2)
    assert set(likeness.sketch(np.zeros(5))) == {0}
    assert likeness.cosine(np.zeros(5), np.ones(5)) == 0


def test_prefixes_are_compared_site_by_site(tmp_path):
    sites = {name: torch.randn(2, 2, P, 2, 3) for name in ("encoder", "cross")}
    prefix = Prefix(sites, card("prefix"))
    vector = likeness.mean_vector(prefix)
    assert len(vector) == 2 * 2 * 2 * 2 * 3
    assert vector[0] == pytest.approx(sites["cross"][0, 0, :, 0, 0].mean().item())
    library = Library(tmp_path)
    library.add(prefix, "one@m")
    library.add(Prefix({n: 2 * t for n, t in sites.items()}, card("prefix")), "double@m")
    library.add(Prefix({"encoder": sites["encoder"]}, card("prefix")), "part@m")
    assert library.similar("one@m") == [("double@m", pytest.approx(1))]
