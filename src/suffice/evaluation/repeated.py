"""A comparison repeated over seeds: other splits of one file, or other draws on fixed files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from suffice.errors import ConfigError
from suffice.evaluation.averaging import mean_of
from suffice.evaluation.comparison import Comparison
from suffice.evaluation.extras import NO_EXTRAS, Extras
from suffice.evaluation.harness import evaluate
from suffice.evaluation.selection import select_models
from suffice.evaluation.workers import OnStep
from suffice.outcomes import Outcomes
from suffice.types import Price


def evaluate_seeds(
    train: Outcomes,
    test: Outcomes | float,
    routers: Sequence[str] = ("all",),
    *,
    n_seeds: int = 1,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    extras: Extras = NO_EXTRAS,
    on_plan: Callable[[int], None] = lambda n_steps: None,
    on_step: OnStep = lambda step: None,
    **options: Any,
) -> Comparison:
    """`evaluate`, averaged over the seeds 0 to n_seeds - 1.

    Parameters
    ----------
    train : training data; all data where `test` is a share
    test : test data, or the share of `train` to learn from: every seed is then another split of it
    n_seeds : at least 1
    models : None takes what `evaluate` would take in every split
    extras : of the first seed
    on_plan : told, seed by seed, how many steps there will be
    options : of `evaluate`

    Raises
    ------
    ConfigError
        If n_seeds is under 1.
    """
    if n_seeds < 1:
        raise ConfigError(f"{n_seeds} seeds: at least 1 is needed")
    if prices:
        train = train.with_prices(prices)
        test = test if isinstance(test, float) else test.with_prices(prices)
    splits = [
        train.split(test, seed=seed) if isinstance(test, float) else (train, test) for seed in range(n_seeds)
    ]
    if models is None and n_seeds > 1:
        kept = [select_models(part, None)[0] for part, _ in splits]
        models = [name for name in kept[0] if all(name in others for others in kept)]
    found = {}
    for seed, (part, held) in enumerate(splits):
        told = _prefixed(on_step, f"seed {seed}, ") if n_seeds > 1 else on_step
        found[seed] = evaluate(
            part,
            held,
            routers,
            models=models,
            prices=prices,
            seed=seed,
            extras=NO_EXTRAS if seed else extras,
            on_plan=on_plan,
            on_step=told,
            **options,
        )
    return mean_of(found)


def _prefixed(on_step: OnStep, prefix: str) -> OnStep:
    return lambda step: on_step(prefix + step)
