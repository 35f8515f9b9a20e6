"""What a plan is: a way to answer a query that may call models.

A plan is an async generator of events, so that one code serves streams and whole answers, can be
cancelled by closing it, and can hold a stream back until it accepts what it sees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from suffice.errors import ConfigError
from suffice.protocols import Embedder, Estimate, Model
from suffice.types import Answer, Attempt, Caller, Candidate, Chunk, Decision, Options, Query, Retrieval


class Note(msgspec.Struct, frozen=True):
    """What a plan has to say about how its answer came about; kept with the record's reason."""

    text: str = ""
    candidate: str | None = None
    """Who speaks from here on, where a stream begins before the answer is whole."""
    retrieval: Retrieval | None = None
    """What was looked up so far; the last word counts."""
    decision: Decision | None = None
    """A later one about the same query, in place of that which the plan was given."""


Event = Attempt | Chunk | Answer | Note
"""`Attempt`: a call ended, well or badly. `Chunk`: to be streamed on. `Answer`: the whole, with the usage and
the cost of all calls; the last event, or before the chunks of a stream that was held back."""


class PlanContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan may use for one query."""

    models: Mapping[str, Model]
    ranking: Sequence[str]
    """Candidates, best first."""
    options: Options
    caller: Caller = Caller()
    """On whose behalf: nothing that one tenant sent or got may reach another."""
    is_stream: bool = False
    timeout_s: float = 300.0
    retries: int = 1
    decision: Decision | None = None
    """Scores and predicted costs, for plans that weigh them."""
    decide: Callable[[Query], Awaitable[Decision]] | None = None
    """The pipeline's decision about another query, for plans that route parts of this one."""
    retrieval: str | None = None
    """The strategy that the client wants in place of the gate's choice."""


class Plan(Protocol):
    @property
    def name(self) -> str: ...

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """What the plan would bring for this query, as far as the decision's numbers tell."""
        ...

    def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Answer; raises AllAttemptsFailed when nobody could."""
        ...


class Configured(Plan, Protocol):
    """A plan made from `plan:` of a configuration."""

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Read the files that it names, and check the candidates that it names.

        Parameters
        ----------
        path : of a file or directory that the configuration names

        Raises
        ------
        ConfigError, ArtefactError
            If it cannot work with this panel.
        """
        ...


def check_names(plan: str, names: Iterable[str | None], panel: Sequence[Candidate]) -> None:
    """Raise a ConfigError for a name that is no candidate's; None is nobody's."""
    known = [candidate.name for candidate in panel]
    for name in names:
        if name is not None and name not in known:
            raise ConfigError(f"plan {plan!r}: {name!r} is not in the panel; known: {', '.join(known)}")
