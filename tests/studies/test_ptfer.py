"""The study end to end on tiny models, and its parts against what they stand for."""

import csv

import pytest
import torch

from promptgraft.cli import main
from promptgraft.errors import ConfigError, DataError
from promptgraft.models import FrozenModel
from promptgraft.prompts import SoftPrompt
from promptgraft.studies import STUDIES, classification, grafting, ptfer, relations
from promptgraft.studies import moves as moves_of
from promptgraft.studies.claims import Claim
from promptgraft.studies.intervals import Mean
from promptgraft.studies.moves import Moves
from promptgraft.training import TrainingConfig
from promptgraft.transfer.across_models import Relative, transfer
from promptgraft.transfer.across_models.baselines import Discretize
from writing import put_rows

QUICK = TrainingConfig(steps=3, batch_size=4, lr=0.1, evaluate_every=3)
NAMES = ("P19", "P20")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(relations, "SETTINGS", QUICK)


def test_facts_are_what_all_models_know_each_once(place):
    models = [FrozenModel.load(str(place / kind)) for kind in ("bert", "gpt2")]
    found = relations.facts(models, NAMES, {"test": 3})
    assert set(found.words) <= {"good", "bad", "great", "fun", "is"}
    assert all(len(relation.rows["test"]) == 3 for relation in found.relations)
    rows = found["P19"].rows["train"]
    assert len({(row["sub_label"], row["obj_label"]) for row in rows}) == len(rows) == 24
    with pytest.raises(DataError, match="lama/P17"):
        relations.facts(models, ("P17",))


def test_accuracy_is_the_share_of_right_words(place):
    model = FrozenModel.load(str(place / "bert"))
    found = relations.facts([model], ("P19",))
    prompt = torch.randn(2, model.embedding_size)
    rows = found["P19"].rows["test"]
    right = 0
    for row in rows:
        (word,) = model.fill([row], prompt, "{sub_label} {prompt} {mask} .", found.words)
        right += word == row["obj_label"]
    got = relations.accuracy(model, found, {"P19": prompt})
    assert got == {"P19": 100 * right / len(rows)}


def test_a_causal_model_is_asked_for_the_next_word(place):
    model = FrozenModel.load(str(place / "gpt2"))
    found = relations.facts([model], ("P19",))
    assert found["P19"].wording("causal") == "{sub_label} is"
    got = relations.accuracy(model, found, {"P19": None}, manual=True)
    rows = found["P19"].rows["test"]
    likely = model.choose(rows, found.words, None, "{sub_label} is")
    right = sum(word == row["obj_label"] for word, row in zip(likely, rows, strict=True))
    assert got["P19"] == 100 * right / len(rows)


def test_prompts_are_tuned_once(place):
    moves = Moves([str(place / "bert")], place / "out", 1, NAMES)
    first = moves.prompts(moves.names[0], 0, 2)
    assert {len(prompt) for prompt in first.values()} == {2}
    again = Moves(moves.names, place / "out", 1, NAMES).prompts(moves.names[0], 0, 2)
    assert all(torch.equal(first[name], again[name]) for name in NAMES)


@pytest.mark.parametrize(
    "method", [Relative(), Relative(top_k=9, normalise=False), Discretize(anchors=20)]
)
def test_all_relations_at_once_are_moved_as_one_by_one(place, method):
    names = [str(place / kind) for kind in ("bert", "albert")]
    moves = Moves(names, place / "out", 1, NAMES)
    together, losses = moves._move(names[:1], names[1], method, 0, 2)
    for name in NAMES:
        kept = moves.library.get(f"lama-{name}@bert:2-seed0")
        assert isinstance(kept, SoftPrompt)
        alone = transfer([kept], [moves.model(names[0])], moves.model(names[1]), method)
        torch.testing.assert_close(together[name], alone.vectors, rtol=1e-4, atol=1e-5)
        trust = alone.card.hyperparameters["trust"]
        assert losses[name] == pytest.approx(trust["matching_loss"], abs=1e-5)


