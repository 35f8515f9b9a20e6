"""Which task to distil, what to label next, whether another round is worth it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill_rows import LABELS, rows
from suffice.distillation import flywheel
from suffice.distillation.flywheel import Done, Manifest, Row, Sample, Task
from suffice.distillation.iterating import Gain, Rounds, pool, suggest
from suffice.distillation.iterating.suggesting import _kept
from suffice.distillation.students import open_student
from suffice.distillation.trainers.base import Course
from suffice.distillation.trainers.head import HeadSettings, HeadTrainer
from suffice.errors import DataError
from suffice.reports.rounds import rounds_chart

# suggestions


def _asked(row: Row, system: str, answer: str, usd: str = "0.001") -> Row:
    messages = ({"role": "system", "content": system}, {"role": "user", "content": row.query})
    sample = Sample(text=answer, cost_usd=Decimal(usd), completion_tokens=len(answer.split()))
    return Row(id=row.id, query=row.query, messages=messages, teacher="large", samples=(sample,))


def test_what_a_student_can_do_goes_before_what_costs_most() -> None:
    rng = np.random.default_rng(0)
    learnable = [_asked(row, "Say how it moved.", row.label or "") for row in rows(300)]
    by_lot = [
        _asked(row, f"Guess, {place}.", LABELS[rng.integers(3)], "0.002")
        for place, row in enumerate(rows(300, seed=1))
    ]
    texts = [
        _asked(row, "Write a story.", f"Once upon a time {row.id} " * 5, "0.01") for row in rows(60, seed=2)
    ]
    found = suggest([*by_lot, *texts, *learnable, *texts[:3]])
    first, *rest = found
    assert first.task == "Say how it moved." and first.kind == "classify" and set(first.labels) == set(LABELS)
    assert first.agreement is not None and first.agreement > 0.9 and first.odds > 0.8
    assert first.saves_usd == pytest.approx(0.3 * first.odds) and first.majority is not None
    lot = next(one for one in rest if one.task.startswith("Guess"))
    assert lot.n == 300 and lot.agreement is not None and lot.agreement < 0.5 and lot.odds < 0.1
    story = next(one for one in rest if one.task == "Write a story.")
    assert story.kind == "generate" and story.agreement is None and story.odds == story.repeated > 0
    assert sum(one.share for one in found) == pytest.approx(1.0)


def test_requests_without_a_system_message_are_parted_by_what_they_say() -> None:
    mail = [
        Row(id=f"m{i}", query=f"is this mail spam: offer number {i}", samples=(Sample(text="yes"),))
        for i in range(200)
    ]
    code = [
        Row(id=f"c{i}", query=f"def f(x): return x + {i}  # fix", samples=(Sample(text="a b c d e f g h"),))
        for i in range(200)
    ]
    found = suggest([*mail, *code])
    assert len(found) >= 2 and all(len({one.task[:4]}) == 1 for one in found)
    assert suggest(mail[:20]) == []


def test_the_share_that_can_be_kept_is_the_largest_that_agrees() -> None:
    right, sure = np.array([1.0, 1, 0, 1, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert _kept(right, sure, 0.8) == pytest.approx(5 / 6)
    assert _kept(right, sure, 0.97) == pytest.approx(2 / 6) and _kept(1 - right, sure, 0.97) == 0


# the pool


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    HeadTrainer(HeadSettings()).train(Course(rows(200), (), Task(labels=LABELS), folder))
    return folder


def test_the_pool_is_what_it_got_wrong_and_what_it_is_unsure_of(head: Path) -> None:
    student = open_student(head)
    sure = [
        Row(id="sure", query="gold gold gold rises"),
        Row(id="wrong", query="oil oil tin drops", label="up"),
    ]
    unsure = [Row(id="unsure", query="lithium"), Row(id="twin", query="Lithium, 3!")]
    test = [Row(id="held", query="nothing known here", part="test")]
    found = pool(student, [*sure, *unsure, *test], n=10, threshold=0.8, known=["a b"])
    assert [one.query_id for one in found] == ["wrong", "unsure", "sure"]
    assert [one.why for one in found] == ["disagreed", "deferred", "unsure"]
    assert pool(student, unsure, n=10, known=["lithium"]) == []
    assert len(pool(student, [*sure, *unsure], n=1)) == 1


# rounds


def _stages(folder: Path, right: list[float], prompt: str = "a", judge: str = "x") -> dict[str, Done]:
    def done(name: str, settings: Any, **more: Any) -> Done:
        where = folder / f"{name}-{abs(hash((prompt, judge, tuple(right))))}"
        where.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(
            stage=name, version=1, hash=where.name, project={}, settings=settings, inputs={}, outputs={},
            counts={"train": 300}, notes=(), stop=None, is_partial=False, written_by="0", seconds=0.0,
        )  # fmt: skip
        return Done(folder=where, manifest=manifest)

    found = {
        name: done(name, {"model": judge} if name == "judge" else {})
        for name in ("judge", "curate", "train", "evaluate")
    }
    held = [Row(id=f"t{i}", query="q", part="test", cluster=f"c{i}") for i in range(len(right))]
    flywheel.write_rows(held, found["curate"].folder / "rows.jsonl")
    said = [
        {"who": who, "id": f"t{i}", "part": "test", "text": "x", "quality": value}
        for who, values in (("student", right), ("teacher", [1.0] * len(right)))
        for i, value in enumerate(values)
    ]
    (found["evaluate"].folder / "answers.jsonl").write_text("".join(json.dumps(one) + "\n" for one in said))
    return found


def _project(folder: Path, prompt: str) -> flywheel.Project:
    (folder / "distill.yaml").write_text(f"teacher: large\ntask: {{instruction: {prompt}, labels: [a, b]}}\n")
    return flywheel.load(folder)


def test_rounds_are_logged_compared_and_stopped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = (rng.random(400) < 0.7).astype(float)
    second = np.where(rng.random(400) < 0.5, 1.0, first)
    third = second.copy()
    third[:6] = 1 - third[:6]
    assert "no round yet" in Rounds(_project(tmp_path, "p")).advice()
    for number, (prompt, judge, right) in enumerate(
        (("p", "x", first), ("better", "x", second), ("better", "y", third))
    ):
        rounds = Rounds(_project(tmp_path, prompt))
        one = rounds.log(_stages(tmp_path, right.tolist(), prompt, judge), 100.0 + number, f"try {number}")
        assert one.number == number + 1
        again = rounds.log(_stages(tmp_path, right.tolist(), prompt, judge), 200.0)
        assert again == one
    found = rounds.all()
    assert [one.changed for one in found] == [(), ("prompt: task.instruction",), ("rubric: judge.model",)]
    assert [one.note for one in found] == ["try 0", "try 1", "try 2"] and found[0].n_train == 300
    up, none = rounds.gains()
    assert up.gain == pytest.approx(float((second - first).mean())) and up.low > 0 and not up.says_stop
    assert none.low < 0 < none.high and none.says_stop and rounds.advice().startswith("stop: round 3")
    chart = rounds_chart(found, rounds.gains())
    assert chart.startswith("<svg") and chart.count("<circle") == 3 and "nan" not in chart
    assert rounds_chart([], []).startswith("<svg")


def test_rounds_that_share_no_row_cannot_be_compared(tmp_path: Path) -> None:
    rounds = Rounds(_project(tmp_path, "p"))
    one = rounds.log(_stages(tmp_path, [1.0, 0.0]), 1.0)
    other = {**json.loads(rounds.path.read_text()), "number": 2, "digest": "x", "by_row": {"z": 1.0}}
    rounds.path.write_text(rounds.path.read_text() + json.dumps(other) + "\n")
    with pytest.raises(DataError, match="share no test row"):
        rounds.gains()
    rounds.path.write_text("{")
    with pytest.raises(DataError, match="no log"):
        rounds.all()
    assert one.by_row == {"t0": 1.0, "t1": 0.0}


def test_a_gain_says_stop_where_zero_is_inside() -> None:
    assert Gain(number=2, n=9, gain=0.1, low=-0.01, high=0.2).says_stop
    assert not Gain(number=2, n=9, gain=0.1, low=0.01, high=0.2).says_stop
