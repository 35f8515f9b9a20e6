"""`suffice data`: lists, builds, labels; goes on after kill -9; never spends more than it may."""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, FakeProvider
from suffice import Outcomes, Preferences
from suffice.datasets import hub, panel


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    return Commands(tmp_path, monkeypatch, capsys)


RECORDED = """\
models:
  - {name: small, provider: recorded, model: small, usd_per_cpu_hour: 0.05}
  - {name: large, provider: recorded, model: large, usd_per_cpu_hour: 0.05}
"""


def write_queries(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def recorded_queries(path: Path, n: int = 30) -> None:
    rows = panel.load_runs().where(strategy="greedy", model="small").table.to_pylist()[:n]
    write_queries(
        path,
        [
            {
                "query_id": row["query_id"],
                "query": row["query"],
                "task": row["task"],
                "metric": row["check"],
                "reference": row["reference"],
            }
            for row in rows
        ],
    )


def echoes(n: int, *, stall_at: int | None = None) -> list[dict[str, Any]]:
    """Queries that the echoing provider gets right, as their text is in its answer."""
    return [
        {
            "query_id": f"q{i}",
            "query": f"{'stall' if i == stall_at else 'word'} number{i}",
            "metric": "contains",
            "reference": f"number{i}",
            "task": "echo",
        }
        for i in range(n)
    ]


def test_the_list(suffice: Commands) -> None:
    (suffice.folder / "sets" / "GSM8K").mkdir(parents=True)
    done = suffice("data", "list", "--from", "sets", "--json")
    sets = {row["name"]: row for row in done.json["sets"]}
    assert len(sets) == 11
    assert (sets["gsm8k"]["readable"], sets["mmlu"]["readable"]) == ("files", None)
    assert sets["gpqa"]["is_gated"] and sets["gpqa"]["license"] == "CC BY 4.0"
    shown = suffice("data", "list")
    assert "arc_challenge" in shown.out and "CC BY-SA 4.0" in shown.out
    assert "--from PATH" in shown.err


def test_build(suffice: Commands) -> None:
    rows = [{"question": f"{i} + 1?", "answer": f"#### {i + 1}"} for i in range(9)]
    write_queries(suffice.folder / "test.jsonl", rows)
    done = suffice(
        "data", "build", "gsm8k", "--from", "test.jsonl", "--limit", "4", "--out", "q.jsonl", "--json"
    )
    assert done.json["sets"] == [{"name": "gsm8k", "n": 4, "n_rows": 9, "n_left_out": 0}]
    lines = (suffice.folder / "q.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[0])["metric"] == "gsm8k"
    again = suffice("data", "build", "gsm8k", "--from", "test.jsonl", "--limit", "4", "--out", "r.jsonl")
    assert "gsm8k: 4 of 9 rows" in again.out
    assert (suffice.folder / "r.jsonl").read_text().splitlines() == lines
    missing = suffice("data", "build", "mmlu", "--from", "nowhere", "--out", "q.jsonl")
    assert missing.code == 1 and "holds none of" in missing.err


def test_labels_equal_the_recorded_scores(suffice: Commands) -> None:
    suffice.write(RECORDED)
    recorded_queries(suffice.folder / "q.jsonl")
    done = suffice("data", "label", "q.jsonl", "--out", "out.parquet", "--json")
    assert done.code == 0, done.err
    labelled = Outcomes.read(suffice.folder / "out.parquet")
    known = panel.load_outcomes().select(arms=list(labelled.arms))
    rows = [known.ids.index(query_id) for query_id in labelled.ids]
    assert labelled.quality.tolist() == known.quality[rows].tolist()
    assert [one["model"] for one in done.json["models"]] == ["small", "large"]
    assert float(done.json["spent_usd"]) == pytest.approx(labelled.cost_usd.sum())
    shown = suffice("data", "label", "q.jsonl", "--out", "out.parquet", "--models", "large")
    assert "large" in shown.out and "small" not in shown.out and "outcomes in out.parquet" in shown.out


def test_over_http_with_a_judge(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config)
        write_queries(suffice.folder / "q.jsonl", echoes(3))
        done = suffice("data", "label", "q.jsonl", "--out", "out.jsonl.gz", "--judge", "dear", "--json")
    assert done.code == 0, done.err
    assert Outcomes.read(suffice.folder / "out.jsonl.gz").quality.tolist() == [[1, 1]] * 3
    assert done.json["n_preferences"] == 3
    preferences = Preferences.read(suffice.folder / "out.preferences.jsonl.gz")
    assert preferences.pref_b.tolist() == [0.5] * 3  # the echo repeats the last choice that it was shown
    assert len(provider.asked) == 6 + 6
    assert {body["temperature"] for body in provider.asked} == {0}


def test_kill_9_loses_nothing_and_the_next_run_goes_on(suffice: Commands) -> None:
    arguments = ("data", "label", "q.jsonl", "--out", "out.csv", "--models", "dear", "--concurrency", "1")
    journal = suffice.folder / "out.csv.journal.jsonl"
    with FakeProvider() as provider:
        suffice.write(provider.config)
        write_queries(suffice.folder / "q.jsonl", echoes(12, stall_at=5))
        with suffice.start(*arguments) as running:
            assert provider.stalled.wait(60), running.err
            running.signals(signal.SIGKILL)
            assert running.ends() == -signal.SIGKILL
        assert len(provider.asked) == 6
        assert not (suffice.folder / "out.csv").exists()
        assert journal.read_bytes().count(b'"answered"') == 5
        with journal.open("ab") as file:
            file.write(b'{"event":"asked","call":"to')  # as if the kill had come in the middle of a line
        write_queries(
            suffice.folder / "q.jsonl", [row for row in echoes(12, stall_at=5) if row["query_id"] != "q5"]
        )
        done = suffice(*arguments, "--json")
    assert done.code == 0, done.err
    assert len(provider.asked) == 6 + 6
    assert Outcomes.read(suffice.folder / "out.csv").quality.tolist() == [[1]] * 11
    answers = 11 * (10 * Decimal("2") + 5 * Decimal("8")) / 1_000_000
    assert Decimal(done.json["spent_usd"]) > answers  # the call that the kill cut off, at what others cost


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config)
        write_queries(suffice.folder / "q.jsonl", echoes(3, stall_at=1))
        with suffice.start("data", "label", "q.jsonl", "--out", "out.csv", "--models", "dear") as running:
            assert provider.stalled.wait(60), running.err
            running.signals(signal.SIGINT)
            assert running.ends() == 130
            assert "the same command goes on from there" in " ".join(running.err.split())


def test_the_limit_of_a_budget(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config)
        write_queries(suffice.folder / "q.jsonl", echoes(50))
        fields = ("data", "label", "q.jsonl", "--out", "out.csv", "--models", "dear", "--max-tokens", "100")
        done = suffice(*fields, "--budget-usd", "0.0012", "--json")
        spent = Decimal(done.json["spent_usd"])
        assert spent <= Decimal("0.0012")
        (dear,) = done.json["models"]
        assert 0 < dear["n_scored"] < 50
        assert dear["n_scored"] + dear["n_not_asked"] == 50
        assert "a larger --budget-usd goes on" in " ".join(done.err.split())
        more = suffice(*fields, "--budget-usd", "1", "--json")
    assert more.json["models"][0]["n_scored"] == 50
    assert len(provider.asked) == 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "nobody"), "'nobody' is not in the panel; it has small, large"),
        (("--judge", "nobody"), "'nobody' is not in the panel"),
        (("--out", "no/where.csv"), "the directory no does not exist"),
        (("--out", "out.txt"), "unknown format"),
        (("--metric", "x"), None),
    ],
)
def test_misuse(suffice: Commands, arguments: tuple[str, ...], message: str | None) -> None:
    suffice.write(RECORDED)
    recorded_queries(suffice.folder / "q.jsonl", 2)
    given = arguments if "--out" in arguments else ("--out", "out.csv", *arguments)
    done = suffice("data", "label", "q.jsonl", *given)
    if message is None:
        assert done.code == 0  # the queries name their own metric
    else:
        assert done.code == 1 and message in " ".join(done.err.split())


def test_what_cannot_be_scored_is_said_before_anything_is_asked(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config)
        for metric, message in (("bleu", "no metric is called 'bleu'"), ("judge", "name one with --judge")):
            write_queries(suffice.folder / "q.jsonl", [{**row, "metric": metric} for row in echoes(1)])
            done = suffice("data", "label", "q.jsonl", "--out", "out.csv")
            assert done.code == 1 and message in " ".join(done.err.split())
    assert provider.asked == []


def test_nothing_answered_is_a_failure(suffice: Commands) -> None:
    suffice.write(RECORDED)
    write_queries(suffice.folder / "q.jsonl", echoes(2))
    done = suffice("data", "label", "q.jsonl", "--out", "out.csv", "--retries", "0")
    assert done.code == 1
    assert "no answer could be scored" in " ".join(done.err.split())
    assert "ProviderRejected" in (suffice.folder / "out.csv").read_text()
