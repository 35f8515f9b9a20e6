"""The policy `guarantee` and what watches it: decisions, shadows, withdrawal, restarts, several workers."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import Commands
from fakes import CHEAP, DEAR, Constant, FakeModel, TableRouter
from suffice.calibration.guarantee import Certificate
from suffice.engine import Engine, Request
from suffice.errors import ArtefactError, ConfigError, ProviderUnavailable
from suffice.gateway import Gateway
from suffice.pipeline import Pipeline
from suffice.plans.shadow import Shadow, Tally, Watch, configured, registry
from suffice.plans.shadow.agreement import Agreement, agree
from suffice.policies import Guarantee
from suffice.protocols import PolicyContext
from suffice.store import open_store
from suffice.types import Answer, Decision, Options, Query, Record
from test_cli_guarantee import write as guarantee_rows
from test_gateway import ASK, CHAT, call, run

GOOD = Certificate(
    certified=True,
    promise="mean-drop",
    epsilon=0.05,
    delta=0.1,
    method="betting",
    threshold=0.5,
    weak_share=0.6,
    bound=0.04,
    n=1000,
    rows_needed=None,
    grid=(0.6, 0.5),
    p_values=(0.01, 0.02),
    seed=0,
    date="2026-11-25T10:00:00+00:00",
    data_sha256="0" * 64,
    strong="large",
    weak="small",
    score="gain",
    router="knn@abc",
)


def certificate(**fields: Any) -> Certificate:
    from dataclasses import replace

    return replace(GOOD, **fields)


def none_certified(**fields: Any) -> Certificate:
    return certificate(certified=False, threshold=None, weak_share=0.0, bound=None, rows_needed=700, **fields)


def choose(policy: Guarantee, *scores: Sequence[float], **context: Any) -> Any:
    table = np.array(scores, dtype=np.float64)
    arms = context.pop("arms", ("small", "large", "other"))
    zeros = np.zeros_like(table)
    return policy.choose(table, zeros, zeros, PolicyContext(arms=arms, **context))


# --- the policy


def test_weak_from_the_threshold_on_else_strong() -> None:
    nan = math.nan
    rows = [(0.9, 0.9, 0.1), (0.9, 0.8, 1.0), (0.8, 0.9, 0.1), (nan, 0.1, 0.5), (0.9, nan, 0.5)]
    found = choose(Guarantee(certificate=GOOD), *rows)
    assert found.ranking[:, 0].tolist() == [0, 0, 1, 1, 1]
    assert found.ranking[:, 1].tolist() == [1, 1, 0, 0, 0], "the other of the two is asked next"
    assert found.propensities.sum(axis=1).tolist() == [1.0] * 5
    reached, _, below, unknown, _ = found.reasons
    assert "small: score 0.500 reaches 0.5" in reached and "certified on 2026-11-25 on 1,000 rows" in reached
    assert "is below 0.5" in below and "unknown" in unknown


def test_nothing_certified_and_withdrawn_go_to_the_strong_model_with_the_reason() -> None:
    found = choose(Guarantee(certificate=none_certified()), (1.0, 0.0, 0.0))
    assert found.ranking[0, 0] == 1 and "about 700 rows" in found.reasons[0]
    policy = Guarantee(certificate=GOOD)
    policy.withdraw("it lost too much")
    found = choose(policy, (1.0, 0.0, 0.0))
    assert found.ranking[0, 0] == 1 and "withdrawn, it lost too much" in found.reasons[0]


def test_a_model_that_may_not_answer_is_passed_over_without_a_promise() -> None:
    eligible = np.array([[True, False, True]])
    found = choose(Guarantee(certificate=GOOD), (0.1, 0.9, 0.2), eligible=eligible)
    assert found.ranking[0, 0] == 0 and "nothing is promised" in found.reasons[0]


def test_certificates_that_cannot_be_kept_are_refused() -> None:
    for bad in (certificate(strong=None), certificate(weak="large"), certificate(score="sure")):
        with pytest.raises(ConfigError, match="suffice guarantee"):
            Guarantee(certificate=bad)
    with pytest.raises(ConfigError, match="not among"):
        choose(Guarantee(certificate=GOOD), (0.5, 0.5), arms=("small", "huge"))


# --- from a configuration


def settings(folder: Path, about: Certificate = GOOD, **params: Any) -> Shadow:
    (folder / "certificate.json").write_text(about.to_json())
    return configured(
        {"certificate": "certificate.json", **params},
        lambda name: folder / name,
        router="knn@abc",
        arms=("small", "large"),
        panel=("small", "large"),
    )


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    assert settings(tmp_path).policy.certificate == GOOD
    with pytest.raises(ConfigError, match="certified for"):
        settings(tmp_path, certificate(router="knn@other"))
    with pytest.raises(ConfigError, match="'huge', which is not among"):
        settings(tmp_path, certificate(strong="huge"))
    with pytest.raises(ConfigError, match="shadow: 0"):
        settings(tmp_path, certificate(promise="ratio"), shadow=0.1)
    with pytest.raises(ConfigError, match="judge 'x'"):
        settings(tmp_path, judge="x", shadow=0.1)
    with pytest.raises(ConfigError, match="shadw"):
        settings(tmp_path, shadw=0.1)
    with pytest.raises(ConfigError, match="no certificate at"):
        settings(tmp_path, certificate="no.json")
    (tmp_path / "certificate.monitor.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"certificate\.monitor\.json"):
        settings(tmp_path)


# --- live


def shadowed(
    folder: Path,
    weak: FakeModel,
    strong: FakeModel,
    *others: FakeModel,
    about: Certificate = GOOD,
    **options: Any,
) -> Engine:
    """An engine whose router is always sure that the first suffices."""
    models = {model.candidate.name: model for model in (weak, strong, *others)}
    params = {"rate": 1.0, "grader": Agreement(), "seed": 1, **options}
    shadow = Shadow(Guarantee(certificate=about), Watch(folder / "monitor.json", about), **params)
    scores = {"small": 0.9, "large": 0.9}
    pipeline = Pipeline(
        name="auto",
        candidates=[model.candidate for model in models.values()],
        router=TableRouter(tuple(models), lambda text: [scores.get(name, 0.1) for name in models]),
        policy=shadow.policy,
        costs=Constant(tuple(models), [0.001] * len(models)),
        latencies=Constant(tuple(models), [1.0] * len(models)),
        strongest=("large", "it says so"),
    )
    return Engine(
        models, {"auto": pipeline}, open_store("sqlite:///:memory:"), retries=0, shadows={"auto": shadow}
    )


def pair(weak: str = "Answer: 1", strong: str = "Answer: 2") -> tuple[FakeModel, FakeModel]:
    return FakeModel("small", weak, price=CHEAP), FakeModel("large", strong, price=DEAR)


def in_gateway(engine: Engine, work: Any) -> Any:
    return run(work, engine, is_loopback=True, demands_key=False)


def value(text: str, name: str, labels: str = '{pipeline="auto"}') -> float:
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"{name}{labels} ")))


def test_a_bad_cheap_model_loses_the_promise_and_a_restart_remembers(tmp_path: Path) -> None:
    weak, strong = pair()
    engine = shadowed(tmp_path, weak, strong)
    shadow = engine.shadows["auto"]

    async def work(gateway: Gateway) -> tuple[list[str], str]:
        answered = []
        for _ in range(40):
            reply = await call(gateway, CHAT, ASK)
            answered.append(reply.headers["x-suffice-model"])
            await shadow.settled()
        await engine.store.drain()
        records = engine.store.records(limit=100)
        shadows = [record for record in records if record.decision.plan == "shadow"]
        n_weak = answered.count("small")
        assert len(shadows) == n_weak and {record.candidate for record in shadows} == {"large"}
        assert shadows[0].cost_usd and shadows[0].baseline_usd == 0
        assert shadows[0].decision.propensities == (1.0,) and "shadow of sfc-" in shadows[0].decision.reason
        spent = sum(float(row.cost_usd) for row in engine.store.spend())
        paid = sum(record.cost_usd or 0 for record in records)
        assert spent == pytest.approx(float(paid)), "spend includes the shadows"
        return answered, (await call(gateway, "/metrics")).body.decode()

    answered, text = in_gateway(engine, work)
    n_weak = answered.count("small")
    assert 3 <= n_weak <= 20, "the alarm needs some rows, and not many"
    assert answered == ["small"] * n_weak + ["large"] * (40 - n_weak)
    assert value(text, "suffice_guarantee_withdrawn") == 1
    assert value(text, "suffice_guarantee_threshold") == 0.5
    assert value(text, "suffice_guarantee_shadows") == n_weak, "nothing is left to watch after that"
    assert value(text, "suffice_guarantee_mean_drop") == 1.0
    assert value(text, "suffice_guarantee_drop_lower_bound") > 0.05
    assert value(text, "suffice_guarantee_shadow_cost_usd_total") > 0

    again = shadowed(tmp_path, *pair(), rate=0.0)
    assert again.shadows["auto"].policy.withdrawn is not None
    reply = in_gateway(again, lambda gateway: call(gateway, CHAT, ASK))
    assert reply.headers["x-suffice-model"] == "large"
    renewed = shadowed(tmp_path, *pair(), about=certificate(n=2000), rate=0.0)
    assert renewed.shadows["auto"].policy.withdrawn is None, "a new certificate begins anew"


def answers(engine: Engine, n: int = 1, **fields: Any) -> Shadow:
    async def work() -> None:
        for _ in range(n):
            await engine.answer(Request(query=Query(text="how much?"), **fields))
        await engine.shadows["auto"].settled()

    asyncio.run(work())
    return engine.shadows["auto"]


def test_agreement_loses_nothing_and_the_client_never_waits(tmp_path: Path) -> None:
    weak, strong = pair("It is 42.", "6 * 7 = 42. **Answer:** 42")
    strong._stall_s = 0.2
    engine = shadowed(tmp_path, weak, strong)

    async def work() -> float:
        result = await engine.answer(
            Request(query=Query(text="6 * 7"), options=Options(fields={"stream": False, "temperature": 0}))
        )
        await engine.shadows["auto"].settled()
        return result.record.latency_s

    assert asyncio.run(work()) < 0.15
    monitor = engine.shadows["auto"].watch.monitor
    assert (monitor.n, monitor.mean_drop) == (1, 0.0)
    assert strong.options[-1].fields == {"temperature": 0}, "as the client asked, but not as a stream"


def test_where_the_strong_model_answers_nothing_is_lost_and_nobody_is_asked(tmp_path: Path) -> None:
    weak, strong = pair()
    shadow = answers(shadowed(tmp_path, weak, strong, about=none_certified()), 3)
    assert (shadow.watch.monitor.n, shadow.watch.monitor.mean_drop) == (3, 0.0)
    assert (weak.n_calls, strong.n_calls) == (0, 3)


def test_no_shadow_asks_a_strong_model_that_cannot_serve_the_request(tmp_path: Path) -> None:
    weak = FakeModel("small", capabilities=frozenset({"vision"}))
    strong = FakeModel("large", capabilities=frozenset({"tools"}))
    engine = shadowed(tmp_path, weak, strong)

    async def work() -> None:
        await engine.answer(Request(query=Query(text="what is this?", needs=frozenset({"vision"}))))
        await engine.shadows["auto"].settled()

    asyncio.run(work())
    assert (weak.n_calls, strong.n_calls) == (1, 0)
    assert engine.shadows["auto"].watch.monitor.n == 0


def test_outages_and_failed_comparisons_are_left_out_and_counted(tmp_path: Path) -> None:
    down = ProviderUnavailable("down", candidate="x")
    shadow = answers(shadowed(tmp_path, FakeModel("small", down), FakeModel("large", "Answer: 2")))
    assert (shadow.watch.monitor.n, shadow.watch.tally.failed) == (0, 0), "the fallback answered"
    shadow = answers(shadowed(tmp_path, FakeModel("small", "Answer: 1"), FakeModel("large", down)))
    assert shadow.watch.monitor.n == 0
    asyncio.run(shadow.close())
    assert shadow.watch.tally.failed == 1


def test_named_models_and_the_coin_that_falls_otherwise_are_not_shadowed(tmp_path: Path) -> None:
    weak, strong = pair("Answer: 1", "Answer: 1")
    assert answers(shadowed(tmp_path, weak, strong), model="small").watch.monitor.n == 0
    assert answers(shadowed(tmp_path, weak, strong, rate=0.0), 5).watch.monitor.n == 0
    engine = shadowed(tmp_path, weak, strong, rate=0.3, seed=3)
    n = answers(engine, 60).watch.monitor.n
    assert 8 <= n <= 30
    other = tmp_path / "other"
    other.mkdir()
    assert answers(shadowed(other, weak, strong, rate=0.3, seed=3), 60).watch.monitor.n == n


def test_open_shadows_are_bounded_and_skipped_before_anything_is_known(tmp_path: Path) -> None:
    weak, strong = pair("Answer: 1", "Answer: 1")
    strong._stall_s = 0.05
    engine = shadowed(tmp_path, weak, strong, most_open=2)

    async def work() -> None:
        for _ in range(6):
            await engine.answer(Request(query=Query(text="how much?")))
        await engine.close()

    asyncio.run(work())
    watch = Watch(tmp_path / "monitor.json", GOOD)
    assert (watch.monitor.n, watch.tally.skipped) == (2, 4)


def test_streams_are_shadowed_once_they_ended_and_not_when_the_client_left(tmp_path: Path) -> None:
    engine = shadowed(tmp_path, *pair())

    async def work() -> None:
        for leaves in (True, False):
            streaming = await engine.open(Request(query=Query(text="how much?"), is_stream=True))
            async for _ in streaming:
                if leaves:
                    break
            await streaming.aclose()
        await engine.shadows["auto"].settled()

    asyncio.run(work())
    assert engine.shadows["auto"].watch.monitor.n == 1


def test_a_grader_of_ones_own_may_fail_and_streams_of_tool_calls_are_left_out(tmp_path: Path) -> None:
    class Broken:
        async def drop(self, *given: Any) -> float:
            raise ValueError("no")

    shadow = answers(shadowed(tmp_path, *pair(), grader=Broken()))
    slot = shadow.toss()
    record = Record(
        id="r",
        created_at=0.0,
        tenant="t",
        decision=Decision(plan="single", candidate="small", ranking=("small",)),
    )
    assert slot is not None

    async def end() -> None:
        calls = Answer(content="", candidate="small", finish_reason="tool_calls")
        slot.ended(Query(text="x"), Options(), record, calls, lambda *_: None)  # type: ignore[arg-type]
        await shadow.close()

    asyncio.run(end())
    assert (shadow.watch.monitor.n, shadow.watch.tally.failed) == (0, 1)


def test_a_judge_rates_both_and_its_calls_are_paid_for(tmp_path: Path) -> None:
    weak, strong = pair("a poem", "another poem")
    judge = FakeModel("judge", "Rating: [[10]]", "Rating: [[7]]", "no idea", price=CHEAP)
    grader = registry.create("agreement", {"judge": "judge"})
    shadow = answers(shadowed(tmp_path, weak, strong, judge, grader=grader))
    assert shadow.watch.monitor.mean_drop == pytest.approx(3 / 9)
    assert judge.options[0].fields["temperature"] == 0
    shadow = answers(
        shadowed(tmp_path, weak, strong, judge, grader=registry.create("judge", {"judge": "judge"}))
    )
    asyncio.run(shadow.close())
    assert (shadow.watch.monitor.n, shadow.watch.tally.failed) == (1, 1), "no rating, no drop"


def test_drops_are_told_in_the_order_of_the_coins(tmp_path: Path) -> None:
    shadow = Shadow(
        Guarantee(certificate=GOOD), Watch(tmp_path / "m.json", GOOD), rate=1.0, grader=Agreement()
    )
    told: list[float] = []
    shadow.watch.update = lambda drops, tally: told.extend(drops)  # type: ignore[method-assign]

    async def work() -> None:
        slots = [shadow.toss() for _ in range(4)]
        for place, drop in ((2, 0.3), (1, None), (3, 0.4), (0, 0.1)):
            slot = slots[place]
            assert slot is not None
            shadow._settle(slot, drop)
            await asyncio.sleep(0)
        await shadow.settled()

    asyncio.run(work())
    assert told == [0.1, 0.3, 0.4]


def test_regressions_count_losses_alone(tmp_path: Path) -> None:
    about = certificate(promise="regressions")
    shadow = Shadow(Guarantee(certificate=about), Watch(tmp_path / "m.json", about), rate=1.0)

    async def work() -> None:
        slot = shadow.toss()
        assert slot is not None
        shadow._settle(slot, -1.0)
        await shadow.settled()

    asyncio.run(work())
    assert shadow.watch.monitor.mean_drop == 0.0


# --- the file


def test_workers_share_one_monitor(tmp_path: Path) -> None:
    one, two = (Watch(tmp_path / "m.json", GOOD) for _ in range(2))
    one.update([1.0, 0.0], Tally(failed=1))
    two.update([0.5], Tally(skipped=2))
    one.refresh()
    assert one.monitor.n == two.monitor.n == 3
    assert one.tally == two.tally == Tally(failed=1, skipped=2)
    alone = Watch(tmp_path / "alone.json", GOOD)
    alone.update([1.0, 0.0, 0.5], Tally())
    assert alone.monitor.to_json() == one.monitor.to_json(), "as if one had seen all"


def test_no_drop_is_lost_between_workers(tmp_path: Path) -> None:
    def work(n: int) -> None:
        watch = Watch(tmp_path / "m.json", GOOD)
        for _ in range(n):
            watch.update([0.0], Tally(skipped=1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [15] * 4))
    kept = Watch(tmp_path / "m.json", GOOD)
    assert (kept.monitor.n, kept.tally.skipped) == (60, 60)


def test_another_workers_withdrawal_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suffice.plans.shadow.sampler.LOOK_S", 0.0)
    engine = shadowed(tmp_path, *pair(), rate=0.0)
    Watch(tmp_path / "monitor.json", GOOD).update([1.0] * 40, Tally())
    result = asyncio.run(engine.answer(Request(query=Query(text="how much?"))))
    assert result.answer.candidate == "large" and "withdrawn" in result.decision.reason


def test_a_disk_that_takes_nothing_does_not_stop_the_watching(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "no" / "m.json", GOOD)
    watch.update([1.0] * 40, Tally())
    assert watch.monitor.is_withdrawn


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_false_alarms_are_rare_while_the_promise_holds(tmp_path: Path, share: float) -> None:
    """The mean drop of all traffic is epsilon itself, the worst that keeps it; looked at after each row."""
    rng = np.random.default_rng(5)
    n_alarms = 0
    for repeat in range(120):
        kept = rng.random(400) < share
        p_loss = 0.05 / share + 0.1
        drawn = rng.random(400)
        drops = np.where(drawn < p_loss, 1.0, np.where(drawn < p_loss + 0.1, -1.0, 0.0)) * kept
        watch = Watch(tmp_path / f"{repeat}.json", GOOD)
        watch._add(drops.tolist(), Tally())
        n_alarms += watch.monitor.is_withdrawn
    assert n_alarms / 120 <= 0.1 + 3 * math.sqrt(0.09 / 120)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Answer: 42", "It is 42", True),
        ("-5", "5", False),
        ("1.5", "15", False),
        ("Paris", "I think so. Answer: **paris**.", True),
        ("Paris", "London", False),
        ("", "", True),
        ("B", "Answer: b", True),
    ],
)
def test_final_answers_are_compared(one: str, other: str, same: bool) -> None:
    assert agree(Answer(content=one, candidate="a"), Answer(content=other, candidate="b")) is same


# --- from training to the gateway


CONFIG = """
models:
  - {name: small, provider: vllm, input_usd_per_mtok: 1, output_usd_per_mtok: 1}
  - {name: large, provider: vllm, input_usd_per_mtok: 9, output_usd_per_mtok: 9}
