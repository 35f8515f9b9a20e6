"""MiniLM's embedder: pooling and batches against plain loops on a tiny network; the real files if pulled."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from suffice import embedders
from suffice.errors import ConfigError, EmbedderError, MissingDependency
from suffice.providers import onnx_embedder
from suffice.providers.known_files import BUNDLES
from suffice.providers.onnx_embedder import OnnxEmbedder
from suffice.types import Query

pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "one", "two"]
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def value_info(name: str, kind: int, axes: tuple[str | int, ...]) -> bytes:
    dims = b"".join(field(1, field(1, axis) if isinstance(axis, int) else field(2, axis)) for axis in axes)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def look_up_network() -> bytes:
    """ONNX: last_hidden_state = TABLE[input_ids]; a mask is taken and ignored."""
    rows, width = TABLE.shape
    table = field(1, rows) + field(1, width) + field(2, 1) + field(8, "table") + field(9, TABLE.tobytes())
    gather = field(1, "table") + field(1, "input_ids") + field(2, "last_hidden_state") + field(4, "Gather")
    both = field(1, "attention_mask") + field(2, "unused") + field(4, "Identity")
    graph = field(1, gather) + field(1, both) + field(2, "g") + field(5, table)
    for name in ("input_ids", "attention_mask"):
        graph += field(11, value_info(name, 7, ("batch", "sequence")))
    graph += field(12, value_info("last_hidden_state", 1, ("batch", "sequence", width)))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(4)  # as MiniLM's own file: another limit, and padding
    tokenizer.enable_padding(length=12)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "model.onnx").write_bytes(look_up_network())
    return tmp_path


def expected(text: str, max_tokens: int = 256) -> list[float]:
    """A plain loop: the mean row of the text's words between its marks, at length 1."""
    words = [word if word in WORDS else "[UNK]" for word in text.split()][: max_tokens - 2]
    rows = [TABLE[WORDS.index(word)] for word in ["[CLS]", *words, "[SEP]"]]
    mean = [sum(float(row[k]) for row in rows) / len(rows) for k in range(TABLE.shape[1])]
    length = sum(value * value for value in mean) ** 0.5
    return [value / length for value in mean]


TEXTS = ["red", "", "green blue one two red", " \n", "two", "red", "maroon one", "blue " * 50]


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_vectors_equal_a_plain_loop_in_any_batch(folder: Path, batch_size: int) -> None:
    found = OnnxEmbedder(path=str(folder), batch_size=batch_size).embed(TEXTS)
    assert (found.shape, found.dtype) == ((8, 6), np.float32)
    for row, text in zip(found, TEXTS, strict=True):
        wanted = expected(text) if text.strip() else [0.0] * 6
        np.testing.assert_allclose(row, wanted, atol=1e-6)


def test_only_the_first_tokens_count(folder: Path) -> None:
    short = OnnxEmbedder(path=str(folder), max_tokens=5)
    np.testing.assert_allclose(short.embed(["red red red blue"])[0], expected("red red red", 5), atol=1e-6)
    assert short.name.endswith(":5")


def test_no_text_breaks_it(folder: Path) -> None:
    found = OnnxEmbedder(path=str(folder)).embed(["half \ud800 a pair", "x" * 1_000_000, "\0", "你好"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert OnnxEmbedder(path=str(folder)).embed([]).shape == (0, 6)


def test_the_name_tells_files_apart(folder: Path) -> None:
    one = OnnxEmbedder(path=str(folder))
    assert one.name == OnnxEmbedder(path=str(folder), threads=2, batch_size=1).name
    assert one.dimensions == 6
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + " ")
    assert OnnxEmbedder(path=str(folder)).name != one.name


def test_several_threads(folder: Path) -> None:
    shared, found = OnnxEmbedder(path=str(folder)), []
    threads = [threading.Thread(target=lambda: found.append(shared.embed(TEXTS))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((one == found[0]).all() for one in found)


def test_the_network_is_in_memory_once(folder: Path) -> None:
    one, two, other = (OnnxEmbedder(path=str(folder), max_tokens=n) for n in (9, 9, 8))
    for each in (one, two, other):
        each.embed(["red"])
    assert one._ready is two._ready
    assert one._ready is not other._ready


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_tokens": 2}, "max_tokens is 2; expected 3 to 512"),
        ({"max_tokens": 513}, "expected 3 to 512"),
        ({"batch_size": 0}, "at least 1"),
        ({"threads": 0}, "at least 1"),
    ],
)
def test_bad_settings(folder: Path, wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OnnxEmbedder(path=str(folder), **wrong)


def test_absent_files_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="run `suffice pull minilm`"):
        embedders.create("minilm")
    with pytest.raises(ConfigError, match="give a folder that holds it"):
        OnnxEmbedder(path=str(tmp_path))


def test_an_absent_library_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_embedder, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'suffice\[embed\]'"):
        OnnxEmbedder(path=str(folder))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_damaged_files(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"{damaged")
    with pytest.raises(EmbedderError, match="`suffice pull minilm` fetches them anew"):
        OnnxEmbedder(path=str(folder)).embed(["red"])


def test_a_router_on_its_vectors(folder: Path, tmp_path: Path) -> None:
    from suffice import routers
    from suffice.outcomes import Outcomes

    texts = ["red one", "red two", "red", "blue one", "blue two", "blue"]
    quality = [[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3
    outcomes = Outcomes.from_arrays(texts, ["a", "b"], quality)
    embedder = OnnxEmbedder(path=str(folder))
    router = routers.create("knn", embedder=embedder, projection="none", k=2).fit(outcomes)
    scores = router.scores([Query(text="red red"), Query(text="blue blue")])
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]
    router.save(tmp_path / "saved")
    again = routers.load(tmp_path / "saved", OnnxEmbedder(path=str(folder)))
    np.testing.assert_array_equal(again.scores([Query(text="red red")]), scores[:1])


@pytest.fixture
def pulled() -> OnnxEmbedder:
    if not all(file.path.is_file() for file in BUNDLES["minilm"].files):
        pytest.skip("`suffice pull minilm` was not run here")
    return OnnxEmbedder()


@pytest.mark.slow
def test_minilm_knows_a_paraphrase(pulled: OnnxEmbedder) -> None:
    texts = [
        "How do I reset my password?",
        "What is the way to change a forgotten password?",
        "The cat sat on the warm windowsill.",
    ]
    found = pulled.embed(texts)
    assert found.shape == (3, 384)
    assert found[0] @ found[1] > 0.75
    assert abs(found[0] @ found[2]) < 0.2
    alone = np.concatenate([pulled.embed([text]) for text in texts])
    np.testing.assert_allclose(found, alone, atol=1e-4)


def test_the_bundle_is_what_the_embedder_reads() -> None:
    names = {os.path.basename(file.filename) for file in BUNDLES["minilm"].files}
    assert names == {"model.onnx", "tokenizer.json"}
    assert json.dumps(sorted(BUNDLES)) == '["minilm", "minilm-torch"]'
