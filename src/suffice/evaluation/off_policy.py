"""What another policy would have earned on recorded traffic, from the feedback that came.

References
----------
See `suffice.metrics.off_policy`, which has the estimators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.errors import DataError
from suffice.metrics import Logged, OffPolicy, cross_fitted, estimates
from suffice.protocols import Policy, PolicyContext, Store
from suffice.types import FloatArray, Record

MOST_UNSUPPORTED: Final = 0.01
"""The share of the policy's choices that may fall on candidates the log gave no chance."""


class RecordsEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A policy's value on records."""

    n: int
    left_out: Mapping[str, int]
    """Records that tell nothing, by reason."""
    logged: float
    """Mean reward as it was."""
    unsupported: float
    """Share of the policy's choices that the log gave no chance: nobody knows what they earn."""
    estimates: Mapping[str, OffPolicy]
    """ips, snips, dm, dr, switch_dr; the first two alone where all rows are of one user"""
    refused: str | None
    """Why nothing may be concluded; None: `estimates` may be read, `dm` never alone."""


def evaluate_records(
    records: Iterable[Record], rewards: Mapping[str, float], policy: Policy, *, level: float = 0.95
) -> RecordsEvaluation:
    """The value that a policy would have had, deciding from recorded scores, costs and latencies.

    A reward counts for the candidate that was decided for, also where another one had to answer. Rows of one
    user (else session) count as one cluster. Rewards are predicted from the router's own scores, one
    regression per candidate, cross-fitted.

    Parameters
    ----------
    records : decisions with propensities, of any order
    rewards : by record id; other records are left out
    policy : as `suffice.policies.create` makes it
    level : of the intervals

    Raises
    ------
    DataError
        If no record can be used.
    """
    left_out: Counter[str] = Counter()
    used = [record for record in records if _tells(record, rewards, left_out)]
    if not used:
        raise DataError(
            f"no record has a reward and a decision by scores ({dict(left_out)}): collect feedback"
        )
    arms = tuple(dict.fromkeys(arm for record in used for arm in record.decision.arms))
    target, logging, scores = _tables(used, arms, policy)
    chosen = np.array([arms.index(record.decision.candidate) for record in used])
    logged = Logged.of(
        [rewards[record.id] for record in used],
        chosen,
        logging[np.arange(len(used)), chosen],
        target,
        [f"{r.tenant}/{r.user or ''}/{'' if r.user else r.session or r.id}" for r in used],
    )
    predicted = cross_fitted(scores[:, :, None], logged) if logged.n_clusters > 1 else None
    found = estimates(logged, predicted, level=level)
    unsupported = float(target[logging <= 0].sum() / len(used))
    return RecordsEvaluation(
        n=len(used),
        left_out=dict(left_out),
        logged=float(logged.reward.mean()),
        unsupported=unsupported,
        estimates=found,
        refused=_refusal(unsupported) or found["ips"].refused,
    )


def first_scores(store: Store, records: Iterable[Record], name: str = "score") -> dict[str, float]:
    """Rewards by record id: the feedback of that name on each record that has one."""
    said = ((record.id, store.feedback(record.id)) for record in records)
    return {key: word.value for key, words in said for word in words if word.name == name}


def _tells(record: Record, rewards: Mapping[str, float], left_out: Counter[str]) -> bool:
    decision = record.decision
    why = None
    if record.id not in rewards:
        why = "no reward"
    elif decision.plan != "single" or not decision.scores or len(decision.propensities) != len(decision.arms):
        why = "not decided by scores"
    elif not decision.of(decision.propensities, decision.candidate):
        why = "the candidate had no chance by its propensity"
    if why is not None:
        left_out[why] += 1
    return why is None


def _tables(
    used: Sequence[Record], arms: tuple[str, ...], policy: Policy
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What the policy would do, what was done, and scores; (n, K) each."""
    target, logging = np.zeros((len(used), len(arms))), np.zeros((len(used), len(arms)))
    scores = np.full((len(used), len(arms)), 0.5)
    by_arms: dict[tuple[str, ...], list[int]] = {}
    for row, record in enumerate(used):
        by_arms.setdefault(record.decision.arms, []).append(row)
    for own, rows in by_arms.items():
        decisions = [used[row].decision for row in rows]
        own_scores, costs, latencies = (
            np.array([getattr(d, name) or [None] * len(own) for d in decisions], dtype=np.float64)
            for name in ("scores", "costs_usd", "latencies_s")
        )
        eligible = np.array([[arm in d.eligible or not d.eligible for arm in own] for d in decisions])
        choice = policy.choose(own_scores, costs, latencies, PolicyContext(arms=own, eligible=eligible))
        cells = np.ix_(rows, [arms.index(arm) for arm in own])
        target[cells] = choice.propensities
        logging[cells] = [d.propensities for d in decisions]
        scores[cells] = np.nan_to_num(own_scores, nan=0.5)
    return target, logging, scores


def _refusal(unsupported: float) -> str | None:
    if unsupported <= MOST_UNSUPPORTED:
        return None
    return (
        f"{unsupported:.0%} of what the policy would choose had no chance in the log: "
        "record with a policy that explores, such as a bandit with a floor of 1-2 % per candidate"
    )
