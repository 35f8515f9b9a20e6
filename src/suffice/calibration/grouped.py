"""A calibrator per group, leaning on the common one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.base import Calibrator, envelope
from suffice.calibration.checks import FloatArray, numbers, rows
from suffice.calibration.choose import create, from_json
from suffice.errors import ArtefactError, ConfigError, DataError, NotFitted


class Grouped:
    """w p_group + (1 - w) p_common, w = n / (n + shrinkage) for a group of n rows.

    A group with under `least_rows` rows, and one never seen, gets the common calibrator alone. Groups are
    tasks, domains, languages, models: whatever confidence may mean another thing in.
    """

    name = "grouped"

    def __init__(
        self,
        calibrator: str = "platt",
        *,
        params: Mapping[str, Any] | None = None,
        least_rows: int = 50,
        shrinkage: float = 50.0,
    ) -> None:
        """
        Parameters
        ----------
        calibrator : the kind used throughout
        params : of it
        least_rows : at least 1
        shrinkage : rows that the common calibrator counts for in every group, at least 0
        """
        if least_rows < 1 or not shrinkage >= 0:
            raise ConfigError(
                f"least_rows is {least_rows}, shrinkage {shrinkage}: expected at least 1 and at least 0"
            )
        self.calibrator, self.params = calibrator, dict(params or {})
        self.least_rows, self.shrinkage = least_rows, shrinkage
        create(calibrator, **self.params)  # an unknown name fails here

    def fit(self, confidence: ArrayLike, correct: ArrayLike, groups: Sequence[str]) -> Self:
        """Learn from all rows, and from each large enough group; `groups` has one name per row.

        Raises
        ------
        DataError
            If the rows are not as `Calibrator.fit` wants them, or there are more or fewer groups.
        """
        sure, right = rows(confidence, correct)
        names = _names(groups, len(sure))
        self.common_ = create(self.calibrator, **self.params).fit(sure, right)
        self.own_: dict[str, Calibrator] = {}
        self.n_: dict[str, int] = {}
        for name, n in zip(*np.unique(names, return_counts=True), strict=True):
            if n >= self.least_rows:
                mine = names == name
                self.own_[str(name)] = create(self.calibrator, **self.params).fit(sure[mine], right[mine])
                self.n_[str(name)] = int(n)
        return self

    def predict(self, confidence: ArrayLike, groups: Sequence[str]) -> FloatArray:
        """(n,) calibrated probabilities; `groups` has one name per row."""
        if not hasattr(self, "common_"):
            raise NotFitted("the calibrator 'grouped'")
        sure = numbers(confidence, "confidence")
        names = _names(groups, len(sure))
        found = self.common_.predict(sure)
        for name in set(names.tolist()) & self.own_.keys():
            mine = names == name
            weight = self.n_[name] / (self.n_[name] + self.shrinkage)
            found[mine] = weight * self.own_[name].predict(sure[mine]) + (1 - weight) * found[mine]
        return found

    def to_json(self) -> str:
        """Everything `from_json` needs."""
        if not hasattr(self, "common_"):
            raise NotFitted("the calibrator 'grouped'")
        params = {
            "calibrator": self.calibrator,
            "params": self.params,
            "least_rows": self.least_rows,
            "shrinkage": self.shrinkage,
        }
        groups = {name: {"n": self.n_[name], "own": one.to_json()} for name, one in self.own_.items()}
        state = {"common": self.common_.to_json(), "groups": groups}
        return json.dumps({"format": 1, "calibrator": self.name, "params": params, "state": state}) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """As `to_json` left it.

        Raises
        ------
        ArtefactError
            If it is damaged, of another version or of another calibrator.
        """
        content = envelope(text)
        if content["calibrator"] != cls.name:
            raise ArtefactError(f"this is the calibrator {content['calibrator']!r}, not {cls.name!r}")
        try:
            found = cls(**content["params"])
            found.common_ = from_json(content["state"]["common"])
            groups = content["state"]["groups"]
            found.own_ = {str(name): from_json(one["own"]) for name, one in groups.items()}
            found.n_ = {str(name): int(one["n"]) for name, one in groups.items()}
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
            raise ArtefactError(f"the contents do not fit 'grouped' ({error}): calibrate again") from error
        return found


def _names(groups: Sequence[str], n: int) -> np.ndarray[Any, np.dtype[np.str_]]:
    if isinstance(groups, str) or len(groups) != n:
        raise DataError(f"{len(groups)} groups for {n} rows: give one name per row")
    return np.array([str(name) for name in groups], dtype=np.str_)
