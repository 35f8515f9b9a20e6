"""What stands beside the main table, as rows of text: tasks, left-out groups, new models, and the like."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from suffice.evaluation import Comparison
from suffice.evaluation.figures import Significance
from suffice.reports.table import NONE, gain, number, share, usd


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """A titled table of text; every row is as long as the head."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def grids(comparison: Comparison, *, tasks: bool = True) -> list[Grid]:
    """Those that this comparison has figures for.

    Parameters
    ----------
    tasks : whether to have the one with a row per task
    """
    makers: list[Callable[[Comparison], Grid | None]] = [
        _plans,
        *([_tasks] if tasks else []),
        _leave_out,
        _new_models,
        _learning_curve,
        _robustness,
        _effort,
    ]
    return [grid for make in makers if (grid := make(comparison)) is not None]


def _plans(comparison: Comparison) -> Grid | None:
    if not comparison.plans:
        return None
    first, chosen = next(iter(comparison.plans.values())), comparison.recommended
    spent = number(chosen.quality), usd(chosen.cost_usd_per_1k), NONE, "1.00"
    rows = [(f"{chosen.router}, no plan", NONE, *spent, *[NONE] * 4)]
    for name, plan in sorted(comparison.plans.items(), key=lambda item: item[1].aiq, reverse=True):
        use = plan.at_value
        rows.append(
            (
                name,
                gain(plan.over_router),
                number(use.quality),
                usd(use.cost_usd_per_1k),
                usd(use.beside_usd_per_1k),
                f"{use.n_answers:.2f}",
                f"{use.n_beside:.2f}",
                NONE if use.n_tokens is None else f"{use.n_tokens:,.0f}",
                NONE if use.latency_s is None else f"{use.latency_s:.2f}",
                ", ".join(plan.signals) or NONE,
            )
        )
    over = f"AIQ over {first.over_router.against}"
    head = ("quality", "USD/1k", "of it beside", "answers", "calls beside", "tokens", "latency s", "looks at")
    note = (
        f"{over}: paired, as the gain. The rest at value_usd {first.at_value.value_usd:.3g}, per query: all "
        "that was asked is paid; beside are verifications and samples about answers; calls side by side take "
        "the time of the slowest."
    )
    return _known_columns(Grid(title="Plans", head=("plan", over, *head), rows=tuple(rows), note=note))


def _tasks(comparison: Comparison) -> Grid | None:
    """The recommended router alone: the page has all of them."""
    name = comparison.recommended.router
    rows = [
        (
            task,
            f"{found.n_test:,}",
            number(found.routers[name].quality),
            usd(found.routers[name].cost_usd_per_1k),
            number(found.best_single_overall),
            f"{found.best_single.model} {found.best_single.quality:.3f}",
            number(found.routers[name].aiq),
            number(found.zero_router_aiq),
        )
        for task, found in comparison.details.tasks.items()
        if name in found.routers
    ]
    if not rows:
        return None
    head = ("task", "queries", "quality", "USD/1k", "best single", "best here", "AIQ", "zero AIQ")
    note = (
        f"Quality and cost of {name} at its value; best single: the model that is best on all tasks; best "
        "here: the best of this task. Zero AIQ: single models mixed by lot."
    )
    return _known_columns(Grid(title=f"Tasks ({name})", head=head, rows=tuple(rows), note=note))


def _leave_out(comparison: Comparison) -> Grid | None:
    found = comparison.details.leave_out
    if found is None:
        return None
    routers = tuple(found.never_worse)
    rows = [
        (group, f"{one.n_train:,}", f"{one.n_test:,}", read, *(_gain_of(gains, name) for name in routers))
        for group, one in found.groups.items()
        for read, gains in (("test", one.results), ("training", one.over_trained))
        if gains
    ]
    never = [name for name, never_worse in found.never_worse.items() if never_worse]
    note = (
        "Trained on the other groups, judged on this one: "
        + _judged_by([one for group in found.groups.values() for one in group.results.values()])
        + f" Never significantly worse: {', '.join(never) or 'none'}."
        + _trained_note(found.never_worse_than_trained)
        + "".join(f" {name} left out: {why}." for name, why in found.skipped.items())
    )
    head = (found.by, "training", "test", "zero router from", *routers)
    return Grid(title=f"Each {found.by} left out in turn", head=head, rows=tuple(rows), note=note)


