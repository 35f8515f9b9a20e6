"""`suffice demo`: every way to a panel, the table, and the gateway that stays."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from commands import Commands, FakeProvider
from suffice.cli import demo_panel
from suffice.cli.demo_queries import QUERIES, grade
from suffice.cli.demo_report import Row, totals_of
from suffice.cli.demo_serving import free_port
from suffice.datasets.grading import CHECKS
from suffice.datasets.panel import load_runs
from suffice.errors import ConfigError, PullError
from suffice.outcomes.splitting import normalised
from suffice.providers.model_files import model_file
from suffice.providers.pull import KNOWN


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


def row(model: str | None, cost: str | None, baseline: str | None, **fields: object) -> Row:
    return Row(
        task="t", query="q", model=model, score=0.5, confidence=None, latency_s=1.0,
        cost_usd=None if cost is None else Decimal(cost),
        baseline_usd=None if baseline is None else Decimal(baseline),
        saving=None, answer="a", is_right=True, baseline="dear", record_id="r", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_questions_are_new_varied_and_gradable() -> None:
    recorded = {normalised(text) for text in load_runs().column("prompt")}
    assert not recorded & {normalised(query.text) for query in QUERIES}
    assert len(QUERIES) >= 12
    assert len({query.task for query in QUERIES}) >= 9
    assert len({query.text for query in QUERIES}) == len(QUERIES)
    for query in QUERIES:
        assert query.check in CHECKS
        assert grade(query, query.reference), query
        assert not grade(query, "I cannot say."), query


def test_totals_compare_like_with_like() -> None:
    rows = [row("cheap", "1", "4"), row("dear", "4", "4"), row("cheap", None, "4"), row("cheap", "9", None),
            row(None, None, None, error="x")]  # fmt: skip
    totals = totals_of(rows)
    assert (totals.cost_usd, totals.baseline_usd) == (5, 8)
    assert totals.saving == pytest.approx(3 / 8)
    assert (totals.n_queries, totals.n_failed, totals.n_unpriced) == (5, 1, 2)
    assert totals.models == {"cheap": 3, "dear": 1}
    assert totals_of([]).saving is None


def test_a_configured_panel_is_asked(suffice: Commands, provider: FakeProvider) -> None:
    suffice.write(provider.config)
    done = suffice("demo", "--once", "--json", "--queries", "3")
    assert done.code == 0, done.err
    shown = done.json
    assert shown["is_live"] is True
    assert shown["panel"] == "configured"
    assert [one["model"] for one in shown["rows"]] == ["dear"] * 3
    assert [one["answer"] for one in shown["rows"]] == [f"dear says {query.text}" for query in QUERIES[:3]]
    assert shown["totals"]["models"] == {"dear": 3}
    assert shown["totals"]["saving"] == 0, "the strongest was asked: nothing is saved"
    assert [body["model"] for body in provider.asked] == ["dear"] * 3
    assert "logprobs" not in provider.asked[0], "hosted models may refuse it"
    assert {path.name for path in suffice.folder.iterdir()} == {"suffice.yaml", "suffice.db"}
    assert "dear" in suffice("spend").out


def test_a_found_panel_is_routed(
    suffice: Commands, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_HOST", provider.address)
    done = suffice("demo", "--once", "--queries", "14")
    assert done.code == 0, done.err
    assert "vLLM serves cheap, dear" in done.out or "cheap" in done.out
    assert "scores are borrowed from the recorded panel" in done.out
    assert "confidence (uncalibrated)" in done.out
    assert re.search(r"asking these 14 questions costs about \$[\d.]+ at most", done.out)
    assert re.search(r"value_usd = \S+ USD for a right answer", done.out)
    assert len(re.findall(r"^ ?\d+ .* -> ", done.out, re.MULTILINE)) == 14
    assert re.search(r"always \S+: \$[\d.]+ \(estimate\)  ->  saved", done.out)
    assert "sqlite:///suffice.db" in done.out
    assert [path.name for path in suffice.folder.iterdir() if path.name != "home"] == ["suffice.db"]


def test_a_failing_provider_fails_its_rows_and_not_the_demo(suffice: Commands) -> None:
    with FakeProvider() as gone:
        suffice.write(gone.config + "gateway: {retries: 0}\n")
    done = suffice("demo", "--once", "--queries", "2")
    assert done.code == 0
    assert done.out.count("failed: AllAttemptsFailed") + done.out.count("failed: Provider") == 2
    assert "failed 2" in done.out


@pytest.mark.parametrize("reason", ["no extra", "no file"])
def test_without_any_model_it_is_plainly_not_live(
    suffice: Commands, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    if reason == "no extra":
        monkeypatch.setattr(demo_panel.importlib.util, "find_spec", lambda _: None)
    else:
        monkeypatch.setattr(demo_panel.importlib.util, "find_spec", lambda _: object())
        monkeypatch.setattr("suffice.cli.pull.fetch", _cannot)
    done = suffice("demo", "--once", "--json", "--queries", "18")
    assert done.code == 0, done.err
    assert done.json["is_live"] is False
    assert len(done.json["rows"]) == 18
    assert all(one["error"] is None and one["confidence"] is not None for one in done.json["rows"])
    assert len({one["task"] for one in done.json["rows"]}) == 9
    assert "NOT LIVE" in done.err
    assert ("suffice[local]" if reason == "no extra" else "no source") in done.err
    assert not (suffice.folder / "suffice.db").exists(), "recorded answers are nobody's spend"


def _cannot(*_: object) -> None:
    raise PullError("small could not be fetched: no source")


def test_the_next_free_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with free_port(port) as sock:
            assert port < sock.getsockname()[1] <= port + 20
    with free_port(0) as sock:
        assert sock.getsockname()[1] > 0


def test_no_port_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(host: str, port: int) -> None:
        raise ConfigError(f"cannot listen on {host}:{port}")

    monkeypatch.setattr("suffice.cli.demo_serving.bind", taken)
    with pytest.raises(ConfigError, match="65535"):
        free_port(65530)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_keeps_serving_until_told_to_stop(
    suffice: Commands, provider: FakeProvider, number: signal.Signals
) -> None:
    suffice.write(provider.config)
    with suffice.start("demo", "--queries", "1", "--port", "0") as demo:
        assert demo.says("print(answer.choices[0].message.content)"), demo.err
        found = re.search(r"serving (http://127\.0\.0\.1:\d+/v1)", demo.out)
        assert found is not None
        body = {"model": "cheap", "messages": [{"role": "user", "content": "hello"}]}
        request = urllib.request.Request(
            f"{found[1]}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert json.load(response)["choices"][0]["message"]["content"] == "cheap says hello"
        demo.signals(number)
        assert demo.ends() == 0
        assert "Traceback" not in demo.err
    assert len(suffice("records", "--json").json) == 2


@pytest.mark.slow
def test_ctrl_c_during_the_questions_ends_quietly(suffice: Commands, provider: FakeProvider) -> None:
    suffice.write(provider.config)
    with suffice.start("demo", "--queries", "200") as demo:
        assert demo.says(" 2 ")
        demo.signals(signal.SIGINT)
        assert demo.ends() in (0, 130)
        assert "Traceback" not in demo.err


@pytest.mark.slow
def test_real_local_models_are_routed(suffice: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.delenv("SUFFICE_HOME")
    here = [model_file(name) for name in KNOWN]
    if not all(path.is_file() for path in here):
        pytest.skip("the local models are not here: suffice pull all")
    models = suffice.folder / "home" / "models"
    models.mkdir(parents=True)
    for path in here:
        (models / path.name).symlink_to(path)
    monkeypatch.setenv("SUFFICE_HOME", str(models.parent))
    done = suffice("demo", "--once", "--json", "--queries", "3")
    assert done.code == 0, done.err
    assert (done.json["is_live"], done.json["panel"]) == (True, "local")
    assert "0.05 USD an hour of one core is an assumption" in done.err
    for one in done.json["rows"]:
        assert one["error"] is None
        assert one["model"] in ("small", "small-steps", "large")
        assert 0 <= one["score"] <= 1 and 0 < one["confidence"] <= 1
        assert Decimal(one["cost_usd"]) > 0
    assert "NOT LIVE" not in done.err
