"""The seams of the house: what each kind of part must be able to do.

Estimators (Router, CostModel, LatencyModel, Embedder) never decide; a Policy never estimates; a
Model, a Plan and a Store act. Parts of one layer meet only through these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeGuard, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.types import (
    Answer,
    ApiKey,
    BoolArray,
    Candidate,
    Choice,
    Chunk,
    Explanation,
    Feedback,
    FloatArray,
    Kind,
    Options,
    Passage,
    Query,
    Record,
    SparseFeatures,
)

if TYPE_CHECKING:
    from suffice.outcomes import Outcomes, Preferences


@runtime_checkable
class Embedder(Protocol):
    """Text to vectors."""

    @property
    def name(self) -> str:
        """Identifies vectors that may be compared; stands in every artefact trained on them."""
        ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows of shape (n, dimensions); an empty text gives a zero row.

        Raises
        ------
        EmbedderError
            If no vectors can be had.
        """
        ...


@runtime_checkable
class Retriever(Protocol):
    """Finds passages for a query."""

    def search(self, query: str, k: int = 5) -> list[Passage]:
        """At most k passages, best first; none is an answer too. Scores compare within one query."""
        ...


class FeatureEmbedder(Embedder, Protocol):
    """An embedder that also has sparse features, which linear routers and LSA learn from."""

    def features(self, texts: Sequence[str], kind: Kind = "words") -> SparseFeatures: ...


def has_features(embedder: Embedder) -> TypeGuard[FeatureEmbedder]:
    """Whether it, or the embedder that it wraps, has sparse features."""
    return callable(getattr(embedder, "features", None))


@runtime_checkable
class Router(Protocol):
    """Predicts the quality of every arm before any of them is asked."""

    @property
    def arms(self) -> tuple[str, ...]: ...

    def fit(self, outcomes: Outcomes) -> Self: ...

    def scores(self, queries: Sequence[Query]) -> FloatArray:
        """(n_queries, n_arms) in [0, 1], NaN for an arm without training data.

        Changes nothing and reads no file.
        """
        ...

    def save(self, directory: Path) -> None: ...

    @classmethod
    def load(cls, directory: Path, *, embedder: Embedder | None = None) -> Self: ...

    def explain(self, query: Query) -> Explanation: ...


class PreferenceRouter(Router, Protocol):
    """A router that also learns from which of two answers was preferred."""

    def fit_preferences(self, preferences: Preferences) -> Self:
        """Start afresh from pairs; scores are then expected win rates, in [0, 1].

        Raises
        ------
        DataError
            If no pair has a known preference.
        """
        ...


class ExtensibleRouter(Router, Protocol):
    """A router that takes up a new arm without being trained again."""

    def add_model(self, name: str, outcomes: Outcomes) -> Self:
        """Add the arm `name` from a few labelled queries.

        Parameters
        ----------
        outcomes : holds the arm `name`; its other arms are ignored
        """
        ...


class CostModel(Protocol):
    """Predicts what each arm would cost."""

    @property
    def arms(self) -> tuple[str, ...]: ...

    def costs(self, queries: Sequence[Query]) -> FloatArray:
        """(n_queries, n_arms) in USD; NaN where no price is known."""
        ...


class LatencyModel(Protocol):
    """Predicts how long each arm would take."""

    @property
    def arms(self) -> tuple[str, ...]: ...

    def latencies(self, queries: Sequence[Query]) -> FloatArray:
        """(n_queries, n_arms) in seconds; NaN where unknown."""
        ...


class PolicyContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy may know besides the numbers."""

    arms: tuple[str, ...]
    eligible: BoolArray | None = None
    """(n, P); None allows every plan."""
    now: float | None = None
    """Unix seconds, passed in: decisions read no clock."""
    rng: np.random.Generator | None = None
    """For policies that draw; None must be deterministic."""
    queries: Sequence[Query] = ()
    """(n,) for policies that learn."""


class Policy(Protocol):
    """Picks a plan from numbers."""

    def choose(
        self, scores: FloatArray, costs: FloatArray, latencies: FloatArray, context: PolicyContext
    ) -> Choice:
        """All three (n, P); NaN is unknown."""
        ...


class Model(Protocol):
    """One candidate that can be asked."""

    @property
    def candidate(self) -> Candidate: ...

    async def answer(self, query: Query, options: Options) -> Answer:
        """Raises ProviderError, and nothing else, when the call fails."""
        ...

    def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        """As `answer`, piece by piece; the last chunk with content is followed by usage.

        Closing the iterator cancels the upstream call.
        """
        ...

    async def close(self) -> None: ...


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan would bring, as far as is known now."""

    quality: float
    quality_sd: float | None = None
    cost_usd: float | None = None
    latency_s: float | None = None


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the records of one group."""

    group: str
    n_requests: int
    n_failed: int
    n_unpriced: int
    """Requests whose cost is unknown: not counted as 0, not in `cost_usd`."""
    cost_usd: str
    """Decimal, as text."""
    baseline_usd: str
    prompt_tokens: int
    completion_tokens: int
    saving_usd: str = "0"
    """Baseline less cost, over the requests of which both are known; Decimal, as text."""


class Store(Protocol):
    """Where records, feedback, keys and spend are kept. Blocking but for `append` and `drain`."""

    def append(self, record: Record) -> None:
        """Queue a record; on disk within 100 ms. Never blocks; counts what it must drop."""
        ...

    async def add_feedback(self, feedback: Feedback) -> None:
        """Returns once it is committed. Raises NotFound for a record that this tenant does not have."""
        ...

    async def drain(self) -> None:
        """Returns once everything appended so far is committed. Raises StoreError while that fails."""
        ...

    def record(self, record_id: str, tenant: str | None = None) -> Record | None: ...

    def records(
        self, *, tenant: str | None = None, since: float | None = None, limit: int = 50
    ) -> list[Record]:
        """Newest first."""
        ...

    def feedback(self, record_id: str, tenant: str | None = None) -> list[Feedback]: ...

    def spend(
        self, *, by: str = "candidate", tenant: str | None = None, since: float | None = None
    ) -> list[Spend]:
        """`by` is one of candidate, tenant, key_id, user, day."""
        ...

    def add_key(self, key: ApiKey, digest: bytes) -> None: ...

    def key_by_digest(self, digest: bytes) -> ApiKey | None:
        """None for an unknown key and for a revoked one."""
        ...

    def keys(self) -> list[ApiKey]: ...

    def revoke_key(self, key_id: str, at: float) -> bool: ...

    def stats(self) -> Mapping[str, Any]:
        """For /metrics and doctor: queue depth, dropped, lost at the last kill, size on disk."""
        ...

    def close(self) -> None: ...
