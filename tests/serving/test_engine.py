"""The promise: what is written for a request does not depend on who else is served."""

import random

import pytest
import torch

from conftest import TEXTS, tiny
from promptgraft.api import transfer
from promptgraft.errors import PromptgraftError, WrongModelError
from promptgraft.library import Library
from promptgraft.prompts import Prefix, PromptCard, SoftPrompt
from promptgraft.serving import Engine, FailedError, FullError, Request
from serving.libraries import filled

WORDS = " ".join(TEXTS).split()


def requests(names, count, start, **settings):
    picks = random.Random(start)
    return [
        Request(
            source=" ".join(picks.choices(WORDS, k=picks.randrange(1, 12))),
            prompt=picks.choice([None, *names]),
            max_new_tokens=picks.randrange(1, 12),
            **{key: value(picks) if callable(value) else value for key, value in settings.items()},
        )
        for _ in range(count)
    ]


def alone(model, library, request):
    """What the model writes for a request by itself."""
    prompt = library.get(request.prompt) if request.prompt else None
    (text,) = model.generate(
        [request.source], prompt, max_new_tokens=request.max_new_tokens, stop=list(request.stop)
    )
    return text


def names(library):
    return [entry.name for entry in library.list()]


@pytest.mark.parametrize(("kind", "seed"), [("gpt2", 0), ("gpt2", 1), ("bart", 2), ("t5", 3)])
def test_any_mix_is_one_by_one(tmp_path, kind, seed):
    model = tiny(kind)
    library = filled(model, tmp_path / "library")
    asked = requests(names(library), 100, seed)
    engine = Engine(model, library, rows=8, read_at_once=64)
    tickets, picks = [], random.Random(seed)
    for request in asked:  # they come while others are written
        tickets.append(engine.submit(request))
        for _ in range(picks.randrange(3)):
            engine.step()
    engine.run_until_done()
    for request, ticket in zip(asked, tickets, strict=True):
        assert ticket.text() == alone(model, library, request), request


