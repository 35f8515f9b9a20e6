"""Policies that learn live: rewards, guards, the learner in the engine, its state, and the gateway."""

import asyncio
import json
import math
import random
import sqlite3
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import Commands, FakeProvider
from fakes import CHEAP, DEAR, Constant, FakeModel, TableRouter
from suffice import bandits, embedders, policies
from suffice.engine import Engine, Request, Result
from suffice.errors import ArtefactError, BudgetExceeded, ConfigError, InvalidRequest, NotFound, UnknownName
from suffice.gateway.metrics import Metrics
from suffice.pipeline import Pipeline, strongest
from suffice.plans.learning import Learner, configured, reward
from suffice.plans.learning.kept import Shelf
from suffice.plans.learning.pace import DAY_S, Bills, Pace
from suffice.plans.learning.rewards import Fairness, is_first
from suffice.protocols import PolicyContext
from suffice.store import SqliteStore
from suffice.types import Constraints, Feedback, Price, Query, Versions

TOPICS = ("Prove that the square root of {} is irrational", "Write a poem about {} roses")


def test_rewards_of_every_kind_of_feedback() -> None:
    assert reward("score", 0.3) == (0.3, "explicit", 1.0)
    assert [found.value for v in (-1, 0, 1, 5) if (found := reward("thumb", v))] == [0, 0, 1, 1]
    assert reward("correction", 0.25) == (0.75, "explicit", 1.0)
    assert reward("judge", 0.6) == (0.6, "judge", 0.5)
    copied, again = reward("copy", 1), reward("regenerate", 1)
    assert copied and again and copied.value > 0.5 > again.value and copied.weight < 1
    for name, value in (("copy", 0), ("score", 1.5), ("latency", 0.5), ("thumb", math.nan), ("judge", -1)):
        assert reward(name, value) is None
    ranges = {"stars": (1.0, 5.0), "edits": (20.0, 0.0)}
    assert reward("stars", 1e9, ranges) == (1.0, "explicit", 1.0)
    assert [found.value for v in (0, 10, 500) if (found := reward("edits", v, ranges))] == [1, 0.5, 0]


def test_the_first_word_of_each_kind_counts() -> None:
    thumb, copied = reward("thumb", 1), reward("copy", 1)
    assert thumb and copied
    assert is_first(thumb, [("copy", 1), ("latency", 3), ("score", 7)])
    assert not is_first(thumb, [("score", 0.5)])
    assert not is_first(copied, [("regenerate", 1)])


def test_no_user_teaches_more_than_his_share() -> None:
    fair = Fairness(most_per_user=10, user_share=0.25)
    assert sum(fair.allows("loud", 5.0) for _ in range(1000)) == 10
    assert all(fair.allows(f"u{i}", 5.0) for i in range(20))
    assert all(fair.allows("", 5.0) for _ in range(100))
    assert not fair.allows("loud", 5.0)
    assert fair.allows("loud", DAY_S + 5) and not fair.by_user.keys() - {"loud"}
    assert fair.allows("loud", 5.0) and fair.day == 1  # a clock that goes back begins no new day
    crowd = Fairness(most_per_user=10, user_share=0.25)
    for i in range(10):
        crowd.allows(f"u{i}", 0.0)
    for _ in range(50):
        crowd.allows("loud", 0.0)
    assert crowd.by_user["loud"] <= 0.25 * crowd.n + 1


def test_weights_are_shares_of_an_observation() -> None:
    """Four rewards of weight 1/4 are one of weight 1, for models that are linear."""
    x = np.array([0.3, -0.2, 1.0], np.float32)
    one, four = (bandits.create("linucb", ["a", "b"], 3) for _ in range(2))
    one.learn(one.decide(x, id="1", now=0), 0.9)
    for i in range(4):
        four.learn(four.decide(x, id=str(i), now=0, eligible=[True, False]), 0.9, weight=0.25)
    np.testing.assert_allclose(four.rewards(x).mean, one.rewards(x).mean, atol=1e-6)
    np.testing.assert_allclose(four.rewards(x).width, one.rewards(x).width, atol=1e-6)
    for wrong in (0.0, -1.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="weight"):
            one.learn("x", 0.5, wrong)


def test_choosing_is_no_pull_until_it_is_adopted() -> None:
    bandit = bandits.create("lin_ts", ["a", "b"], 2)
    place, chances = bandit.choose([0.1, 1.0], np.array([0.0, 0.5]))
    assert bandit.n_waiting == 0 and sum(chances) == pytest.approx(1) and place in (0, 1)
    bandit.adopt(bandits.Pull("1", "b", np.ones(2, np.float32), 0.5, chances, 0.0, 0))
    assert bandit.waits_for("1") and not bandit.waits_for("2")


