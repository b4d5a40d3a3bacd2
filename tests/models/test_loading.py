"""From a name to a model: folders, fingerprints, devices, dtypes, and a hub that is not there."""

import shutil
import socket
import time
from pathlib import Path

import pytest
import torch

from conftest import tiny
from promptgraft.errors import ConfigError, PromptgraftError
from promptgraft.models import FrozenModel, loading

SECONDS = 10  # transformers alone takes half a minute without a hub


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for kind in ("llama", "gpt2", "t5", "bart", "bert", "roberta"):
        model, folder = tiny(kind), tmp_path_factory.mktemp("models") / kind
        model.model.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        found[kind] = folder
    return found


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5", "bart", "bert", "roberta"])
def test_a_saved_folder_is_the_same_model(kind: str, folders: dict[str, Path]):
    model, loaded = tiny(kind), FrozenModel.load(str(folders[kind]), "cpu", "float32")
    assert loaded.family == model.family
    assert loaded.geometry == model.geometry
    assert loaded.name == loaded.reference.name == str(folders[kind])
    same = ("fingerprint", "tokenizer_hash", "family", "embedding_size")
    assert [getattr(loaded.reference, n) for n in same] == [
        getattr(model.reference, n) for n in same
    ]
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert not loaded.model.training
    prompt = torch.randn(3, model.embedding_size)
    template = "{prompt} {source}" + (" {mask}" if model.family == "masked" else "")
    losses = [m.loss(m.batch(["a"], prompt, template, ["good"]), prompt) for m in (model, loaded)]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-6)
    vectors = loaded.embed(torch.tensor([[3, 4]]))
    assert vectors.shape == (1, 2, loaded.embedding_size)
    assert torch.equal(vectors, model.embed(torch.tensor([[3, 4]])))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_fingerprint_is_that_of_the_checkpoint(dtype: str, folders: dict[str, Path]):
    exact = FrozenModel.load(str(folders["gpt2"]), "cpu", "float32")
    rounded = FrozenModel.load(str(folders["gpt2"]), "cpu", dtype)
    assert rounded.dtype == getattr(torch, dtype)
    assert rounded.embed(torch.tensor([3])).dtype == torch.float32
    assert rounded.reference == exact.reference


def test_the_fingerprint_of_a_model_object_does_not_depend_on_bfloat16():
    exact, rounded = tiny("gpt2"), tiny("gpt2")
    again = FrozenModel(rounded.model.to(torch.bfloat16), rounded.tokenizer)
    assert again.reference == exact.reference


def test_a_checkpoint_stored_in_float16_has_one_fingerprint(
    tmp_path: Path, folders: dict[str, Path]
):
    model = FrozenModel.load(str(folders["gpt2"]), "cpu", "float16")
    model.model.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    found = {
        FrozenModel.load(str(tmp_path), "cpu", dtype).reference.fingerprint
        for dtype in ("float32", "bfloat16", "float16")
    }
    assert len(found) == 1


def test_the_fingerprint_of_other_weights_or_another_shape_is_another():
    model = tiny("gpt2")
    known = loading.fingerprint(model.model)
    assert loading.fingerprint(tiny("gpt2").model) == known
    assert loading.fingerprint(tiny("gpt2", n_layer=2).model) != known
    with torch.no_grad():
        model.model.get_input_embeddings().weight[5, 5] += 0.1
    assert loading.fingerprint(model.model) != known


def test_tokenizers_differ_by_their_words():
    hashes = {kind: tiny(kind).reference.tokenizer_hash for kind in ("gpt2", "llama", "bert", "t5")}
    assert hashes["gpt2"] == hashes["llama"]
    assert len(set(hashes.values())) == 3


def test_the_longest_row_is_what_model_and_caller_allow(folders: dict[str, Path]):
    def limit(kind: str, asked: int | None) -> int:
        model = FrozenModel.load(str(folders[kind]), "cpu", "float32", max_length=asked)
        return model.encoder.max_length

    assert [limit("gpt2", n) for n in (None, 50, 5000)] == [128, 50, 128]
    assert [limit("t5", n) for n in (None, 50, 5000)] == [1024, 50, 5000]


def test_what_is_not_there_is_one_clear_error(folders: dict[str, Path], tmp_path: Path):
    name = str(folders["gpt2"])
    with pytest.raises(ConfigError, match="no device 'gpu'"):
        FrozenModel.load(name, device="gpu")
    with pytest.raises(ConfigError, match="no dtype 'float31'"):
        FrozenModel.load(name, dtype="float31")
    with pytest.raises(ConfigError, match="no dtype 'int8'"):
        FrozenModel.load(name, dtype="int8")
    with pytest.raises(PromptgraftError, match="There is no mini/nothing; the minis are"):
        FrozenModel.load("mini/nothing")
    with pytest.raises(PromptgraftError, match=r"There is no folder .*nowhere"):
        FrozenModel.load("./nowhere")
    with pytest.raises(PromptgraftError, match="Cannot load the model in "):
        FrozenModel.load(str(tmp_path))
    shutil.copytree(name, tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(PromptgraftError, match=r"Cannot load the model in .*damaged"):
        FrozenModel.load(str(tmp_path / "damaged"))


def test_what_is_at_hand(monkeypatch, tmp_path):
    cached = tmp_path / "models--someone--model"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("ab")
    (cached / "snapshots" / "ab").mkdir(parents=True)
    (cached / "snapshots" / "ab" / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("mini/bert-s", str(tmp_path), "someone/model"):
        assert loading.is_at_hand(name)
    for name in ("mini/bert-x", str(tmp_path / "x"), "someone/other", "<script>@"):
        assert not loading.is_at_hand(name)


def test_without_a_hub_the_answer_is_quick(monkeypatch: pytest.MonkeyPatch):
    """No name is resolved, as on a machine without a network."""

    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    loading._hub_answered.cache_clear()
    start = time.monotonic()
    for name in ("nobody/no-such-model", "gpt2"):
        with pytest.raises(PromptgraftError, match=f"Cannot load '{name}': .* hub does not answer"):
            FrozenModel.load(name)
    assert time.monotonic() - start < SECONDS
    loading._hub_answered.cache_clear()


def test_slow_tokenizers_are_refused(monkeypatch: pytest.MonkeyPatch):
    model = tiny("gpt2")
    monkeypatch.setattr(type(model.tokenizer), "is_fast", False)
    with pytest.raises(PromptgraftError, match="slow tokenizer"):
        FrozenModel(model.model, model.tokenizer)


def test_the_measured_dtype_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(loading, "CACHE", tmp_path)
    times = iter([3.0, 1.0])  # float32, bfloat16
    monkeypatch.setattr(loading, "_seconds", lambda dtype: next(times))
    cpu = torch.device("cpu")
    assert loading.best_dtype(cpu) == torch.bfloat16
    assert loading.best_dtype(cpu) == torch.bfloat16  # and no new measurement
    (tmp_path / "matmul.json").write_text("{damaged")
    times = iter([1.0, 1.0])
    assert loading.best_dtype(cpu) == torch.float32
