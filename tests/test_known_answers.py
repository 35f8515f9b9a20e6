"""The known-answers test: figures against planted truths, halves that never meet, and the command."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from commands import Commands, FakeProvider
from suffice.datasets import panel
from suffice.evaluation.auroc_gain import auroc_gain, resampled_auroc
from suffice.evaluation.held_out import calibrated, combined, halves
from suffice.evaluation.known_answers import BASELINE, COMBINED, known_answers, with_combined
from suffice.evaluation.signal_table import SignalTable
from suffice.metrics import auroc, resample_counts
from suffice.plans.probes import Effort
from suffice.reports.confidence_page import confidence_page, write_plots
from suffice.reports.confidence_table import HEAD, rows


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def planted(n: int = 400, seed: int = 0) -> SignalTable:
    """A baseline that knows half of the truth, a better signal that is overconfident, and one with gaps."""
    rng = np.random.default_rng(seed)
    known, hidden = rng.normal(size=n), rng.normal(size=n)
    truth = 1 / (1 + np.exp(-1.5 * (known + hidden)))
    correct = (rng.random(n) < truth).astype(float)
    other = 1 / (1 + np.exp(-1.5 * hidden))
    sparse = np.where(rng.random(n) < 0.7, np.nan, other)
    columns = {
        BASELINE: 1 / (1 + np.exp(-known)),
        "bold": np.clip(1 / (1 + np.exp(-6 * (known + hidden))), 0, 1),
        "sparse": sparse,
        "rare": np.where(np.arange(n) < 5, 0.5, np.nan),
    }
    counts = {name: int((~np.isnan(values)).sum()) for name, values in columns.items()}
    return SignalTable(
        ids=tuple(map(str, range(n))),
        groups=tuple(str(i // 2) for i in range(n)),
        correct=correct,
        confidence=columns,
        missing={
            "sparse": {"no reason": n - counts["sparse"]},
            "rare": {"seldom": n - 5},
            BASELINE: {},
            "bold": {},
        },
        effort={name: [Effort(n_calls=2, n_tokens=10)] * count for name, count in counts.items()},
        whole_effort=[Effort(n_calls=5, n_tokens=None)] * n,
    )


def test_figures_of_a_planted_table() -> None:
    table = with_combined(planted(2000))
    found = known_answers(table, "m")
    by_name = {line.signal: line for line in found.lines}
    assert set(by_name) == {BASELINE, "bold", "sparse", COMBINED}
    assert (found.best, found.missing["rare"]) == ("bold", {"seldom": 1995})
    bold, base = by_name["bold"], by_name[BASELINE]
    assert bold.gain is not None and bold.gain.verdict == "better" and bold.gain.n == 2000
    assert base.gain is None and base.auroc == auroc(table.confidence[BASELINE], table.correct)
    assert bold.gap == pytest.approx(bold.mean_confidence - bold.accuracy)
    assert bold.held_out.debiased_ece < 0.05 < bold.ece_ci[0]
    assert bold.held_out.spiegelhalter_p is not None and bold.held_out.spiegelhalter_p > 0.05
    assert (bold.n_calls, bold.n_tokens, by_name[COMBINED].n_tokens) == (2, 10, None)
    assert found.line("rare") is None
    assert [len(row) for row in rows(found)] == [len(HEAD)] * 4


def test_one_sided_and_few_answers() -> None:
    table = planted(30)
    right = SignalTable(
        **{**{name: getattr(table, name) for name in table.__struct_fields__}, "correct": np.ones(30)}
    )
    line = known_answers(with_combined(right), "m").lines[0]
    assert line.auroc is None and line.prr is None and line.gain is None
    assert with_combined(planted(8)).confidence.keys() == planted(8).confidence.keys()
    assert known_answers(planted(8), "m").lines == ()


def test_halves_keep_groups_whole_and_never_meet() -> None:
    groups = [str(i // 3) for i in range(90)]
    part = halves(groups, seed=3)
    assert all(len({bool(part[i]) for i in range(90) if groups[i] == group}) == 1 for group in groups)
    assert part.sum() == 45
    # Confidence 1 is right in one half and wrong in the other: what a half predicts shows what it has seen.
    correct = part.astype(float)
    predicted, names = calibrated(np.full(90, 0.9), correct, part)
    assert predicted[part].max() < 0.5 < predicted[~part].min() and len(names) == 2
    both = combined({"a": np.full(90, 0.9), "b": np.arange(90) / 90}, correct, part)
    assert both[part].max() < 0.5 < both[~part].min()
    nothing, _ = calibrated(np.full(90, np.nan), correct, part)
    assert np.isnan(nothing).all()


def test_resampled_auroc_is_that_of_each_draw() -> None:
    rng = np.random.default_rng(1)
    sure, right = rng.integers(0, 6, 40) / 5, (rng.random(40) < 0.4).astype(float)
    drawn = next(iter(resample_counts(40, 20, seed=7)))
    slow = [auroc(np.repeat(sure, counts), np.repeat(right, counts)) for counts in drawn]
    assert resampled_auroc(sure, right, 20, 7) == pytest.approx(slow)
    assert auroc_gain(sure, sure, right, n_resamples=50).gain == 0  # type: ignore[union-attr]
    assert auroc_gain([0.1, np.nan], [0.2, 0.3], [1, 0]) is None


def test_page_and_pictures(tmp_path: Path) -> None:
    table = planted(100)
    only = {name: table.confidence[name] for name in (BASELINE, "bold")}
    table = msgspec.structs.replace(table, confidence=only)
    found = known_answers(table, "a <model>")
    page = confidence_page(found, table)
    assert "a &lt;model&gt;" in page and page.count("<svg") == 3 * len(found.lines)
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    kinds = write_plots(found, table, tmp_path)
    assert kinds[0] == "svg" and len(list(tmp_path.glob("*.svg"))) == 6
    if "png" in kinds:
        assert (tmp_path / "bold.reliability.png").read_bytes().startswith(b"\x89PNG")


def questions(path: Path, n: int, *, stall_at: int | None = None) -> None:
    rows = [
        {
            "query_id": f"q{i}",
            "query": f"{'stall' if i == stall_at else 'word'} number{i}?",
            "metric": "contains",
            "reference": f"number{i if i % 2 else 'none'}",
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def lines_of(done: Any) -> dict[str, Any]:
    return {line["signal"]: line for line in done.json["lines"]}


def test_asking_over_http_without_logprobs(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config)
        questions(suffice.folder / "q.jsonl", 12)
        command = ["confidence", "run", "--data", "q.jsonl", "--model", "cheap", "--out", "o"]
        command += ["--samples", "2", "--signals"]
        command += ["sequence_log_likelihood,self_consistency,ensemble_vote,p_true_text,verbalised"]
        done = suffice(*command, "--html", "r.html", "--json")
        assert done.code == 0, done.err
        n_calls = len(provider.asked)
        again = suffice(*command)
        assert len(provider.asked) == n_calls  # all of it stands in the journal
    found = done.json
    assert (found["n"], found["accuracy"], found["failed"]) == (12, 0.5, 0)
    assert "returned none" in next(iter(found["missing"]["sequence_log_likelihood"]))
    lines = lines_of(done)
    assert lines["self_consistency"]["n_calls"] == 3 and lines["ensemble_vote"]["n"] == 12
    assert "self_consistency" in again.out and "calibrated on one half" in again.out
    evidence = [
        json.loads(line) for line in (suffice.folder / "o" / "evidence.jsonl").read_text().splitlines()
    ]
    assert len(evidence) == 12 and evidence[1]["score"] == 1.0
    assert evidence[0]["confidence"]["sequence_log_likelihood"] is None
    assert "<svg" in (suffice.folder / "r.html").read_text()
    assert float(found["spent_usd"]) > 0


def test_interrupted_and_resumed(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config)
        questions(suffice.folder / "q.jsonl", 12, stall_at=5)
        command = ["confidence", "run", "--data", "q.jsonl", "--model", "cheap", "--out", "o"]
        command += ["--concurrency", "1", "--signals", "self_consistency,p_true_text"]
        with suffice.start(*command) as process:
            assert provider.stalled.wait(60)
            process.signals(signal.SIGINT)
            assert process.ends() == 130
            assert process.says("is kept in o/journal.jsonl")
        n_before = len(provider.asked)
        assert n_before > 1
        questions(suffice.folder / "q.jsonl", 12)  # the one that stalled is another question now
        done = suffice(*command, "--json")
        assert done.code == 0, done.err
        texts = [body["messages"][-1]["content"] for body in provider.asked[:n_before]]
        later = [body["messages"][-1]["content"] for body in provider.asked[n_before:]]
    assert done.json["n"] == 12
    answered = {text for text in texts if "stall" not in text and text.startswith("word")}
    assert answered and not answered & {text for text in later if text.startswith("word")}


def test_budget_and_failures(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config)
        questions(suffice.folder / "q.jsonl", 12)
        command = [
            "confidence",
            "run",
            "--data",
            "q.jsonl",
            "--model",
            "cheap",
            "--signals",
            "self_consistency",
        ]
        done = suffice(*command, "--budget-usd", "0.0000001")
        assert done.code == 1 and "budget does not allow it" in done.err and not provider.asked
    gone = suffice(*command, "--retries", "0", "--out", "p")
    assert gone.code == 1 and "12 questions have no answer" in gone.err


def test_recorded_answers(suffice: Commands) -> None:
    chosen = sorted({row for row in panel.load_runs().column("query_id") if row.endswith("-0")})[:40]
    panel.load_runs().where(query_id=chosen).write(suffice.folder / "runs.parquet")
    command = ["confidence", "run", "--recorded", "runs.parquet", "--model", "small"]
    command += ["--signals", "sequence_log_likelihood,semantic_entropy,p_true,ensemble_vote"]
    done = suffice(*command, "--json")
    lines = lines_of(done)
    assert lines["semantic_entropy"]["n"] == 40 and lines[COMBINED]["n"] == 40
    assert lines["p_true"]["n_calls"] == 2 and lines["ensemble_vote"]["n_calls"] == 3
    assert suffice(*command, "--json").json == done.json
    shown = suffice(*command, "--limit", "20")
    assert "20 questions" in shown.out and "p_true" in shown.out and "cov90" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "small"], "either --data"),
        (["--model", "small", "--recorded", "panel", "--signals", "nonsense"], "no signal is called"),
        (["--model", "huge", "--recorded", "panel"], "no row is of the model"),
        (["--model", "small", "--recorded", "panel", "--html", "no/where.html"], "does not exist"),
        (["--model", "other", "--data", "q.jsonl"], "not in the panel"),
        (["--model", "cheap", "--data", "q.jsonl", "--judge", "dear"], "goes with --meaning judge"),
        (["--model", "cheap", "--data", "judged.jsonl"], "give questions that can be checked"),
    ],
)
def test_misuse(suffice: Commands, arguments: list[str], said: str) -> None:
    suffice.write(
        "models: [{name: cheap, provider: openai, api_key: x}, {name: dear, provider: openai, api_key: x}]"
    )
    questions(suffice.folder / "q.jsonl", 2)
    (suffice.folder / "judged.jsonl").write_text('{"query_id": "a", "query": "b", "metric": "judge"}\n')
    done = suffice("confidence", "run", *arguments)
    assert done.code == 1 and said in done.err
