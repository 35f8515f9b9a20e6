"""Sums over prices: arrays of token counts, bounds for budgets, the assumption for local models."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Final

import numpy as np

from suffice.errors import CatalogueError, PriceUnknown
from suffice.types import Candidate, FloatArray, Price

LOCAL_USD_PER_CPU_HOUR: Final = Decimal("0.05")
"""Assumed price of one core for one hour: about what general-purpose cloud machines ask on demand.
Whoever prints a cost that rests on it says so (`price.source`)."""
_MILLION: Final = Decimal(1_000_000)
_HOUR_S: Final = Decimal(3600)
_FINEST: Final = Decimal("1e-12")
"""USD; what `Price.cost_usd` rounds hourly costs to. A ceiling rounds up."""


def local_price(usd_per_cpu_hour: Decimal = LOCAL_USD_PER_CPU_HOUR) -> Price:
    """The price of a model that runs on one's own cores."""
    return Price(usd_per_cpu_hour=usd_per_cpu_hour, source="assumption")


def require_price(candidate: Candidate) -> Price:
    """The candidate's price.

    Raises
    ------
    PriceUnknown
        If there is none: it is never taken as 0.
    """
    if not candidate.price.is_known:
        raise PriceUnknown(candidate.name, f" ({candidate.provider}/{candidate.model})")
    return candidate.price


def cost_ceiling_usd(
    candidate: Candidate,
    prompt_bytes: int,
    max_tokens: int | None = None,
    *,
    max_compute_s: float | None = None,
) -> Decimal:
    """What a call of text can cost at most, for reserving a budget before the call.

    Every token stands for at least one byte of text, so the UTF-8 size bounds the prompt's tokens; every
    tier that this many tokens may reach counts, and no token is taken as cached.

    Parameters
    ----------
    candidate : with a known price
    prompt_bytes : of the messages as JSON, roles and framing included; images and audio are not bounded by it
    max_tokens : the limit on output, all choices together
        None: the model's own limit, else its context window.
    max_compute_s : for a price by the hour, core seconds (cores times the time limit)

    Raises
    ------
    PriceUnknown
        If the price is unknown.
    CatalogueError
        If nothing bounds the output.

    Examples
    --------
    >>> price = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4))
    >>> cost_ceiling_usd(Candidate(name="m", provider="p", model="m", price=price), 500, 250)
    Decimal('0.0015')
    """
    price = require_price(candidate)
    if prompt_bytes < 0 or (max_tokens is not None and max_tokens < 0):
        raise ValueError(f"prompt_bytes={prompt_bytes}, max_tokens={max_tokens}: expected at least 0")
    if price.usd_per_cpu_hour is not None:
        if max_compute_s is None:
            raise _unbounded(candidate, "max_compute_s, the most core seconds that the call may take")
        exact = Decimal(str(max_compute_s)) * price.usd_per_cpu_hour / _HOUR_S
        return exact.quantize(_FINEST, rounding=ROUND_CEILING)
    limit = next(
        (n for n in (max_tokens, candidate.max_output_tokens, candidate.context_window) if n is not None),
        None,
    )
    if limit is None:
        raise _unbounded(candidate, "max_tokens, or max_output_tokens in suffice.yaml")
    into, out = _dearest(price, prompt_bytes)
    return (prompt_bytes * into + limit * out) / _MILLION


def _unbounded(candidate: Candidate, remedy: str) -> CatalogueError:
    return CatalogueError(f"{candidate.name}: nothing bounds the cost of this call; give {remedy}")


def _dearest(price: Price, max_prompt_tokens: int) -> tuple[Decimal, Decimal]:
    """The highest input and output rates of all tiers in reach."""
    assert price.input_usd_per_mtok is not None and price.output_usd_per_mtok is not None
    rates = [(price.input_usd_per_mtok, price.output_usd_per_mtok, price.cached_input_usd_per_mtok)]
    rates += [
        (tier.input_usd_per_mtok, tier.output_usd_per_mtok, tier.cached_input_usd_per_mtok)
        for tier in price.tiers
        if tier.min_prompt_tokens <= max_prompt_tokens
    ]
    return max(max(into, cached or into) for into, _, cached in rates), max(out for _, out, _ in rates)


def token_costs_usd(price: Price, prompt_tokens: FloatArray, completion_tokens: FloatArray) -> FloatArray:
    """What calls of these sizes cost, none of their tokens cached.

    Parameters
    ----------
    price : by the token; a tier holds for the whole call
    prompt_tokens, completion_tokens : any common shape; NaN is unknown

    Returns
    -------
    FloatArray of that shape, in USD
        NaN where a count or the price is unknown, and for a price by the hour.

    Examples
    --------
    >>> price = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4))
    >>> token_costs_usd(price, np.array([500.0, np.nan]), np.array([250.0, 250.0]))
    array([0.0015,    nan])
    """
    prompt = np.asarray(prompt_tokens, dtype=np.float64)
    completion = np.asarray(completion_tokens, dtype=np.float64)
    if (
        price.input_usd_per_mtok is None
        or price.output_usd_per_mtok is None
        or price.usd_per_cpu_hour is not None
    ):
        return np.full(np.broadcast_shapes(prompt.shape, completion.shape), np.nan)
    into = np.full(prompt.shape, float(price.input_usd_per_mtok))
    out = np.full(prompt.shape, float(price.output_usd_per_mtok))
    for tier in price.tiers:
        is_reached = prompt >= tier.min_prompt_tokens
        into = np.where(is_reached, float(tier.input_usd_per_mtok), into)
        out = np.where(is_reached, float(tier.output_usd_per_mtok), out)
    costs: FloatArray = (prompt * into + completion * out) / 1e6
    return costs
