"""Plans on the training and test queries of a comparison, beside its recommended router."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Final

import msgspec

from suffice.errors import DataError, UnknownName
from suffice.evaluation.cascading import Areas, Curve, Scored
from suffice.evaluation.figures import CostQuality, Significance
from suffice.evaluation.ground import Ground
from suffice.evaluation.plan_figures import PlanResult
from suffice.evaluation.planned.arms import best_of, mixture
from suffice.evaluation.planned.chains import Halves, cascade_routing, chain, frugalgpt, with_scorer
from suffice.evaluation.planned.data import PlanData
from suffice.evaluation.planned.ways import CannotRun, Way, use_of
from suffice.evaluation.sweep import Sweep
from suffice.evaluation.trials import EmbedderGiven, made
from suffice.metrics import cost_share, upper_hull
from suffice.types import BoolArray, FloatArray

_ALIASES: Final = {"automix": "automix_threshold"}
_ZERO, _ROUTER = "zero router", "router"
_AUTOMIX: Final = ("threshold", "double_threshold", "pomdp", "self_consistency", "bayes")
_WAYS: Final[Mapping[str, Callable[[str, Halves], Way]]] = {
    "cascade_routing": cascade_routing,
    "frugalgpt": frugalgpt,
    "confidence": chain,
    **{f"automix_{name}": chain for name in _AUTOMIX},
    "best_of": best_of,
    "mixture": mixture,
}


class PlanWish(msgspec.Struct, frozen=True, kw_only=True):
    """Plans to compare, and what they need of both files."""

    names: tuple[str, ...]
    train: PlanData
    test: PlanData
    signals: tuple[str, ...] = ()
    """Named by the user, the first before all others."""


def known_plans(names: Sequence[str]) -> tuple[str, ...]:
    """Names as plans know themselves, each once; "all" is every one.

    Raises
    ------
    UnknownName
        If there is none such.
    """
    wanted = [one for name in names for one in (_WAYS if name == "all" else (name,))]
    found = [_ALIASES.get(name.replace("-", "_"), name.replace("-", "_")) for name in wanted]
    for name in found:
        if name not in _WAYS:
            raise UnknownName("plan", name, _WAYS)
    return tuple(dict.fromkeys(found))


def compare_plans(
    wish: PlanWish,
    ground: Ground,
    complete: BoolArray,
    *,
    router: str,
    curve: Sweep,
    scores: tuple[FloatArray, FloatArray],
    train_costs: FloatArray | None,
    value_usd: float | None,
    embedder: EmbedderGiven = None,
    seed: int = 0,
    n_resamples: int = 1000,
    on_step: Callable[[str], None] = lambda step: None,
) -> tuple[dict[str, PlanResult], dict[str, str]]:
    """Results by plan, and why others could not run.

    Parameters
    ----------
    complete : (n_train,): training queries that are known for every model
    router : the recommended one, whose scores plans start from and which they are compared with
    curve : its, on the test queries
    scores : of training queries by trainings that had not seen them, and of test queries
    train_costs : predicted the same way
    value_usd : that was chosen for the router by cross-validation
    """
    if ground.costs is None or train_costs is None or value_usd is None:
        return {}, dict.fromkeys(wish.names, "costs are not known: give prices with --prices")
    halves = Halves(
        train=wish.train.of(ground.train.select(rows=complete)),
        test=wish.test.of(ground.test),
        train_scored=Scored(scores[0][complete], train_costs[complete]),
        test_scored=Scored(scores[1], ground.costs),
        value_usd=value_usd,
        router=router,
        embedder=made(embedder),
        seed=seed,
        named=wish.signals,
    )
    areas = Areas(halves.test.recorded, n_resamples=n_resamples, seed=seed)
    table = areas.truth
    base = {
        _ZERO: Curve(table.quality.T, halves.test.recorded.cost_usd.T),
        _ROUTER: Curve(table.quality_of(curve.chosen), table.cost_of(curve.chosen)),
    }
    halves = with_scorer(halves)
    results, skipped = {}, {}
    for name in wish.names:
        start = perf_counter()
        try:
            way = _WAYS[name](name, halves)
        except (CannotRun, DataError) as error:
            skipped[name] = str(error)
        else:
            took = perf_counter() - start
            results[name] = _result(way, areas, base, router, value_usd, took)
        on_step(f"plan {name}")
    return results, skipped


def _result(
    way: Way, areas: Areas, base: Mapping[str, Curve], router: str, value_usd: float, fit_s: float
) -> PlanResult:
    costs, qualities = way.curve.cost_usd.mean(axis=1), way.curve.quality.mean(axis=1)
    hull = upper_hull(costs, qualities)
    best = float(areas.truth.mean_quality.max())

    def over(name: str, shown: str) -> Significance:
        return areas.over(way.curve, base[name], shown)

    return PlanResult(
        aiq=areas.aiq(way.curve),
        aiq_ci=areas.interval(way.curve),
        max_quality=float(qualities.max()),
        cost_share_at_best_single=cost_share(hull, best, 1.0, areas.span[1]),
        cost_share_at_95pct=cost_share(hull, best, 0.95, areas.span[1]),
        curve=tuple(
            CostQuality(quality=q, cost_usd_per_1k=1000 * c)
            for c, q in zip(costs.tolist(), qualities.tolist(), strict=True)
        ),
        over_zero_router=over(_ZERO, "zero router"),
        over_router=over(_ROUTER, router),
        at_value=use_of(way, value_usd),
        models=way.models,
        signals=way.signals,
        fit_s=fit_s,
    )
