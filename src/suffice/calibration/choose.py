"""Which calibrator: the one that would have done best on rows it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.base import Calibrator, envelope
from suffice.calibration.beta import Beta
from suffice.calibration.checks import log_loss, rows
from suffice.calibration.histogram import Histogram
from suffice.calibration.identity import Identity
from suffice.calibration.isotonic import Isotonic
from suffice.calibration.platt import Platt
from suffice.calibration.temperature import Temperature
from suffice.calibration.venn_abers import VennAbers
from suffice.errors import ArtefactError, ConfigError, UnknownName

_KINDS: Final[Mapping[str, Callable[..., Calibrator]]] = {
    kind.name: kind for kind in (Identity, Temperature, Platt, Beta, Histogram, VennAbers, Isotonic)
}
"""Simplest first: of equals the first is chosen."""
_HUNGRY: Final = {"histogram", "isotonic", "venn_abers"}
"""Those that learn a shape rather than a number or two."""


def available() -> tuple[str, ...]:
    """Names of all calibrators, simplest first."""
    return tuple(_KINDS)


def create(name: str, **params: Any) -> Calibrator:
    """A calibrator by name, to be fitted.

    Raises
    ------
    UnknownName
        If there is none of that name.
    ConfigError
        If it has no such parameter.
    """
    if name not in _KINDS:
        raise UnknownName("calibrator", name, _KINDS)
    try:
        return _KINDS[name](**params)
    except TypeError as error:
        raise ConfigError(f"the calibrator {name!r} cannot take {params} ({error})") from None


def from_json(text: str | bytes) -> Calibrator:
    """Whichever calibrator `to_json` wrote.

    Raises
    ------
    ArtefactError
        If it is damaged, of another version or of an unknown kind.
    """
    name = envelope(text)["calibrator"]
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ArtefactError(f"no calibrator is called {name!r}: calibrate again with one of {available()}")
    found: Calibrator = kind.from_json(text)  # type: ignore[attr-defined]  # every kind is a class
    return found


def choose_calibrator(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    candidates: Sequence[str] | None = None,
    n_folds: int = 5,
    least_rows: int = 1000,
    seed: int = 0,
) -> Calibrator:
    """The candidate of the lowest cross-validated log loss, fitted to all rows.

    Parameters
    ----------
    confidence : shape (n,), in [0, 1]
    correct : shape (n,), true or false
    candidates : names; None takes all
    n_folds : at least 2
    least_rows : isotonic, histogram and venn_abers take part from so many rows
    seed : of the folds

    Examples
    --------
    >>> choose_calibrator([0.9, 0.8, 0.9, 0.7], [True, False, True, True], candidates=["identity"]).name
    'identity'
    """
    losses = cross_validated_losses(
        confidence, correct, candidates=candidates, n_folds=n_folds, least_rows=least_rows, seed=seed
    )
    return create(min(losses, key=lambda name: losses[name])).fit(confidence, correct)


def cross_validated_losses(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    candidates: Sequence[str] | None = None,
    n_folds: int = 5,
    least_rows: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Mean log loss in nats on left-out rows, by candidate; simplest first.

    Those for which there are too few rows are left out; of a single row nothing can be left out, and only the
    identity remains.

    Raises
    ------
    DataError
        If the rows are not as `Calibrator.fit` wants them.
    UnknownName, ConfigError
        If a candidate or a number is none.
    """
    sure, right = rows(confidence, correct)
    if n_folds < 2:
        raise ConfigError(f"n_folds is {n_folds}: at least 2 are needed, or a fit would judge itself")
    names = list(_KINDS) if candidates is None else list(dict.fromkeys(candidates))
    able = [name for name in names if create(name) and (len(sure) >= least_rows or name not in _HUNGRY)]
    if not able:
        raise ConfigError(
            f"{', '.join(names) or 'no candidate'} with {len(sure)} rows, under least_rows={least_rows}: "
            "add temperature or platt to the candidates, or lower least_rows"
        )
    if len(sure) == 1:
        return {"identity": log_loss(sure, right)}
    fold = np.random.default_rng(seed).permutation(len(sure)) % min(n_folds, len(sure))
    found = {}
    for name in able:
        predicted = np.empty(len(sure))
        for held in range(fold.max() + 1):
            is_held = fold == held
            fitted = create(name).fit(sure[~is_held], right[~is_held])
            predicted[is_held] = fitted.predict(sure[is_held])
        found[name] = log_loss(predicted, right)
    return found
