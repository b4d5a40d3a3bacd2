"""Prompts go to PEFT and come from it, and both programs compute the same with them."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from conftest import tiny
from promptgraft.errors import BadFileError, PromptgraftError, WrongModelError
from promptgraft.library.formats import peft as format
from promptgraft.library.formats import tensors
from promptgraft.models import FrozenModel
from promptgraft.prompts import Prefix, Prompt, PromptCard, SoftPrompt

peft = pytest.importorskip("peft")

P = 5
SOFT = format.SOFT
TASKS = {
    "causal": "CAUSAL_LM",
    "seq2seq": "SEQ_2_SEQ_LM",
    "masked": "FEATURE_EXTRACTION",
    "classifier": "SEQ_CLS",
}
SOURCE, TARGET = "the film is great", "fun story"
EXACT = dict(rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Models in folders, and functions that load them afresh for PEFT, as its users do."""
    root = tmp_path_factory.mktemp("models")

    def get(kind: str, **changes):
        folder = root / "-".join(map(str, (kind, *changes.values())))
        model = tiny(kind, **changes)
        if not folder.exists():
            model.save(folder)
        model = FrozenModel.load(str(folder), "cpu", "float32")
        plain = type(model.model).from_pretrained(folder).eval()
        return model, plain

    return get


def soft(model: FrozenModel, template: str | None = None) -> SoftPrompt:
    card = PromptCard(
        kind="soft-prompt", length=P, base=model.reference, task="t", template=template
    )
    return SoftPrompt(0.3 * torch.randn(P, model.embedding_size), card)


def prefix(model: FrozenModel, *sites: str, template: str | None = None) -> Prefix:
    card = PromptCard(kind="prefix", length=P, base=model.reference, task="t", template=template)
    shapes = {site: model.geometry.sites[site] for site in sites}
    return Prefix({s: torch.randn(n, 2, P, h, d) for s, (n, h, d) in shapes.items()}, card)


@torch.no_grad()
def ours(model: FrozenModel, prompt: Prompt) -> tuple[Tensor, dict[str, Tensor], int]:
    """Logits [targets, V], what to feed to PEFT, and how far from the end they are."""
    answer = "good" if model.family == "masked" else TARGET
    (row,) = model.encode([SOURCE], prompt, None, [answer], stop=False)
    batch = model.collate([row])
    logits = model.labelled_logits(batch, prompt)[0]
    ids = torch.tensor([[token for token in row.tokens if token >= 0]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if row.decoder_tokens:
        inputs["decoder_input_ids"] = torch.tensor([row.decoder_tokens])
    labels = row.decoder_labels or row.labels
    last = max(place for place, label in enumerate(labels) if label >= 0)
    return logits, inputs, len(labels) - 1 - last


@torch.no_grad()
def theirs(model: torch.nn.Module, inputs: dict[str, Tensor], count: int, back: int) -> Tensor:
    logits = model(**inputs).logits[0]
    return logits[len(logits) - back - count : len(logits) - back]


def compare(model: FrozenModel, prompt: Prompt, other: torch.nn.Module, **more: Tensor) -> None:
    logits, inputs, back = ours(model, prompt)
    found = theirs(other, inputs | more, len(logits), back)
    torch.testing.assert_close(found, logits, **EXACT)
    bare = theirs(other.get_base_model(), inputs, len(logits), back)
    assert (bare - logits).abs().max() > 1e-3  # the prompt does something


MODELS = ["gpt2", "llama", "qwen2", "t5", "bart", "bert", "roberta"]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", ["PROMPT_TUNING", "P_TUNING"])
def test_exported_soft_prompts(saved, tmp_path, kind, method):
    model, plain = saved(kind)
    prompt = soft(model, format.TEMPLATES[model.family])
    format.write(prompt, model, tmp_path / "x", method)
    compare(model, prompt, peft.PeftModel.from_pretrained(plain, tmp_path / "x"))
    back = format.read(tmp_path / "x", model)
    assert back == prompt
    assert back.card.template == prompt.card.template


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_exported_for_many_tasks(saved, tmp_path, kind):
    model, plain = saved(kind)
    prompt = soft(model)
    format.write(prompt, model, tmp_path / "x", "MULTITASK_PROMPT_TUNING")
    other = peft.PeftModel.from_pretrained(plain, tmp_path / "x")
    compare(model, prompt, other, task_ids=torch.tensor([0]))
    assert format.read(tmp_path / "x") == prompt


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "opt"])
def test_exported_prefixes(saved, tmp_path, kind):
    model, plain = saved(kind)
    prompt = prefix(model, "self")
    format.write(prompt, model, tmp_path / "x")
    compare(model, prompt, peft.PeftModel.from_pretrained(plain, tmp_path / "x"))
    assert format.read(tmp_path / "x", model) == prompt


