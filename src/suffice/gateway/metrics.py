"""Counting what happens in this process, and telling it for all workers together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

from suffice.gateway.board import Board
from suffice.gateway.caching import cache_families
from suffice.gateway.counters import Counts, LookedUp, Queue, Reused
from suffice.gateway.drift import Detectors, Residuals
from suffice.gateway.experiments import drift_families, experiment_families
from suffice.gateway.exposition import exposition
from suffice.gateway.learning import learning_families
from suffice.gateway.lookups import retrieval_families
from suffice.gateway.promises import confidence_families, guarantee_families
from suffice.types import Attempt, Record

if TYPE_CHECKING:
    from suffice.engine import Engine
    from suffice.plans.confidence import AnswerConfidence
    from suffice.plans.guard import Guard
    from suffice.plans.learning import Learner
    from suffice.plans.reuse.stage import Reusing
    from suffice.plans.shadow import Shadow
    from suffice.plans.trials import Trials

NOBODY: Final = ""
"""The candidate of a request that none answered."""
FROM_CACHE: Final = "(cache)"
"""That of one for which none was asked: a candidate's times are those of its own answers."""
GIVEN: Final = ("exact", "semantic", "shared")
"""Ways through the cache on which nobody is asked."""

_encode: Final = msgspec.msgpack.encode
_decoder: Final = msgspec.msgpack.Decoder(Counts)


class Metrics:
    """All that `GET /metrics` shows."""

    def __init__(self, board: Board | None = None) -> None:
        self.counts = Counts()
        self._board = board
        self._worker = 0
        self._before = Queue()
        """What earlier processes in this worker's place sent to the store."""
        self._started_at = time.time()
        self._confidence: AnswerConfidence | None = None
        self._promises: Mapping[str, Shadow] = {}
        self._guard: Guard | None = None
        self._trials: Trials | None = None
        self._learners: Mapping[str, Learner] = {}
        self._reusing: Reusing | None = None
        self._detectors = Detectors()

    def watch(self, engine: Engine) -> None:
        """Show how the engine's confidences and promises fare, where it has any."""
        self._confidence, self._promises = engine.confidence, engine.shadows
        self._guard, self._trials, self._learners = engine.guard, engine.trials, engine.learners
        self._reusing = engine.reusing
        if self._guard is not None:
            self._guard.events = self.counts.budgets

    def resume(self, worker: int) -> None:
        """Take a worker's place: count on from where its predecessor stopped."""
        self._worker = worker
        page = self._board.read(worker) if self._board is not None else None
        if page is not None:
            self.counts = _decoder.decode(page)
            self.counts.in_flight = 0
            self._before = self.counts.queue
            self._before.queued = 0
            if self._guard is not None:
                self._guard.events = self.counts.budgets

    def saw(self, record: Record) -> None:
        """A request that reached the engine and left a record."""
        counts = self.counts
        reuse = record.reuse
        is_own = reuse is None or reuse.way not in GIVEN
        counts.meter((record.candidate or NOBODY) if is_own else FROM_CACHE).saw(record)
        if reuse is not None:
            reused = counts.reused.setdefault(reuse.way, Reused())
            reused.requests += 1
            reused.saved_usd += reuse.saved_usd or 0
        if record.retrieval is not None:
            looked_up = counts.looked_up.setdefault(record.retrieval.strategy, LookedUp())
            looked_up.requests += 1
            looked_up.lookups += record.retrieval.n_lookups
        if record.decision.decision_s:
            counts.decision.observe(record.decision.decision_s)
        if self._confidence is not None:
            counts.drift.saw(record, self._confidence.reference.edges)
        if len(record.attempts) > 1 or record.status != 200:
            for attempt in record.attempts:
                if attempt.error is not None:
                    counts.meter(attempt.candidate).attempts_failed += 1

    def failed(self, status: int, attempts: Iterable[Attempt]) -> None:
        """A request that every candidate failed."""
        statuses = self.counts.meter(NOBODY).statuses
        statuses[status] = statuses.get(status, 0) + 1
        for attempt in attempts:
            self.counts.meter(attempt.candidate).attempts_failed += 1

    def refused(self, route: str, status: int) -> None:
        """A request that left no record."""
        statuses = self.counts.refusals.setdefault(route, {})
        statuses[status] = statuses.get(status, 0) + 1

    def heard(self, confidence: float, feedback: float) -> None:
        """Feedback on an answer whose confidence is known."""
        self.counts.drift.heard(confidence, feedback)

    def judged(self, record: Record, feedback: float) -> None:
        """The first score of an answer: whether its candidate is still as good as the router thinks."""
        arm = record.candidate
        score = None if arm is None else record.decision.of(record.decision.scores, arm)
        if arm is not None and score is not None:
            counted = self.counts.drift.residuals.setdefault(arm, Residuals())
            self._detectors.heard(arm, feedback - score, counted)

    def publish(self, store: Mapping[str, Any]) -> None:
        """Show the other workers how far this one is; `store` is what `Store.stats` says."""
        queue = Queue(**{name: store.get(name) or 0 for name in Queue.__struct_fields__})
        queue.add(self._before)
        self.counts.queue = queue
        if self._board is not None:
            self._board.write(self._worker, _encode(self.counts))

    def text(self, store: Mapping[str, Any]) -> str:
        """Prometheus' text format; other workers' counts are as old as their last `publish`."""
        self.publish(store)
        total = self.counts
        if self._board is not None:
            total = Counts()
            for worker in range(self._board.n_workers):
                page = self._board.read(worker)
                if page is not None:
                    total.add(_decoder.decode(page))
        families = chain(
            confidence_families(total.drift, self._confidence),
            guarantee_families(self._promises),
            drift_families(total.drift.residuals),
            experiment_families(() if self._trials is None else self._trials.standing),
            learning_families(self._learners),
            cache_families(total.reused, self._reusing),
            retrieval_families(total.looked_up),
        )
        return exposition(total, store, self._started_at, families)
