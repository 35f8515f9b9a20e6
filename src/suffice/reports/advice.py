"""What to do, in plain sentences."""

from __future__ import annotations

from suffice.evaluation import Comparison


def advice(comparison: Comparison) -> str:
    """Whether routing pays on these queries, with which router, at which setting, and for how much."""
    if comparison.cost_range_usd_per_1k is None:
        return _without_costs(comparison)
    sentences = [_verdict(comparison), _setting(comparison)]
    return " ".join(sentence for sentence in sentences if sentence)


def _verdict(comparison: Comparison) -> str:
    chosen, zero = comparison.recommended, comparison.baselines.zero_router.aiq
    assert chosen.aiq is not None and chosen.aiq_ci is not None and zero is not None
    figures = f"AIQ {chosen.aiq:.3f} against {zero:.3f}"
    if chosen.aiq_ci[0] > zero:
        return f"Route with {chosen.router}: clearly better than mixing single models by lot ({figures})."
    if chosen.aiq > zero:
        return (
            f"Route with {chosen.router}: better than mixing single models by lot, "
            f"but within chance ({figures})."
        )
    return (
        f"No gain from routing is shown here: {chosen.router} does not beat mixing single models by lot "
        f"({figures}); more training queries may change that."
    )


def _setting(comparison: Comparison) -> str:
    chosen, best = comparison.recommended, comparison.baselines.best_single
    if chosen.value_usd is None or chosen.cost_usd_per_1k is None or best.cost_usd_per_1k is None:
        return ""
    quality = f"quality {chosen.quality:.3f} for {chosen.cost_usd_per_1k:.3g} USD per 1,000 queries"
    sentence = f"With value_usd {chosen.value_usd:.3g} it gives {quality}"
    if best.quality <= 0 or best.cost_usd_per_1k <= 0:
        return sentence + "."
    return (
        f"{sentence}: {100 * chosen.quality / best.quality:.1f} % of the quality of {best.model} "
        f"({best.quality:.3f}) for {100 * chosen.cost_usd_per_1k / best.cost_usd_per_1k:.0f} % of its cost."
    )


def _without_costs(comparison: Comparison) -> str:
    chosen, best = comparison.recommended, comparison.baselines.best_single
    pair = comparison.routers[chosen.router].pair
    if pair is not None and comparison.details.pair is not None:
        strong, weak = comparison.details.pair
        return (
            f"{chosen.router} recovers half of what {strong} gains over {weak} with "
            f"{100 * pair.cpt50:.0f} % of the calls going to {strong}, and 80 % of it with "
            f"{100 * pair.cpt80:.0f} %; by chance it takes 50 % and 80 % of the calls. "
            "Without costs no value can be recommended: give --prices."
        )
    return (
        f"{chosen.router} has quality {chosen.quality:.3f} where cost is no matter, "
        f"{best.model} alone {best.quality:.3f}. Without costs no more can be said: give --prices."
    )
