"""A replay as tables: the figures, and how quality grew."""

from __future__ import annotations

from typing import Final

from suffice.evaluation import Replay
from suffice.reports.grids import Grid

_ROWS: Final = 10


def replay_figures(found: Replay) -> Grid:
    """One row per figure."""
    interval = "no interval: --seeds 3 or more"
    if found.quality_ci is not None:
        interval = f"{found.quality_ci[0]:.4f} to {found.quality_ci[1]:.4f}"
    rows = [
        ("quality", f"{found.quality_mean:.4f}  ({interval})"),
        ("share of the bound", f"{found.share_of_bound:.1%} of {found.bound:.4f}"),
        ("cost per query", f"{found.cost_per_query:.3g} of {found.budget:.3g} USD"),
        ("overspend", f"{found.overspend:.3g} USD"),
        ("answered", f"{found.served:.1%} of {found.n_queries:,} queries"),
        ("feedback", f"on {found.feedback:.1%}"),
        *((f"  {arm}", f"{share:.1%}") for arm, share in found.arm_share.items()),
    ]
    return Grid(
        title=f"{found.policy}, paced by {found.pacing}"
        + ("" if found.scenario == "none" else f", scenario {found.scenario}"),
        head=("", f"mean of {found.n_seeds} orders" if found.n_seeds > 1 else "one order"),
        rows=tuple(rows),
        note="The bound is the most that hindsight could have had for the budget.",
    )


def replay_curve(found: Replay) -> Grid:
    """Quality and regret along the stream, in about ten rows."""
    step = max(1, len(found.regret_curve) // _ROWS)
    rows, since, total = [], 0, 0.0
    last = 0
    for place, point in enumerate(found.regret_curve, 1):
        total += point.quality * (point.queries - last)
        last = point.queries
        if place % step == 0 or place == len(found.regret_curve):
            rows.append((f"{point.queries:,}", f"{total / (last - since):.4f}", f"{point.regret:.1f}"))
            since, total = last, 0.0
    return Grid(
        title="Along the stream",
        head=("queries", "quality since the last row", "regret so far"),
        rows=tuple(rows),
    )