def test_a_day_s_budget_is_paced_and_begins_anew_at_midnight() -> None:
    pace = Pace("resolve", 1.0)
    worth, costs = np.array([0.6, 0.9]), np.array([1e-3, 1e-1])
    noon = 100 * DAY_S + DAY_S / 2
    for i in range(600):
        price, allowed = pace.terms(worth, costs, noon + i * 60)
        cost = float(
            costs[1] if allowed[1] and worth[1] - worth[0] > price * (costs[1] - costs[0]) else costs[0]
        )
        pace.paid(cost, noon + i * 60)
    assert 0.6 < pace.pacer.spent_usd <= 1.0
    pace.paid(5.0, noon + 600 * 60)
    with pytest.raises(BudgetExceeded) as error:
        pace.terms(worth, costs, noon + 601 * 60)
    assert error.value.status == 429 and error.value.retry_after_s == pytest.approx(DAY_S / 2 - 601 * 60)
    with pytest.raises(BudgetExceeded):
        pace.terms(worth, costs, noon - DAY_S)  # a clock that goes back finds no other day's money
    pace.terms(worth, costs, noon + DAY_S)
    pace.paid(0.5, noon)  # an answer of the day before
    assert pace.pacer.spent_usd == 0


def test_predicted_costs_are_corrected_by_what_was_paid() -> None:
    bills = Bills()
    assert bills.factors(("a", "b")).tolist() == [1.0, 1.0]
    for _ in range(45):
        bills.paid("a", 1e-4, 1e-3)  # shorter answers than the cost model thinks
    bills.paid("b", 1e-4, 0.0)
    assert bills.factors(("a", "b")) == pytest.approx([(5 + 45 * 0.1) / 50, 1.0])
    for _ in range(2000):
        bills.paid("a", 2e-3, 1e-3)  # the world has changed
    assert bills.factors(("a",))[0] == pytest.approx(2.0, rel=0.1) and bills.sums["a"][2] <= 500


class Panel:
    """Two models behind a bandit; the router has no idea who is good at what."""

    def __init__(
        self, store: str = ":memory:", *, bandit: str = "pilot", models: tuple[str, ...] = ("maths", "verse"),
        costs: tuple[float, ...] | None = None, prices: Price = CHEAP, embedder: Any = None, **params: Any,
    ) -> None:  # fmt: skip
        self.models = {name: FakeModel(name, "said", price=prices) for name in models}
        candidates = [model.candidate for model in self.models.values()]
        self.store = SqliteStore(store)
        pipeline = Pipeline(
            name="auto",
            candidates=candidates,
            router=TableRouter(models, lambda _: [0.6] * len(models)),
            policy=policies.create("utility"),
            costs=Constant(models, costs or [1e-4] * len(models)),
            latencies=Constant(models, [1.0] * len(models)),
            strongest=strongest(candidates),
            versions=Versions(policy=bandit),
        )
        self.learner: Learner = configured(
            bandit,
            params,
            Path,
            pipeline="auto",
            arms=pipeline.arms,
            candidates=candidates,
            embedder=embedder or embedders.create("hashed"),
        )
        self.pipeline = pipeline.with_policy(self.learner.policy, bandit)
        self.learner.open(self.store.learning())
        self.engine = Engine(
            dict(self.models), {"auto": self.pipeline}, self.store, learners={"auto": self.learner}
        )

    async def ask(self, text: str, user: str | None = None) -> Result:
        return await self.engine.answer(Request(query=Query(text=text, user=user)))

    async def word(self, record_id: str, value: float, name: str = "score", at: float | None = None) -> None:
        at = time.time() if at is None else at
        await self.engine.add_feedback(
            Feedback(record_id=record_id, tenant="default", created_at=at, name=name, value=value)
        )

    async def serve(self, n: int, seed: int = 0) -> float:
        """Share of requests that the right model answered, with a score for each."""
        rng, right = random.Random(seed), 0
        for i in range(n):
            kind = rng.randrange(2)
            record = (await self.ask(TOPICS[kind].format(i), f"u{seed}-{i % 50}")).record
            is_right = record.candidate == list(self.models)[kind]
            right += is_right
            await self.store.drain()
            await self.word(record.id, float(is_right))
        await self.learner.settled()
        return right / n

    def means(self) -> Any:
        x = self.learner.policy.sight(Query(text=TOPICS[0]), 0.6)
        return dict(
            zip(self.learner.policy.bandit.arms, self.learner.policy.bandit.rewards(x).mean, strict=True)
        )