router: {name: ridge, path: router}
policy: {name: guarantee, certificate: certificate.json}
store: "sqlite:///:memory:"
"""


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def test_train_certify_route_and_doctor(suffice: Commands) -> None:
    data = guarantee_rows(suffice.folder / "data.jsonl", 1200, 2)
    guarantee_rows(suffice.folder / "train.jsonl", 300, 1, start=5000)
    assert suffice("train", "ridge", "--data", "train.jsonl", "--out", "router").code == 0
    certify = ("guarantee", "--calibration", "data.jsonl", "--strong", "large", "--weak", "small")
    done = suffice(*certify, "--router", "router", "--epsilon", "0.05", "--out", "certificate.json")
    assert done.code == 0, done.err
    suffice.write(CONFIG)
    first = json.loads(data.read_text().splitlines()[0])
    done = suffice("route", first["query"])
    assert done.code == 0, done.err
    assert "mean-drop at most 0.05 with 90% confidence" in " ".join(done.out.split())

    def policy() -> tuple[str, str, str]:
        found = suffice("doctor", "--json").json["findings"]
        one = next(finding for finding in found if finding["name"] == "policy auto")
        return one["status"], one["detail"], one["remedy"]

    status, detail, remedy = policy()
    assert status == "warn" and "on 1,200 rows" in detail and "shadow: 0.02" in remedy
    suffice.write(CONFIG.replace("certificate.json}", "certificate.json, shadow: 0.02, judge: large}"))
    assert policy()[0] == "ok"
    suffice.write(CONFIG + "sticky: {}\n")
    assert "sticky" in policy()[1]
    suffice.write(CONFIG)
    about = Certificate.from_json((suffice.folder / "certificate.json").read_bytes())
    Watch(suffice.folder / "certificate.monitor.json", about).update([1.0] * 40, Tally())
    assert policy()[0] == "warn" and "withdrawn" in policy()[1]
    assert "withdrawn" in suffice("route", first["query"]).out
    assert suffice("train", "ridge", "--data", "data.jsonl", "--out", "router").code == 0
    status, detail, _ = policy()
    assert status == "fail" and "certified for" in " ".join(detail.split())
