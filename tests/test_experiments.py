"""Experiments: who gets what, what is found, and what follows, in the store, the engine and the command."""

import asyncio
import json
import random
import sqlite3
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, FakeProvider
from fakes import DEAR, Constant, FakeModel, TableRouter
from suffice import policies
from suffice.cli.experiment import _plain as shown
from suffice.cli.formats import usd
from suffice.engine import Engine, Request
from suffice.errors import ConfigError, InvalidRequest, NotFound
from suffice.experiments import Experiment, Judged, Progress, Seen, advance, position, settle, unit_of
from suffice.gateway.metrics import Metrics
from suffice.pipeline import Pipeline, strongest
from suffice.plans.trials import Trials
from suffice.store import SqliteStore
from suffice.types import Caller, Feedback, Query, Trial


def test_assignment_is_stable_spread_and_rises_with_the_share() -> None:
    units = [unit_of("t", f"user-{i}", None, str) for i in range(4000)]
    places = [position("salt", unit) for unit in units]
    assert places == [position("salt", unit) for unit in units]
    assert abs(sum(place < 0.05 for place in places) / 4000 - 0.05) < 0.015
    other = [position("other", unit) for unit in units]
    both = sum(a < 0.5 and b < 0.5 for a, b in zip(places, other, strict=True))
    assert abs(both / 4000 - 0.25) < 0.04
    assert unit_of("t", "u", "s", str) == unit_of("t", "u", None, str) != unit_of("t2", "u", None, str)
    assert unit_of("t", None, "u", str) != unit_of("t", "u", None, str)
    assert unit_of("t", None, None, lambda: "a") != unit_of("t", None, None, lambda: "b")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "a b"}, "its name"),
        ({"treatment": "auto"}, "both 'auto'"),
        ({"stages": (0.5, 0.1)}, "rising shares"),
        ({"stages": (0.5, 1.0)}, "rising shares"),
        ({"kind": "ab", "stages": (0.1, 0.5)}, "only a canary"),
        ({"margin": -0.1}, "margin"),
        ({"alpha": 0.0}, "alpha"),
        ({"least": 1}, "least"),
        ({"max_error_rate": 1.5}, "max_error_rate"),
        ({"kind": "shadow"}, "name a judge"),
        ({"judge": "large"}, "only a shadow"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Experiment(**{"name": "e", "treatment": "auto:new"} | settings)


def test_what_is_nothing_is_not_shown_as_less_than_nothing() -> None:
    assert shown(-0.0001) == "+0.000" and shown(-0.01) == "-0.010"
    assert usd(9e-21) == usd(-9e-21) == "$0" and usd(1e-12) == "$0.0000000000010"


def _trial(arm: int, share: float, unit: str = "") -> Trial:
    return Trial(
        experiment="e", arm="treatment" if arm else "control", share=share, unit=unit or str(random.random())
    )


def _play(experiment: Experiment, rates: tuple[float, float], n: int, seed: int, **more: Any) -> Progress:
    """Requests one after the other, all judged at once; costs fall by a third in the treatment."""
    rng, progress = random.Random(seed), Progress()
    errors, slow = more.get("errors", 0.0), more.get("slow", 0.0)
    for start in range(0, n, 50):
        share, seen, judged = progress.share(experiment), [], []
        for i in range(start, start + 50):
            arm = int(rng.random() < share)
            trial = _trial(arm, share, f"{seed}-{i}")
            status = 502 if arm and rng.random() < errors else 200
            cost = rng.random() * (1.0, more.get("cost", 0.7))[arm] * 1e-3
            seen.append(Seen(trial, cost, 9.0 if rng.random() < slow else 1.0, status))
            judged += [Judged(trial, float(rng.random() < rates[arm]))] if status == 200 else []
        advance(experiment, progress, seen, judged, {})
        settle(experiment, progress, float(start))
        if not progress.is_running:
            break
    return progress


CANARY = Experiment(name="e", treatment="auto:new", margin=0.05, n_target=2000)


def test_a_canary_that_is_cheaper_and_as_good_is_promoted() -> None:
    progress = _play(CANARY, (0.7, 0.75), 20_000, 1)
    assert progress.status == "promoted" and "cost lower" in progress.why
    assert progress.share(CANARY) == 1.0


def test_a_canary_that_is_worse_is_rolled_back() -> None:
    progress = _play(CANARY, (0.8, 0.6), 20_000, 0)
    assert progress.status == "rolled back" and "quality is worse" in progress.why
    assert progress.share(CANARY) == 0.0


def test_a_dearer_one_is_not_promoted() -> None:
    progress = _play(CANARY, (0.7, 0.75), 12_000, 0, cost=1.5)
    assert progress.is_running and progress.stage == 3
    ab = Experiment(name="e", treatment="auto:new", kind="ab", max_cost_increase_usd=None, margin=0.0)
    assert _play(ab, (0.6, 0.8), 3000, 0, cost=1.5).status == "promoted"


def test_guardrails_roll_back_at_once() -> None:
    failing = _play(CANARY, (0.7, 0.75), 20_000, 0, errors=0.5)
    assert failing.status == "rolled back" and "requests failed" in failing.why
    assert sum(failing.requests) < 5000
    slow = Experiment(name="e", treatment="auto:new", kind="ab", max_p95_s=5.0)
    assert "take over 5 s" in _play(slow, (0.7, 0.7), 3000, 0, slow=0.3).why


def test_a_lossy_arm_is_noticed_and_nothing_is_promoted() -> None:
    ab = Experiment(name="e", treatment="auto:new", kind="ab", max_cost_increase_usd=None, margin=0.0)
    rng, progress = random.Random(0), Progress()
    seen, judged = [], []
    for i in range(3000):
        arm = int(rng.random() < 0.5)
        if arm and rng.random() < 0.3:  # its records are lost
            continue
        trial = _trial(arm, 0.5, str(i))
        seen.append(Seen(trial, 1e-3, 1.0, 200))
        judged.append(Judged(trial, float(rng.random() < (0.5, 0.7)[arm])))
    advance(ab, progress, seen, judged, {})
    settle(ab, progress, 0.0)
    assert progress.is_running


class Panel:
    """Two pipelines over two models, with a store of their own or one of a file."""

    def __init__(self, path: str = ":memory:") -> None:
        self.models = {
            "old": FakeModel("old", "old says", price=DEAR),
            "new": FakeModel("new", "new says"),
            "judge": FakeModel("judge", *["[[9]]", "[[4]]"] * 50),
        }
        self.store = SqliteStore(path)
        candidates = [model.candidate for model in self.models.values()]
        pipelines = {
            name: Pipeline(
                name=name,
                candidates=candidates,
                router=TableRouter(list(self.models), lambda text, best=best: best),  # type: ignore[misc]
                policy=policies.create("utility", value_usd=1.0),
                costs=Constant(list(self.models), [1e-3] * 3),
                latencies=Constant(list(self.models), [1.0] * 3),
                strongest=strongest(candidates),
                router_name="table",
            )
            for name, best in (("auto", (0.9, 0.5, 0.1)), ("fresh", (0.5, 0.9, 0.1)))
        }
        self.engine = Engine(dict(self.models), pipelines, self.store)
        self.books = self.store.experiments()
        self.engine.trials = Trials(self.books, self.engine.names, self.store.add_feedback)

    async def ask(self, user: str | None, rng: random.Random, rates: tuple[float, float]) -> str | None:
        """One request and its score; who answered."""
        query = Query(text="how are you", user=user)
        record = (await self.engine.answer(Request(query=query))).record
        value = float(rng.random() < rates[record.candidate == "new"])
        await self.score(record.id, value)
        return record.candidate

    async def score(self, record_id: str, value: float) -> None:
        word = Feedback(record_id=record_id, tenant="default", created_at=0.0, value=value)
        await self.engine.add_feedback(word)

    async def serve(self, n: int, rates: tuple[float, float], seed: int = 0) -> list[str | None]:
        rng, answered = random.Random(seed), []
        assert self.engine.trials is not None
        for i in range(n):
            answered.append(await self.ask(f"u{seed}-{i}", rng, rates))
            if i % 25 == 0:
                await self.engine.trials.look()
        await self.store.drain()
        await self.engine.trials.look()
        return answered


def _ab(**more: Any) -> Experiment:
    settings = {"name": "fresh-1", "treatment": "auto:fresh", "kind": "ab", "margin": 0.05, "least": 30}
    return Experiment(**settings | more)


def test_users_keep_their_arm_and_records_say_which() -> None:
    panel = Panel()
    panel.books.start(_ab(), 0.0)

    async def main() -> None:
        first = [
            (await panel.engine.answer(Request(query=Query(text="x", user=f"u{i}")))).record
            for i in range(40)
        ]
        again = [
            (await panel.engine.answer(Request(query=Query(text="x", user=f"u{i}")))).record
            for i in range(40)
        ]
        assert [r.candidate for r in first] == [r.candidate for r in again]
        assert {r.candidate for r in first} == {"old", "new"}
        for record in first:
            assert record.trial is not None and record.trial.share == 0.5
            assert (record.trial.arm == "treatment") == (record.candidate == "new")
            assert record.requested_model == "auto" and "experiment fresh-1" in record.decision.reason
        other = (await panel.engine.answer(Request(query=Query(text="x"), model="auto:fresh"))).record
        assert other.trial is None
        await panel.engine.close()

    asyncio.run(main())


def test_a_planted_regression_is_rolled_back_live_and_stays_so_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "s.db")

    async def main() -> list[str | None]:
        panel, metrics = Panel(path), Metrics()
        metrics.watch(panel.engine)
        if not panel.books.all():
            panel.books.start(_ab(), 0.0)
        answered = await panel.serve(300, (0.95, 0.4))
        standing = panel.books.all()[0]
        shown = metrics.text({})
        assert 'suffice_experiment_share{experiment="fresh-1"} 0' in shown
        assert 'suffice_experiment_status{experiment="fresh-1",status="rolled back"} 1' in shown
        await panel.engine.close()
        assert standing.progress.status == "rolled back", standing.progress
        assert standing.progress.quality.n[0] + standing.progress.quality.n[1] >= 60
        return answered

    answered = asyncio.run(main())
    assert "new" in answered[:100] and answered[-1] == "old"
    told = [one for one in caplog.records if "rolled back" in one.getMessage()]
    assert len(told) == 1 and told[0].levelname == "WARNING"
    assert "quality is worse" in told[0].getMessage() and "0 % of auto now go to" in told[0].getMessage()
    assert set(asyncio.run(main())) == {"old"}


