"""A model that says again what a real one said once: for demonstrations and tests without a network.

It reads a file of `Runs` and knows only the queries in it. Every other query is refused: a made-up
answer would be worth nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from suffice.errors import ConfigError, ProviderRejected
from suffice.outcomes import Runs
from suffice.providers.base import ProviderSettings, check_options
from suffice.types import Answer, Candidate, Chunk, Options, Query, TokenLogprob, Usage

PANEL: Final = "panel"
"""As `path`: the recorded panel that ships with the package."""
_COLUMNS: Final = (
    "prompt",
    "query",
    "model",
    "strategy",
    "temperature",
    "seed",
    "response",
    "logprobs",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost_usd",
    "cpu_s",
    "latency_s",
    "prefill_s",
    "finish_reason",
)
_OURS: Final = frozenset({"path", "pace"})

Run = Mapping[str, Any]


class RecordedModel:
    """One model of a recording. A query is recognised by its text, whitespace aside."""

    def __init__(self, candidate: Candidate, runs: Mapping[str, Sequence[Run]], *, pace: float = 0.0) -> None:
        """
        Parameters
        ----------
        candidate : `model` names it in the recording; its price, where known, prices the usage anew
        runs : normalised text -> the runs of that model on it, greedy ones first
        pace : 0 answers at once, 1 takes the recorded time, 0.5 half of it
        """
        self.candidate = candidate
        self._runs = runs
        self._pace = pace

    @classmethod
    def from_config(cls, candidate: Candidate, settings: ProviderSettings, http: object = None) -> Self:
        """`settings.extra`: `path` to a file of runs (default: the panel of the package), and `pace`.

        Raises
        ------
        ConfigError
            If a value is unknown or out of range, or the recording has no such model.
        """
        extra = settings.extra
        check_options(candidate.name, extra, _OURS)
        pace = extra.get("pace", 0.0)
        if isinstance(pace, bool) or not isinstance(pace, int | float) or not 0 <= pace <= 100:
            raise ConfigError(f"{candidate.name}: pace = {pace!r}; wanted a number from 0 to 100")
        path = str(extra.get("path", PANEL))
        models = _recording(path)
        if candidate.model not in models:
            known = ", ".join(sorted(models))
            raise ConfigError(f"{candidate.name}: {path} has no model {candidate.model!r}; it has {known}")
        return cls(candidate, models[candidate.model], pace=float(pace))

    async def answer(self, query: Query, options: Options) -> Answer:
        """What was said. Raises ProviderRejected for a query that is not in the recording."""
        start, run = time.perf_counter(), self._find(query, options)
        await asyncio.sleep(self._pace * (run.get("latency_s") or 0.0))
        usage, logprobs = _usage(run), _logprobs(run)
        return Answer(
            content=run["response"],
            candidate=self.candidate.name,
            usage=usage,
            cost_usd=self._cost(run, usage),
            latency_s=time.perf_counter() - start,
            finish_reason=run.get("finish_reason") or "stop",
            logprobs=logprobs if options.wants_logprobs else None,
            no_logprobs=_no_logprobs(logprobs, options),
            body=msgspec.json.encode(self._body(run, usage, logprobs if options.wants_logprobs else None)),
        )

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        """As `answer`, token by token where the recording has tokens, then the usage."""
        run = self._find(query, options)
        usage, logprobs = _usage(run), _logprobs(run)
        pieces = _pieces(run["response"], logprobs)
        first_s = run.get("prefill_s") or 0.0
        rest_s = max((run.get("latency_s") or 0.0) - first_s, 0.0) / len(pieces)
        await asyncio.sleep(self._pace * first_s)
        for text, token in pieces:
            await asyncio.sleep(self._pace * rest_s)
            said = (token,) if token is not None and options.wants_logprobs else None
            delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            if said:
                delta["logprobs"] = {"content": [_shown(one) for one in said]}
            yield Chunk(data=self._chunk(run, [delta]), text=text, has_content=bool(text), logprobs=said)
        reason = run.get("finish_reason") or "stop"
        end = self._chunk(run, [{"index": 0, "delta": {}, "finish_reason": reason}])
        yield Chunk(data=end, finish_reason=reason)
        shown = self._chunk(run, [], _usage_shown(usage)) if options.wants_stream_usage else b""
        yield Chunk(data=shown, usage=usage)

    async def close(self) -> None:
        """Nothing to close."""

    def _find(self, query: Query, options: Options) -> Run:
        """The greedy run; with a temperature above 0, the sample of the request's seed if there is one."""
        runs = self._runs.get(normalised(query.text))
        if not runs:
            raise ProviderRejected(
                f"the recording of {self.candidate.model!r} has no answer to this query; it replays "
                f"{len(self._runs)} known ones and makes up none",
                candidate=self.candidate.name,
            )
        fields = options.fields
        if fields.get("temperature") and fields.get("seed") is not None:
            for run in runs:
                if run.get("temperature") and run.get("seed") == fields["seed"]:
                    return run
        return runs[0]

    def _cost(self, run: Run, usage: Usage) -> Decimal | None:
        if self.candidate.price.is_known:
            return self.candidate.price.cost_usd(usage)
        cost = run.get("cost_usd")
        return None if cost is None else Decimal(str(cost))

    def _body(self, run: Run, usage: Usage, logprobs: tuple[TokenLogprob, ...] | None) -> Mapping[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": run["response"]},
            "finish_reason": run.get("finish_reason") or "stop",
        }
        if logprobs is not None:
            choice["logprobs"] = {"content": [_shown(token) for token in logprobs]}
        return {**self._head(run, "chat.completion"), "choices": [choice], "usage": _usage_shown(usage)}

    def _chunk(self, run: Run, choices: Sequence[Mapping[str, Any]], usage: Any = None) -> bytes:
        value = {**self._head(run, "chat.completion.chunk"), "choices": choices}
        return msgspec.json.encode({**value, "usage": usage} if usage is not None else value)

    def _head(self, run: Run, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(f"{self.candidate.model}\0{run['prompt']}".encode()).hexdigest()
        head = {"id": f"chatcmpl-{digest[:24]}", "object": kind}
        return {**head, "created": int(time.time()), "model": self.candidate.model}


def normalised(text: str) -> str:
    """Composed (NFC), every run of whitespace one blank.

    Examples
    --------
    >>> normalised("What  is\\n1 + 1? ")
    'What is 1 + 1?'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


@lru_cache(maxsize=8)
def _recording(path: str) -> Mapping[str, Mapping[str, Sequence[Run]]]:
    """Model -> normalised text -> its runs, those at temperature 0 first."""
    source = Path(str(files("suffice") / "datasets" / "panel.parquet")) if path == PANEL else Path(path)
    if not source.is_file():
        raise ConfigError(f"no recording at {source}; wanted a Parquet, JSONL or CSV file of runs")
    models: dict[str, dict[str, list[Run]]] = {}
    for run in _rows(Runs.read(source)):
        by_text = models.setdefault(run["model"], {})
        by_text.setdefault(normalised(run["prompt"]), []).append(run)
    for by_text in models.values():
        for runs in by_text.values():
            runs.sort(key=lambda run: bool(run.get("temperature")))
    return models


def _rows(runs: Runs) -> Iterator[dict[str, Any]]:
    """Runs that say which model answered what."""
    names = [name for name in _COLUMNS if name in runs.columns]
    for missing in {"model", "response"} - set(names):
        raise ConfigError(f"a recording needs a column {missing!r}; it has {', '.join(runs.columns)}")
    columns = [runs.column(name) for name in names]
    for values in zip(*columns, strict=True):
        run = dict(zip(names, values, strict=True))
        run["prompt"] = run.get("prompt") or run["query"]
        if run["model"] is not None and run["response"] is not None:
            yield run


def _usage(run: Run) -> Usage:
    def whole(name: str) -> int | None:
        return None if run.get(name) is None else int(run[name])

    return Usage(
        prompt_tokens=whole("prompt_tokens"),
        completion_tokens=whole("completion_tokens"),
        cached_tokens=whole("cached_tokens"),
        compute_s=run.get("cpu_s"),
    )


def _usage_shown(usage: Usage) -> Mapping[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _logprobs(run: Run) -> tuple[TokenLogprob, ...] | None:
    tokens = run.get("logprobs")
    if not tokens:
        return None
    return tuple(
        TokenLogprob(one["token"], one["logprob"], tuple((t["token"], t["logprob"]) for t in one["top"]))
        for one in tokens
    )


def _no_logprobs(logprobs: tuple[TokenLogprob, ...] | None, options: Options) -> str | None:
    if not options.wants_logprobs:
        return "not asked for"
    return None if logprobs else "the recording has none for this answer"


def _pieces(text: str, logprobs: tuple[TokenLogprob, ...] | None) -> list[tuple[str, TokenLogprob | None]]:
    """The text in tokens, if these are all of it (a character may be spread over several), else whole."""
    if logprobs and "".join(token.token for token in logprobs) == text:
        return [(token.token, token) for token in logprobs]
    return [(text, None)]


def _shown(token: TokenLogprob) -> Mapping[str, Any]:
    top = [{"token": other, "logprob": logprob} for other, logprob in token.top]
    return {"token": token.token, "logprob": token.logprob, "top_logprobs": top}