@pytest.mark.parametrize("bandit", ["pilot", "lin_ts", "squarecb", "discounted_linucb", "neural_linear"])
def test_it_learns_from_feedback_who_is_good_at_what(bandit: str) -> None:
    async def main() -> None:
        panel = Panel(bandit=bandit, value_usd=1.0)
        await panel.serve(70)
        late = await panel.serve(40, seed=1)
        assert late >= (0.7 if bandit == "lin_ts" else 0.85)
        record = panel.store.records(limit=1)[0]
        seen = record.decision.learnable
        assert seen is not None and seen.learner == "auto" and 70 <= seen.version < 110
        assert sum(record.decision.propensities) == pytest.approx(1)
        assert min(record.decision.propensities) > 0
        assert "rewards" in record.decision.reason
        await panel.engine.close()

    asyncio.run(main())


@pytest.mark.parametrize("bandit", bandits.available())
def test_every_bandit_serves(bandit: str) -> None:
    async def main() -> None:
        panel = Panel(bandit=bandit)
        await panel.serve(12)
        assert panel.learner.counts == {"learnt": 12}
        await panel.engine.close()

    asyncio.run(main())


def test_without_feedback_it_does_what_the_router_says() -> None:
    panel = Panel(bandit="linucb", value_usd=0.01, floor=0.0, costs=(1e-4, 3e-3))
    scores, costs = np.array([[0.6, 0.8], [0.6, 0.95], [np.nan, 0.2]]), np.array([[1e-4, 3e-3]] * 3)
    context = PolicyContext(arms=panel.pipeline.arms, now=1.0, queries=[Query(text="a")] * 3)
    utility = policies.create("utility", value_usd=0.01)
    choice = panel.learner.policy.choose(scores, costs, costs, context)
    same = utility.choose(np.nan_to_num(scores, nan=0.2), costs, costs, context)
    assert choice.ranking.tolist() == same.ranking.tolist() == [[0, 1], [1, 0], [0, 1]]
    only = PolicyContext(
        arms=panel.pipeline.arms, eligible=np.array([[False, True]]), queries=[Query(text="a")]
    )
    assert panel.learner.policy.choose(scores[:1], costs[:1], costs[:1], only).ranking.tolist() == [[1, 0]]
    with pytest.raises(ConfigError, match="needs the queries"):
        panel.learner.policy.choose(scores, costs, costs, PolicyContext(arms=panel.pipeline.arms))


def test_words_that_come_late_twice_or_from_strangers_change_nothing() -> None:
    async def main() -> None:
        panel = Panel(feedback_days=1.0, most_per_user=3, regenerate_s=0.0)
        records = [(await panel.ask("hello", "u")).record for _ in range(6)]
        await panel.store.drain()
        await panel.word(records[0].id, 1.0)
        await panel.word(records[0].id, 0.0)
        await panel.word(records[0].id, 0.0, "thumb")
        await panel.word(records[0].id, 1.0, "copy")
        await panel.word(records[1].id, 0.9, at=records[1].created_at + 2 * DAY_S)
        await panel.word(records[2].id, 1234.5, "length")
        for record in records[2:]:
            await panel.word(record.id, 0.0)
        await panel.learner.settled()
        assert panel.learner.counts == {"learnt": 3, "repeated": 2, "late": 1, "no_reward": 1, "unfair": 3}
        before = panel.means()
        with pytest.raises(NotFound):
            await panel.word("sfc-none", 1.0)
        stranger = Feedback(record_id=records[1].id, tenant="other", created_at=0.0, value=1.0)
        with pytest.raises(NotFound):
            await panel.engine.add_feedback(stranger)
        for value in (math.nan, 1.5, -0.1):
            with pytest.raises(InvalidRequest):
                await panel.word(records[5].id, value)
        await panel.learner.settled()
        assert panel.means() == before
        await panel.engine.close()

    asyncio.run(main())