RULES = {
    "gpt2": {"repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "suppress_tokens": [7, 8, 9],
             "begin_suppress_tokens": [2, 40], "min_new_tokens": 3, "eos_token_id": [2, 50, 51]},
    "bart": {"forced_bos_token_id": 30, "forced_eos_token_id": 2, "min_length": 4,
             "encoder_repetition_penalty": 1.3, "bad_words_ids": [[31], [32, 33]]},
    "t5": {"suppress_tokens": [10, 11, 12], "repetition_penalty": 1.4, "eos_token_id": [1, 20]},
    "mistral": {"repetition_penalty": 1.7, "exponential_decay_length_penalty": (4, 1.5)},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints", "ignore:Passing")
@pytest.mark.parametrize("kind", RULES)
def test_a_checkpoint_s_own_rules_hold(tmp_path, kind):
    """What its generation_config forces, forbids and penalises, as for a lone text."""
    model = tiny(kind)
    library = filled(model, tmp_path / "library")
    asked = requests(names(library), 30, 5)
    before = [alone(model, library, request) for request in asked]
    model.model.generation_config.update(**RULES[kind])
    engine = Engine(model, library, rows=8, read_at_once=64)
    tickets = [engine.submit(request) for request in asked]
    engine.run_until_done()
    written = [ticket.text() for ticket in tickets]
    assert written == [alone(model, library, request) for request in asked]
    assert written != before, "the rules change nothing; the test shows nothing"


def test_drawn_texts_depend_on_their_seed_alone(model, library):
    settings = {"temperature": 1.5, "top_p": 0.95, "top_k": 50, "seed": lambda p: p.randrange(9)}
    asked = requests(names(library), 40, 1, **settings)

    def written(order, rows):
        engine = Engine(model, library, rows=rows)
        tickets = {number: engine.submit(asked[number]) for number in order}
        engine.run_until_done()
        return [tickets[number].text() for number in range(len(asked))]

    together = written(range(40), 16)
    assert together == written(reversed(range(40)), 3)
    again = [request.model_copy(update={"seed": request.seed + 100}) for request in asked]
    engine = Engine(model, library)
    other = [engine.submit(request) for request in again]
    engine.run_until_done()
    assert together != [ticket.text() for ticket in other]


def test_whatever_is_asked_is_answered_as_alone(model, library):
    """Pieces, reasons and log-probabilities, with stop texts and seeds; not only whole texts."""
    settings = {
        "temperature": lambda picks: picks.choice([0.0, 1.3]),
        "seed": lambda picks: picks.randrange(9),
        "top_p": lambda picks: picks.choice([0.9, 1.0]),
        "stop": lambda picks: picks.choice([(), ("e", "to"), (" the", "xyz")]),
        "logprobs": lambda picks: picks.choice([None, 0, 3]),
    }
    asked = requests(names(library), 60, 4, **settings)

    def said(engine, tickets):
        engine.run_until_done()
        return [list(ticket) for ticket in tickets]

    engine = Engine(model, library, rows=8, read_at_once=64)
    together = said(engine, [engine.submit(request) for request in asked])
    for request, pieces in zip(asked, together, strict=True):
        (lone,) = said(engine, [engine.submit(request)])
        assert [(p.text, p.finished) for p in pieces] == [(p.text, p.finished) for p in lone]
        for piece, other in zip(pieces, lone, strict=True):
            assert [token.text for token in piece.tokens] == [token.text for token in other.tokens]
            for token, same in zip(piece.tokens, other.tokens, strict=True):
                assert token.logprob == pytest.approx(same.logprob, abs=1e-5)
                assert token.likeliest == pytest.approx(same.likeliest, abs=1e-5)
    assert {pieces[-1].finished for pieces in together} == {"stop", "length"}
    assert sum(len(piece.tokens) for pieces in together for piece in pieces) > 60


def test_drawn_tokens_follow_the_models_chances(model, library):
    """A thousand first tokens, against the chances of a lone pass."""
    request = Request(source="the film is", prompt="soft1@tiny", max_new_tokens=1, logprobs=5,
                      temperature=1.0)  # fmt: skip
    engine = Engine(model, library, rows=100)
    tickets = [engine.submit(request.model_copy(update={"seed": seed})) for seed in range(1000)]
    engine.run_until_done()
    drawn = [piece.tokens[0] for ticket in tickets for piece in ticket if piece.tokens]
    likeliest, logprob = max(drawn[0].likeliest.items(), key=lambda item: item[1])
    share = sum(token.text == likeliest for token in drawn) / 1000  # some end at once
    chance = torch.tensor(logprob).exp().item()
    assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 1000) ** 0.5)


