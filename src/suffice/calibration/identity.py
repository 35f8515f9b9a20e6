"""Leaves confidences as they are: what every other calibrator has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suffice.calibration.base import Calibrator
from suffice.calibration.checks import FloatArray


class Identity(Calibrator):
    """c stays c."""

    name = "identity"

    def __init__(self) -> None:
        """No parameters."""

    def _fit(self, confidence: FloatArray, correct: FloatArray) -> None:
        """Nothing to learn."""

    def _predict(self, confidence: FloatArray) -> FloatArray:
        return confidence

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to set."""