def _new_models(comparison: Comparison) -> Grid | None:
    found = comparison.details.new_models
    if found is None:
        return None
    rows = [
        (
            model,
            router,
            number(one.zero_router_aiq),
            number(one.aiq_added),
            number(one.aiq_full),
            share(one.gain_kept),
        )
        for model, by_router in found.models.items()
        for router, one in by_router.items()
    ]
    note = (
        "Left out of training, then added: mean over "
        f"{found.n_draws} draws of labels. Gain kept: of the full training's AIQ above the zero router."
        + "".join(f" {name} left out: {why}." for name, why in found.skipped.items())
    )
    head = ("new model", "router", "zero AIQ", f"AIQ, {found.n_labels} labels", "AIQ, all", "gain kept")
    return Grid(title="New models", head=head, rows=tuple(rows), note=note)


def _learning_curve(comparison: Comparison) -> Grid | None:
    found = comparison.details.learning_curve
    if not found:
        return None
    sizes = sorted({size.n_train for curve in found.values() for size in curve})
    measure = growth_measure(comparison)
    rows = []
    for router, curve in found.items():
        known = {size.n_train: getattr(size, measure) for size in curve}
        rows.append((router, *(number(known.get(n)) for n in sizes)))
    head = ("router", *(f"{n:,} queries" for n in sizes))
    names = {"aiq": "AIQ", "apgr": "APGR", "max_quality": "Quality"}
    return Grid(title=f"{names[measure]} by training size", head=head, rows=tuple(rows))


def growth_measure(comparison: Comparison) -> str:
    """What a learning curve shows: the field of `CurveSize` that says most."""
    if comparison.cost_range_usd_per_1k is not None:
        return "aiq"
    return "max_quality" if comparison.details.pair is None else "apgr"


def _robustness(comparison: Comparison) -> Grid | None:
    found = comparison.details.robustness
    if not found:
        return None
    kinds = tuple(next(iter(found.values())))
    rows = tuple((name, *(share(kept[kind]) for kind in kinds)) for name, kept in found.items())
    note = (
        "The share of test queries for which a rewording of the surface leaves the choice as it was, at "
        "each router's value; all: every rewording does."
    )
    return Grid(title="Same choice after rewording", head=("router", *kinds), rows=rows, note=note)


def _effort(comparison: Comparison) -> Grid | None:
    details = comparison.details
    rows = []
    for name, effort in details.effort.items():
        gains, at = details.gains.get(name), details.at_value.get(name)
        rows.append(
            (
                name,
                f"{effort.decision_us_p95:,.0f}",
                NONE if effort.artefact_kb is None else f"{effort.artefact_kb:,.0f}",
                NONE if effort.fit_memory_mb is None else f"{effort.fit_memory_mb:,.0f}",
                NONE if at is None or at.arena_score is None else f"{100 * at.arena_score:.1f}",
                share(None if gains is None else gains.perf_gain),
                share(None if gains is None else gains.cost_save),
                share(None if gains is None else gains.oracle_gap),
                number(None if gains is None else gains.pareto_distance),
            )
        )
    if not rows:
        return None
    costs = ("router", "decision µs p95", "kB saved", "MB to fit", "arena score")
    head = (*costs, "perf gain", "cost save", "oracle gap", "pareto distance")
    note = (
        "Arena score: RouterArena's, at the router's value. Perf gain: best quality over the best single "
        "model's; cost save: at its quality; oracle gap: what is missing to the oracle (LLMRouterBench)."
    )
    return _known_columns(Grid(title="Effort and gains", head=head, rows=tuple(rows), note=note))


def _gain_of(results: dict[str, Significance], name: str) -> str:
    return gain(results[name]) if name in results else NONE


def _trained_note(never_worse: dict[str, bool]) -> str:
    if not never_worse:
        return ""
    never = [name for name, never_worse_here in never_worse.items() if never_worse_here]
    return (
        " Zero router from training: the single models that training would mix, read on the group; never "
        f"significantly worse than that: {', '.join(never) or 'none'}."
    )


def _judged_by(found: list[Significance]) -> str:
    measures = {(one.measure, one.against) for one in found}
    if {measure for measure, _ in measures} == {"aiq"}:
        return "AIQ less the zero router's."
    if {measure for measure, _ in measures} == {"apgr"}:
        return "APGR less one half."
    return "quality less the best single model's."


def _known_columns(grid: Grid) -> Grid:
    """Without columns that have no figure at all."""
    kept = [k for k in range(len(grid.head)) if any(row[k] != NONE for row in grid.rows)]
    return Grid(
        title=grid.title,
        head=tuple(grid.head[k] for k in kept),
        rows=tuple(tuple(row[k] for k in kept) for row in grid.rows),
        note=grid.note,
    )
