"""What to do, in plain sentences."""

from __future__ import annotations

from typing import Final

from suffice.evaluation import Comparison
from suffice.evaluation.figures import Significance

_VERDICTS: Final = {
    "better": "significantly better than",
    "within chance": "not significantly better than",
    "worse": "significantly worse than",
}


def advice(comparison: Comparison) -> str:
    """Whether routing pays on these queries, with which router, at which setting, and for how much."""
    if comparison.cost_range_usd_per_1k is None:
        return _without_costs(comparison)
    return " ".join([_setting(comparison), _over_zero(comparison), *_cheap(comparison)])


def _setting(comparison: Comparison) -> str:
    chosen, best = comparison.recommended, comparison.baselines.best_single
    assert chosen.value_usd is not None and chosen.cost_usd_per_1k is not None
    figures = f"quality {chosen.quality:.3f} for {chosen.cost_usd_per_1k:.3g} USD per 1,000 queries"
    use = f"Use {chosen.router} at value_usd {chosen.value_usd:.3g}"
    if best.quality <= 0 or not best.cost_usd_per_1k:
        return f"{use}: {figures}."
    quality, cost = chosen.quality / best.quality, chosen.cost_usd_per_1k / best.cost_usd_per_1k
    return (
        f"{use}: {100 * quality:.1f} % of the quality of {best.model} ({best.quality:.3f}) for "
        f"{100 * cost:.0f} % of its cost ({figures})."
    )


def _over_zero(comparison: Comparison) -> str:
    chosen, zero = comparison.recommended, comparison.baselines.zero_router.aiq
    assert chosen.aiq is not None and zero is not None
    figures = f"AIQ {chosen.aiq:.3f} against {zero:.3f}"
    found = comparison.details.significance.get(chosen.router)
    if found is not None:
        figures += f", gain {interval(found)}"
    verdict = "better" if found is None and chosen.aiq > zero else found.verdict if found else "within chance"
    sentence = f"Over all prices it is {_VERDICTS[verdict]} mixing single models by lot ({figures})"
    return f"{sentence}." if verdict == "better" else f"{sentence}: no gain from routing is shown here."


def _cheap(comparison: Comparison) -> list[str]:
    """Beside the model that makes routing superfluous where it is good enough."""
    cheap, best = comparison.details.cheap_single, comparison.baselines.best_single
    if cheap is None:
        return []
    if cheap.model == best.model:
        return ["No cheaper model has 95 % of that quality."]
    found = cheap.recommended_at_its_cost
    sentence = (
        f"For the same money it is {_VERDICTS[found.verdict]} {cheap.model}, the cheapest model with 95 % of "
        f"that quality ({cheap.quality:.3f} for {cheap.cost_usd_per_1k:.3g} USD; gain {interval(found)})"
    )
    if found.verdict == "better":
        return [f"{sentence}."]
    return [f"{sentence}: asking {cheap.model} for everything is the simpler choice at that price."]


def interval(found: Significance) -> str:
    """A gain with its 95 % interval."""
    return f"{found.gain:+.3f}, 95 % interval {found.ci[0]:+.3f} to {found.ci[1]:+.3f}"


def _without_costs(comparison: Comparison) -> str:
    chosen, best = comparison.recommended, comparison.baselines.best_single
    found = comparison.details.significance.get(chosen.router)
    over = (
        f"Where cost is no matter, {chosen.router} has quality {chosen.quality:.3f}, {best.model} alone "
        f"{best.quality:.3f}"
    )
    if found is not None and found.against == best.model:
        over += f": {_VERDICTS[found.verdict]} it (gain {interval(found)})"
    return f"{_of_pair(comparison)}{over}. Without costs no value can be recommended: give --prices."


def _of_pair(comparison: Comparison) -> str:
    chosen, pair = comparison.recommended.router, comparison.details.pair
    found = comparison.routers[chosen].pair
    if found is None or pair is None:
        return ""
    over = comparison.details.pair_significance.get(chosen)
    chance = "" if over is None else f"; its APGR of {found.apgr:.3f} is {_VERDICTS[over.verdict]} chance"
    return (
        f"{chosen} recovers half of what {pair[0]} gains over {pair[1]} with {100 * found.cpt50:.0f} % of "
        f"the calls going to {pair[0]}, and 80 % of it with {100 * found.cpt80:.0f} %; by chance it takes "
        f"50 % and 80 % of the calls{chance}. "
    )
