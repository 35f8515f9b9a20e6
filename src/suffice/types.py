"""The vocabulary: what is asked, of whom, what came back, what was decided, what is kept.

Values are frozen `msgspec.Struct`s rather than dataclasses: one is built several times per
request, they cost a tenth of a frozen dataclass to build, and the store and the gateway encode them
as they are. Those built per request hold no cycles and say `gc=False`: the collector
never walks them. Money is `Decimal` here; float64 only inside arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

_MILLION: Final = Decimal(1_000_000)
_HOUR_S: Final = Decimal(3600)
_FINEST: Final = Decimal("1e-12")
"""USD; an hourly price divides into endless decimals, a price by the token does not."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one call used. None is unknown and never 0."""

    prompt_tokens: int | None = None
    """All input tokens, cached ones included."""
    completion_tokens: int | None = None
    """All output tokens, hidden reasoning included."""
    cached_tokens: int | None = None
    """The part of prompt_tokens that the provider read from its prefix cache."""
    reasoning_tokens: int | None = None
    compute_s: float | None = None
    """CPU (or GPU) seconds that a local model used; None for a remote one."""

    @property
    def total_tokens(self) -> int | None:
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


class PriceTier(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that hold for the whole call once the prompt has at least `min_prompt_tokens`."""

    min_prompt_tokens: int
    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    cached_input_usd_per_mtok: Decimal | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs: by the token, or by the hour of a machine for a local one.

    A local model is never free: its `usd_per_cpu_hour` is a stated assumption.
    """

    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None
    cached_input_usd_per_mtok: Decimal | None = None
    """None: cached tokens cost as much as others."""
    tiers: tuple[PriceTier, ...] = ()
    """Ascending by min_prompt_tokens."""
    usd_per_cpu_hour: Decimal | None = None
    """Per hour of one core (or one accelerator) kept busy."""
    source: str = ""
    as_of: str = ""
    """ISO date on which the source said so."""

    def cost_usd(self, usage: Usage) -> Decimal | None:
        """Exact cost of one call, or None where the usage does not say enough."""
        if self.usd_per_cpu_hour is not None:
            if usage.compute_s is None:
                return None
            return (Decimal(str(usage.compute_s)) * self.usd_per_cpu_hour / _HOUR_S).quantize(_FINEST)
        if self.input_usd_per_mtok is None or self.output_usd_per_mtok is None:
            return None
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        into, out, cached = self._rates(usage.prompt_tokens)
        n_cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        return (
            (usage.prompt_tokens - n_cached) * into + n_cached * cached + usage.completion_tokens * out
        ) / _MILLION

    def _rates(self, prompt_tokens: int) -> tuple[Decimal, Decimal, Decimal]:
        """USD per million input, output and cached input tokens for a prompt of this length."""
        assert self.input_usd_per_mtok is not None and self.output_usd_per_mtok is not None
        into, out, cached = self.input_usd_per_mtok, self.output_usd_per_mtok, self.cached_input_usd_per_mtok
        for tier in self.tiers:
            if prompt_tokens >= tier.min_prompt_tokens:
                into, out = tier.input_usd_per_mtok, tier.output_usd_per_mtok
                cached = tier.cached_input_usd_per_mtok
        return into, out, into if cached is None else cached

    @property
    def is_known(self) -> bool:
        by_token = self.input_usd_per_mtok is not None and self.output_usd_per_mtok is not None
        return by_token or self.usd_per_cpu_hour is not None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One model as configured: a row of the panel. Holds no secret."""

    name: str
    provider: str
    model: str
    """The provider's id for it."""
    price: Price = Price()
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    """Of "tools", "vision", "json", "logprobs", "streaming"; empty is unknown, not none."""
    strength: float | None = None
    """The user's or the catalogue's word on how good it is, in [0, 1]; used where no data speak."""

    def allows(self, capability: str) -> bool:
        """False only where the capabilities are known and this one is missing."""
        return not self.capabilities or capability in self.capabilities


class Constraints(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the chosen plan must keep to, whatever the policy."""

    max_cost_usd: Decimal | None = None
    max_latency_s: float | None = None
    models: tuple[str, ...] = ()
    """Allowed candidates; empty allows all."""


class Query(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is asked. Routers read `text`; models are sent `messages`."""

    text: str
    """The last user message's text."""
    messages: Sequence[Mapping[str, Any]] = ()
    """The chat as the client sent it; empty stands for one user message holding `text`."""
    id: str | None = None
    task: str | None = None
    """Never a router input unless asked for."""
    user: str | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    """Capabilities without which no answer is possible: "tools", "vision", "json"."""
    constraints: Constraints = Constraints()

    @classmethod
    def from_messages(cls, messages: Sequence[Mapping[str, Any]], **fields: Any) -> Query:
        """A chat; the text that routers see is that of its last user message."""
        return cls(text=_last_user_text(messages), messages=messages, **fields)

    def chat(self) -> Sequence[Mapping[str, Any]]:
        """The messages to send, whichever way the query was made."""
        return self.messages or ({"role": "user", "content": self.text},)


def _last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            return content_text(message.get("content"))
    return content_text(messages[-1].get("content")) if messages else ""


def content_text(content: Any) -> str:
    """The text of a message's content: a string, a list of typed parts, or None."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


class Options(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How to answer: every field of a chat-completions request but its messages and model."""

    fields: Mapping[str, Any] = {}
    """Passed through to providers of the same shape, unknown ones too."""
    timeout_s: float | None = None
    """For the whole call; None takes the provider's own."""

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.fields.get("logprobs"))

    @property
    def wants_stream_usage(self) -> bool:
        options = self.fields.get("stream_options")
        return isinstance(options, dict) and bool(options.get("include_usage"))

    @property
    def max_tokens(self) -> int | None:
        for name in ("max_completion_tokens", "max_tokens"):
            value = self.fields.get(name)
            if isinstance(value, int):
                return value
        return None


class TokenLogprob(msgspec.Struct, frozen=True, gc=False):
    """One generated token; natural logs. `top` holds (token, logprob) of the likeliest."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a document, as a search found it."""

    id: str
    """DOCUMENT#POSITION, from 0."""
    text: str
    source: str
    score: float
    """Higher is better; its scale is the retriever's own."""


class Citation(msgspec.Struct, frozen=True, gc=False):
    """A passage that an answer names."""

    number: int
    """As in the prompt, from 1."""
    id: str
    source: str


class Retrieval(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was looked up for an answer."""

    strategy: str
    """`none`, `single` or `multi`; a fitted gate's own names where it has others."""
    n_lookups: int = 0
    n_passages: int = 0
    """Different ones that were shown to a model."""
    citations: tuple[Citation, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a candidate said, and what it took."""

    content: str
    candidate: str
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    latency_s: float = 0.0
    first_token_s: float | None = None
    finish_reason: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    no_logprobs: str | None = None
    """Why there are none, where there are none."""
    body: bytes | None = None
    """The OpenAI-shaped response as it goes to the client; None until somebody needs it."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One piece of a streamed answer.

    `data` is the JSON of an OpenAI `chat.completion.chunk`, without framing; empty for a piece that
    only carries usage which the client did not ask for.
    """

    data: bytes
    text: str = ""
    has_content: bool = False
    """True once something was said: text, reasoning, a refusal or a tool call. No fallback after it."""
    usage: Usage | None = None
    finish_reason: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None


class Learnable(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a policy that learns saw of a query: enough to learn from it whenever its reward comes."""

    learner: str
    """The pipeline."""
    version: int
    """How many rewards it had learnt."""
    x: bytes
    """(d,) float32, the query's context."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A policy's word on n queries over P plans."""

    ranking: IntArray
    """(n, P): plan indices, best first; ineligible plans come last."""
    propensities: FloatArray
    """(n, P): the probability with which each plan was to be chosen; rows sum to 1."""
    reasons: tuple[str, ...]
    """(n,): in words."""
    learnable: tuple[Learnable, ...] = ()
    """(n,) of policies that learn."""


class Versions(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a decision was made with, so that it can be made again."""

    router: str = ""
    policy: str = ""
    embedder: str = ""
    prices: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which plan answers, and everything that was known when it was chosen."""

    plan: str
    candidate: str
    ranking: tuple[str, ...]
    """Eligible candidates, best first; the fallback order."""
    eligible: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    """The order of scores, costs, latencies and propensities."""
    scores: tuple[float | None, ...] = ()
    costs_usd: tuple[float | None, ...] = ()
    latencies_s: tuple[float | None, ...] = ()
    propensities: tuple[float, ...] = ()
    policy: str = ""
    reason: str = ""
    decision_s: float = 0.0
    baseline: str | None = None
    """The strongest candidate: what would have been asked without routing."""
    versions: Versions = Versions()
    learnable: Learnable | None = None
    """Where the policy learns."""

    def of(self, values: Sequence[float | None], candidate: str) -> float | None:
        """The entry of `scores`, `costs_usd`, ... that belongs to a candidate."""
        if candidate not in self.arms or not values:
            return None
        return values[self.arms.index(candidate)]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call to one candidate, answered or not."""

    candidate: str
    latency_s: float
    error: str | None = None
    """None: it answered. Else the error's class and message, without secrets."""
    status: int | None = None
    cost_usd: Decimal | None = None
    role: str = ""
    """What the call was for, in a plan that asks more than once: sample, verify, propose, aggregate, judge,
    decompose, part, think, search, draft, step, rewrite; "cancelled": no longer needed, its cost is an
    estimate. Empty for an answer."""


class Caller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """On whose behalf: taken from the key, never from the body."""

    tenant: str = "default"
    key_id: str | None = None
    keep_content: bool = False
    """Whether this caller agreed to have queries and answers stored."""


class Trial(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request's place in an experiment."""

    experiment: str
    arm: Literal["control", "treatment"]
    share: float
    """The probability with which it was to be the treatment."""
    unit: str
    """Who is always in the same arm: a digest of the user, else the session, else the request."""
    of: str | None = None
    """The record whose request was asked again, as a shadow."""


class Reuse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the cache made of a request."""

    way: Literal["exact", "semantic", "rewrite", "shared", "miss", "bypass"]
    """`shared`: the call of another request was under way; `bypass`: not looked for, and not kept."""
    of: str | None = None
    """The record whose request was asked for the answer; of a miss that began a call, its own."""
    saved_usd: Decimal | None = None
    """What that answer cost, less what giving it again did."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of one request."""

    id: str
    created_at: float
    """Unix seconds."""
    tenant: str
    key_id: str | None = None
    user: str | None = None
    session: str | None = None
    requested_model: str = ""
    """The `model` that the client asked for."""
    is_stream: bool = False
    decision: Decision
    attempts: tuple[Attempt, ...] = ()
    candidate: str | None = None
    """Who answered; None if nobody did."""
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    """Of all attempts together; None is unknown."""
    is_estimate: bool = False
    """Usage and cost were not reported, but estimated from what was seen before the client left."""
    baseline_usd: Decimal | None = None
    latency_s: float = 0.0
    first_token_s: float | None = None
    confidence: float | None = None
    no_confidence: str | None = None
    """Why there is none, where one was configured."""
    finish_reason: str | None = None
    status: int = 200
    error: str | None = None
    query: str | None = None
    """Messages as JSON; only with consent."""
    answer: str | None = None
    """Only with consent."""
    trial: Trial | None = None
    """Where it was part of an experiment."""
    reuse: Reuse | None = None
    """Where there is a cache."""
    retrieval: Retrieval | None = None
    """Where a gate or a plan decided on look-ups."""


SHARES: Final = ("score", "label", "correction", "judge")
"""Names of feedback whose values lie in [0, 1]."""
DEEDS: Final = ("copy", "follow_up", "regenerate")
"""Names of what people did with an answer: 1 where they did."""


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """A word on one record, by its user or a program."""

    record_id: str
    tenant: str
    created_at: float
    name: str = "score"
    value: float
    """In [0, 1] for the names in `SHARES`; any finite number for others."""
    comment: str | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of this gateway; only its hash is kept."""

    id: str
    tenant: str
    prefix: str
    """The first characters, so that people can tell keys apart."""
    created_at: float
    is_admin: bool = False
    keep_content: bool = False
    revoked_at: float | None = None
    name: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a router scores a query as it does."""

    summary: str
    evidence: tuple[str, ...] = ()


Kind = Literal["words", "characters", "both"]
"""Which n-grams of a text become features."""


class SparseFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """n rows over a fixed number of columns, most of them 0 (compressed sparse rows)."""

    indptr: NDArray[np.int64]
    """(n + 1,): row i holds entries indptr[i] to indptr[i + 1]."""
    indices: NDArray[np.int32]
    """(n_entries,): columns, ascending within a row, each at most once."""
    values: NDArray[np.float32]
    """(n_entries,): rows of length 1; an empty row stands for an empty text."""
    n_columns: int

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    def row_ids(self) -> NDArray[np.int64]:
        """(n_entries,): the row of every entry."""
        return np.repeat(np.arange(self.n_rows), np.diff(self.indptr))
