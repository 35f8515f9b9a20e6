"""`suffice distill promote`, `rollback`, `rounds`, `pool` and `suggest`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from commands import Commands
from distill_rows import rows
from suffice.distillation import flywheel
from suffice.distillation.flywheel import Runner
from suffice.distillation.promoting.stage import read_promotion
from suffice.store import SqliteStore
from suffice.store.keys import new_key
from suffice.types import Attempt, Decision, Record, Usage

PANEL = """\
models:
  - {name: large, provider: openai, api_key: k, input_usd_per_mtok: 2, output_usd_per_mtok: 8,
     may_train_on_output: true}
"""
PROJECT = """\
name: moves
teacher: large
task: {kind: classify, labels: [up, down, flat]}
margin: 0.03
collect: {source: outcomes, file: answers.jsonl}
curate: {validation: 0.1, test: 0.5, near: 1.0, embedding: 1.0, group: 1.0, on_leak: report}
baseline: {stop_if_enough: false}
promote: {stages: [0.2, 0.5], least: 60}
"""


def _outcomes(folder: Path, errors: float, n: int = 700) -> None:
    lines = [
        {"query_id": row.id, "query": row.query, "model": "large", "response": row.label,
         "reference": row.reference, "score": float(row.label == row.reference), "cost_usd": 0.001}
        for row in rows(n, errors=errors)
    ]  # fmt: skip
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stages are done."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "suffice.yaml").write_text(PANEL)
    (folder / "distill.yaml").write_text(PROJECT)
    _outcomes(folder, errors=0.1)
    *_, last = Runner(flywheel.load(folder)).run_all()
    counts = last.manifest.counts
    assert last.manifest.stage == "promote" and counts["passes"] is True and last.manifest.stop is None
    assert counts["cost_share"] < 0.5 and counts["at_least"] > -0.03
    return folder


@pytest.fixture
def suffice(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return Commands(tmp_path, monkeypatch, capsys)


def test_a_project_from_its_records_to_live_traffic_and_back(suffice: Commands) -> None:
    run = suffice("distill", "run", "--json")
    assert run.code == 0 and run.json[-1]["stage"] == "promote" and not run.json[-1]["is_new"]
    gate = suffice("distill", "promote", "--gate-only", "--json")
    assert gate.code == 0 and gate.json["serve"] == "cascade" and not Path("students").exists()
    first = suffice("distill", "promote")
    assert first.code == 0 and "moves-v1-canary-1: moves-v1 is given 20% of auto:moves" in first.out
    (line,) = suffice("experiment", "status", "--json").json
    assert line["experiment"]["treatment"] == "auto:moves-v1" and line["share"] == 0.2
    back = suffice("distill", "rollback")
    assert back.code == 0 and "large answers at once" in back.out
    assert suffice("distill", "rollback").code == 1
    assert suffice("distill", "promote").code == 1

    logged = suffice("distill", "rounds", "--log", "--note", "first", "--svg", "rounds.svg", "--json")
    assert logged.json["rounds"][0]["note"] == "first" and "one round" in logged.json["advice"]
    assert Path("rounds.svg").read_text().startswith("<svg")
    queries = [{"query_id": f"n{i}", "query": text} for i, text in enumerate(("lithium", "gold rises by 3"))]
    suffice.write("".join(json.dumps(line) + "\n" for line in queries), "new.jsonl")
    pooled = suffice("distill", "pool", "new.jsonl", "--out", "next.jsonl", "--n", "1", "--json")
    assert pooled.json["queries"] == 1 and json.loads(Path("next.jsonl").read_text())["query"] == "lithium"
    for wrong, said in (("new.jsonl", "not written over"), ("next.csv", "JSON Lines")):
        refused = suffice("distill", "pool", "new.jsonl", "--out", wrong)
        assert refused.code == 1 and said in " ".join(refused.err.split())
    assert len(Path("new.jsonl").read_text().splitlines()) == 2 and not Path("next.csv").exists()
    assert suffice("distill", "pool", "new.jsonl", "--out", "none.jsonl", "--n", "0").code == 2


def test_a_panel_of_students_that_is_gone_is_named_and_written_again(suffice: Commands) -> None:
    assert suffice("distill", "promote").code == 0
    panel = Path("students.yaml")
    was = panel.read_text()
    panel.unlink()
    doctor = suffice("doctor", "--json")
    (finding,) = [one for one in doctor.json["findings"] if one["name"] == "config"]
    assert doctor.code == 1 and finding["remedy"] == "see the message"
    with suffice.start("up", "--port", "0") as up:
        assert up.ends() == 1
        said = up.err
    for text in (finding["detail"], said, suffice("distill", "collect").err):
        assert (
            "cannot read students.yaml: there is no such file; `suffice distill promote --gate-only`" in text
        )
    gate = suffice("distill", "promote", "--gate-only")
    assert gate.code == 0, gate.err
    assert panel.read_text() == was
    (finding,) = [one for one in suffice("doctor", "--json").json["findings"] if one["name"] == "config"]
    assert finding["status"] == "ok"
    panel.unlink()
    assert suffice("distill", "rollback").code == 0 and "moves-v1" not in panel.read_text()


@pytest.mark.parametrize("width", [80, 120])
def test_each_stage_has_a_heading_a_sentence_its_figures_and_a_place(
    suffice: Commands, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    run = suffice("distill", "run")
    blocks = [block.splitlines() for block in run.out.strip().split("\n\n")]
    names = [block[0].split("  ")[0] for block in blocks]
    assert names == ["collect", "judge", "curate", "baseline", "train", "evaluate", "promote"]
    for name, (head, *body) in zip(names, blocks, strict=True):
        assert re.fullmatch(rf"{name}  \d+(\.\d\d)? s, done before", head), head
        assert all(line.startswith("  ") for line in body) and body[0].strip()
        place = Path(body[-1].removeprefix("  in "))
        assert place.exists(), place
        assert all(len(line.rstrip()) <= 80 for line in body[1:-1]), "tables fit"
    said = {name: block[1].strip() for name, block in zip(names, blocks, strict=True)}
    assert said["collect"] == "700 records, all of them usable"
    assert re.match(
        r"on \d+ test rows with gold the teacher's quality is 0\.\d{3}, that of the best rung, ",
        said["baseline"],
    )
    assert re.match(
        r"on \d+ test rows with gold the student is .* points .* than the teacher \(", said["evaluate"]
    )
    assert said["promote"].startswith("passes: at ") and said["promote"] not in run.err
    first, second = (line.split() for line in blocks[5][3:5])
    assert (first[0], second[0]) == ("student", "teacher")
    assert "e-" not in " ".join(first)  # no exponents


def test_a_result_goes_to_stdout_while_a_bar_is_on_the_terminal(
    suffice: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = StringIO()
    monkeypatch.setattr("suffice.cli.distill.notes", Console(file=shown, force_terminal=True))
    shutil.rmtree("stages")
    run = suffice("distill", "run", "--upto", "judge")
    assert run.code == 0 and "collect  " in run.out and "700 labels" in run.out
    assert "judge" in shown.getvalue() and "700 labels" not in shown.getvalue()


class Killed(BaseException):
    """Nothing handles it."""


def test_the_stage_is_the_same_after_a_kill_anywhere(
    suffice: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write of the stage is the last one once."""
    runner = Runner(flywheel.load(suffice.folder))
    whole = runner.run("promote")
    place = 0
    while True:
        left = [place]

        def counted(work: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return work(*args, **kwargs)

            return run

        with monkeypatch.context() as patch:
            for where, name in (
                (Path, "write_bytes"),
                (Path, "mkdir"),
                (os, "replace"),
                (shutil, "copyfile"),
            ):
                patch.setattr(where, name, counted(getattr(where, name)))
            with suppress(Killed):
                runner.run("promote", anew=True)
        found = runner.run("promote")
        assert found.manifest.outputs == whole.manifest.outputs
        assert read_promotion(found.folder) == read_promotion(whole.folder)
        if left[0] >= 0:
            break
        place += 1
    assert place >= 5


def test_a_student_that_is_not_good_enough_is_stopped(suffice: Commands) -> None:
    _outcomes(suffice.folder, errors=0.0, n=160)
    suffice.write(
        PROJECT.replace("test: 0.5", "test: 0.8").replace("margin: 0.03", "margin: 0.001"), "distill.yaml"
    )
    done = suffice("distill", "run")
    assert done.code == 0
    stopped = suffice("distill", "promote")
    assert stopped.code == 1 and "not promoted" in stopped.out + stopped.err and not Path("students").exists()


def test_suggestions_come_from_records_with_consent(suffice: Commands) -> None:
    now = time.time()
    with_consent, without = (new_key("acme", keep_content=True, now=1.0) for _ in range(2))
    store = SqliteStore("suffice.db")
    for _, key, digest in (with_consent, without):
        store.add_key(key, digest)
    store.consents().allow(with_consent[1].id, 0.0)
    for place, row in enumerate(rows(150)):
        messages = [
            {"role": "system", "content": "Say how it moved."},
            {"role": "user", "content": row.query},
        ]
        key = (with_consent, with_consent, without)[place % 3][1]
        student = Attempt(candidate="moves-v1", latency_s=0.1, cost_usd=Decimal("0.00001"))
        teacher = Attempt(candidate="large", latency_s=0.1, cost_usd=Decimal("0.001"))
        store.append(
            Record(
                id=f"r{place}", created_at=now - place, tenant="acme", key_id=key.id,
                decision=Decision(plan="cascade", candidate="moves-v1", ranking=()),
                attempts=(student, teacher), candidate="large", cost_usd=Decimal("0.00101"),
                usage=Usage(completion_tokens=1), query=json.dumps(messages), answer=row.label,
            )
        )  # fmt: skip
    asyncio.run(store.drain())
    store.close()
    found = suffice("distill", "suggest", "--json").json
    assert [one["n"] for one in found] == [100] and found[0]["models"] == ["large"]
    assert found[0]["usd"] == pytest.approx(0.1) and found[0]["odds"] > 0.5
    shown = suffice("distill", "suggest")
    assert "Say how it moved." in shown.out and "bag of words agrees" in shown.out
    assert "consent" in suffice("distill", "suggest", "--least", "1000").err

    suffice.write(PROJECT.replace("source: outcomes, file: answers.jsonl", "source: records"), "distill.yaml")
    assert suffice("distill", "collect").code == 0
    done = Runner(flywheel.load(suffice.folder)).done("collect")
    assert done is not None
    collected = flywheel.read_rows(done.folder / "rows.jsonl")
    assert len(collected) == 100 and {tuple(row.meta["passed_on_by"]) for row in collected} == {("moves-v1",)}