def test_a_better_and_cheaper_one_is_promoted_live_until_it_is_stopped(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")

    async def main() -> None:
        panel = Panel(path)
        panel.books.start(_ab(), 0.0)
        answered = await panel.serve(400, (0.5, 0.95))
        assert answered[-1] == "new" and panel.books.all()[0].progress.status == "promoted"
        await panel.engine.close()
        panel = Panel(path)
        assert set(await panel.serve(5, (1.0, 1.0))) == {"new"}
        stopped = panel.books.stop("fresh-1", 1.0)
        assert stopped.progress.status == "stopped" and "promoted" in stopped.progress.why
        assert stopped.progress.share(stopped.experiment) == 0.0
        await panel.engine.trials.look()  # type: ignore[union-attr]
        assert set(await panel.serve(5, (1.0, 1.0))) == {"old"}
        with pytest.raises(InvalidRequest, match="choose another name"):
            panel.books.start(_ab(), 0.0)
        await panel.engine.close()

    asyncio.run(main())


def test_looks_in_pieces_and_by_several_workers_find_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        found = []
        for pieces in (1, 7):
            path = str(tmp_path / f"{pieces}.db")
            panel, beside = Panel(path), SqliteStore(path)
            panel.books.start(_ab(least=1000), 0.0)
            rng = random.Random(0)
            for i in range(70):
                await panel.ask(f"u{i % 20}", rng, (0.5, 0.5))
                if pieces > 1 and i % pieces == 0:
                    (panel.store if i % 2 else beside).experiments().look(float(i))
            await panel.store.drain()
            found.append(panel.books.look(99.0)[0].progress)
            beside.close()
            await panel.engine.close()
        assert found[0].quality.n == found[1].quality.n and sum(found[0].quality.n) == 70
        assert found[0].units == found[1].units and sum(found[0].units) == 20
        for name in ("weighted", "weight", "aa", "ab", "bb"):
            assert getattr(found[0].quality, name) == pytest.approx(getattr(found[1].quality, name))

    asyncio.run(main())


def test_only_the_first_score_of_an_answer_counts() -> None:
    panel = Panel()
    panel.books.start(_ab(), 0.0)

    async def main() -> None:
        record = (await panel.engine.answer(Request(query=Query(text="x", user="u")))).record
        for value in (1.0, 0.0, 0.0):
            await panel.score(record.id, value)
        panel.books.look(0.0)
        await panel.score(record.id, 0.5)
        progress = panel.books.look(0.0)[0].progress
        assert sum(progress.quality.n) == 1 and sum(progress.quality.total) == 1.0
        await panel.engine.close()

    asyncio.run(main())


def test_a_shadow_is_judged_and_no_client_sees_it() -> None:
    panel = Panel()
    experiment = Experiment(
        name="dark", treatment="auto:fresh", kind="shadow", judge="judge", stages=(0.99,), least=20
    )
    panel.books.start(experiment, 0.0)

    async def main() -> None:
        trials = panel.engine.trials
        assert trials is not None
        for _ in range(40):
            result = await panel.engine.answer(Request(query=Query(text="x"), caller=Caller(tenant="acme")))
            assert result.answer.candidate == "old" and result.record.trial is None
            await trials.settled()
        await panel.store.drain()
        shadows = [r for r in panel.store.records(limit=500) if r.trial is not None]
        assert shadows and {r.candidate for r in shadows} == {"new"}
        assert all(r.decision.plan == "shadow" and r.trial.of and r.tenant == "acme" for r in shadows)
        await trials.look()
        progress = panel.books.all()[0].progress
        assert progress.quality.n[1] >= 20 and progress.status == "passed", progress
        assert progress.quality.estimate is not None and progress.quality.estimate > 0.3
        assert progress.cost.estimate is not None and progress.cost.estimate < 0
        await panel.engine.close()

    asyncio.run(main())


def test_an_experiment_of_unknown_parts_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    panel = Panel()
    panel.books.start(Experiment(name="e", treatment="auto:gone"), 0.0)
    with pytest.raises(InvalidRequest, match="already splits"):
        panel.books.start(Experiment(name="f", treatment="auto:fresh"), 0.0)
    with pytest.raises(NotFound):
        panel.books.stop("nobody", 0.0)
    assert set(asyncio.run(panel.serve(10, (1.0, 1.0)))) == {"old"}
    assert "no auto:gone" in caplog.text


def test_a_damaged_state_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "s.db")
    panel = Panel(path)
    panel.books.start(_ab(), 0.0)
    with sqlite3.connect(path) as connection:
        connection.execute('UPDATE experiments SET progress = \'{"stage": "x"}\'')
    connection.close()

    async def main() -> None:
        assert set(await panel.serve(5, (1.0, 1.0))) == {"old"}
        await panel.engine.close()

    asyncio.run(main())
    assert "cannot be read" in caplog.text


