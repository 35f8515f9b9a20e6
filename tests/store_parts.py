"""Records and stores that several tests of the store share."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

from suffice.types import Attempt, Decision, Feedback, Record, Usage, Versions

ARMS = ("small", "medium", "large")
_numbers = itertools.count()


def record(**changes: Any) -> Record:
    """A record as the engine leaves one, every field filled."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "id": f"rec_{number:012x}",
        "created_at": 1_790_000_000.0 + number,
        "tenant": "default",
        "key_id": "key_1",
        "user": f"user-{number % 3}",
        "requested_model": "auto",
        "decision": Decision(
            plan="single:small",
            candidate="small",
            ranking=ARMS,
            eligible=ARMS,
            arms=ARMS,
            scores=(0.71234, 0.8123, None),
            costs_usd=(1.23e-5, 3.4e-4, 0.0123),
            latencies_s=(0.4, 0.8, 1.9),
            propensities=(1.0, 0.0, 0.0),
            policy="utility",
            reason="0.02 USD x 0.712 - 0.0000123 USD is the highest utility",
            decision_s=0.00034,
            baseline="large",
            versions=Versions(router="hashed-1", policy="utility", embedder="hashed-64", prices="2026-08-01"),
        ),
        "attempts": (Attempt(candidate="small", latency_s=0.43, status=200, cost_usd=Decimal("0.0000123")),),
        "candidate": "small",
        "usage": Usage(prompt_tokens=120, completion_tokens=80, cached_tokens=0),
        "cost_usd": Decimal("0.0000123"),
        "baseline_usd": Decimal("0.0123"),
        "latency_s": 0.4315,
        "finish_reason": "stop",
    }
    return Record(**(fields | changes))


def feedback(record_id: str, value: float = 1.0, **changes: Any) -> Feedback:
    fields: dict[str, Any] = {"tenant": "default", "created_at": 1_790_000_100.0}
    return Feedback(record_id=record_id, value=value, **(fields | changes))
