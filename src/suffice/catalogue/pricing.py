"""Sums over prices: arrays of token counts, bounds for budgets, and a plain price list."""

from __future__ import annotations

import numpy as np

from suffice.types import FloatArray, Price


def token_costs_usd(price: Price, prompt_tokens: FloatArray, completion_tokens: FloatArray) -> FloatArray:
    """What calls of these sizes cost, without cached tokens.

    Parameters
    ----------
    price : by the token; a tier holds for the whole call
    prompt_tokens, completion_tokens : any common shape; NaN is unknown

    Returns
    -------
    FloatArray of that shape, in USD
        NaN where a count or the price is unknown, and for a price by the hour.
    """
    prompt = np.asarray(prompt_tokens, dtype=np.float64)
    completion = np.asarray(completion_tokens, dtype=np.float64)
    if price.input_usd_per_mtok is None or price.output_usd_per_mtok is None or price.usd_per_cpu_hour:
        return np.full(np.broadcast_shapes(prompt.shape, completion.shape), np.nan)
    into = np.full(prompt.shape, float(price.input_usd_per_mtok))
    out = np.full(prompt.shape, float(price.output_usd_per_mtok))
    for tier in price.tiers:
        is_reached = prompt >= tier.min_prompt_tokens
        into = np.where(is_reached, float(tier.input_usd_per_mtok), into)
        out = np.where(is_reached, float(tier.output_usd_per_mtok), out)
    costs: FloatArray = (prompt * into + completion * out) / 1e6
    return costs