def test_metrics_show_experiments_and_drift() -> None:
    panel, metrics = Panel(), Metrics()
    panel.books.start(_ab(), 0.0)

    async def main() -> str:
        metrics.watch(panel.engine)
        await panel.serve(200, (0.8, 0.8))
        record = panel.store.records(limit=1)[0]
        rng = random.Random(0)
        for rate in [0.95] * 1000 + [0.5] * 300:
            metrics.judged(record, float(rng.random() < rate))
        text = metrics.text({})
        await panel.engine.close()
        return text

    text = asyncio.run(main())
    assert 'suffice_experiment_share{experiment="fresh-1"} 0.5' in text
    assert 'suffice_experiment_quality_difference{experiment="fresh-1",of="low"}' in text
    assert 'suffice_experiment_split_wrong{experiment="fresh-1"} 0' in text
    alarms = [line for line in text.splitlines() if line.startswith("suffice_drift_alarms_total")]
    assert len(alarms) == 2 and all(int(line.rpartition(" ")[2]) >= 1 for line in alarms)


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def test_the_command(suffice: Commands) -> None:
    run = suffice
    assert run("experiment", "start", "one", "--treatment", "auto:fresh", "--json").json["control"] == "auto"
    assert run("experiment", "start", "one", "--treatment", "auto:fresh").code == 1
    assert run("experiment", "start", "x", "--treatment", "b", "--stages", "a,b").code == 1
    (line,) = run("experiment", "status", "--json").json
    assert line["status"] == "running" and line["share"] == 0.01
    assert "nothing known yet" in run("experiment", "status", "one").out
    assert run("experiment", "status", "two").code == 1
    assert "ended" in run("experiment", "stop", "one").out
    (line,) = run("experiment", "status", "--json").json
    assert line["status"] == "stopped" and line["share"] == 0


