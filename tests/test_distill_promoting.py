"""The gate, deferral with a promise, versions in the panel, and the way to all traffic and back."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from commands import Commands, FakeProvider
from suffice import cascades, config
from suffice.distillation.flywheel import Row, Task
from suffice.distillation.promoting import (
    Paired,
    Promoting,
    Release,
    Released,
    Shelf,
    alone,
    certified,
    judge,
    parted,
    served,
    shelf,
)
from suffice.distillation.promoting.rivals import Rung, rivals, without_own
from suffice.distillation.promoting.stage import _judged
from suffice.distillation.trainers.base import Course
from suffice.distillation.trainers.head import HeadSettings, HeadTrainer
from suffice.errors import ConfigError, DataError, NotFound
from suffice.metrics import paired_lower_bound
from suffice.providers.student_card import StudentCard
from suffice.store import SqliteStore
from suffice.store.experiments import SqliteExperiments

PANEL = """\
# my panel
models:
  - {name: large, provider: openai, api_key: k, input_usd_per_mtok: 2, output_usd_per_mtok: 8}  # dear
policy: {name: utility, value_usd: 0.01}  # what an answer is worth
"""


# the gate


def test_the_bound_is_the_score_interval_of_tango() -> None:
    """The published example: 43 agree of 44, one side wins the other row; two-sided 95 %."""
    one = np.r_[1.0, np.zeros(43)]
    assert paired_lower_bound(one, alpha=0.025) == pytest.approx(-0.0594, abs=1e-4)
    assert -paired_lower_bound(-one, alpha=0.025) == pytest.approx(0.1181, abs=1e-4)


def test_without_a_discordant_row_the_bound_is_that_of_so_many_rows() -> None:
    z2 = 1.6448536269514722**2
    assert paired_lower_bound(np.zeros(100)) == pytest.approx(-z2 / (100 + z2))
    assert paired_lower_bound([1.0]) < 0 and paired_lower_bound([-1.0] * 1000) == -1.0
    assert paired_lower_bound([0.5] * 50 + [0.4] * 50) == pytest.approx(
        0.45 - 1.6449 * 0.05 / 99**0.5, abs=1e-4
    )


def test_rows_of_one_cluster_are_one_witness() -> None:
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.7, 0.2])
    thrice = np.repeat(values, 3)
    plain, clustered = (
        paired_lower_bound(values),
        paired_lower_bound(thrice, clusters=list(np.repeat(range(200), 3))),
    )
    assert clustered == pytest.approx(plain, abs=2e-3) and paired_lower_bound(thrice) > plain + 0.01


@pytest.mark.parametrize("values", [[], [float("nan")], [2.0], [[0.0]]])
def test_differences_that_are_none_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="differences"):
        paired_lower_bound(values)


def test_the_gate_wants_both_bounds() -> None:
    rng = np.random.default_rng(1)
    teacher = (rng.random(1000) < 0.85).astype(float)
    flipped = np.where(rng.random(1000) < 0.1, 1 - teacher, teacher)
    good = judge(teacher, teacher, {"zero": np.zeros(1000), "rung": flipped}, margin=0.02)
    assert good.passes and good.baseline == "rung" and good.baseline_low is not None and good.baseline_low > 0
    same = judge(teacher, teacher, {"rung": teacher}, margin=0.02)
    assert not same.passes and "take that" in same.why and same.low > -0.02
    bad = judge(flipped, teacher, margin=0.02)
    assert not bad.passes and "margin of 2.0%" in bad.why and bad.discordant == pytest.approx(0.1, abs=0.03)
    few = judge(teacher[:50], teacher[:50], margin=0.5)
    assert not few.passes and "too few" in few.why


@pytest.mark.parametrize("student", [[], [float("nan")] * 3, [0.5, 1.0], [0.0, 1.0, 2.0]])
def test_qualities_that_do_not_fit_are_refused(student: Any) -> None:
    with pytest.raises(DataError):
        judge(student, [1.0, 1.0, 0.0], margin=0.02)


def test_a_rung_counts_unless_it_is_dearer_than_what_is_served() -> None:
    """By costs that are measured: a millionth more or less of a dollar decides nothing."""
    teacher = np.full(4, 1e-3)

    def counted(served: float, **usd: float) -> set[str]:
        rungs = {name: Rung(np.ones(4), np.full(4, one)) for name, one in usd.items()}
        return set(rivals(rungs, np.full(4, served), teacher))

    assert counted(1e-9, a=1.5e-9, b=9e-6, c=2e-5) == {"a", "b"}  # at most 1 % of the teacher is nothing
    assert counted(4e-4, few_shot=5e-4, large=9e-4) == {"few_shot"}  # a cascade pays the teacher at times
    assert counted(4e-4, free=float("nan")) == {"free"} and counted(float("nan"), dear=1.0) == {"dear"}


def test_a_head_is_no_rival_of_a_head_unless_it_is_surely_better() -> None:
    rng = np.random.default_rng(3)
    student = (rng.random(400) < 0.7).astype(float)
    better = np.maximum(student, rng.random(400) < 0.4)
    card = StudentCard(kind="head", trainer="head")
    rungs = {name: Rung(student, np.zeros(400)) for name in ("head_words", "zero_shot")}
    assert set(without_own(rungs, card, student, alpha=0.05)) == {"zero_shot"}
    rungs["head_words"] = Rung(better, np.zeros(400))
    assert set(without_own(rungs, card, student, alpha=0.05)) == {"head_words", "zero_shot"}
    found = judge(student, student * 0, {name: one.quality for name, one in rungs.items()}, margin=0.02)
    assert not found.passes and "head_words" in found.why


@pytest.mark.parametrize("serve", ["cascade", "student"])
def test_a_free_rung_that_is_better_stops_the_student(serve: Any) -> None:
    """A contrary teacher: the student beats it and `majority`, and is far below a bag of words."""
    rng = np.random.default_rng(5)
    rows = dataclasses.replace(_rows(1200), teacher=(rng.random(1200) < 0.3).astype(float))
    words = Rung((rng.random(1200) < 0.97).astype(float), np.full(1200, 1.5e-6))
    none = Rung((rng.random(1200) < 0.4).astype(float), np.zeros(1200))
    card = StudentCard(kind="head", trainer="head")
    work: Any = SimpleNamespace(project=SimpleNamespace(teacher="t", margin=0.02, seed=0))
    own = Promoting(serve=serve)
    _, passing, *_ = _judged((rows, {"majority": none}), rows.select(np.arange(50)), card, own, work)
    assert passing.passes and passing.baseline == "majority"
    rungs = {"majority": none, "head_words": words}
    _, stopped, _, alone = _judged((rows, rungs), rows.select(np.arange(50)), card, own, work)
    assert not stopped.passes and stopped.baseline == "head_words" and alone.baseline == "head_words"


# deferral


def _rows(n: int, seed: int = 0, honest: bool = True) -> Paired:
    """A student that knows when it is right, and one that does not."""
    rng = np.random.default_rng(seed)
    sure = rng.beta(4, 1, n)
    return Paired(
        ids=tuple(f"{seed}/{row}" for row in range(n)),
        texts=tuple(f"headline {seed} {row}" for row in range(n)),
        student=(rng.random(n) < (sure if honest else 0.6)).astype(float),
        teacher=(rng.random(n) < 0.85).astype(float),
        confidence=sure,
        student_usd=np.full(n, 1e-6),
        teacher_usd=np.full(n, 1e-4),
    )


def test_a_student_that_knows_when_it_is_right_keeps_a_share() -> None:
    found = certified("s", "t", _rows(1500), epsilon=0.02, validation=_rows(300, 1))
    quality, kept, figures = served(found, held := _rows(2000, 2))
    assert found.certificate.certified and found.threshold is not None
    assert 0.2 < figures.kept < 0.95 and figures.quality > held.teacher.mean() - 0.02
    assert figures.cost_share == pytest.approx(1 - figures.kept + 0.01)
    assert np.array_equal(quality, np.where(kept, held.student, held.teacher))


def test_a_student_that_does_not_keeps_nothing() -> None:
    found = certified("s", "t", _rows(1000, honest=False), epsilon=0.02)
    _, kept, _ = served(found, _rows(200, 2, honest=False))
    assert not found.certificate.certified and found.threshold is None and not kept.any()


def test_the_rule_reads_live_what_it_was_made_from(tmp_path: Path) -> None:
    found = certified("s", "t", _rows(1000), epsilon=0.02)
    found.cascade.save(tmp_path)
    again = cascades.load_cascade(tmp_path)
    assert again.arms == ("s", "t") and again.signals == ("normalised_probability",)


def test_near_duplicates_calibrate_together() -> None:
    rows = _rows(400)
    grouped = Paired(**{**vars(rows), "clusters": tuple(str(row // 4) for row in range(400))})
    first, rest = parted(grouped, 0.4)
    assert np.array_equal(first, ~rest) and 0.25 < first.mean() < 0.55
    assert (first.reshape(100, 4).all(axis=1) | rest.reshape(100, 4).all(axis=1)).all()
    assert grouped.select(first).clusters == tuple(np.array(grouped.clusters)[first].tolist())


# versions in the panel


ENTRY = {"provider": "student", "usd_per_cpu_hour": 0.05, "options": {"path": "{version}/student"}}


class Stand:
    """A panel, a store and a source in a folder."""

    def __init__(self, folder: Path, settings: Promoting | None = None, teacher: str = "large") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "suffice.yaml"
        if not self.path.exists():
            self.path.write_text(PANEL)
        self.store = SqliteStore(str(folder / "suffice.db"))
        self.shelf = Shelf(self.path)
        self.books = self.store.experiments()
        self.release = Release(
            self.shelf,
            self.books,
            name="gold",
            teacher=teacher,
            settings=settings or Promoting(),
            margin=0.02,
        )

    def promote(self, source: Path, digest: str = "a", **more: Any) -> Released:
        return self.release.promote(source, digest, ENTRY, 100.0, **more)

    def end(self, status: str) -> None:
        """Have the present experiment end so."""
        standing = self.shelf.standing("gold")
        assert standing is not None and standing.experiment is not None
        name = standing.experiment

        told = "json_set(progress, '$.status', ?, '$.why', 'so')"
        change = f"UPDATE experiments SET is_running = ?, progress = {told} WHERE name = ?"

        def write(connection: Any) -> None:
            connection.execute(change, (status == "promoted", status, name))

        self.books._write(write)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "stage"
    (folder / "student").mkdir(parents=True)
    (folder / "student" / "file").write_text("student")
    alone("student", "teacher", _rows(20)).cascade.save(folder / "cascade")
    return folder


@contextmanager
def standing(folder: Path, settings: Promoting | None = None, **more: Any) -> Iterator[Stand]:
    one = Stand(folder, settings, **more)
    try:
        yield one
    finally:
        one.store.close()


def test_a_first_version_meets_traffic_beside_the_teacher(tmp_path: Path, source: Path) -> None:
    with standing(tmp_path / "p") as one:
        found = one.promote(source)
        assert (found.state, found.trial, found.in_charge) == ("running", 1, None)
        assert found.experiment == "gold-v1-canary-1"
        (running,) = one.books.all()
        assert running.experiment.control == "auto:gold" and running.experiment.treatment == "auto:gold-v1"
        text = one.path.read_text()
        assert text.startswith(PANEL) and text.count("include: [students.yaml]") == 1
        read = config.load(one.path)
        assert [model.name for model in read.models] == ["large", "gold-v1"]
        assert read.models[1].options == {"path": "students/gold/v1/student"}
        assert read.pipelines["gold"].plan == config.PlanConfig() and read.rules[0].avoid == ("gold-v1",)
        assert read.pipelines["gold-v1"].plan.params == {"path": "students/gold/v1/cascade"}  # type: ignore[union-attr]
        assert (one.shelf.version_folder("gold", 1) / "student" / "file").read_text() == "student"
        rule = cascades.load_cascade(one.shelf.version_folder("gold", 1) / "cascade")
        assert rule.arms == ("gold-v1", "large")
        again = one.promote(source)
        assert again.state == "running" and "goes on with 1%" in again.says[-1] and len(one.books.all()) == 1
        assert one.path.read_text() == text


def test_a_version_takes_charge_when_the_next_is_tried_and_comes_back(tmp_path: Path, source: Path) -> None:
    with standing(tmp_path / "p") as one:
        one.promote(source)
        one.end("promoted")
        assert one.promote(source).state == "promoted"
        second = one.promote(source, "b")
        assert (second.state, second.trial, second.in_charge) == ("running", 2, 1)
        pipelines = config.load(one.path).pipelines
        assert pipelines["gold"].plan == pipelines["gold-v1"].plan and set(pipelines) == {
            "gold",
            "gold-v1",
            "gold-v2",
        }
        first = one.release.rollback(1.0)
        assert first.in_charge == 1 and "gold-v1 answers at once" in first.says[0]
        assert [found.progress.is_running for found in one.books.all()] == [False, False]
        assert one.promote(source, "b").state == "rolled back"
        last = one.release.rollback(1.0)
        assert last.in_charge is None and "large answers once" in last.says[0]
        assert set(config.load(one.path).pipelines) == {"gold"}
        assert one.shelf.version_folder("gold", 1).is_dir() and one.shelf.version_folder("gold", 2).is_dir()
        with pytest.raises(NotFound):
            one.release.rollback(1.0)
        assert one.promote(source, "b", again=True).experiment == "gold-v2-canary-3"


def test_what_an_experiment_rolled_back_is_not_tried_again_unasked(tmp_path: Path, source: Path) -> None:
    with standing(tmp_path / "p") as one:
        one.promote(source)
        one.end("rolled back")
        found = one.promote(source)
        assert found.state == "rolled back" and "large answers" in found.says[-1] and found.trial is None
        assert one.promote(source).state == "rolled back"
        assert one.promote(source, again=True).experiment == "gold-v1-canary-2"


def test_with_a_judge_a_shadow_goes_first(tmp_path: Path, source: Path) -> None:
    with standing(tmp_path / "p", Promoting(judge="large", stages=(0.1, 0.5), judged=7)) as one:
        assert one.promote(source).experiment == "gold-v1-shadow-1"
        one.end("passed")
        assert one.promote(source).experiment == "gold-v1-canary-2"
        one.end("stopped")  # by hand
        assert one.promote(source).state == "rolled back"
        canary = one.books.all()[-1].experiment
        assert canary.shares == (0.1, 0.5) and canary.least == 7


def test_two_students_share_a_panel(tmp_path: Path, source: Path) -> None:
    with standing(tmp_path / "p") as one:
        one.promote(source)
        other = Release(one.shelf, one.books, name="mail", teacher="large", settings=Promoting(), margin=0.02)
        other.promote(source, "x", ENTRY, 1.0)
        read = config.load(one.path)
        assert [model.name for model in read.models] == ["large", "gold-v1", "mail-v1"]
        assert read.rules[0].avoid == ("gold-v1", "mail-v1")


@pytest.mark.parametrize(
    ("ending", "works"),
    [("", True), ("include: [students.yaml]\n", True), ("include: [mine.yaml]\n", False), ("...\n", False)],
)
def test_one_line_of_the_panel_is_added_or_asked_for(tmp_path: Path, ending: str, works: bool) -> None:
    path = tmp_path / "suffice.yaml"
    path.write_text(PANEL + ending)
    path.chmod(0o640)
    if works:
        shelf.include(path)
        assert path.read_text().startswith(PANEL) and path.stat().st_mode & 0o777 == 0o640
        shelf.include(path)
        assert path.read_text().count("include:") == 1
    else:
        with pytest.raises(ConfigError, match=r"students\.yaml"):
            shelf.include(path)
        assert path.read_text() == PANEL + ending


class Killed(BaseException):
    """Not an error that anybody handles."""


def _killed_at(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the `place`-th change to a file or the store."""
    counter = itertools.count()

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            if next(counter) == place:
                raise Killed
            return work(*args, **kwargs)

        return run

    monkeypatch.setattr(shelf.os, "replace", counted(shelf.os.replace))
    for name in ("start", "stop"):
        monkeypatch.setattr(SqliteExperiments, name, counted(getattr(SqliteExperiments, name)))