def test_a_restart_goes_on_with_and_without_a_kept_state(tmp_path: Path) -> None:
    """Killed at any time: what the state does not hold, the store does."""
    path = str(tmp_path / "suffice.db")

    async def main() -> None:
        panel = Panel(path, path=str(tmp_path / "state"), budget_usd_per_day=1.0)
        await panel.serve(30)
        panel.learner.save()
        await panel.serve(15, seed=1)  # after the last save
        assert panel.learner.policy.pace is not None
        spent, means = panel.learner.policy.pace.pacer.spent_usd, panel.means()
        for kept in (str(tmp_path / "state"), None):
            after = Panel(path, budget_usd_per_day=1.0, **({"path": kept} if kept else {}))
            assert after.learner.counts == {"learnt": 45}
            for arm, mean in after.means().items():
                assert mean == pytest.approx(means[arm], abs=1e-4)
            assert after.learner.policy.pace is not None
            assert after.learner.policy.pace.pacer.spent_usd == pytest.approx(spent)
            after.store.close()
        await panel.engine.close()
        last = Panel(path, path=str(tmp_path / "state"), budget_usd_per_day=1.0)
        assert last.learner.counts == {"learnt": 45} and last.learner.policy.pace is not None
        assert last.learner.policy.pace.pacer.spent_usd == pytest.approx(spent)
        await last.engine.close()

    asyncio.run(main())


def test_workers_on_one_store_learn_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        one, two = (
            Panel(str(tmp_path / "suffice.db"), path=str(tmp_path / "state"), budget_usd_per_day=2.0)
            for _ in range(2)
        )
        await one.serve(20)
        await two.serve(20, seed=1)
        for panel in (one, two):
            await panel.store.drain()
            panel.learner.catch_up()
        assert one.learner.counts == two.learner.counts == {"learnt": 40}
        for arm, mean in one.means().items():
            assert two.means()[arm] == pytest.approx(mean, abs=1e-4)
        paces = [panel.learner.policy.pace for panel in (one, two)]
        assert paces[0] is not None and paces[1] is not None
        assert paces[0].pacer.spent_usd == pytest.approx(paces[1].pacer.spent_usd)
        assert paces[0].pacer.n_queries == paces[1].pacer.n_queries == 40
        await asyncio.gather(one.engine.close(), two.engine.close())

    asyncio.run(main())


def test_candidates_come_and_go(tmp_path: Path) -> None:
    """A new one is asked now and then until it is known; feedback on one that is gone is ignored."""
    path, state = str(tmp_path / "suffice.db"), str(tmp_path / "state")

    async def main() -> None:
        panel = Panel(path, path=state, models=("maths", "verse"))
        waiting = (await panel.ask("hello")).record
        await panel.store.drain()
        await panel.engine.close()
        left = "verse" if waiting.candidate == "maths" else "maths"
        after = Panel(
            path, path=state, models=(left, "new"), burn_in=20, burn_in_share=0.5, costs=(1e-4, 9e-3)
        )
        await after.word(waiting.id, 1.0)
        await after.learner.settled()
        assert after.learner.counts == {"no_arm": 1}
        asked = [(await after.ask(f"hello {i}")).record for i in range(60)]
        assert 15 <= sum(record.candidate == "new" for record in asked) <= 35
        assert max(record.decision.propensities[1] for record in asked[-5:]) < 0.1
        await after.engine.close()

    asyncio.run(main())


def test_deleted_rows_are_neither_learnt_twice_nor_in_the_way(tmp_path: Path) -> None:
    path, state = str(tmp_path / "suffice.db"), str(tmp_path / "state")

    async def main() -> None:
        panel = Panel(path, path=state)
        await panel.serve(10)
        panel.learner.save()
        with sqlite3.connect(path) as other:
            other.execute("DELETE FROM records WHERE seq > 3")
            other.execute("DELETE FROM feedback WHERE seq > 3")
        other.close()
        panel.learner.catch_up()
        await panel.serve(5, seed=1)
        assert panel.learner.counts == {"learnt": 15}
        await panel.engine.close()
        after = Panel(path, path=state)
        assert after.learner.counts == {"learnt": 15}
        await after.engine.close()

    asyncio.run(main())


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        state = tmp_path / "state"
        panel = Panel(path=str(state))
        await panel.serve(3)
        await panel.engine.close()
        for strange in (
            {"alpha": 0.5},
            {"bandit": "linucb"},
            {"embedder": embedders.create("hashed", dimensions=32)},
        ):
            with pytest.raises(ArtefactError, match="name another `path`"):
                Panel(path=str(state), **strange)
        panel.learner.check()
        fresh = tmp_path / "not" / "yet"
        Shelf(fresh, "x").check()
        assert not fresh.parent.exists(), "looking changes nothing"
        with pytest.raises(ArtefactError, match="name another `path`"):
            Shelf(state, "linucb on something").check()
        with pytest.raises(ArtefactError, match="nothing can be kept"):
            Shelf(Path("/proc/x"), "x").check()
        with pytest.raises(ArtefactError, match="nothing can be kept"):
            Panel(path=str(state / "state" / "learner.json"))
        facts = state / "state" / "learner.json"
        content = facts.read_bytes()
        facts.write_bytes(content[:-20])
        with pytest.raises(ArtefactError, match="learnt anew"):
            Panel(path=str(state))
        facts.write_bytes(content)
        again = Panel(path=str(state))  # an empty store: another one, and all of it is new
        await again.serve(2)
        assert again.learner.counts == {"learnt": 5}
        await again.engine.close()

    asyncio.run(main())