def test_pieces_make_the_text_and_logprobs_are_the_models(model, library):
    request = Request(source="a dull story", prompt="prefix2@tiny", max_new_tokens=8, logprobs=3)
    engine = Engine(model, library)
    ticket = engine.submit(request)
    engine.run_until_done()
    pieces = list(ticket)
    assert "".join(piece.text for piece in pieces) == alone(model, library, request)
    assert [piece.finished for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    tokens = [token for piece in pieces for token in piece.tokens]
    written = [model.tokenizer.encode(token.text)[0] for token in tokens[:1]]
    (row,) = model.encode([request.source], library.get("prefix2@tiny"))
    scored = type(row)(tokens=row.tokens, labels=[-100] * (len(row) - 1) + written, head=row.head)
    logits, _ = model.labelled_logits(model.collate([scored]), library.get("prefix2@tiny"))
    chances = logits[0].log_softmax(-1)
    assert tokens[0].logprob == pytest.approx(chances.max().item(), abs=1e-4)
    assert list(tokens[0].likeliest.values()) == pytest.approx(
        chances.topk(3).values.tolist(), abs=1e-4
    )


def test_stop_texts_end_it_and_are_no_part_of_it(model, library):
    plain = Request(source="the film", prompt="soft2@tiny", max_new_tokens=12)
    whole = alone(model, library, plain)
    mark = whole[len(whole) // 2 :][:3]
    asked = plain.model_copy(update={"stop": (mark, "never")})
    engine = Engine(model, library)
    ticket = engine.submit(asked)
    engine.run_until_done()
    assert ticket.text() == whole[: whole.index(mark)].strip()


def test_short_rows_are_not_held_by_long_ones(model, library):
    engine = Engine(model, library, rows=2)
    long = engine.submit(Request(source="good", max_new_tokens=60))
    short = [engine.submit(Request(source="bad", max_new_tokens=2)) for _ in range(10)]
    for _ in range(25):
        engine.step()
    assert all(ticket.text() is not None for ticket in short)  # they are finished, or this hangs
    assert len(engine.active) == 1
    engine.run_until_done()
    long.text()


def test_the_queue_is_bounded(model, library):
    engine = Engine(model, library, waiting=2)
    for _ in range(2):
        engine.submit(Request(source="good"))
    with pytest.raises(FullError, match="2 requests are waiting"):
        engine.submit(Request(source="good"))


def test_cancelled_rows_leave(model, library):
    engine = Engine(model, library, rows=2)
    one, two, three = (
        engine.submit(Request(source=s, max_new_tokens=9)) for s in ("good", "bad", "the film")
    )
    engine.step()
    one.cancel()
    three.cancel()
    engine.run_until_done()
    assert [piece.finished for piece in one][-1] == "cancelled"
    assert [piece.finished for piece in three] == ["cancelled"]
    assert two.text() == alone(model, library, two.request)


def test_what_is_wrong_with_a_request_is_told_to_it_alone(model, library):
    engine = Engine(model, library)
    with pytest.raises(PromptgraftError, match="no prompt nothing"):
        engine.submit(Request(source="good", prompt="nothing"))
    fine = engine.submit(Request(source="good", prompt="soft0@tiny"))
    engine.run_until_done()
    assert fine.text() == alone(model, library, fine.request)


def test_a_prompt_of_another_model_is_moved_and_compiled(model, tmp_path):
    """From a masked to a causal model, then as keys and values, and it writes the same texts."""
    source, library = tiny("bert"), Library(tmp_path / "library")
    card = PromptCard(kind="soft-prompt", length=3, base=source.reference, task="toy")
    prompt = SoftPrompt(source.embed(torch.tensor([7, 9, 11])), card)
    _, name = transfer([prompt], model, sources=source, template="{prompt} {source}",
                       library=library)  # fmt: skip
    engine = Engine(model, library)
    ticket = engine.submit(Request(source="the film", prompt=name, max_new_tokens=9))
    engine.run_until_done()
    assert engine.prompts.kept[name].compiled
    assert ticket.text() == alone(model, library, ticket.request)


def test_prompts_are_compiled_once_and_let_go_when_there_is_no_room(model, library):
    engine = Engine(model, library, prompt_bytes=1)
    for _ in range(2):
        for name in ("soft0@tiny", "soft3@tiny"):
            ticket = engine.submit(Request(source="good", prompt=name, max_new_tokens=3))
            engine.run_until_done()
            assert ticket.text() == alone(model, library, ticket.request)
            assert list(engine.prompts.kept) == [name]
    roomy = Engine(model, library)
    passes = []
    compile_once = model.compile
    model.compile = lambda *arguments: passes.append(1) or compile_once(*arguments)
    for _ in range(3):
        roomy.submit(Request(source="good", prompt="soft0@tiny", max_new_tokens=3))
        roomy.run_until_done()
    del model.compile
    assert len(passes) == 1


def test_a_prompt_that_changes_or_goes_is_noticed(model, library):
    engine = Engine(model, library)
    request = Request(source="good", prompt="soft0@tiny", max_new_tokens=6)

    def written():
        ticket = engine.submit(request)
        engine.run_until_done()
        return ticket.text()

    before = written()
    library.add(library.get("soft5@tiny"), "soft0@tiny", replace=True)
    after = written()
    assert after == alone(model, library, request) != before
    library.remove("soft0@tiny")
    with pytest.raises(PromptgraftError, match="no prompt soft0@tiny"):
        engine.submit(request)


def test_a_prompt_of_another_model_is_refused(model, library):
    other = tiny("llama")
    card = PromptCard(kind="soft-prompt", length=1, base=other.reference, task="x")
    library.add(SoftPrompt(torch.randn(1, other.embedding_size), card), "x@other")
    with pytest.raises(WrongModelError):
        Engine(model, library).submit(Request(source="good", prompt="x@other"))


def test_a_prompt_that_overflows_harms_nobody_else(model, library):
    """Its numbers are finite, what the model makes of them is not; others take over its place."""
    card = library.get("prefix2@tiny").card
    huge = Prefix({"self": torch.full_like(library.get("prefix2@tiny").sites["self"], 3e38)}, card)
    library.add(huge, "huge@tiny")
    engine = Engine(model, library, rows=2)
    long = " ".join(["the film is"] * 8)
    fine = engine.submit(Request(source="good", prompt="soft1@tiny", max_new_tokens=9))
    bad = engine.submit(Request(source=long, prompt="huge@tiny", max_new_tokens=9, logprobs=1))
    later = [engine.submit(Request(source="bad", max_new_tokens=4)) for _ in range(4)]
    engine.run_until_done()
    with pytest.raises(PromptgraftError, match=r"huge@tiny.* infinite or NaN"):
        bad.text()
    for ticket in (fine, *later):
        assert ticket.text() == alone(model, library, ticket.request)


@pytest.mark.parametrize("place", ["admit", "step"])
def test_an_error_nobody_expected_stops_no_one_who_comes_later(model, library, place, caplog):
    engine = Engine(model, library)
    broken = getattr(engine.slots, place)
    failures = iter([True])

    def once(*arguments):
        if next(failures, False):
            raise RuntimeError(TEXTS[0])
        return broken(*arguments)

    setattr(engine.slots, place, once)
    engine.start()
    request = Request(source="good", prompt="soft1@tiny", max_new_tokens=5)
    with pytest.raises(FailedError):
        engine.submit(request).text()
    assert engine.submit(request).text() == alone(model, library, request)
    engine.close()
    assert "RuntimeError" in caplog.text
    assert TEXTS[0] not in caplog.text


def test_those_who_went_leave_the_queue_at_once(model, library):
    engine = Engine(model, library, rows=1, waiting=2)
    long = engine.submit(Request(source="good", max_new_tokens=30))
    engine.step()
    gone = [engine.submit(Request(source="bad", max_new_tokens=30)) for _ in range(2)]
    for ticket in gone:
        ticket.cancel()
    engine.step()
    engine.submit(Request(source="bad", max_new_tokens=2))  # there is room
    engine.run_until_done()
    assert long.text() == alone(model, library, long.request)


def test_no_temperature_is_too_small(model, library):
    engine = Engine(model, library)
    cold = Request(source="good", prompt="soft1@tiny", max_new_tokens=5, temperature=5e-324)
    ticket = engine.submit(cold)
    engine.run_until_done()
    assert ticket.text() == alone(model, library, cold)


def test_a_thread_of_its_own_serves_and_drains(model, library):
    engine = Engine(model, library)
    engine.start()
    asked = requests(names(library), 12, 5)
    tickets = [engine.submit(request) for request in asked]
    engine.close()
    for request, ticket in zip(asked, tickets, strict=True):
        assert ticket.text() == alone(model, library, request)
    with pytest.raises(FullError, match="shutting down"):
        engine.submit(asked[0])
