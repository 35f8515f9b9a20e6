"""LoRA students on a Gemma of two random layers: losses, resumed training, memory."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from suffice.distillation import trainers
from suffice.distillation.flywheel import Row, Sample, Task
from suffice.distillation.students import open_student
from suffice.distillation.trainers.loop import CHECKPOINT, Descent, Schedule
from suffice.errors import ConfigError, DataError
from suffice.types import TokenLogprob

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("gguf")

import tiny_gemma  # noqa: E402
from suffice.distillation.trainers.causal import Causal  # noqa: E402
from suffice.distillation.trainers.kd_offline import OfflineKD, OfflineSettings, aligned, label_chances  # noqa: E402
from suffice.distillation.trainers.kd_onpolicy import Padded, check_tokens  # noqa: E402
from suffice.distillation.trainers.lessons import Lesson, Writing, one_hot  # noqa: E402
from suffice.distillation.trainers.objectives import row_losses  # noqa: E402
from suffice.distillation.trainers.preference import rejected  # noqa: E402
from suffice.routers.losses import Loss  # noqa: E402
from tiny_gemma import LABELS, PROMPT, course, rows, settings  # noqa: E402


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


# --- learning


def test_a_lora_student_learns_labels(student: Path) -> None:
    test = rows(60, 2)
    found = open_student(student).answer([row.query for row in test])
    right = np.array([text == row.label for text, row in zip(found.texts, test, strict=True)])
    assert right.mean() > 0.9 and ((found.confidence >= 0.5) & (found.confidence <= 1)).all()
    card = open_student(student).card
    assert card.licence == "Gemma terms of use" and card.max_tokens == 2 and card.n_train == 64
    assert card.facts["validation_accuracy"] > 0.9


def test_the_licence_of_the_base_is_said(base: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    trainers.create("lora", settings(base, epochs=1)).train(course(tmp_path, n=16, notes=notes))
    assert any("Gemma terms" in note for note in notes)


def test_one_class_or_no_answer_teaches_nothing(base: Path, tmp_path: Path) -> None:
    same = [row for row in rows(40) if row.label == "a"]
    with pytest.raises(DataError, match="nothing to tell apart"):
        trainers.create("lora", settings(base)).train(course(tmp_path, rows=same))
    unlabelled = [Row(id="1", query="x")]
    with pytest.raises(DataError, match="says what to answer"):
        trainers.create("lora", settings(base)).train(
            course(tmp_path, rows=unlabelled, task=Task(kind="generate"))
        )


def test_labels_that_begin_alike_are_refused(base: Path, tmp_path: Path) -> None:
    alike = [msgspec.structs.replace(row, label="up" if row.label == "a" else "upper") for row in rows(20)]
    task = Task(kind="classify", labels=("up", "upper"))
    with pytest.raises(ConfigError, match="same token"):
        trainers.create("lora", settings(base)).train(course(tmp_path, rows=alike, task=task))


def test_texts_and_rationales_are_learnt(base: Path, tmp_path: Path) -> None:
    made = [
        msgspec.structs.replace(
            row, label="b a" if row.label == "a" else "a c", samples=(Sample(text="", reasoning="c c"),)
        )
        for row in rows(48)
    ]
    own = settings(base, rationale_weight=0.5, epochs=4)
    task = Task(kind="generate")
    trainers.create("lora", own).train(course(tmp_path, rows=made, validation=made[:10], task=task))
    found = open_student(tmp_path).answer([row.query for row in made[:16]])
    right = [text == row.label for text, row in zip(found.texts, made, strict=False)]
    assert np.mean(right) > 0.8 and (found.confidence <= 1).all()


def test_settings_of_a_prompt(base: Path) -> None:
    with pytest.raises(ConfigError, match="must stand in it once"):
        Writing(None, "no place", end=None, max_length=64)
    model = Causal.open(str(base), max_length=64)
    writing = Writing(model.tokenizer, PROMPT, end=model.end, max_length=32)
    lesson = writing.lesson("x" * 1000, "a")
    assert len(lesson) == 32 and model.tokenizer.decode(lesson.prompt[-6:]) == "\nkind:"
    assert lesson.target[-1] == model.end
    with pytest.raises(ConfigError, match="numbers above 0"):
        Causal.open(str(base), rank=0)
    with pytest.raises(ConfigError, match="cannot be adapted"):
        Causal.open(str(base), projections=("nothing",))


# --- losses


@pytest.fixture(scope="module")
def model(base: Path) -> Causal:
    return Causal.open(str(base), max_length=64)


def lessons(model: Causal, **more: Any) -> list[Lesson]:
    writing = Writing(model.tokenizer, PROMPT, end=model.end, max_length=64)
    return [writing.lesson("xyx", "a", **more), writing.lesson("y", "b c", **more)]


def slow(model: Causal, lesson: Lesson) -> Any:
    """(len(target), V): log-probabilities by the whole model, one row at a time."""
    ids = torch.tensor([[*lesson.prompt, *lesson.target]])
    with torch.no_grad():
        found = model.lm(input_ids=ids).logits[0].float().log_softmax(dim=1)
    start = len(lesson.prompt) - 1
    return found[start : start + len(lesson.target)]


def test_logits_are_those_of_the_whole_model(model: Causal) -> None:
    both = lessons(model)
    logits, whose = model.logits(both)
    assert whose.tolist() == [0] * len(both[0].target) + [1] * len(both[1].target)
    expected = torch.cat([slow(model, one) for one in both])
    torch.testing.assert_close(logits.detach().log_softmax(dim=1), expected, atol=1e-4, rtol=1e-4)


def test_hard_losses_by_hand(model: Causal) -> None:
    both = lessons(model, weight=2.0)
    found = row_losses(model, both).tolist()
    for value, one in zip(found, both, strict=True):
        surprise = [-float(row[token]) for row, token in zip(slow(model, one), one.target, strict=True)]
        assert value == pytest.approx(2 * np.mean(surprise), rel=1e-4)


@pytest.mark.parametrize("criterion", [Loss(), Loss("label_smoothing", 0.2), Loss("focal", 2.0)])
def test_class_losses_by_hand(model: Causal, criterion: Loss) -> None:
    writing = Writing(model.tokenizer, PROMPT, end=model.end, max_length=64)
    firsts = writing.first_tokens(("a", "b", "c"))
    plain = writing.lesson("xyx", "a")
    truth = one_hot([0], 3)[0]
    lesson = Lesson(plain.prompt, plain.target, truth=truth)
    logs = slow(model, lesson)
    mass = torch.logsumexp(logs[0, list(firsts)], 0)
    inside = logs[0, list(firsts)] - mass
    expected = float(criterion(inside[None], torch.tensor(truth[None]))[0] - mass) - float(logs[1, model.end])
    assert float(row_losses(model, [lesson], firsts, criterion).detach()[0]) == pytest.approx(
        expected, rel=1e-4
    )
    if criterion == Loss():  # the same as over the whole vocabulary
        whole = -float(logs[0, firsts[0]]) - float(logs[1, model.end])
        assert expected == pytest.approx(whole, rel=1e-4)


def test_soft_losses_by_hand(model: Causal) -> None:
    plain = lessons(model)[1]
    tokens, chances = (5, 9), (0.6, 0.3)
    soft = Lesson(
        plain.prompt, plain.target, soft=(None, (tokens, chances), *[None] * (len(plain.target) - 2))
    )
    logs = slow(model, plain)
    surprise = [-float(row[token]) for row, token in zip(logs, plain.target, strict=True)]
    rest = math.log1p(-float(logs[1, list(tokens)].exp().sum()))
    surprise[1] = -sum(c * float(logs[1, t]) for t, c in zip(tokens, chances, strict=True)) - 0.1 * rest
    both = row_losses(model, [lessons(model)[0], soft]).tolist()
    assert both[1] == pytest.approx(np.mean(surprise), rel=1e-4)


# --- interruptions and memory


class Killed(BaseException):
    """As Ctrl-C."""


def descent(folder: Path, kills: set[int] = frozenset(), **more: Any) -> tuple[Any, list[int]]:  # type: ignore[assignment]
    """A small regression; killed before some of the steps that it makes in this run."""
    most, message = more.pop("most", 4), more.pop("message", "DefaultCPUAllocator: can't allocate memory")
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(37, 5, generator=generator), torch.randn(37, generator=generator)
    weights = {"w": torch.nn.Parameter(torch.zeros(5)), "b": torch.nn.Parameter(torch.zeros(()))}
    steps: list[int] = []

    def loss(chosen: Any) -> Any:
        if len(steps) in kills:
            raise Killed
        if len(chosen) > most:
            raise RuntimeError(message)
        return ((x[chosen] @ weights["w"] + weights["b"] - y[chosen]) ** 2).sum()

    def look() -> float:
        with torch.no_grad():
            return float(((x @ weights["w"] + weights["b"] - y) ** 2).mean())

    made = Descent(
        weights,
        loss,
        Schedule(epochs=3, batch=4, rate=0.05, checkpoint_every=3, seed=1),
        folder,
        of="test",
        look=look,
        report=lambda one: steps.append(one.step),
        **more,
    )
    made.run([k % 7 for k in range(37)])
    return weights, steps


def test_training_killed_at_twenty_random_points_ends_the_same(tmp_path: Path) -> None:
    whole, steps = descent(tmp_path / "whole")
    assert steps == list(range(1, 31))
    rng = random.Random(0)
    for number in range(20):
        folder, n_kills = tmp_path / str(number), 0
        while True:
            try:
                again, made = descent(folder, {rng.randrange(1, 12)})
                break
            except Killed:
                n_kills += 1
        assert n_kills >= 1 and len(made) < 30
        for name, weight in whole.items():
            assert torch.equal(weight, again[name]), f"run {number} with {n_kills} kills"


def test_a_kill_while_the_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = descent(tmp_path / "whole")
    import os

    real, calls = os.replace, []

    def torn(*paths: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise Killed
        real(*paths)

    monkeypatch.setattr("suffice.distillation.trainers.loop.os.replace", torn)
    with pytest.raises(Killed):
        descent(tmp_path / "torn")
    again, steps = descent(tmp_path / "torn")
    assert steps[0] == 10 and torch.equal(whole["w"], again["w"])


def test_a_damaged_checkpoint_is_started_over(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        descent(tmp_path, {8})
    (tmp_path / CHECKPOINT).write_bytes(b"odd")
    notes: list[str] = []
    _, steps = descent(tmp_path, say=notes.append)
    assert steps[0] == 1 and "cannot be read" in notes[0]


def test_a_killed_lora_training_ends_the_same(base: Path, tmp_path: Path) -> None:
    own = settings(base, checkpoint_every=2, epochs=1)
    whole = trainers.create("lora", own).train(course(tmp_path / "whole"))

    def kill(one: Any) -> None:
        if one.step == 5:
            raise Killed

    with pytest.raises(Killed):
        trainers.create("lora", own).train(course(tmp_path / "cut", report=kill))
    steps: list[int] = []
    card = trainers.create("lora", own).train(
        course(tmp_path / "cut", report=lambda one: steps.append(one.step))
    )
    assert steps == [5, 6, 7, 8] and card.facts == whole.facts
    files = [tmp_path / name / "adapter" / "adapter_model.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_does_not_fit_into_memory_is_done_in_parts(tmp_path: Path) -> None:
    notes: list[str] = []
    whole, _ = descent(tmp_path / "whole")
    parts, _ = descent(tmp_path / "parts", most=2, say=notes.append)
    assert len(notes) == 1 and "going on with 2" in notes[0]
    torch.testing.assert_close(parts["w"], whole["w"], atol=1e-6, rtol=1e-5)
    with pytest.raises(DataError, match="single row"):
        descent(tmp_path / "never", most=0)
    with pytest.raises(RuntimeError, match="shapes"):
        descent(tmp_path / "wrong", most=2, message="shapes do not fit")


# --- what the teacher nearly said, and preferred


def token(text: str, **top: float) -> TokenLogprob:
    return TokenLogprob(text, math.log(top[text.strip()]), tuple((t, math.log(p)) for t, p in top.items()))


def test_a_teachers_chances_of_labels() -> None:
    sure = Sample(text="up", logprobs=(token("up", up=0.6, down=0.2, the=0.2),))
    found = label_chances([sure], ("up", "down", "flat"))
    assert found is not None and found.tolist() == pytest.approx([0.75, 0.25, 0])
    votes = [Sample(text=text) for text in ("up", "Up ", "down", "eh")]
    shares = label_chances(votes, ("up", "down"))
    assert shares is not None and shares.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert label_chances([Sample(text="up")], ("up", "down")) is None
    before = Sample(text="Answer: up", logprobs=(token("Answer", Answer=0.9), token(" up", up=0.5, down=0.5)))
    late = label_chances([before], ("up", "down"))
    assert late is not None and late.tolist() == [0.5, 0.5]


def test_a_teachers_tokens_count_where_both_cut_alike(model: Causal) -> None:
    tokenizer = model.tokenizer
    target = tuple(tokenizer.bare(" a b"))
    said = (token("a", a=0.8, b=0.15), TokenLogprob(" b", -0.1, ((" b", -0.1), (" c", -3.0))))
    found = aligned(target, said, tokenizer)
    assert found[0] is not None and dict(zip(*found[0], strict=True)) == pytest.approx(
        {target[0]: 0.8, tokenizer.bare(" b")[0]: 0.15}
    )
    assert len(found) == len(target)
    odd = aligned(target, (TokenLogprob("a b", -0.1),), tokenizer)
    assert not any(odd)


def test_soft_labels_are_learnt(base: Path, tmp_path: Path) -> None:
    unsure = tuple((label, math.log(0.5)) for label in LABELS)
    made = [
        msgspec.structs.replace(
            row, samples=(Sample(text="a", logprobs=(TokenLogprob("a", -0.7, unsure),)),), label="a"
        )
        for row in rows(48)
    ]
    other = [Row(id="z", query="yyyy", label="b")]
    own = settings(base, soft_weight=1.0, epochs=3)
    trainers.create("kd_offline", own).train(course(tmp_path, rows=made + other, validation=[]))
    found = open_student(tmp_path).answer([row.query for row in made[:20]])
    assert found.confidence.mean() < 0.75  # as unsure as its teacher
    assert OfflineKD(OfflineSettings(base=str(base))).name == "kd_offline"


def test_preferences_move_the_student(base: Path, tmp_path: Path) -> None:
    made = [
        msgspec.structs.replace(
            row,
            samples=tuple(Sample(text=text) for text in (row.label or "", "b" if row.label == "a" else "a")),
        )
        for row in rows(64)
    ]
    notes: list[str] = []
    trainers.create("dpo", settings(base)).train(course(tmp_path, rows=made, notes=notes))
    found = open_student(tmp_path).answer([row.query for row in rows(40, 3)])
    right = [text == row.label for text, row in zip(found.texts, rows(40, 3), strict=True)]
    assert np.mean(right) > 0.85 and any("64 of 64" in note for note in notes)
    with pytest.raises(DataError, match="both a chosen and a rejected"):
        trainers.create("dpo", settings(base)).train(course(tmp_path))
    assert rejected(Row(id="1", query="x", label="a", meta={"rejected": "b"})) == "b"


def test_on_policy_rows_are_padded_for_trl(base: Path, tmp_path: Path) -> None:
    found = Padded(0)([{"prompt_ids": [5, 6], "target_ids": [7]}, {"prompt_ids": [8], "target_ids": [9, 1]}])
    assert found["input_ids"].tolist() == [[5, 6, 7], [8, 9, 1]]
    assert found["labels"].tolist() == [[-100, -100, 7], [-100, 9, 1]]
    assert found["prompts"].tolist() == [[5, 6], [0, 8]]
    assert found["prompt_attention_mask"].tolist() == [[1, 1], [0, 1]]
    check_tokens(base, base)
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"x": 0}}}')
    with pytest.raises(ConfigError, match="different tokens"):
        check_tokens(base, tmp_path)
