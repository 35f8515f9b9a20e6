"""Why a suggestion is what it is, and how to take it."""

from __future__ import annotations

import shlex
from typing import Final

from suffice.evaluation import Suggestion
from suffice.evaluation.suggestion import DEFAULT
from suffice.reports.advice import interval
from suffice.reports.grids import Grid
from suffice.reports.table import NONE, gain, number

_MAX_TIES: Final = 4
"""As many are named."""


def options(found: Suggestion) -> Grid:
    """All options, the suggested one first."""
    has_costs = found.zero_router_aiq is not None
    rows = tuple(
        (
            name,
            number(one.cross_validation.aiq if has_costs else one.cross_validation.max_quality),
            gain(one.over_zero),
            _beside(found, name),
        )
        for name, one in found.options.items()
    )
    against = "the zero router" if has_costs else found.best_single.model
    head = ("router", "AIQ" if has_costs else "quality", "gain", "beside the first")
    note = (
        f"Gain: above {against}; ▲ better, ▼ worse: 95 % of resamples agree. Knows the queries: trained on "
        "them before, so that its figures say nothing."
    )
    title = f"{len(found.models)} models, {found.n_queries:,} queries, cross-validated"
    return Grid(title=title, head=head, rows=rows, note=note)


def why(found: Suggestion) -> str:
    """One paragraph."""
    sentences = [_first(found), _others(found), *_value(found), *_cheap(found)]
    return " ".join(sentence for sentence in sentences if sentence)


def commands(found: Suggestion, data: str, given: tuple[str, ...] = ()) -> tuple[str, str]:
    """The command that trains what is suggested, and the lines of suffice.yaml that use it.

    Parameters
    ----------
    data : the file
    given : further options that the user gave, to be repeated
    """
    words = ["suffice", "train", found.router, "--data", data, *given]
    lines = [f"router: {{name: {found.router}, path: router}}"]
    if found.embedder not in (None, DEFAULT):
        words += ["--embedder", str(found.embedder)]
        lines.append(f"embedder: {found.embedder}")
    if found.value_usd is not None:
        lines.append(f"policy: {{name: utility, value_usd: {found.value_usd:.3g}}}")
    return shlex.join([*words, "--out", "router"]), "\n".join(lines)


def _beside(found: Suggestion, name: str) -> str:
    option = found.options[name]
    if option is found.chosen:
        return NONE
    if not option.is_believed:
        return "knows the queries"
    return "within chance" if option.ties else "ahead" if _ahead(found, name) else "behind"


def _ahead(found: Suggestion, name: str) -> bool:
    return found.options[name].over_zero.gain > found.chosen.over_zero.gain


def _first(found: Suggestion) -> str:
    over = found.chosen.over_zero
    what = "AIQ" if over.measure == "aiq" else "quality"
    against = "mixing single models by lot" if over.measure == "aiq" else f"{over.against} alone"
    how = {
        "better": "clearly above",
        "within chance": "not clearly above",
        "worse": "clearly below",
    }[over.verdict]
    believed = [name for name, one in found.options.items() if one.is_believed]
    ahead = [name for name in believed if _ahead(found, name)]
    place = (
        "the highest" if not ahead else f"a cross-validated {what} within chance of the highest ({ahead[0]})"
    )
    place += f" cross-validated {what}" if not ahead else ", and has proved itself on other data"
    end = "" if over.verdict == "better" else ": no gain from routing is shown on these queries"
    return f"{_name(found)} has {place}. It is {how} {against} ({interval(over)}){end}."


def _others(found: Suggestion) -> str:
    rest = [name for name in found.options if found.options[name] is not found.chosen]
    rest = [name for name in rest if found.options[name].is_believed]
    ties = [name for name in rest if found.options[name].ties]
    if not rest:
        return ""
    if not ties:
        return "Every other router is behind by more than chance."
    named = ", ".join(ties[:_MAX_TIES]) + (
        f" and {len(ties) - _MAX_TIES} more" if len(ties) > _MAX_TIES else ""
    )
    return f"Its distance to {named} is within chance: any of them would do."


def _value(found: Suggestion) -> list[str]:
    at, best = found.at_value, found.best_single
    if found.value_usd is None or at.quality_share is None or at.cost_share is None:
        return ["Without costs no value can be suggested: give --prices."]
    sentence = (
        f"A value_usd of {found.value_usd:.3g} gives {100 * at.quality_share:.1f} % of the quality of "
        f"{best.model} ({best.quality:.3f}) for {100 * at.cost_share:.0f} % of its cost."
    )
    return [sentence]


def _cheap(found: Suggestion) -> list[str]:
    cheap = found.cheap_single
    if cheap is None or cheap.model == found.best_single.model:
        return []
    over = cheap.recommended_at_its_cost
    sentence = (
        f"The cheapest model with 95 % of that quality is {cheap.model} ({cheap.quality:.3f}); for the same "
        f"money the router has {interval(over)}"
    )
    if over.verdict == "better":
        return [f"{sentence}."]
    return [f"{sentence}: asking {cheap.model} for everything is simpler, and not shown to be worse."]


def _name(found: Suggestion) -> str:
    if found.embedder in (None, DEFAULT):
        return found.router
    return f"{found.router} with the embedder {found.embedder}"