def test_a_gateway_takes_up_an_experiment_without_a_restart(suffice: Commands) -> None:
    """Two workers on one store: users are split, feedback rolls the treatment back, all over HTTP."""
    with FakeProvider() as provider:
        pipelines = "pipelines:\n  cheap: {policy: {name: utility, value_usd: 0}}\n"
        suffice.write(provider.config + "policy: {name: utility, value_usd: 1000}\n" + pipelines)
        with suffice.start("up", "--port", "0", "--workers", "2") as gateway:
            assert gateway.says("suffice ready on")
            url = gateway.out.split("ready on ")[1].split("/v1")[0] + "/v1"
            assert {_chat(url, f"u{i}")[0] for i in range(6)} == {"dear"}
            wrong = suffice("experiment", "start", "x", "--treatment", "auto:nothing")
            assert wrong.code == 1 and "auto:cheap" in wrong.err
            options = ("--treatment", "auto:cheap", "--kind", "ab", "--least", "15", "--ignore-cost")
            assert suffice("experiment", "start", "cheaper", *options).code == 0
            time.sleep(2.5)
            answers = [_chat(url, f"u{i}") for i in range(80)]
            assert {model for model, _ in answers} == {"dear", "cheap"}
            assert [_chat(url, f"u{i}")[0] for i in range(10)] == [model for model, _ in answers[:10]]
            for model, record_id in answers:
                _post(f"{url}/feedback", {"id": record_id, "value": float(model == "dear")})
            (line,) = suffice("experiment", "status", "--json").json
            assert line["status"] == "rolled back" and line["found"]["judged"][1] >= 15
            time.sleep(2.5)
            assert {_chat(url, f"u{i}")[0] for i in range(10)} == {"dear"}
            gateway.signals(15)
            assert gateway.ends() == 0


def _chat(url: str, user: str) -> tuple[str, str]:
    """Who answered, and the record."""
    body = {"model": "auto", "user": user, "messages": [{"role": "user", "content": "hi"}]}
    headers = _post(f"{url}/chat/completions", body)
    return headers["x-suffice-model"], headers["x-suffice-id"]


def _post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        reply.read()
        return reply.headers
