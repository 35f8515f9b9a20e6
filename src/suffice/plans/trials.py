"""Experiments on live traffic: who is asked in place of the control, and what shadows find."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from suffice.errors import SufficeError
from suffice.experiments import DIFFERENCE, Experiment, Progress, position, unit_of
from suffice.plans.shadow.base import Ask
from suffice.plans.shadow.judge import Judge
from suffice.types import Answer, Caller, Feedback, Query, Record, Trial

if TYPE_CHECKING:
    from suffice.store.experiments import SqliteExperiments, Standing

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How old what is known may be before a look is taken, beside the requests."""
LATEST_S: Final = 2.0
"""And before a request waits for it: so long a change may go unnoticed."""
SHOWN_S: Final = 7 * 86_400.0
"""So long an experiment that ended stays among those that are shown, that an alarm may find it."""
_LIVE: Final = ("running", "promoted")
_TOOLS: Final = ("tool_calls", "function_call")


class Assigned:
    """What an experiment says about one request."""

    __slots__ = ("experiment", "is_shadowed", "model", "reason", "trial")

    def __init__(
        self, experiment: Experiment, model: str, reason: str, trial: Trial | None, is_shadowed: bool = False
    ) -> None:
        self.experiment, self.model, self.reason, self.trial = experiment, model, reason, trial
        self.is_shadowed = is_shadowed


class Trials:
    """The experiments of one engine."""

    def __init__(
        self,
        books: SqliteExperiments,
        names: Collection[str],
        add_feedback: Callable[[Feedback], Awaitable[None]],
        *,
        most_open: int = 32,
    ) -> None:
        """
        Parameters
        ----------
        books : where experiments are kept
        add_feedback : keeps what a judge says about a shadow
        names : everything that a request may ask for
        most_open : shadows under way at once; while there are more, none is begun
        """
        self._books = books
        self._names = frozenset(names)
        self._add_feedback = add_feedback
        self._most_open = most_open
        self._by_control: dict[str, Standing] = {}
        self.standing: tuple[Standing, ...] = ()
        """As of the last look: running, promoted, or ended within the last week."""
        self._ignored: set[str] = set()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random()

    async def assign(
        self, model: str, caller: Caller, query: Query, new_id: Callable[[], str]
    ) -> Assigned | None:
        """Whom to ask in place of the model asked for; None: no experiment is about it.

        Parameters
        ----------
        model : what the client asks for
        new_id : names the unit of a request without user and session
        """
        age_s = time.monotonic() - self._looked_at
        if age_s > LOOK_S and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self.look())
        if age_s > LATEST_S and self._looking is not None:
            await asyncio.shield(self._looking)
        found = self._by_control.get(model)
        if found is None:
            return None
        experiment, share = found.experiment, found.progress.share(found.experiment)
        if found.progress.status == "promoted":
            return Assigned(experiment, experiment.treatment, f"experiment {experiment.name}: promoted", None)
        if experiment.kind == "shadow":
            is_drawn = self._random.random() < share and len(self._tasks) < self._most_open
            return Assigned(experiment, model, "", None, is_shadowed=True) if is_drawn else None
        unit = unit_of(caller.tenant, query.user, query.session, new_id)
        is_treated = position(experiment.salt or experiment.name, unit) < share
        trial = Trial(
            experiment=experiment.name,
            arm="treatment" if is_treated else "control",
            share=share,
            unit=unit,
        )
        reason = f"experiment {experiment.name}: {trial.arm} ({100 * share:g} % are treated)"
        return Assigned(experiment, experiment.treatment if is_treated else model, reason, trial)

    async def look(self) -> None:
        """Take up what was recorded since, here and elsewhere, and what follows from it."""
        try:
            self._use(await asyncio.to_thread(self._read, time.time()))
        except (SufficeError, msgspec.MsgspecError) as error:
            _log.warning("experiments stay as they were, they cannot be read: %s", error)
        finally:
            self._looked_at = time.monotonic()
            self._looking = None

    def shadow(self, assigned: Assigned, control: Record, answer: Answer | None, asking: Asking) -> None:
        """Have the treatment answer too, in the background, once the client has the control's answer."""
        if answer is None or (answer.finish_reason in _TOOLS and not answer.tool_calls):
            return
        task = asyncio.ensure_future(self._compare(assigned.experiment, control, answer, asking))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Returns once no shadow is under way; for tests and scripts."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self, within_s: float = 5.0) -> None:
        """Let shadows end, for a while."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._looking is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _compare(self, experiment: Experiment, control: Record, answer: Answer, asking: Asking) -> None:
        trial = Trial(experiment=experiment.name, arm="treatment", share=0.5, unit=control.id, of=control.id)
        try:
            query, ask, shadowed = asking(trial, experiment.treatment)
            found = await shadowed()
            record, other = found.record, found.answer
            assert experiment.judge is not None
            better = await Judge(judge=experiment.judge).drop(query, answer, other, ask)
            if better is not None:
                word = Feedback(
                    record_id=record.id,
                    tenant=record.tenant,
                    created_at=time.time(),
                    name=DIFFERENCE,
                    value=better,
                )
                await self._add_feedback(word)
        except SufficeError as error:
            _log.warning("a shadow of experiment %s came to nothing: %s", experiment.name, error)
        except Exception as error:  # the outermost edge of this task
            _log.error("a shadow of experiment %s failed with %s", experiment.name, type(error).__name__)

    def _read(self, now: float) -> list[Standing]:
        """Those that split traffic, and those that ended lately: here, in another worker, by hand. Blocks."""
        found = self._books.look(now)
        names = {one.experiment.name for one in found}
        others = [one for one in self.standing if one.experiment.name not in names]
        is_first = self._looked_at == float("-inf")
        if is_first or any(one.progress.status in _LIVE for one in others):
            others = [one for one in self._books.all() if one.experiment.name not in names]
        return [*found, *(one for one in others if (one.progress.ended_at or 0.0) > now - SHOWN_S)]

    def _use(self, standing: Iterable[Standing]) -> None:
        known = []
        for one in standing:
            strange = {one.experiment.control, one.experiment.treatment} - self._names
            if not strange:
                known.append(one)
            elif one.experiment.name not in self._ignored:
                self._ignored.add(one.experiment.name)
                _log.warning(
                    "the experiment %s is left alone: this gateway has no %s",
                    one.experiment.name,
                    " and no ".join(sorted(strange)),
                )
        before = {one.experiment.name: one.progress for one in self.standing}
        for one in known:
            _tell(one.experiment, before.get(one.experiment.name), one.progress)
        self.standing = tuple(known)
        self._by_control = {one.experiment.control: one for one in known if one.progress.status in _LIVE}


class Shadowed(Protocol):
    """What the treatment made of a request."""

    @property
    def record(self) -> Record: ...

    @property
    def answer(self) -> Answer: ...


Asking = Callable[[Trial, str], tuple[Query, Ask, Callable[[], Awaitable[Shadowed]]]]
"""How the engine asks on the account of a request: the query, any candidate, and the treatment as a whole."""


def _tell(experiment: Experiment, before: Progress | None, now: Progress) -> None:
    if before is not None and (before.status, before.stage) != (now.status, now.stage):
        _log.warning(
            "experiment %s: %s%s; %g %% of %s now go to %s",
            experiment.name,
            now.status,
            f", {now.why}" if now.why else "",
            100 * now.share(experiment),
            experiment.control,
            experiment.treatment,
        )
