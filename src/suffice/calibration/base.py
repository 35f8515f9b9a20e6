"""What all calibrators share: the checks around fit and predict, and how they are kept as JSON."""

from __future__ import annotations

import inspect
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.checks import FloatArray, numbers, rows
from suffice.errors import ArtefactError, ConfigError, NotFitted

FORMAT: Final = 1
_REMEDY: Final = "calibrate again"


class Calibrator(ABC):
    """Turns a confidence into a probability that agrees with how often such answers are right.

    The constructor only stores its parameters; `fit` sets names that end in `_`. Fitting again starts
    afresh.
    """

    name: ClassVar[str]

    def params(self) -> dict[str, Any]:
        """The constructor's parameters, as JSON values."""
        given = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in given if name not in ("self", "args", "kwargs")}

    def fit(self, confidence: ArrayLike, correct: ArrayLike) -> Self:
        """Learn from answers whose truth is known.

        Parameters
        ----------
        confidence : shape (n,), in [0, 1], n at least 1
        correct : shape (n,), true or false

        Raises
        ------
        DataError
            If the lengths differ, there is no row, or a value is NaN or out of range.
        """
        self._fit(*rows(confidence, correct))
        self.is_fitted_ = True
        return self

    def predict(self, confidence: ArrayLike) -> FloatArray:
        """(n,) calibrated probabilities in [0, 1].

        Raises
        ------
        DataError
            If a confidence is NaN or out of [0, 1].
        NotFitted
            Before `fit`.
        """
        self._check_fitted()
        return np.clip(self._predict(numbers(confidence, "confidence")), 0.0, 1.0)

    def to_json(self) -> str:
        """Everything `from_json` needs."""
        self._check_fitted()
        content = {"format": FORMAT, "calibrator": self.name, "params": self.params(), "state": self._state()}
        return json.dumps(content, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """A calibrator as `to_json` left it.

        Raises
        ------
        ArtefactError
            If it is damaged, of another version or of another calibrator.
        """
        content = envelope(text)
        if content["calibrator"] != cls.name:
            raise ArtefactError(
                f"this is the calibrator {content['calibrator']!r}, not {cls.name!r}: {_REMEDY}"
            )
        try:
            found = cls(**content["params"])
            found._restore(content["state"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ConfigError) as error:
            raise ArtefactError(
                f"the contents do not fit the calibrator {cls.name!r} ({error}): {_REMEDY}"
            ) from error
        found.is_fitted_ = True
        return found

    def _check_fitted(self) -> None:
        if not getattr(self, "is_fitted_", False):
            raise NotFitted(f"the calibrator {self.name!r}")

    @abstractmethod
    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        """Learn from checked rows."""

    @abstractmethod
    def _predict(self, confidence: FloatArray) -> FloatArray:
        """Of checked confidences."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What was learnt, as JSON values."""

    @abstractmethod
    def _restore(self, state: Mapping[str, Any]) -> None:
        """Set what `_state` gave; anything else raises KeyError, TypeError or ValueError."""


def envelope(text: str | bytes) -> dict[str, Any]:
    """The outermost object of a calibrator's JSON.

    Raises
    ------
    ArtefactError
        If it is none, or of another version.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"not a calibrator's JSON ({error}): {_REMEDY}") from error
    if not isinstance(content, dict) or not {"format", "calibrator", "params", "state"} <= content.keys():
        raise ArtefactError(
            f"not a calibrator's JSON: format, calibrator, params and state are expected; {_REMEDY}"
        )
    if content["format"] != FORMAT:
        raise ArtefactError(
            f"this calibrator is of format {content['format']!r}, this version reads {FORMAT}: {_REMEDY}"
        )
    return content


def real(state: Mapping[str, Any], key: str) -> float:
    """A finite number of a state."""
    value = state[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} is {value!r}, not a number")
    return float(value)


def reals(state: Mapping[str, Any], key: str, *, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """A list of finite numbers of a state, in [low, high]."""
    found = np.asarray(state[key], dtype=np.float64)
    if found.ndim != 1 or not ((found >= low) & (found <= high)).all():
        raise ValueError(f"{key} is no list of numbers in [{low:g}, {high:g}]")
    return found