STEPS: tuple[Callable[[Stand, Path], Any], ...] = (
    lambda one, source: one.promote(source),
    lambda one, source: one.end("promoted"),
    lambda one, source: one.promote(source, "b"),
    lambda one, source: one.release.rollback(100.0),
    lambda one, source: one.promote(source, "b", again=True),
)


def _left(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and "suffice.db" not in path.name]
    return {str(path.relative_to(folder)): path.read_text() for path in files if ".part-" not in path.name}


@pytest.mark.parametrize("place", range(20))
def test_killed_anywhere_the_same_command_ends_in_the_same_state(
    place: int, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing(tmp_path / "whole") as one:
        for step in STEPS:
            step(one, source)
        names = [found.experiment.name for found in one.books.all()]
    with standing(tmp_path / "killed") as one:
        with monkeypatch.context() as patch:
            _killed_at(place, patch)
            done = 0
            with suppress(Killed):
                for step in STEPS:
                    step(one, source)
                    done += 1
        for step in STEPS[done:]:
            step(one, source)
        assert [found.experiment.name for found in one.books.all()] == names
    assert done < len(STEPS) and _left(tmp_path / "killed") == _left(tmp_path / "whole")


# a live gateway


def _source(folder: Path, *, is_broken: bool) -> Path:
    """What the stage leaves: a head that tells ups from downs (or the reverse), and its cascade."""
    said = {"up": "down", "down": "up"} if is_broken else {"up": "up", "down": "down"}
    words = {"gains": "up", "climbs": "up", "falls": "down", "slips": "down"}
    rows = [
        Row(id=f"{word} {i}", query=f"gold {word} {i} %", label=said[label])
        for i in range(20)
        for word, label in words.items()
    ]
    task = Task(labels=("up", "down"))
    (folder / "student").mkdir(parents=True)
    HeadTrainer(HeadSettings(penalties=(0.1,))).train(Course(rows, [], task, folder / "student"))
    alone("student", "teacher", _rows(20)).cascade.save(folder / "cascade")
    return folder


def test_a_live_canary_takes_back_a_student_that_was_broken_on_purpose(
    suffice: Commands, tmp_path: Path
) -> None:
    """A gateway process, a teacher upstream, a head in its panel; whoever grades knows the truth.

    Taken back by the experiment's own rule; tried once more, it has all of the traffic until it is rolled
    back by hand.
    """
    source = _source(tmp_path / "stage", is_broken=True)
    settings = Promoting(stages=(0.5,), judged=15)
    with FakeProvider() as teacher:
        suffice.write(teacher.config)
        with standing(tmp_path, settings, teacher="dear") as one:
            assert one.promote(source).state == "running"
            with suffice.start("up", "--port", "0") as gateway:
                assert gateway.says("suffice ready on"), gateway.err
                url = gateway.out.split("ready on ")[1].split("/v1")[0] + "/v1"
                asked = [_chat(url, f"u{i}", ("gold climbs", "gold slips")[i % 2]) for i in range(80)]
                assert {model for model, *_ in asked} == {"dear", "gold-v1"}
                for i, (model, record_id, said) in enumerate(asked):
                    is_right = model == "dear" or said == ("up", "down")[i % 2]
                    _post(f"{url}/feedback", {"id": record_id, "value": float(is_right)})
                one.books.look(time.time())
                found = one.promote(source)
                assert found.state == "rolled back" and "quality is worse by at least" in found.says[-1]
                assert _answering(url) == {"dear"}
                one.promote(source, again=True)
                one.end("promoted")
                assert _answering(url) == {"gold-v1"}
                one.release.rollback(time.time())
                assert _answering(url) == {"dear"}
                gateway.signals(15)
                assert gateway.ends() == 0


def _answering(url: str) -> set[str]:
    """Once the gateway has had time to look."""
    time.sleep(2.5)
    return {_chat(url, f"u{i}", "gold climbs")[0] for i in range(10)}


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def _chat(url: str, user: str, text: str) -> tuple[str, str, str]:
    """Who answered, the record, and what was said."""
    body = {"model": "auto:gold", "user": user, "messages": [{"role": "user", "content": text}]}
    headers, said = _post(f"{url}/chat/completions", body)
    return headers["x-suffice-model"], headers["x-suffice-id"], said["choices"][0]["message"]["content"]


def _post(url: str, body: Any) -> tuple[Any, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return reply.headers, json.loads(reply.read() or b"null")
