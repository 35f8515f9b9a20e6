"""Off-policy evaluation of stored records."""

import asyncio

import msgspec
import numpy as np
import pytest

from suffice import policies
from suffice.errors import DataError
from suffice.evaluation.off_policy import evaluate_records, first_scores
from suffice.store import SqliteStore
from suffice.types import Decision, Feedback, Record

ARMS = ("small", "large")


def _records(n: int, floor: float, seed: int = 0) -> tuple[list[Record], dict[str, float], float]:
    """A log that prefers small; answers are right as often as scored; what always asking large earns."""
    rng = np.random.default_rng(seed)
    records, rewards, truth = [], {}, []
    for i in range(n):
        scores = (float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.6, 0.9)))
        propensities = (1 - floor, floor)
        arm = int(rng.random() < floor)
        decision = Decision(
            plan="single",
            candidate=ARMS[arm],
            ranking=ARMS,
            eligible=ARMS,
            arms=ARMS,
            scores=scores,
            costs_usd=(0.001, 0.01),
            latencies_s=(1.0, None),
            propensities=propensities,
        )
        record = Record(
            id=f"r{i}",
            created_at=float(i),
            tenant="t",
            user=f"u{i % 400}",
            decision=decision,
            candidate=ARMS[arm],
        )
        records.append(record)
        rewards[record.id] = float(rng.random() < scores[arm])
        truth.append(scores[1])
    return records, rewards, float(np.mean(truth))


def test_the_value_of_another_policy_is_found() -> None:
    records, rewards, truth = _records(3000, 0.3)
    best = policies.create("utility", value_usd=float("inf"))
    found = evaluate_records(records, rewards, best)
    assert found.refused is None and found.n == 3000 and found.unsupported == 0
    for name in ("ips", "snips", "dr", "switch_dr"):
        assert found.estimates[name].low < truth < found.estimates[name].high, name
    assert found.logged < 0.55 < found.estimates["dr"].value
    same = evaluate_records(records[::-1], rewards, best)
    assert same.estimates["snips"].value == pytest.approx(found.estimates["snips"].value)


def test_a_log_that_never_tried_it_says_nothing() -> None:
    records, rewards, _ = _records(500, 0.0)
    found = evaluate_records(records, rewards, policies.create("utility", value_usd=float("inf")))
    assert found.unsupported == 1.0 and found.refused is not None and "no chance" in found.refused
    few = evaluate_records(*_records(150, 0.1)[:2], policies.create("utility", value_usd=float("inf")))
    assert few.refused is not None and "effective rows" in few.refused


def test_records_of_one_user_alone_conclude_nothing() -> None:
    records, rewards, _ = _records(300, 0.5)
    own = [msgspec.structs.replace(record, user="u0") for record in records]
    found = evaluate_records(own, rewards, policies.create("utility", value_usd=float("inf")))
    assert found.refused is not None and "1 effective users" in found.refused
    assert set(found.estimates) == {"ips", "snips"}
    msgspec.json.encode(found)


def test_records_that_tell_nothing_are_left_out_and_counted() -> None:
    records, rewards, _ = _records(300, 0.5)
    del rewards["r0"]
    named = Decision(
        plan="single", candidate="small", ranking=("small",), arms=("small",), propensities=(1.0,)
    )
    records.append(Record(id="n", created_at=0.0, tenant="t", decision=named))
    rewards["n"] = 1.0
    found = evaluate_records(records, rewards, policies.create("utility", value_usd=0.0))
    assert found.left_out == {"no reward": 1, "not decided by scores": 1} and found.n == 299
    with pytest.raises(DataError, match="no record"):
        evaluate_records(records, {}, policies.create("utility"))


def test_rewards_come_from_the_store() -> None:
    store = SqliteStore(":memory:")
    records, _, _ = _records(3, 0.5)
    for record in records:
        store.append(record)
    word = Feedback(record_id="r1", tenant="t", created_at=0.0, value=0.75)
    asyncio.run(store.add_feedback(word))
    assert first_scores(store, store.records()) == {"r1": 0.75}
    store.close()
