"""What a call can use at most, known before it is made; and what it did use, where nobody says.

A token of a byte-level vocabulary stands for at least one byte, so the size of the request as JSON, roles and
tools included, bounds its tokens. What is no text is bounded by what providers document.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import msgspec

from suffice.budgets.limits import PICO, Unit
from suffice.catalogue.pricing import cost_ceiling_usd
from suffice.errors import CatalogueError, InvalidRequest
from suffice.types import Candidate, Options, Query, Usage

BYTES_PER_TOKEN: Final = 4
"""For estimates where a provider reported nothing."""
HIDDEN_TOKENS: Final = 64
"""Room for what providers put around a chat."""
TOOL_TOKENS: Final = 1_000
"""Room for the instructions that they add where there are tools: a few hundred at Anthropic."""
PART_TOKENS: Final = 50_000
"""Of an image or a file by address; the dearest documented image takes 48,169 (OpenAI, small models)."""
LONGEST_S: Final = 600.0
"""Taken as the limit of a call that has none."""
_MOST: Final = 10**16
"""Beyond 10,000 USD, a call is a mistake."""


class Ceiling(msgspec.Struct, frozen=True):
    """Bounds of one call."""

    prompt_tokens: int
    completion_tokens: int | None
    """Of one choice; None: only the time is bounded, of candidates that are paid by the hour."""
    n_choices: int = 1
    compute_s: float = 0.0
    """Core seconds, of candidates that run here."""

    def amount(self, candidate: Candidate, unit: Unit, completion_tokens: int | None = None) -> int:
        """Pico-dollars, rounded up, or tokens.

        Raises
        ------
        PriceUnknown
            If dollars are wanted of a candidate without a price.
        CatalogueError
            If nothing bounds its output.
        InvalidRequest
            If it is beyond all reason.
        """
        each = self.completion_tokens if completion_tokens is None else completion_tokens
        if unit == "usd":
            out = None if each is None else each * self.n_choices
            usd = cost_ceiling_usd(candidate, self.prompt_tokens, out, max_compute_s=self.compute_s)
            amount = int((usd * PICO).to_integral_value(ROUND_CEILING))
        elif each is None:
            raise CatalogueError(
                f"{candidate.name}: nothing bounds the output of this call; give max_tokens, or "
                "max_output_tokens in suffice.yaml"
            )
        else:
            amount = self.prompt_tokens + each * self.n_choices
        if amount > _MOST:
            raise InvalidRequest(
                "`max_tokens` (times `n`) is beyond reason; ask for less", param="max_tokens"
            )
        return amount

    def fitting(self, candidate: Candidate, unit: Unit, room: int) -> int:
        """The most completion tokens that `room` is enough for; below 0: none, or they are not what costs."""
        base = self.amount(candidate, unit, 0)
        step = self.amount(candidate, unit, 1) - base
        return -1 if step <= 0 else (room - base) // step


def ceiling(candidate: Candidate, query: Query, options: Options) -> Ceiling:
    """The bounds of a call with these options."""
    limits = (options.max_tokens, candidate.max_output_tokens, candidate.context_window)
    most = next((limit for limit in limits if limit is not None), None)
    is_timed = candidate.price.usd_per_cpu_hour is not None
    n_choices = options.fields.get("n")
    return Ceiling(
        prompt_tokens=prompt_ceiling(query, options.fields),
        completion_tokens=None if most is None else max(most, 0),
        n_choices=n_choices if isinstance(n_choices, int) and n_choices > 0 else 1,
        compute_s=(os.cpu_count() or 1) * (options.timeout_s or LONGEST_S) if is_timed else 0.0,
    )


def prompt_ceiling(query: Query, fields: Mapping[str, Any]) -> int:
    """At most so many input tokens.

    Examples
    --------
    >>> prompt_ceiling(Query(text="hello"), {})
    101
    """
    chat = query.chat()
    size = len(msgspec.json.encode(chat)) + HIDDEN_TOKENS
    for name in ("tools", "functions", "response_format", "tool_choice", "prediction"):
        if fields.get(name):
            size += len(msgspec.json.encode(fields[name])) + TOOL_TOKENS
    for message in chat:
        content = message.get("content")
        if isinstance(content, list):
            size += PART_TOKENS * sum(
                not isinstance(part, Mapping) or part.get("type") not in ("text", "refusal")
                for part in content
            )
    return size


def seen_usage(query: Query, n_characters: int) -> Usage:
    """What a stream that was cut had used by then: an estimate from what was sent and seen."""
    n_sent = sum(len(str(message.get("content") or "")) for message in query.chat())
    return Usage(
        prompt_tokens=n_sent // BYTES_PER_TOKEN + 1, completion_tokens=n_characters // BYTES_PER_TOKEN + 1
    )


def used(candidate: Candidate, unit: Unit, usage: Usage, cost_usd: Decimal | None) -> int | None:
    """What a call took, in pico-dollars or tokens; None where nobody said."""
    if unit == "tokens":
        return usage.total_tokens
    cost = candidate.price.cost_usd(usage) if cost_usd is None else cost_usd
    return None if cost is None else int(cost * PICO)
