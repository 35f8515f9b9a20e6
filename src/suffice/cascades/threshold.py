"""Confidence cascades: any signal as the accept rule, its threshold by budget, value or promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from suffice.calibration import Calibrator, choose_calibrator, create, from_json
from suffice.calibration.guarantee import GRID, ChainCertificate, certify_chains
from suffice.cascades.automix.states import SOLVED
from suffice.cascades.automix.threshold import threshold_chains
from suffice.cascades.base import Seen
from suffice.cascades.chain import StepCascade, chained
from suffice.cascades.goal import Goal
from suffice.cascades.recorded import Recorded
from suffice.cascades.stages import PASS_OVER, Stage, Stages
from suffice.types import FloatArray

AUTO = "auto"
"""The calibrator of the lowest cross-validated log loss."""


class ConfidenceCascade(StepCascade):
    """The next arm is asked below a threshold on the (calibrated) confidence in an answer.

    Parameters
    ----------
    signal : any of `suffice.confidence.signals`, or a name of your own
    arms : the chain; None takes all that are recorded, from the cheapest on
    calibrator : by name, or "auto"; thresholds are then on the probability that the answer is right. None:
        on the confidence as it comes

    References
    ----------
    Gupta et al. (2024), Language Model Cascades: Token-level uncertainty and beyond, section 3; Yue et al.
    (2024), Large Language Model Cascades with Mixture of Thought Representations for Cost-efficient
    Reasoning (signal: agreement of samples).
    """

    name = "confidence"

    def __init__(
        self, *, signal: str, arms: Sequence[str] | None = None, calibrator: str | None = None
    ) -> None:
        super().__init__(signal=signal, arms=arms)
        if calibrator not in (None, AUTO):
            create(calibrator)
        self.calibrator = calibrator
        self.calibrators_: tuple[Calibrator | None, ...] = ()

    def certify(
        self,
        recorded: Recorded,
        *,
        promise: str = "mean-drop",
        epsilon: float,
        delta: float,
        thresholds: Sequence[float] = GRID,
        seed: int | None = 0,
    ) -> ChainCertificate:
        """Replace the thresholds by the cheapest ones that keep a promise against the last arm.

        All stages share a threshold, tested from the safest on. Where none passes, all goes to the last arm.

        Parameters
        ----------
        recorded : rows that neither this cascade nor its signal was fitted to
        thresholds : descending, over 0; fixed without these rows
        promise, epsilon, delta, seed : see `certify_chains`
        """
        self._check_fitted()
        table = self._calibrated(chained(recorded, self.arms))
        readings = table.signal(self.signal)[:, :-1]
        paid = table.cost_usd.copy()
        paid[:, :-1] += table.reading_cost_usd[self.signal][:, :-1]
        path = np.repeat(np.array(thresholds, np.float64)[:, None], table.n_arms - 1, axis=1)
        found = certify_chains(
            np.nan_to_num(readings, nan=0.0),  # missing: below every threshold
            table.quality,
            np.cumsum(paid, axis=1),  # who answers last was asked after all before
            [path],
            promise=promise,
            epsilon=epsilon,
            delta=delta,
            seed=seed,
        )
        cuts = found.thresholds or ()
        self.stages_ = tuple(Stage((cut,), (True, False)) for cut in cuts) or (PASS_OVER,) * (
            table.n_arms - 1
        )
        return found

    def _learn(self, table: Recorded, goal: Goal) -> None:
        readings = table.signal(self.signal)
        self.calibrators_ = tuple(
            self._fitted(readings[:, arm], table.quality[:, arm]) for arm in range(table.n_arms - 1)
        )
        super()._learn(self._calibrated(table), goal)

    def _configurations(self, table: Recorded, goal: Goal) -> Sequence[Stages]:
        return threshold_chains(table, self.signal)

    def _fitted(self, readings: FloatArray, quality: FloatArray) -> Calibrator | None:
        known = ~np.isnan(readings)
        if self.calibrator is None or not known.any():
            return None
        correct = quality[known] >= SOLVED
        if self.calibrator == AUTO:
            return choose_calibrator(readings[known], correct)
        return create(self.calibrator).fit(readings[known], correct)

    def _calibrated(self, table: Recorded) -> Recorded:
        readings = table.signal(self.signal).copy()
        for arm, calibrator in enumerate(self.calibrators_):
            known = ~np.isnan(readings[:, arm])
            if calibrator is not None and known.any():
                readings[known, arm] = calibrator.predict(readings[known, arm])
        return replace(table, readings={**table.readings, self.signal: readings})

    def _reading(self, one: Seen) -> float | None:
        reading = super()._reading(one)
        calibrator = self.calibrators_[one.arm] if one.arm < len(self.calibrators_) else None
        return reading if reading is None or calibrator is None else float(calibrator.predict([reading])[0])

    def _state(self) -> dict[str, Any]:
        calibrators = [None if one is None else one.to_json() for one in self.calibrators_]
        return {**super()._state(), "calibrators": calibrators}

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        self.calibrators_ = tuple(None if one is None else from_json(one) for one in state["calibrators"])
        if len(self.calibrators_) != len(self.stages_):
            raise ValueError(f"{len(self.calibrators_)} calibrators for {len(self.stages_)} stages")