def test_a_budget_refuses_what_it_cannot_pay() -> None:
    async def main() -> None:
        panel = Panel(budget_usd_per_day=0.01, costs=(1e-3, math.nan), prices=DEAR)
        records = [(await panel.ask("hello")).record for _ in range(5)]
        assert {record.candidate for record in records} == {"maths"}  # of the other no cost is known
        assert panel.learner.policy.pace is not None
        metrics = Metrics()
        metrics.watch(panel.engine)
        assert 'suffice_learning_left_usd{pipeline="auto"} 0.00' in metrics.text({})
        panel.learner.policy.pace.paid(0.01, time.time())
        with pytest.raises(BudgetExceeded, match="policy's 0\\.01 USD"):
            await panel.ask("hello")
        await panel.engine.close()

    asyncio.run(main())


def test_a_judge_rates_a_share_until_its_money_is_gone(tmp_path: Path) -> None:
    path, names = str(tmp_path / "suffice.db"), ("maths", "verse", "judge")

    async def main() -> None:
        panel = Panel(path, models=names, judge="judge", judge_share=1.0, judge_usd_per_day=8e-5)
        panel.models["judge"]._steps = [
            "Good. Rating: [[10]]",
            "I cannot say",
            "[[1]]",
            "[[4]]",
            *["[[7]]"] * 9,
        ]
        assert panel.learner.rater is not None
        limited = Query.from_messages(
            [{"role": "user", "content": "hi"}], constraints=Constraints(models=names[:2])
        )
        n = 0
        while n < 20 and panel.learner.rater.spent.usd < 8e-5:
            await panel.engine.answer(Request(query=limited))
            await panel.learner.rater.settled()
            n += 1
        spent = panel.learner.rater.spent.usd
        assert 3 < n < 20
        await panel.engine.answer(Request(query=limited))
        await panel.learner.rater.settled()
        await panel.store.drain()
        await panel.learner.settled()
        rated = [r for r in panel.store.records() if r.decision.plan == "shadow"]
        assert len(rated) == n and panel.learner.counts["learnt"] == n - 1  # one gave no rating
        assert sum(float(r.cost_usd or 0) for r in rated) == pytest.approx(spent)
        again = Panel(path, models=names, judge="judge", judge_share=1.0, judge_usd_per_day=8e-5)
        assert again.learner.rater is not None and again.learner.rater.spent.usd == pytest.approx(spent)
        again.store.close()
        await panel.engine.close()

    asyncio.run(main())


def test_a_judge_compares_in_both_orders() -> None:
    names = ("maths", "verse", "judge")
    verdicts = {  # straight (the reference first), swapped -> reward
        ("[[B]]", "[[A]]"): 1.0,
        ("[[C]]", "[[C]]"): 1.0,
        ("[[A]]", "[[C]]"): 0.5,
        ("[[A]]", "[[B]]"): 0.0,
        ("[[A]]", "[[A]]"): None,
        ("[[B]]", "[[B]]"): None,
        ("[[A]]", "who knows"): None,
    }

    async def main() -> None:
        panel = Panel(models=names, judge="judge", judge_against="verse", judge_share=1.0)
        panel.models["judge"]._steps = [said for pair in verdicts for said in pair]
        assert panel.learner.rater is not None
        only = Query.from_messages(
            [{"role": "user", "content": "hi"}], constraints=Constraints(models=("maths",))
        )
        for expected in verdicts.values():
            record = (await panel.engine.answer(Request(query=only))).record
            await panel.learner.rater.settled()
            words = [(word.name, word.value) for word in panel.store.feedback(record.id)]
            assert words == ([] if expected is None else [("judge", expected)])
        n_asked = panel.models["verse"].n_calls
        other = Query.from_messages(
            [{"role": "user", "content": "hi"}], constraints=Constraints(models=("verse",))
        )
        await panel.engine.answer(Request(query=other))  # nothing to compare it with
        await panel.learner.rater.settled()
        assert n_asked == len(verdicts) and panel.models["verse"].n_calls == n_asked + 1
        await panel.engine.close()

    asyncio.run(main())


