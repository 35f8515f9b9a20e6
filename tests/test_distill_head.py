"""Heads: trained in numpy, kept as JSON and npz, served as a candidate of the panel."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from distill_rows import LABELS, rows
from suffice.distillation import trainers
from suffice.distillation.flywheel import Row, Task
from suffice.distillation.students import open_student
from suffice.distillation.trainers import Course
from suffice.distillation.trainers.licences import licence_of
from suffice.errors import ArtefactError, ConfigError, DataError, MissingDependency, ProviderRejected
from suffice.plans.confidence import AnswerConfidence
from suffice.providers.base import ProviderSettings
from suffice.providers.student import StudentModel
from suffice.providers.student_card import CARD
from suffice.types import Candidate, Options, Price, Query

TASK = Task(kind="classify", labels=LABELS)
WANTS = Options(fields={"logprobs": True})


def course(
    out: Path, *, train: list[Row] | None = None, held: list[Row] | None = None, task: Task = TASK
) -> Course:
    notes: list[str] = []
    made = Course(
        rows(300) if train is None else train,
        rows(90, seed=1, part="validation") if held is None else held,
        task,
        out,
        notes.append,
    )
    object.__setattr__(made, "notes", notes)
    return made


@pytest.mark.parametrize(
    "settings",
    [{}, {"features": "words"}, {"features": None}, {"features": None, "hidden": 16}],
    ids=["both", "words", "vectors", "network"],
)
def test_a_head_learns_and_says_the_same_when_loaded(tmp_path: Path, settings: dict[str, Any]) -> None:
    made = trainers.create("head", settings).train(course(tmp_path))
    test = rows(200, seed=2, part="test")
    said = open_student(tmp_path).answer([row.query for row in test])
    right = np.array([text == row.label for text, row in zip(said.texts, test, strict=True)])
    assert right.mean() > (0.95 if settings.get("features", "both") else 0.8)
    assert ((said.confidence > 1 / 3 - 1e-9) & (said.confidence <= 1)).all()
    assert abs(said.confidence.mean() - right.mean()) < 0.1  # calibrated on the validation rows
    again = open_student(tmp_path).answer([row.query for row in reversed(test)])
    assert again.texts[::-1] == said.texts
    assert made.n_train == 300 and made.n_validation == 90 and made.facts["validation_accuracy"] > 0.7


def test_the_penalty_is_chosen_inside_the_training_rows_without_validation_rows(tmp_path: Path) -> None:
    made = trainers.create("head", {}).train(course(tmp_path, held=[]))
    assert made.facts["penalty"] in (4.0, 2.0, 1.0, 0.5, 0.25, 0.125)
    assert made.n_validation == 0 and made.facts["validation_log_loss"] < 1.0


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    train = rows(200)
    texts = [row.query for row in rows(50, seed=3)]
    found = []
    for name, own in (("a", train), ("b", train[::-1])):
        trainers.create("head", {}).train(course(tmp_path / name, train=own))
        found.append(open_student(tmp_path / name).answer(texts).confidence)
    np.testing.assert_allclose(found[0], found[1], atol=5e-3)


def test_contradictory_labels_are_learnt_as_shares_and_said(tmp_path: Path) -> None:
    train = rows(120) + [
        Row(id=f"c{n}", query="rhodium wobbles", label="up" if n % 4 else "down") for n in range(40)
    ]
    made = course(tmp_path, train=train, held=[])
    trainers.create("head", {}).train(made)
    assert any("more than one label" in note for note in made.notes)  # type: ignore[attr-defined]
    said = open_student(tmp_path).answer(["rhodium wobbles"])
    assert said.texts == ("up",) and 0.55 < said.confidence[0] < 0.95


@pytest.mark.parametrize("train", [[], [row for row in rows(60) if row.label == "up"]])
def test_one_class_or_none_teaches_nothing(tmp_path: Path, train: list[Row]) -> None:
    with pytest.raises(DataError, match="nothing to tell apart"):
        trainers.create("head", {}).train(course(tmp_path, train=train))


def test_rows_without_an_allowed_label_are_left_out_and_counted(tmp_path: Path) -> None:
    refusals = [Row(id=f"r{n}", query="gold rises", label="I cannot say" if n else None) for n in range(5)]
    made = course(tmp_path, train=rows(100) + refusals)
    assert trainers.create("head", {}).train(made).n_train == 100
    assert any("5 of 105 training rows left out" in note for note in made.notes)  # type: ignore[attr-defined]


def test_an_extraction_is_one_choice_per_field(tmp_path: Path) -> None:
    train = [
        msgspec.structs.replace(
            row, label=msgspec.json.encode({"move": row.label, "strong": "jumps" in row.query}).decode()
        )
        for row in rows(300)
    ]
    task = Task(kind="extract")
    trainers.create("head", {}).train(course(tmp_path, train=train, held=[], task=task))
    said = open_student(tmp_path).answer(["gold jumps oil tin"]).texts[0]
    assert msgspec.json.decode(said) == {"move": "up", "strong": True}
    many = [Row(id=str(n), query="x", label=f'{{"n": {n}}}') for n in range(80)]
    with pytest.raises(DataError, match="80 values"):
        trainers.create("head", {}).train(course(tmp_path, train=many, held=[], task=task))


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="knows embedder"):
        trainers.create("head", {"colour": 1})
    with pytest.raises(ConfigError, match="dense vectors"):
        trainers.create("head", {"hidden": 8})
    with pytest.raises(ConfigError, match="descending"):
        trainers.create("head", {"penalties": [1.0, 2.0]})
    with pytest.raises(ConfigError, match="generated texts"):
        trainers.create("head", {}).train(course(tmp_path, task=Task(kind="generate")))


def test_a_damaged_student_is_noticed(tmp_path: Path) -> None:
    trainers.create("head", {"features": "words"}).train(course(tmp_path))
    arrays = tmp_path / "head.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtefactError, match="damaged"):
        open_student(tmp_path)
    (tmp_path / CARD).write_text("{}")
    with pytest.raises(ArtefactError, match="no student"):
        open_student(tmp_path)
    with pytest.raises(ArtefactError, match="distill train"):
        open_student(tmp_path / "nowhere")


def test_a_trainer_of_torch_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"suffice\[torch\]"):
        trainers.create("lora", {"base": "tiny"}).train(course(tmp_path))


# --- as a candidate


def candidate(path: Path, **extra: Any) -> StudentModel:
    one = Candidate(name="tiny", provider="student", model="tiny", price=Price(usd_per_cpu_hour=Decimal(1)))
    return StudentModel.from_config(one, ProviderSettings(extra={"path": str(path), **extra}))


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    trainers.create("head", {}).train(course(folder))
    return folder


def test_a_head_answers_as_a_model_of_one_token(head: Path) -> None:
    model = candidate(head)
    query = Query(text="gold rises oil tin")
    answer = asyncio.run(model.answer(query, WANTS))
    said = open_student(head).answer([query.text])
    assert answer.content == "up" and answer.logprobs is not None and len(answer.logprobs) == 1
    assert math.exp(answer.logprobs[0].logprob) == pytest.approx(said.confidence[0])
    assert answer.logprobs[0].top[0][0] == "up" and len(answer.logprobs[0].top) == 3
    assert sum(math.exp(value) for _, value in answer.logprobs[0].top) == pytest.approx(1)
    assert answer.cost_usd is not None and 0 < answer.cost_usd < Decimal("0.001")
    body = msgspec.json.decode(answer.body or b"")
    assert body["choices"][0]["message"]["content"] == "up" and body["object"] == "chat.completion"
    assert body["usage"] == {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}
    read, why = AnswerConfidence().of(answer)  # what a pipeline's `confidence:` reads
    assert read == pytest.approx(said.confidence[0]) and why is None


def test_a_head_streams(head: Path) -> None:
    async def chunks() -> list[Any]:
        wish = Options(fields={"logprobs": True, "stream_options": {"include_usage": True}})
        return [chunk async for chunk in candidate(head).stream(Query(text="tin falls"), wish)]

    found = asyncio.run(chunks())
    assert "".join(chunk.text for chunk in found) == "down" and found[-1].usage.compute_s > 0
    assert found[0].logprobs[0].token == "down" and found[1].finish_reason == "stop"
    assert msgspec.json.decode(found[0].data)["choices"][0]["delta"]["role"] == "assistant"
    usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
    assert msgspec.json.decode(found[-1].data)["usage"] == usage


@pytest.mark.parametrize(
    ("text", "n"), [("", 0), ("Gold's up 3 %!", 7), ("金価格 up", 4), ("naïve\nœuvre_2", 2)]
)
def test_a_head_counts_the_words_and_marks_that_it_reads(head: Path, text: str, n: int) -> None:
    query = Query(text=text, messages=({"role": "system", "content": "not read"},))
    usage = asyncio.run(candidate(head).answer(query, Options())).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (n, 1, n + 1)


def test_odd_questions_are_answered_or_refused(head: Path) -> None:
    model = candidate(head)
    for text in ("", "x" * 1_000_000, "金価格が上昇", "\ud800"):
        assert asyncio.run(model.answer(Query(text=text), Options())).content in LABELS
    with pytest.raises(ProviderRejected, match="one answer"):
        asyncio.run(model.answer(Query(text="x"), Options(fields={"n": 2})))


def test_options_of_a_student_are_checked(head: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown options"):
        candidate(head, colour="red")
    with pytest.raises(ConfigError, match="wanted the folder"):
        StudentModel.from_config(Candidate(name="x", provider="student", model="x"), ProviderSettings())
    (tmp_path / CARD).write_text('{"kind": "lora", "prompt": "{query}"}')
    with pytest.raises(ConfigError, match="provider: local"):
        candidate(tmp_path)
    with pytest.raises(ArtefactError):
        candidate(tmp_path / "nowhere")


# --- licences


@pytest.mark.parametrize(
    ("files", "name", "word"),
    [
        ({"README.md": "---\nlicense: apache-2.0\n---\n"}, "apache-2.0", None),
        ({"README.md": "---\nlicense: cc-by-nc-4.0\n---\n"}, "cc-by-nc-4.0", "seems to forbid"),
        ({"LICENSE": "Research License\nfor research only"}, "Research License", "seems to forbid"),
        ({"README.md": "---\nlicense: gemma\n---\n"}, "gemma", "Gemma terms"),
        ({"config.json": '{"model_type": "gemma3_text"}'}, "Gemma terms of use", "Gemma terms"),
        ({"README.md": "license: something-of-ours"}, "something-of-ours", "check that it allows"),
        ({}, None, "states no licence"),
    ],
)
def test_the_licence_of_a_base_is_read(
    tmp_path: Path, files: dict[str, str], name: str | None, word: str | None
) -> None:
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    found = licence_of(os.fspath(tmp_path))
    assert found.name == name
    assert (found.warning is None) if word is None else (word in (found.warning or ""))