def test_the_study_writes_its_page_and_goes_on_where_it_was(place, capsys, monkeypatch):
    monkeypatch.setattr(ptfer, "METHODS", {"discretize": Discretize(), "relative": ptfer.PAPER})
    words = ["study", "ptfer", "-m", "./bert", "-m", "./albert", "--seeds", "2"]
    words += [option for name in NAMES for option in ("--relation", name)]
    words += [option for part in ("1", "2", "3", "figure-3") for option in ("--part", part)]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 0
    page = place / "studies" / "ptfer" / "README.md"
    assert capsys.readouterr().out.strip() == "studies/ptfer/README.md"
    text = page.read_text()
    assert "Table 3" in text
    assert "The paper's table 3" in text
    with (page.parent / "3-methods.csv").open() as stream:
        lines = list(csv.reader(stream))
    assert lines[0] == ["method", "source", "./bert", "./albert"]
    assert len(lines) == 1 + 2 * 2 + 1
    assert (page.parent / "figure-3.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(Moves, "_move", None)  # nothing is measured again
    with pytest.raises(SystemExit) as again:
        main(words)
    assert again.value.code == 0
    assert page.read_text() == text


def test_methods_are_compared_in_pairs(place, monkeypatch):
    methods = {"nearest": Discretize(), "the paper": ptfer.PAPER}
    monkeypatch.setattr(grafting, "METHODS", methods)
    moves = Moves([str(place / k) for k in ("bert", "albert")], place / "out", 1, NAMES)
    found = grafting.compared(moves, "validation")
    assert found["the paper"][1] == Mean(0.0, 0.0, 0.0)
    own, gap = found["nearest"]
    assert gap.value == pytest.approx(own.value - found["the paper"][0].value)
    values = [float(row[1].split()[0]) for row in grafting.table(moves, "validation").rows]
    assert values == sorted(values, reverse=True)


def test_sources_of_other_trainings_are_moved_too(place, monkeypatch):
    trainings = {"plain": {}, "far": {"noise": 5.0}}
    monkeypatch.setattr(relations, "TRAININGS", trainings)
    monkeypatch.setattr(grafting, "TRAININGS", trainings)
    monkeypatch.setattr(grafting, "SENT", ("nearest word",))
    moves = Moves([str(place / k) for k in ("bert", "albert")], place / "out", 1, NAMES)
    table = grafting.by_training(moves, "validation")
    assert [row[0] for row in table.rows] == ["plain", "far"]
    assert all(cell.endswith("; 0.0 [0.0, 0.0]") for cell in table.rows[0][1:])
    one, other = (moves.library.get(f"lama-P19@bert:5-seed0{tag}").vectors for tag in ("", "-far"))
    assert not torch.equal(one, other)
    moved = moves.moved([moves.names[0]], moves.names[1], Discretize(), 0, training="far")
    assert moved.accuracy.keys() == set(NAMES)
    monkeypatch.setattr(grafting, "CHOSEN", "far")
    monkeypatch.setitem(trainings, "farther", {"noise": 9.0})
    assert [row[0] for row in grafting.by_training(moves, "test").rows] == ["plain", "far"]


def test_teaching_shows_the_target_the_answers_of_the_source_alone(place, monkeypatch):
    monkeypatch.setattr(moves_of, "TEACHING_STEPS", 3)
    names = [str(place / k) for k in ("bert", "albert")]
    moves = Moves(names, place / "out", 1, NAMES)
    own = moves.prompts(names[0], 0, relations.LENGTH)
    answered = relations.answered(moves.model(names[0]), moves.facts, own, 5)
    for relation in answered.relations:
        rows = relation.rows["train"]
        assert len(rows) == 5
        assert [row["obj_label"] for row in rows] == moves.model(names[0]).fill(
            rows, own[relation.name], relations.TEMPLATES["masked"], moves.facts.words
        )
        assert relation.rows["test"] == moves.facts[relation.name].rows["test"]
    table = grafting.by_teaching(moves, "validation")
    assert [row[0] for row in table.rows] == [
        "no prompt",
        "moved as in the paper",
        "moved",
        "taught, from the moved",
        "taught, from random numbers",
        "tuned on labels",
        "the source with its own",
    ]
    assert table.rows[5][2] == "0.0 [0.0, 0.0]"
    tuned = len(moves.library.list())
    grafting.by_teaching(moves, "test")  # nothing is tuned again
    assert len(moves.library.list()) == tuned == 3 * len(names) * len(NAMES)


def test_what_ranks_moved_prompts():
    """The loss ranks one relation rightly and the other the wrong way round; the source's own
    accuracy ranks both."""

    class Measured:
        names, seeds, relations = ("a", "b", "c"), 2, ("P1", "P2", "the same for all")

        def tuned(self, name, seed, split):
            return dict.fromkeys(self.relations, 10.0 * ord(name) + seed)

        def moved(self, sources, target, method, seed, split):
            good = self.tuned(sources[0], seed, split)
            loss = {"P1": -good["P1"], "P2": good["P2"], "the same for all": 0.5}
            return moves_of.Moved(good | {"the same for all": 7.0}, loss)

    rows = grafting.by_trust(Measured(), "validation").rows
    assert [row[0] for row in rows] == ["the paper"] * 2 + ["the default"] * 2
    assert rows[0][1:] == ["matching loss", "0.0 [-100.0, 100.0]"]
    assert rows[1][1:] == ["the source's own accuracy", "100.0 [100.0, 100.0]"]


def test_classes_are_asked_among_their_words(place, monkeypatch):
    for split, count in (("train", 12), ("validation", 4), ("test", 6)):
        rows = [{"text": f"film {n}", "label": n % 2} for n in range(count)]
        put_rows(place / "data" / "sst2" / f"{split}.jsonl.gz", rows)
    monkeypatch.setattr(classification, "TASKS", ("sst2",))
    monkeypatch.setattr(classification, "STEPS", 2)
    monkeypatch.setattr(classification, "TEST_ROWS", 4)
    names = [str(place / k) for k in ("bert", "albert")]
    moves = Moves(names, place / "out", 2, NAMES)
    table = classification.table_6(moves)
    assert table.heads == ["method", "source", *(f"sst2, {name}" for name in names)]
    assert [row[0] for row in table.rows] == ["tuned", "manual", "relative", "relative"]
    assert (table.rows[2][2], table.rows[3][3]) == ("", "")
    one = classification.Classes(moves, "sst2")
    kept = moves.library.get("sst2@bert:5-seed1")
    model, rows = moves.model(names[1]), one.load().rows("test")
    template = "{prompt} {text} {mask} ."
    sent = transfer([kept], [moves.model(names[0])], model, Relative(top_k=2), template)
    words = ["negative", "positive"]
    answers = model.choose(rows, words, sent)
    right = sum(words.index(a) == row["label"] for a, row in zip(answers, rows, strict=True))
    assert moves.memo(*one.moved(names[0], names[1], 1)) == 100 * right / 4
    monkeypatch.setattr(grafting, "TASKS", ("sst2",))
    ways = grafting.by_task(moves)
    assert [row[:2] for row in ways.rows] == [
        ["masked", name] for name in
        ("no prompt", "moved: the paper", "moved: rotation, scaled", "moved: the default", "tuned")
    ]  # fmt: skip
    assert ways.rows[0][3] == "0.0 [0.0, 0.0]"
    bare = moves.memo.all([one.bare(name) for name in names])
    assert ways.rows[0][4] == f"{sum(bare) / 2:.1f}"
    monkeypatch.setattr(classification, "evaluate", None)  # nothing is measured again
    again = Moves(names, place / "out", 2, NAMES)
    assert str(classification.table_6(again)) == str(table)
    assert str(grafting.by_task(again)) == str(ways)


def test_claims_are_decided_by_their_intervals():
    assert Claim("", Mean(2.0, 1.0, 3.0)).verdict == "holds"
    assert Claim("", Mean(-2.0, -3.0, -1.0)).verdict == "the opposite holds"
    assert Claim("", Mean(0.5, -1.0, 2.0)).verdict == "not shown"


def test_the_papers_figures_are_all_there():
    tables = {table.name: table for table in ptfer.published()}
    assert len(tables["paper-3"].rows) == 4 + 4 + 4 + 2
    assert tables["paper-3"].rows[0][:3] == ["discretize", "b-base", "12.93"]
    assert tables["paper-5"].rows[0] == ["manual", "", "30.64", "20.48", "4.73", "8.01", "10.23"]


def test_refused(place):
    with pytest.raises(SystemExit) as stopped:
        main(["study", "ptfer", "-m", "./bert", "--part", "7"])
    assert stopped.value.code == 1
    with pytest.raises(ConfigError, match="Did you mean 'ptfer'"):
        STUDIES["ptfr"]


def test_a_source_named_again_sends_its_next_prompts(place):
    names = [str(place / kind) for kind in ("bert", "albert")]
    moves = Moves(names, place / "out", 2, NAMES)
    together, _ = moves._move([names[0]] * 2, names[1], Relative(), 1, 2)
    kept = [moves.library.get(f"lama-P19@bert:2-seed{seed}") for seed in (1, 0)]
    models = [moves.model(names[0])] * 2
    alone = transfer(kept, models, moves.model(names[1]), Relative())
    torch.testing.assert_close(together["P19"], alone.vectors, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="three models"):
        grafting.by_sources(moves, "test")


def test_pairs_of_families_stand_between_no_prompt_and_tuned(place):
    names = [str(place / kind) for kind in ("bert", "gpt2")]
    moves = Moves(names, place / "out", 1, NAMES)
    table = grafting.by_pair(moves, "test")
    assert [row[:2] for row in table.rows] == [names, names[::-1]]
    for row in table.rows:
        bare, *moved, tuned = (float(cell.split()[0]) for cell in row[2:])
        assert bare == pytest.approx(sum(moves.bare(row[1]).values()) / 2, abs=0.06)  # printed
        assert tuned == pytest.approx(sum(moves.tuned(row[1], 0).values()) / 2, abs=0.06)  # printed
        assert len(moved) == len(grafting.SENT)


def test_several_sources_are_compared_with_one(place):
    names = [str(place / kind) for kind in ("bert", "albert", "gpt2")]
    table = grafting.by_sources(Moves(names, place / "out", 2, NAMES), "test")
    assert [row[0] for row in table.rows] == ["the paper"] * 4 + ["the default"] * 4
    assert [row[3] for row in table.rows if row[1] == "one"] == ["0.0 [0.0, 0.0]"] * 2


def test_prompts_that_models_share_are_tuned_once_and_moved(place, monkeypatch):
    monkeypatch.setattr(relations, "SHARED_STEPS", 2)
    names = [str(place / kind) for kind in ("bert", "albert", "gpt2")]
    moves = Moves(names, place / "out", 1, NAMES)
    table = grafting.by_sharing(moves, "validation")
    assert len(table.rows) == 7
    two = sorted(names[:2])
    prompts = relations.shared({n: moves.model(n) for n in two}, moves.facts, 0, moves.library)
    kept = [prompts[name]["P19"] for name in two]
    assert [prompt.card.base.name for prompt in kept] == two
    moved = transfer(kept, [moves.model(name) for name in two], moves.model(names[2]), Relative())
    found = relations.accuracy(moves.model(names[2]), moves.facts, {"P19": moved}, "validation")
    got = moves.shared(two, names[2], Relative(), 0, "validation")
    assert got["P19"] == found["P19"]
    monkeypatch.setattr(relations, "tune_shared", None)  # nothing is tuned again
    assert str(grafting.by_sharing(Moves(names, place / "out", 1, NAMES), "validation")) == str(
        table
    )
    with pytest.raises(ConfigError, match="three models"):
        grafting.by_sharing(Moves(names[:2], place / "out", 1, NAMES), "test")