def test_an_answer_that_is_written_again_was_not_good() -> None:
    async def main() -> None:
        panel = Panel()
        assert panel.learner.deeds is not None
        records = [(await panel.ask("hello", user)).record for user in ("a", None, "b", None)]
        await panel.store.drain()
        records += [(await panel.ask("hello", "a")).record, (await panel.ask("bye", "b")).record]
        await panel.learner.deeds.settled()
        told = {r.id: [(w.name, w.value) for w in panel.store.feedback(r.id)] for r in records}
        assert told.pop(records[0].id) == [("regenerate", 1.0)] and not any(told.values())
        await panel.learner.settled()
        assert panel.learner.counts == {"learnt": 1}
        metrics = Metrics()
        metrics.watch(panel.engine)
        assert 'suffice_learning_feedback{pipeline="auto",outcome="learnt"} 1' in metrics.text({})
        await panel.engine.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"budget_usd_per_day": 0.0}, "budget_usd_per_day"),
        ({"budget_usd_per_day": -1.0}, "budget_usd_per_day"),
        ({"budget_usd_per_day": 1.0, "value_usd": 1.0}, "leave one out"),
        ({"value_usd": -1.0}, "value_usd"),
        ({"judge": "nobody"}, "nobody"),
        ({"judge": "maths", "judge_against": "nobody"}, "nobody"),
        ({"judge_against": "maths"}, "needs a `judge`"),
        ({"alpa": 1.0}, "alpa"),
        ({"d": 5}, "unknown parameter 'd'; known: alpha,"),
        ({"arms": ["a", "b"]}, "unknown parameter 'arms'"),
        ({"pacing": "hope", "budget_usd_per_day": 1.0}, "hope"),
        ({"metrics": {"stars": (1.0, 1.0)}}, "stars"),
        ({"metrics": {"score": (1.0, 5.0)}}, "'score' has a meaning of its own"),
        ({"budget_usd_per_day": 1.0, "prices": Price()}, "no price is known"),
    ],
)
def test_settings_that_make_no_sense_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises((ConfigError, UnknownName), match=said):
        Panel(**params)


def test_a_clock_that_jumps_breaks_nothing() -> None:
    panel = Panel(budget_usd_per_day=1.0)
    now = 200 * DAY_S
    for jump in (0.0, 3600.0, -3600.0, 10.0, DAY_S, -DAY_S, 2 * DAY_S):
        decision = panel.pipeline.decide(Query(text="hello"), now + jump)
        assert decision.candidate in panel.models
        panel.learner.policy.bandit.expire(now + jump)


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def test_the_gateway_learns_and_remembers(suffice: Commands) -> None:
    """Two workers: feedback over HTTP makes them leave the candidate that they began with; a restart too."""
    with FakeProvider() as provider:
        policy = "policy: {name: pilot, value_usd: 0.002, path: state/, ridge: 2}\n"
        suffice.write(provider.config + policy)
        findings = {one["name"]: one["status"] for one in suffice("doctor", "--json").json["findings"]}
        assert findings["policy auto"] == "ok"
        with suffice.start("up", "--port", "0", "--workers", "2") as gateway:
            assert gateway.says("suffice ready on")
            url = gateway.out.split("ready on ")[1].split("/v1")[0] + "/v1"
            first = _chat(url, "a")[0]
            for i in range(40):
                model, record_id = _chat(url, f"u{i}")
                _post(f"{url}/feedback", {"id": record_id, "value": float(model != first), "name": "thumb"})
            with pytest.raises(urllib.error.HTTPError, match="404"):
                _post(f"{url}/feedback", {"id": "sfc-none", "value": 1})
            time.sleep(1.5)
            asked = [_chat(url, f"v{i}")[0] for i in range(20)]
            assert asked[4:].count(first) <= 5
            gateway.signals(15)
            assert gateway.ends() == 0
        assert (suffice.folder / "state" / "state" / "learner.json").exists()
        with suffice.start("up", "--port", "0") as gateway:
            assert gateway.says("suffice ready on")
            url = gateway.out.split("ready on ")[1].split("/v1")[0] + "/v1"
            assert [_chat(url, f"w{i}")[0] for i in range(20)].count(first) <= 5
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
