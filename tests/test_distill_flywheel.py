"""Rows, the project file and the runner of stages."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suffice.distillation import flywheel
from suffice.distillation.collecting.settings import Collecting
from suffice.distillation.flywheel import Result, Row, Runner, Sample, Settings, Stage, Work, stages
from suffice.errors import ConfigError, DataError, UnknownName
from suffice.types import TokenLogprob

PROJECT = "teacher: large\ntask: {kind: classify, labels: [up, down]}\n"


class Doubling(Settings, frozen=True, kw_only=True):
    factor: int = 2
    source: str = "numbers.txt"


class Telling(Settings, frozen=True, kw_only=True):
    word: str = "sum"


RUNS: list[str] = []


def _double(work: Work) -> Result:
    RUNS.append("double")
    numbers = work.project.path(work.settings.source).read_text().split()
    (work.out / "doubled.txt").write_text(" ".join(str(int(n) * work.settings.factor) for n in numbers))
    return Result(counts={"n": len(numbers)}, is_partial=len(numbers) == 1)


def _tell(work: Work) -> Result:
    RUNS.append("tell")
    total = sum(map(int, (work.inputs["double"] / "doubled.txt").read_text().split()))
    if total > 1000:
        (work.out / "report.txt").write_text(f"{total} is too much")
        raise DataError(f"{total} is above the limit")
    (work.out / "told.txt").write_text(f"{work.settings.word} {total}")
    return Result(stop="nothing is left" if total == 0 else None)


def _sources(project: Any, settings: Any, now: float) -> dict[str, str]:
    return {settings.source: flywheel.digest(project.path(settings.source))}


TABLE = {
    "double": Stage(name="double", run=_double, settings=Doubling, sources=_sources),
    "tell": Stage(name="tell", run=_tell, settings=Telling, needs=("double",), reads=()),
    "last": Stage(name="last", run=lambda work: Result(), settings=Telling, needs=("tell",)),
}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    RUNS.clear()
    monkeypatch.setattr(stages, "available", lambda: tuple(TABLE))
    monkeypatch.setattr(stages, "get", TABLE.__getitem__)
    (tmp_path / "numbers.txt").write_text("1 2 3")
    return make(tmp_path)


def make(folder: Path, text: str = PROJECT) -> Runner:
    (folder / "distill.yaml").write_text(text)
    return Runner(flywheel.load(folder))


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    sample = Sample(text="up", logprobs=(TokenLogprob("up", -0.1, (("up", -0.1), ("down", -2.3))),))
    rows = [Row(id="a", query="π?", teacher="large", samples=(sample,), score=0.5), Row(id="b", query="")]
    assert flywheel.write_rows(rows, tmp_path / "rows.jsonl") == 2
    assert flywheel.read_rows(tmp_path / "rows.jsonl") == rows
    assert not list(tmp_path.glob(".part*"))


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"id": "a"}', "row 1: no training record"), ('{"id":"a","query":""}\n' * 2, "stands twice")],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        flywheel.read_rows(path)


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    def rows() -> Any:
        yield Row(id="a", query="q")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="No space left"):
        flywheel.write_rows(rows(), path)
    assert not list(tmp_path.iterdir())


def test_a_project_is_read_with_lines(tmp_path: Path) -> None:
    project = make(tmp_path).project
    assert project.teacher == "large" and project.config_path == tmp_path / "suffice.yaml"
    with pytest.raises(ConfigError, match=r"distill.yaml:2: task.lables: unknown key \(did you mean labels"):
        make(tmp_path, "teacher: a\ntask: {lables: [a]}\n")
    with pytest.raises(ConfigError, match="one label leaves nothing"):
        make(tmp_path, "teacher: a\ntask: {labels: [a]}\n")
    with pytest.raises(ConfigError, match=r"known: factor, source"):
        make(tmp_path, PROJECT + "stages: {double: {faktor: 3}}\n").project.settings("double", Doubling)
    with pytest.raises(ConfigError, match="no project at"):
        flywheel.load(tmp_path / "elsewhere.yaml")


@pytest.mark.parametrize("name", ["../../esc", "auto", "a b/c", "large", "-x", "", "x" * 65, "a.b"])
def test_a_name_is_one_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"distill.yaml:2: name: "):
        make(tmp_path, f"teacher: large\nname: {name!r}\n")
    assert make(tmp_path, "teacher: large\nname: up_or-down2\n").project.name == "up_or-down2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("labels: [a, b]", r"distill.yaml:2: labels: stands under `task:`"),
        ("usd: 3", r"distill.yaml:2: usd: stands under `limits:`"),
        ("task: {labels: [yes, no]}", r"distill.yaml:2: task.labels: .*put labels in quotes"),
        ("margin: 7", r"distill.yaml:2: margin: .*found 7$"),
        ("limits: {usd: -1}", r"distill.yaml:2: limits.usd: .*found -1$"),
        ("written: 1", r"distill.yaml:2: written: unknown key"),
    ],
)
def test_mistakes_are_said_with_line_and_value(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(tmp_path, f"teacher: large\n{text}\n")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("collect: {file: q, samples: 0}", r"distill.yaml:2: collect.samples: .*found 0$"),
        ("collect:\n  source: askk", r"distill.yaml:3: collect.source: .*known: ask, records, outcomes"),
        ("collect: {fil: q}", r"distill.yaml:2: collect.fil: unknown key .*did you mean file.*known: source"),
    ],
)
def test_mistakes_in_a_section_are_said_with_line_and_value(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(tmp_path, f"teacher: large\n{section}\n").project.settings("collect", Collecting)


@pytest.mark.parametrize("shares", ["[1, 0.5]", "[0.5, 0.05]", "[0.1, 0.1]", "[0, 0.5]"])
def test_shares_of_a_canary_rise_or_the_file_is_refused(tmp_path: Path, shares: str) -> None:
    with pytest.raises(ConfigError) as found:
        make(tmp_path, f"teacher: a\njudge: {{gold: 5}}\npromote:\n  least: 50\n  stages: {shares}\n")
    assert "distill.yaml:5: promote.stages: " + shares.replace("[1,", "[1.0,").replace("[0,", "[0.0,") in str(
        found.value
    )
    assert "each larger than the one before, such as [0.05, 0.5]" in str(found.value)


def test_a_mistake_in_any_section_is_said_when_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"distill.yaml:2: curate.bugdet: unknown key"):
        make(tmp_path, "teacher: a\ncurate: {bugdet: 3}\n")


def test_a_field_inside_a_field_is_a_dependency_of_its_own(runner: Runner, tmp_path: Path) -> None:
    table = {**TABLE, "double": msgspec.structs.replace(TABLE["double"], reads=("task.labels",))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "get", table.__getitem__)
        assert runner.run("double").is_new
        assert not make(tmp_path, PROJECT.replace("kind: classify", "instruction: say")).run("double").is_new
        assert make(tmp_path, PROJECT.replace("down", "flat")).run("double").is_new


def test_a_done_stage_is_skipped_until_something_changes(runner: Runner, tmp_path: Path) -> None:
    found = list(runner.run_all())
    assert [one.manifest.stage for one in found] == ["double", "tell", "last"]
    assert (found[1].folder / "told.txt").read_text() == "sum 12"
    assert found[0].manifest.outputs.keys() == {"doubled.txt"}
    again = list(runner.run_all())
    assert RUNS == ["double", "tell"] and not any(one.is_new for one in again)
    (tmp_path / "numbers.txt").write_text("3 2 1")  # another content, but then the same sum
    assert [one.is_new for one in runner.run_all()] == [True, True, False]
    other = make(tmp_path, PROJECT + "stages: {tell: {word: total}}\n")
    assert [one.is_new for one in other.run_all()] == [False, True, True]
    assert (tmp_path / "stages").is_dir() and len(list((tmp_path / "stages").glob("tell-*"))) == 3
    (tmp_path / "numbers.txt").write_text("1 2 3")
    assert not any(one.is_new for one in make(tmp_path).run_all())  # what was done before is still there


def test_same_content_upstream_leaves_downstream_alone(runner: Runner, tmp_path: Path) -> None:
    list(runner.run_all())
    (tmp_path / "same.txt").write_text("1  2  3")
    other = make(tmp_path, PROJECT + "stages: {double: {source: same.txt}}\n")
    assert [one.is_new for one in other.run_all()] == [True, False, False]


def test_what_is_missing_is_said(runner: Runner) -> None:
    with pytest.raises(ConfigError, match="run `suffice distill double` first"):
        runner.run("tell")
    assert runner.done("tell") is None


def test_a_partial_stage_is_tried_again(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("7")
    assert runner.run("double").manifest.is_partial
    assert runner.run("double").is_new


def test_a_stop_ends_the_run(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("0 0")
    assert [one.manifest.stop for one in runner.run_all()] == [None, "nothing is left"]
    assert len(list(runner.run_all(past_stops=True))) == 3
    with pytest.raises(ConfigError, match="no stage 'x'"):
        list(runner.run_all(upto="x"))


def test_a_failed_stage_leaves_its_report(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("999 1")
    runner.run("double")
    with pytest.raises(DataError, match="above the limit"):
        runner.run("tell")
    (failed,) = (tmp_path / "stages").glob("tell-*.failed")
    assert "too much" in (failed / "report.txt").read_text()
    assert runner.done("tell") is None
    (tmp_path / "numbers.txt").write_text("1 1")
    list(runner.run_all())
    assert not list((tmp_path / "stages").glob("*.failed"))  # of what is mended


def test_a_failure_without_a_number_says_its_words(runner: Runner, monkeypatch: Any) -> None:
    def failing(work: Work) -> Result:
        raise OSError("no weights at large")

    monkeypatch.setitem(TABLE, "double", msgspec.structs.replace(TABLE["double"], run=failing))
    with pytest.raises(DataError, match="double failed: no weights at large"):
        runner.run("double")


def test_a_full_disk_says_what_is_kept(runner: Runner, tmp_path: Path, monkeypatch: Any) -> None:
    def full(work: Work) -> Result:
        (work.journals / "paid.jsonl").write_text("kept")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(TABLE, "double", msgspec.structs.replace(TABLE["double"], run=full))
    with pytest.raises(DataError, match="No space left on device; what was paid for is kept"):
        runner.run("double")
    assert not list((tmp_path / "stages").glob(".part*"))
    assert (tmp_path / "journals" / "paid.jsonl").read_text() == "kept"


def test_one_command_at_a_time(runner: Runner, monkeypatch: Any) -> None:
    def nested(work: Work) -> Result:
        return Result(counts=msgspec.to_builtins(runner.run("double").manifest.counts))

    monkeypatch.setitem(TABLE, "double", msgspec.structs.replace(TABLE["double"], run=nested))
    with pytest.raises(ConfigError, match="another `suffice distill` works"):
        runner.run("double")


def test_a_stage_of_another_package(monkeypatch: Any) -> None:
    with pytest.raises(UnknownName):
        stages.get("nothing")


def test_what_is_live_is_looked_at_when_its_stage_runs(
    runner: Runner, tmp_path: Path, monkeypatch: Any
) -> None:
    seen = {"at": "1"}
    live = msgspec.structs.replace(
        TABLE["double"], sources=None, live=lambda project, settings, now: {"clock": seen["at"]}
    )
    monkeypatch.setitem(TABLE, "double", live)
    assert runner.run("double").is_new and not runner.run("double").is_new
    assert runner.run("tell").is_new
    seen["at"] = "2"
    assert not runner.run("tell").is_new  # the newest result of `double` still counts
    (tmp_path / "numbers.txt").write_text("5")
    assert runner.run("double").is_new and runner.run("tell").is_new
    assert (runner.run("tell").folder / "told.txt").read_text() == "sum 10"
    newest = runner.done("double")
    assert newest is not None and newest.manifest.inputs == {"clock": "2"}
    seen["at"] = "1"
    first = runner.run("double")  # as it was: found again, and the newest again
    assert not first.is_new and first.manifest.counts == {"n": 3}
    assert runner.done("double") == first
