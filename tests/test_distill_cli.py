"""`suffice distill` and `suffice keys consent` as people type them."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands import Commands, FakeProvider
from suffice.cli.distill_views import _lines
from suffice.datasets.journal import Journal
from suffice.distillation.flywheel import RayExecutor
from suffice.errors import MissingDependency
from teachers import PANEL, truth


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def project(folder: Path, more: str = "") -> None:
    (folder / "suffice.yaml").write_text(PANEL)
    rng = random.Random(2)
    lines = []
    for number in range(80):
        words = " ".join("".join(rng.choices("abcdefgh", k=8)) for _ in range(6))
        text = f"{words} {('rises', 'falls')[number % 2]}"
        known = {"reference": truth(text)} if number < 40 else {}
        lines.append({"query_id": f"q{number}", "query": text, "user": f"u{number % 4}"} | known)
    (folder / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "distill.yaml").write_text(
        "teacher: teacher\ntask: {labels: [up, down]}\nlimits: {usd: 9}\n"
        f"collect: {{file: q.jsonl}}\njudge: {{model: judge}}\n{more}"
    )


def test_the_stages_by_name(suffice: Commands, tmp_path: Path) -> None:
    project(tmp_path)
    early = suffice("distill", "judge")
    assert early.code == 1 and "run `suffice distill collect` first" in early.err
    done = suffice("distill", "collect")
    assert done.code == 0, done.err
    assert "80 records, all of them usable" in done.out
    assert "80 usable records, fewer than the 300" in " ".join(done.err.split())
    judged = suffice("distill", "judge", "--json")
    assert judged.code == 0, judged.err
    assert judged.json["counts"]["judge"]["asked"] == 40 and judged.json["is_new"]
    curated = suffice("distill", "curate")
    assert curated.code == 0, curated.err
    assert "none of these was seen in training" in curated.out and "labels to learn  " in curated.out
    assert "in stages/curate-" in curated.out and "card.md" in curated.out
    shown = suffice("distill", "status").out
    assert "curate" in shown and "to do" in shown
    ran = suffice("distill", "run", "--upto", "curate", "--json")
    assert [one["is_new"] for one in ran.json] == [False, False, False]


def test_figures_are_plain_numbers() -> None:
    shown = dict(_lines({"usd": 3.378e-06, "range": [0.25, 0.5], "trials": [], "n": 1200, "none": None}))
    assert shown == {"usd": "0.000003378", "range": "0.25 to 0.5", "n": "1,200"}


def test_a_user_goes(suffice: Commands, tmp_path: Path) -> None:
    project(tmp_path)
    assert suffice("distill", "run", "--upto", "judge").code == 0
    gone = suffice("distill", "forget", "u1")
    assert gone.code == 0 and gone.out.count("removed") == 4  # two stages, two journals
    for name, n in (("collect", 60), ("judge", 120)):  # of 80 answers and 160 ratings, a quarter about u1
        with Journal(tmp_path / "journals" / f"{name}-0.jsonl") as journal:
            assert len(journal.answers) == n, name
    again = suffice("distill", "collect", "--json").json
    assert again["counts"]["rows"] == 60


def test_mistakes_are_named(suffice: Commands, tmp_path: Path) -> None:
    assert "no project at distill.yaml" in suffice("distill", "collect").err
    project(tmp_path, "curate: {bugdet: 3}\n")
    wrong = suffice("distill", "run", "--upto", "judge")
    assert wrong.code == 1 and "bugdet" in wrong.err and "known: labels" in wrong.err
    (tmp_path / "distill.yaml").write_text("teacher: unsaid\ncollect: {file: q.jsonl}\n")
    assert "may_train_on_output: true" in " ".join(suffice("distill", "collect").err.split())


def test_a_metric_that_is_none_is_said_before_the_teacher_is_paid(suffice: Commands, tmp_path: Path) -> None:
    project(tmp_path)
    text = (tmp_path / "distill.yaml").read_text()
    (tmp_path / "distill.yaml").write_text(text.replace("{labels", "{metric: rouge, labels"))
    wrong = suffice("distill", "run")
    assert wrong.code == 1 and "no metric is called 'rouge'" in wrong.err
    assert not (tmp_path / "journals").exists()


def test_ctrl_c_says_what_it_waits_for_and_a_second_one_does_not_wait(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config.replace("strength: 0.9", "may_train_on_output: true"))
        rows = [{"query_id": f"q{n}", "query": ("stall", "quick")[n == 0] + f" {n}"} for n in range(4)]
        suffice.write("".join(json.dumps(row) + "\n" for row in rows), "q.jsonl")
        suffice.write("teacher: dear\ncollect: {file: q.jsonl}\n", "distill.yaml")
        with suffice.start("distill", "collect") as running:
            end = time.monotonic() + 60
            journal = suffice.folder / "journals" / "collect-0.jsonl"
            while len(provider.asked) < 4 or b'"answered"' not in journal.read_bytes():
                assert time.monotonic() < end, running.err
                time.sleep(0.02)
            running.signals(signal.SIGINT)
            assert running.says("stopping: waiting up to 10 s for 3 calls that are already paid for"), (
                running.err
            )
            start = time.monotonic()
            running.signals(signal.SIGINT)
            assert running.ends() == 130 and time.monotonic() - start < 5
            said = running.err
        assert said.count("waiting") == 1 and "what was answered is kept" in said and "Traceback" not in said
        assert journal.read_bytes().count(b'"answered"') == 1


def test_keys_consent(suffice: Commands) -> None:
    bare = suffice("keys", "create", "--distill")
    assert bare.code == 2 and "without --keep-content" in bare.err
    key = suffice("keys", "create", "--keep-content", "--distill", "--json").json["key"]["id"]
    assert suffice("keys", "consent", key, "--withdraw").code == 0
    assert suffice("keys", "consent", key, "--withdraw").code == 1
    assert suffice("keys", "consent", key).code == 0
    assert "may train" in suffice("keys", "list").out


def test_ray_runs_a_few_parts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way: list[int] = []
    most = 0

    def remote(function: Any) -> Any:
        def submit(part: int) -> Any:
            nonlocal most
            under_way.append(part)
            most = max(most, len(under_way))
            return lambda: (under_way.remove(part), function(part))[1]

        return SimpleNamespace(remote=submit)

    fake = SimpleNamespace(
        is_initialized=lambda: True, remote=remote, get=lambda waiting: waiting(), init=lambda **_: None
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    executor = RayExecutor(at_once=3)
    assert list(executor.map(lambda part: part * 2, range(10))) == [2 * part for part in range(10)]
    assert most == 3 and not executor.is_local
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"suffice\[ray\]"):
        RayExecutor()
