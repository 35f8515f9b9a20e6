"""Teaches a policy live: from its own records at once, from everybody's records and feedback by the store.

Every worker reads the same log in the same order, so that all learn the same without speaking to each other;
a saved state only spares reading it from the start.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

import numpy as np

from suffice.bandits import Pull
from suffice.errors import ArtefactError, StoreError
from suffice.plans.learning.deeds import Deeds
from suffice.plans.learning.kept import Kept, Shelf
from suffice.plans.learning.pace import Bills
from suffice.plans.learning.policy import Online, believed
from suffice.plans.learning.rater import Rater
from suffice.plans.learning.rewards import Fairness, Ranges, is_first, reward
from suffice.types import FloatArray, Record

if TYPE_CHECKING:
    from suffice.store.learning import Asked, SqliteLearning, Word

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How old what is known may be before a look is taken, beside the requests."""
MOST_OWN: Final = 100_000


class Learner:
    """What one pipeline's policy has learnt, and from where on it has not read."""

    def __init__(
        self,
        policy: Online,
        *,
        shelf: Shelf | None = None,
        fairness: Fairness,
        ranges: Ranges,
        feedback_s: float,
        burn_in: tuple[int, float],
        save_s: float = 60.0,
        rater: Rater | None = None,
        deeds: Deeds | None = None,
    ) -> None:
        """
        Parameters
        ----------
        shelf : where the state is kept; None reads all of the log at every start
        feedback_s : feedback on older answers is ignored
        burn_in : pulls of an arm that is new to a kept state, and the chance of each
        save_s : between two saves
        rater : has answers judged
        deeds : notices what people do with answers
        """
        self.policy, self.rater, self.deeds = policy, rater, deeds
        self.counts: Counter[str] = Counter()
        """Feedback by what became of it: learnt, or late, repeated, unfair, no_reward, no_arm, no_context."""
        self._shelf, self._fairness, self._ranges = shelf, fairness, ranges
        self._feedback_s, self._burn_in, self._save_s = feedback_s, burn_in, save_s
        self._books: SqliteLearning | None = None
        self._seqs = (0, 0)
        self._own: dict[str, None] = {}
        """Records of this process that are booked, and were not met in the log."""
        self._looked_at = self._saved_at = monotonic()
        self._looking: asyncio.Task[None] | None = None
        self._is_due = False

    def check(self) -> None:
        """Raises ArtefactError if `open` would; makes no folder that is not there."""
        if self._shelf is not None:
            self._shelf.check()

    def open(self, books: SqliteLearning) -> None:
        """Take up the kept state and all that came since; blocks.

        Raises
        ------
        ArtefactError
            If the state is damaged, or of another bandit, context or parameters.
        StoreError
            If the store cannot be read.
        """
        self._books = books
        kept = None if self._shelf is None else self._shelf.load()
        if kept is not None:
            self._use(kept)
        self.catch_up()

    def look(self) -> None:
        """Before a decision: take up what came since, in the background, if that was not done just now."""
        if self._looking is None and monotonic() - self._looked_at >= LOOK_S:
            self._look()

    def heard(self) -> None:
        """Feedback was given here: do not wait."""
        self._is_due = True
        if self._looking is None:
            self._look()

    def ended(self, record: Record) -> None:
        """A request of this process that the policy decided, or a rating for it, left a record."""
        from suffice.store.learning import Asked, Decided

        decision = record.decision
        decided = Decided(**{name: getattr(decision, name) for name in Decided.__struct_fields__})
        asked = Asked(
            id=record.id,
            created_at=record.created_at,
            tenant=record.tenant,
            decision=decided,
            candidate=record.candidate,
            cost_usd=record.cost_usd,
        )
        with self.policy.lock:
            self._own[record.id] = None
            if len(self._own) > MOST_OWN:  # records that the store had to drop are never met
                del self._own[next(iter(self._own))]
            self._book(asked)

    async def settled(self) -> None:
        """Returns once what was heard is learnt; for tests and scripts."""
        while self._looking is not None:
            await asyncio.wait({self._looking})

    async def rest(self) -> None:
        """Begin nothing new, and let what is under way leave its records and feedback."""
        if self.rater is not None:
            await self.rater.close()
        if self.deeds is not None:
            await self.deeds.settled()

    async def close(self) -> None:
        """Learn what is there, and keep it."""
        await self.settled()
        await asyncio.to_thread(self._last)

    def catch_up(self) -> None:
        """Learn from all that came since; blocks."""
        assert self._books is not None
        before = None
        while before != self._seqs:
            before = self._seqs
            news = self._books.news(self.policy.name, *before)
            for asked in news.asked:
                with self.policy.lock:
                    self._meet(asked)
            for word in news.words:
                with self.policy.lock:
                    self.counts[self._learn(word)] += 1
            self._seqs = (news.records_seq, news.feedback_seq)

    def save(self) -> None:
        """Forget what was waited for in vain, and keep the state, if there is a place for it."""
        self._saved_at = monotonic()
        policy = self.policy
        with policy.lock:
            policy.bandit.expire(time.time())
            if self._shelf is None:
                return
            records_seq, feedback_seq = self._seqs
            kept = Kept(
                store="" if self._books is None else self._books.identity(),
                records_seq=records_seq,
                feedback_seq=feedback_seq,
                fairness=self._fairness,
                pace=None if policy.pace is None else policy.pace.state(),
                bills=policy.bills.sums,
                own=list(self._own),
                rated=None if self.rater is None else self.rater.spent,
                counts=dict(self.counts),
            )
            self._shelf.save(policy.bandit, kept)

    def _look(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look_again())

    async def _look_again(self) -> None:
        try:
            while True:
                self._is_due = False
                await asyncio.to_thread(self._one_look)
                if not self._is_due:
                    return
        finally:
            self._looked_at = monotonic()
            self._looking = None

    def _one_look(self) -> None:
        try:
            self.catch_up()
            if monotonic() - self._saved_at >= self._save_s:
                self.save()
        except (StoreError, OSError) as error:
            _log.warning("the policy of %r learns nothing new: %s", self.policy.name, error)

    def _last(self) -> None:
        try:
            if self._books is not None:
                self.catch_up()
                self.save()
        except (StoreError, OSError) as error:
            _log.error("what the policy of %r learnt last is not kept: %s", self.policy.name, error)

    def _use(self, kept: Kept) -> None:
        assert self._shelf is not None and self._books is not None
        policy, bandit = self.policy, self._shelf.bandit()
        if bandit.d != policy.sight.d:
            raise ArtefactError(
                f"{self._shelf.path} holds contexts of {bandit.d} numbers, this configuration makes "
                f"{policy.sight.d}; name another `path`"
            )
        for arm in policy.arms:
            if arm not in bandit.arms:
                bandit.add_arm(arm, burn_in=self._burn_in[0], share=self._burn_in[1])
        for arm in set(bandit.arms) - set(policy.arms):
            bandit.remove_arm(arm)
        policy.use(bandit)
        same = Fairness(
            most_per_user=self._fairness.most_per_user,
            user_share=self._fairness.user_share,
            day=kept.fairness.day,
            n=kept.fairness.n,
            by_user=kept.fairness.by_user,
        )
        self._fairness, self.counts = same, Counter(kept.counts)
        policy.bills = Bills(kept.bills)
        if policy.pace is not None and kept.pace is not None:
            policy.pace.restore(kept.pace)
        if self.rater is not None and kept.rated is not None:
            self.rater.spent = kept.rated
        if kept.store == self._books.identity():
            self._own = dict.fromkeys(kept.own)
            self._seqs = (kept.records_seq, kept.feedback_seq)
        else:
            _log.warning("%s was learnt from another store; all of this one is new", self._shelf.path)

    def _meet(self, asked: Asked) -> None:
        """A record in the log: of this process it is booked already."""
        if asked.id in self._own:
            del self._own[asked.id]
            return
        decided, pace = asked.decision, self.policy.pace
        if pace is not None and decided.scores:
            worth = self._in_order(decided.arms, decided.scores)
            costs = self._in_order(decided.arms, decided.costs_usd)
            if not np.isnan(worth + costs).all():
                pace.heard(worth, costs * self.policy.bills.factors(self.policy.arms), asked.created_at)
        self._book(asked)

    def _book(self, asked: Asked) -> None:
        """What it cost, and that somebody was asked."""
        decided, pace = asked.decision, self.policy.pace
        cost = asked.cost_usd
        if decided.learnable is not None and not decided.learnable.x:  # a rating: nobody decided
            if self.rater is not None and cost is not None:
                self.rater.paid(float(cost), asked.created_at)
            return
        predicted = _of(decided.arms, decided.costs_usd, asked.candidate)
        if asked.candidate is not None and cost is not None and predicted is not None:
            self.policy.bills.paid(asked.candidate, float(cost), predicted)
        if pace is not None:
            pace.paid(float(cost) if cost is not None else max(predicted or 0.0, 0.0), asked.created_at)
        pull = self._pull(asked)
        if pull is not None:
            self.policy.wait(pull, pull.arm)

    def _learn(self, word: Word) -> str:
        """Whether it was "learnt", or why not."""
        asked, bandit = word.asked, self.policy.bandit
        found = reward(word.name, word.value, self._ranges)
        if found is None:
            return "no_reward"
        if word.at - asked.created_at > self._feedback_s:
            return "late"
        if not is_first(found, word.before, self._ranges):
            return "repeated"
        if asked.candidate not in bandit.arms:
            return "no_arm"
        pull = self._pull(asked)
        if pull is None:
            return "no_context"
        if not self._fairness.allows(_unit(asked), word.at):
            return "unfair"
        offset = believed(self._in_order(asked.decision.arms, asked.decision.scores))
        score = float(offset[self.policy.arms.index(pull.arm)])
        if not bandit.waits_for(pull.id):
            bandit.adopt(pull)
        bandit.learn(pull.id, 0.5 + (found.value - score) / 2, found.weight)
        return "learnt"

    def _pull(self, asked: Asked) -> Pull | None:
        """Credit goes to who answered; None if nobody did, or the context is another."""
        decided, seen = asked.decision, asked.decision.learnable
        if asked.candidate is None or seen is None or len(seen.x) != 4 * self.policy.sight.d:
            return None
        x = np.frombuffer(seen.x, np.float32)
        if not np.isfinite(x).all():
            return None
        chance = _of(decided.arms, decided.propensities, asked.candidate) or 1.0
        return Pull(
            asked.id, asked.candidate, x, chance, tuple(decided.propensities), asked.created_at, seen.version
        )

    def _in_order(self, arms: Sequence[str], values: Sequence[float | None]) -> FloatArray:
        """(P,) in the order of the policy's arms; NaN where there is none."""
        known = dict(zip(arms, values, strict=False))
        return np.array([np.nan if (value := known.get(arm)) is None else value for arm in self.policy.arms])


def _of(arms: Sequence[str], values: Sequence[float | None], arm: str | None) -> float | None:
    return dict(zip(arms, values, strict=False)).get(arm or "")


def _unit(asked: Asked) -> str:
    """A user without his name; "" for none."""
    if not asked.user:
        return ""
    return hashlib.blake2b(f"{asked.tenant}\0{asked.user}".encode(), digest_size=8).hexdigest()
