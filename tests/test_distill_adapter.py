"""Adapters in GGUF: written by us, read by llama.cpp, swapped on one base, evaluated as they are served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from suffice.distillation import trainers
from suffice.distillation.assessing import read_said
from suffice.distillation.assessing.settings import Evaluating
from suffice.distillation.assessing.stage import evaluate
from suffice.distillation.baselines import Baselines
from suffice.distillation.baselines.stage import baseline
from suffice.distillation.flywheel import Project, Result, Work, write_rows
from suffice.distillation.gguf_adapter import _turned, write_gguf
from suffice.distillation.students import open_student
from suffice.distillation.trainers.stage import Training, train
from suffice.errors import ConfigError
from suffice.providers.adapter_student import AdapterStudent
from suffice.providers.base import ProviderSettings
from suffice.types import Candidate, Options, Query

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("gguf")

import tiny_gemma  # noqa: E402
from tiny_gemma import TASK, course, rows, settings  # noqa: E402

STAGES = {"baseline": baseline, "train": train, "evaluate": evaluate}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gemma.write(tmp_path_factory.mktemp("gemma") / "base")


@pytest.fixture(scope="module")
def student(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    trainers.create("lora", settings(base)).train(course(folder))
    return folder


def test_the_gguf_holds_the_adapter(student: Path) -> None:
    import gguf
    from safetensors.numpy import load_file

    reader = gguf.GGUFReader(str(student / "adapter.gguf"))
    theirs = load_file(str(student / "adapter" / "adapter_model.safetensors"))
    assert len(reader.tensors) == len(theirs) == 2 * 7 * tiny_gemma.LAYERS
    by_name = {one.name: one for one in reader.tensors}
    name = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"
    np.testing.assert_array_equal(by_name["blk.1.ffn_down.weight.lora_b"].data, theirs[name])
    assert float(reader.fields["adapter.lora.alpha"].contents()) == 16.0


def test_queries_and_keys_of_llama_are_turned() -> None:
    matrix = np.arange(16, dtype=np.float32)[:, None]
    found = _turned(matrix, 2)[:, 0].tolist()  # two heads of 8: halves 0..3 and 4..7 side by side
    assert found == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


def test_an_unknown_architecture_has_no_gguf(student: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no GGUF adapter"):
        write_gguf(student / "adapter", {"model_type": "odd"}, tmp_path / "x.gguf")


def test_llama_cpp_answers_as_transformers_does(base: Path, student: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    from suffice.providers.local import LocalModel

    other = tmp_path / "other"
    turned = [msgspec.structs.replace(row, label="b" if row.label == "a" else "a") for row in rows(64)]
    trainers.create("lora", settings(base)).train(course(other, rows=turned, validation=[]))
    gguf = tiny_gemma.write_gguf(base, tmp_path / "base.gguf")

    def candidate(name: str, **extra: Any) -> LocalModel:
        given = {"path": str(gguf), "threads": 1, "context": 256, **extra}
        return LocalModel.from_config(
            Candidate(name=name, provider="local", model=name), ProviderSettings(extra=given)
        )

    first, second = candidate("one", adapter=str(student)), candidate("two", adapter=str(other))
    plain = candidate("base", max_tokens=1)
    assert first.server is second.server is plain.server
    texts = [row.query for row in rows(30, 4)]

    async def all_in_turn() -> list[list[Any]]:
        wish = Options(fields={"logprobs": True})
        return [
            [await one.answer(Query(text=text), wish) for one in (first, second, plain)] for text in texts
        ]

    found = asyncio.run(all_in_turn())
    for place, folder in enumerate((student, other)):
        expected = open_student(folder).answer(texts)
        said = [answers[place].content for answers in found]
        assert said == list(expected.texts)
    assert [one.content for one, _, _ in found] != [two.content for _, two, _ in found]
    assert all(len(one.logprobs) == 1 for one, _, _ in found)  # one token: its logprob is the confidence
    usage = found[0][0].usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens == 2  # with its end

    async def streamed() -> list[Any]:
        wish = Options(fields={"stream_options": {"include_usage": True}})
        return [msgspec.json.decode(one.data) async for one in first.stream(Query(text=texts[0]), wish)]

    pieces = asyncio.run(streamed())
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all("role" not in one["choices"][0]["delta"] for one in pieces[1:] if one["choices"])
    assert pieces[-1]["usage"]["total_tokens"] == usage.total_tokens
    late = candidate("late", adapter=str(student / "adapter.gguf"))  # a bare adapter speaks as the base does
    assert asyncio.run(late.answer(Query(text="x"), Options(fields={"max_tokens": 2}))).usage.compute_s > 0


def test_from_a_gguf_to_an_evaluation_as_it_is_served(base: Path, tmp_path: Path) -> None:
    """The stages: the base is unpacked, tuned, and asked by llama.cpp."""
    pytest.importorskip("xllamacpp")
    tiny_gemma.write_gguf(base, tmp_path / "base.gguf")
    parts = {"train": rows(64), "validation": rows(20, 1), "test": rows(40, 2)}
    every = [
        msgspec.structs.replace(row, id=f"{part}{row.id}", part=part) for part in parts for row in parts[part]
    ]
    for name in ("curate", "baseline", "train", "evaluate", "journals"):
        (tmp_path / name).mkdir()
    write_rows(every, tmp_path / "curate" / "rows.jsonl")
    made = Project(teacher="large", task=TASK, directory=str(tmp_path))

    def run(name: str, own: Any) -> Result:
        inputs = {one: tmp_path / one for one in ("curate", "baseline", "train")}
        out, journals = tmp_path / name, tmp_path / "journals"
        return STAGES[name](Work(project=made, settings=own, inputs=inputs, out=out, journals=journals))

    run("baseline", Baselines(heads=("words",)))
    trained = run("train", Training(trainer="lora", settings=settings(Path("base.gguf"))))
    assert trained.counts["train"] == 64 and (tmp_path / "base.unpacked" / "model.safetensors").is_file()
    found = run("evaluate", Evaluating(gguf="base.gguf", threads=1))
    said = read_said(tmp_path / "evaluate" / "answers.jsonl")
    mine = [one for one in said if one.who == "student" and one.part == "test"]
    here = open_student(tmp_path / "train").answer([row.query for row in rows(40, 2)])
    same = [one.text == text for one, text in zip(mine, here.texts, strict=True)]
    assert np.mean(same) >= 0.95 and found.counts["quality"]["student"] > 0.9
    assert all(one.usd and one.latency_s and one.confidence for one in mine)


def test_adapters_of_the_panel_are_checked(student: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder or a file"):
        AdapterStudent.open(3, "x")
    (tmp_path / "student.json").write_text('{"kind": "head"}')
    with pytest.raises(ConfigError, match="has no adapter"):
        AdapterStudent.open(tmp_path, "x")
    (tmp_path / "student.json").write_text('{"kind": "lora", "prompt": "{query}"}')
    with pytest.raises(ConfigError, match=r"no adapter\.gguf"):
        AdapterStudent.open(tmp_path, "x")
    body = AdapterStudent.open(student, "x").body(Query(text='say "x"'), Options(fields={"top_p": 0.5}))
    assert body["prompt"] == 'say "x"\nkind:' and body["temperature"] == 0.0 and body["top_p"] == 0.5
    assert body["grammar"] == 'root ::= " a" | " b"'