def made_by_peft(plain, family: str, folder: Path, method: str, **settings):
    kinds = {
        "PROMPT_TUNING": peft.PromptTuningConfig,
        "P_TUNING": peft.PromptEncoderConfig,
        "PREFIX_TUNING": peft.PrefixTuningConfig,
        "MULTITASK_PROMPT_TUNING": peft.MultitaskPromptTuningConfig,
    }
    config = kinds[method](task_type=TASKS[family], num_virtual_tokens=P, **settings)
    other = peft.get_peft_model(plain, config).eval()
    for name, parameter in other.named_parameters():
        if "prompt_encoder" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    other.save_pretrained(folder)
    return other


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        *((k, m) for k in ("gpt2", "llama", "t5", "bart", "bert") for m in SOFT[:2]),
        *((k, "PREFIX_TUNING") for k in ("gpt2", "llama")),
    ],
)
def test_imported(saved, tmp_path, kind, method):
    model, plain = saved(kind)
    settings = {"encoder_hidden_size": 8} if method == "P_TUNING" else {}
    other = made_by_peft(plain, model.family, tmp_path / "x", method, **settings)
    prompt = format.read(tmp_path / "x", model, task="sst2")
    assert (prompt.card.task, len(prompt)) == ("sst2", P)
    compare(model, prompt, other)


@pytest.mark.parametrize("task", [0, 2])
def test_imported_from_many_tasks(saved, tmp_path, task):
    model, plain = saved("gpt2")
    other = made_by_peft(
        plain, "causal", tmp_path / "x", "MULTITASK_PROMPT_TUNING", num_tasks=3, num_ranks=2
    )
    prompt = format.read(tmp_path / "x", model, task_id=task)
    compare(model, prompt, other, task_ids=torch.tensor([task]))
    with pytest.raises(PromptgraftError, match="has tasks 0 to 2, not 3"):
        format.read(tmp_path / "x", model, task_id=3)


def test_imported_without_the_model(saved, tmp_path):
    model, plain = saved("gpt2")
    made_by_peft(plain, "causal", tmp_path / "x", "PROMPT_TUNING")
    there, away = format.read(tmp_path / "x", model), format.read(tmp_path / "x")
    assert there == away
    assert away.card.base.fingerprint is None
    model.check(away)
    with pytest.raises(PromptgraftError):
        saved("llama")[0].check(away)


@pytest.mark.parametrize("method", format.TYPES)
def test_a_prompt_with_a_head_is_refused_with_the_way_to_its_numbers(saved, tmp_path, method):
    from transformers import GPT2ForSequenceClassification

    plain = GPT2ForSequenceClassification.from_pretrained(saved("gpt2")[0].name)
    settings = {"encoder_hidden_size": 8} if method == "P_TUNING" else {}
    if method == "MULTITASK_PROMPT_TUNING":
        settings = {"num_tasks": 2}
    other = made_by_peft(plain, "classifier", tmp_path / "x", method, **settings)
    with pytest.raises(PromptgraftError, match="head of its own") as caught:
        format.read(tmp_path / "x")
    hint = str(caught.value)
    if method == "PREFIX_TUNING":
        assert hint.endswith("Keys and values do not come in without it.")
        return
    if method == "MULTITASK_PROMPT_TUNING":
        assert "get_prompt(1, task_ids)" in hint  # prompt_embeddings is but a factor
        vectors = other.get_prompt(1, torch.tensor([1]))[0].detach()
        save_file({"one": vectors.contiguous()}, tmp_path / "one.safetensors")
        assert torch.equal(tensors.read(tmp_path / "one.safetensors")["one"], vectors)
        return
    words = hint[hint.index("promptgraft import") :].split()
    given = dict(zip(words[2::2], words[3::2], strict=True))
    found = tensors.read(Path(given["--tensor"]), given["--key"])["prompt_embeddings"]
    torch.testing.assert_close(found, other.get_prompt(1)[0], **EXACT)
    assert given["--model"] == plain.config.name_or_path


def test_what_peft_cannot_express(saved, tmp_path):
    def reason(prompt: Prompt, model: FrozenModel, kind: str | None = None) -> str:
        with pytest.raises(PromptgraftError) as caught:
            format.write(prompt, model, tmp_path / "x", kind)
        assert not (tmp_path / "x").exists()
        return str(caught.value)

    gpt2, t5, bert = saved("gpt2")[0], saved("t5")[0], saved("bert")[0]
    assert "inside the text" in reason(soft(gpt2, "Say: {prompt} {source}"), gpt2)
    inside = reason(soft(gpt2, "{prompt:2} {source} {prompt} =>"), gpt2)
    assert "inside the text" in inside
    assert inside.endswith("template='{prompt}{start}{source} =>'.")
    with pytest.raises(PromptgraftError, match="CAUSAL_LM or SEQ_CLS, not TOKEN_CLS"):
        format.write(soft(gpt2), gpt2, tmp_path / "x", task_type="TOKEN_CLS")
    own = soft(bert, "{prompt} {text} {mask} .")
    assert "behind [CLS]" in reason(own, bert)
    assert reason(own, bert).endswith("template='{prompt}{start}{text} {mask} .'.")
    assert "has text before the prefix" in reason(
        prefix(gpt2, "self", template="Say: {prompt} {source}"), gpt2
    )
    reasons = reason(prefix(t5, "encoder", "cross"), t5), reason(prefix(bert, "self"), bert)
    assert "a prefix for encoder and cross attention of a seq2seq model; PEFT" in reasons[0]
    assert "self attention of a masked model; PEFT" in reasons[1]
    assert "cannot be written as PREFIX_TUNING" in reason(soft(gpt2), gpt2, "PREFIX_TUNING")


def test_a_prefix_of_another_family_is_refused(saved, tmp_path):
    made_by_peft(saved("bart")[1], "seq2seq", tmp_path / "x", "PREFIX_TUNING")
    with pytest.raises(PromptgraftError, match="a prefix for SEQ_2_SEQ_LM; PEFT has"):
        format.read(tmp_path / "x")


def forget_positions(kind: str, model: torch.nn.Module, shift: int) -> None:
    """Take away what tells PEFT's prefix from ours: T5's relative bias, or BART's positions, which
    are moved by `shift`."""
    with torch.no_grad():
        if kind == "t5":
            block = model.get_decoder().block[0].layer[0].SelfAttention
            block.relative_attention_bias.weight.zero_()
        else:
            table = model.get_decoder().embed_positions.weight
            table.copy_(table.roll(shift, 0))


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("layers", [2, 3])
def test_why_prefixes_of_encoder_decoders_are_refused(saved, tmp_path, kind, layers):
    """PEFT's is ours in the decoder but for the positions; of even layers it reads every second."""
    names = ("num_layers", "num_decoder_layers")
    names = names if kind == "t5" else ("encoder_layers", "decoder_layers")
    model, plain = saved(kind, **dict.fromkeys(names, layers))
    other = made_by_peft(plain, "seq2seq", tmp_path / "x", "PREFIX_TUNING")
    table = other.prompt_encoder["default"].embedding.weight
    parts = table.detach().view(P, layers, 2, model.geometry.sites["decoder"][1], -1)
    read = torch.stack([parts[:, 2 * number % layers] for number in range(layers)])
    card = prefix(model, "decoder", template=format.TEMPLATES["seq2seq"]).card
    prompt = Prefix({"decoder": read.permute(0, 2, 1, 3, 4).contiguous()}, card)
    logits, inputs, back = ours(model, prompt)
    assert (theirs(other, inputs, len(logits), back) - logits).abs().max() > 0.01
    if kind == "t5":
        forget_positions(kind, model.model, 0)
        logits, inputs, back = ours(model, prompt)
    forget_positions(kind, plain, P)
    torch.testing.assert_close(theirs(other, inputs, len(logits), back), logits, **EXACT)
    other(**inputs).logits.sum().backward()
    used = table.grad.view(P, layers, -1).abs().sum((0, 2)) > 0
    assert used.tolist() == ([True, False] if layers == 2 else [True] * 3)


def test_pickles_and_damage_are_refused(saved, tmp_path):
    model = saved("gpt2")[0]
    folder = tmp_path / "x"
    format.write(soft(model), model, folder)
    good = (folder / format.TENSORS).read_bytes()
    config = json.loads((folder / format.CONFIG).read_text())

    def reason() -> str:
        with pytest.raises((BadFileError, PromptgraftError)) as caught:
            format.read(folder)
        return str(caught.value)

    (folder / format.TENSORS).write_bytes(pickle.dumps({"prompt_embeddings": 1}))
    assert "pickle, which is never opened" in reason()
    (folder / format.TENSORS).write_bytes(good[: len(good) // 2])
    assert "damaged" in reason()
    (folder / format.TENSORS).unlink()
    torch.save({}, folder / "adapter_model.bin")
    assert "adapter_model.bin: a pickle" in reason()
    (folder / "adapter_model.bin").unlink()
    assert "missing" in reason()
    (folder / format.TENSORS).write_bytes(good)
    (folder / format.CONFIG).write_text(json.dumps(config | {"peft_type": "LORA"}))
    assert "holds LORA" in reason()
    (folder / format.CONFIG).write_text(json.dumps(config | {"num_virtual_tokens": None}))
    assert "num_virtual_tokens is None" in reason()
    (folder / format.CONFIG).write_text("{")
    assert "not JSON" in reason()


def test_a_prefix_of_another_shape_is_refused(saved, tmp_path):
    model, _ = saved("gpt2")
    format.write(prefix(model, "self"), model, tmp_path / "adapter")
    other, _ = saved("gpt2", n_layer=5)
    with pytest.raises(WrongModelError, match=r"of \(layers, heads, size\) \(\d+, \d+, \d+\)"):
        format.read(tmp_path / "adapter", other, "t")
