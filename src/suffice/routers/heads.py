"""What stands on a fine-tuned model: from one vector per query to a score of every arm.

Predictions of quality are residuals from the arms' means, split into what the arms share and what tells
them apart, each multiplied by the slopes that fit queries held out (`shrinkage`): without evidence every
arm keeps its mean. Before that, if asked for, one temperature makes every chance milder or bolder.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from suffice.calibration import Temperature
from suffice.routers.artefact import Arrays
from suffice.routers.base import arm_means
from suffice.routers.losses import Loss, two_ways
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.routers.tuning import Rows
from suffice.types import FloatArray

_SPREAD: Final = 0.02
"""Standard deviation of initial weights, BERT's."""
_COPIES: Final = 20
"""As so many right or wrong answers a graded one counts for the temperature."""


class Head(ABC):
    """A torch module, its loss, and how its outputs are read once trained."""

    kind: ClassVar[str]
    module: Any
    criterion: Loss = Loss()
    """Of log-probabilities and truth, where the head is a classifier."""

    @abstractmethod
    def loss(self, states: Any, rows: Rows) -> Any:
        """Mean over rows (b,), whose states (b, width) the encoder gave."""

    @abstractmethod
    def calibrate(self, states: Any, rows: Rows, train_states: Any) -> None:
        """From queries held out, how far to follow what was learnt; no rows: not at all."""

    @abstractmethod
    def scores(self, states: Any) -> FloatArray:
        """(n, K) in [0, 1]; NaN for an arm without data."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What `calibrate` found, as JSON values."""

    @abstractmethod
    def recall(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """The reverse of `arrays` and `facts`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.module.state_dict().items()}

    def _recall_module(self, arrays: Arrays) -> None:
        import torch

        with torch.no_grad():
            for name, tensor in self.module.state_dict().items():
                tensor.copy_(torch.from_numpy(arrays.take(name, "f", tuple(tensor.shape))))

    def summary(self) -> str:
        """One line for people."""
        return ", ".join(f"{name} {value}" for name, value in self.facts().items())


class GradedHead(Head):
    """Learns from quality; a subclass says how, and what it predicts."""

    quality: FloatArray
    """(n, K); NaN is unknown."""
    is_tempered: bool = False
    """Learn a temperature from queries held out."""
    tempering: Temperature | None = None

    def __init__(self, width: int, n_arms: int) -> None:
        self.means: FloatArray = np.full(n_arms, np.nan)
        self.slope = 0.0
        """Of what the arms share."""
        self.mixing: FloatArray = np.zeros((n_arms, n_arms))
        """Of what tells them apart; slopes by direction."""
        self.module = self._made(width, n_arms)

    @abstractmethod
    def _made(self, width: int, n_arms: int) -> Any:
        """The module, with random weights."""

    @abstractmethod
    def residuals(self, states: Any) -> FloatArray:
        """(n, K): predicted quality less the arm's mean."""

    def teach(self, quality: FloatArray, device: Any) -> None:
        """Take targets (n, K), before training."""
        import torch

        self.quality, self.means = quality, arm_means(quality)
        self.module.to(device)
        is_known = ~np.isnan(quality)
        self.mask_ = torch.tensor(is_known, dtype=torch.float32, device=device)
        self.targets_ = torch.tensor(np.where(is_known, quality, 0), dtype=torch.float32, device=device)

    def calibrate(self, states: Any, rows: Rows, train_states: Any) -> None:
        if not len(rows):
            return
        shared, own, is_known = shared_and_own(self.quality[rows] - self.means)
        if self.is_tempered:
            chances = np.clip(self.residuals(states) + self.means, 0, 1)
            self.tempering = fitted_temperature(chances[is_known], self.quality[rows][is_known])
        common, apart = self._split(self._departures(states))
        found = HeldOut(1, 1 + len(self.means))
        predicted = np.hstack((np.where(is_known.any(axis=1, keepdims=True), common, 0), apart * is_known))
        found.add(0, predicted.T, np.hstack((shared, own)).T)
        self.slope, self.mixing = found.slope(0, slice(0, 1)), found.mixing(0, slice(1, None))

    def scores(self, states: Any) -> FloatArray:
        common, apart = self._split(self._departures(states))
        return np.asarray(self.means + self.slope * common + apart @ self.mixing)

    def _departures(self, states: Any) -> FloatArray:
        """Residuals after the temperature."""
        residuals = self.residuals(states)
        if self.tempering is None:
            return residuals
        chances = np.nan_to_num(np.clip(residuals + self.means, 0, 1), nan=0.5)
        return np.asarray(self.tempering.predict(chances.ravel()).reshape(chances.shape) - self.means)

    def _split(self, residuals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, 1) shared and (n, K) own; arms without data take no part."""
        has_data = ~np.isnan(self.means)
        filled = np.where(has_data, residuals, 0)
        common = filled.sum(axis=1, keepdims=True) / max(int(has_data.sum()), 1)
        return common, np.where(has_data, filled - common, 0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**super().arrays(), "means": self.means, "mixing": self.mixing}

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"slope": self.slope}
        if self.tempering is not None:
            found["temperature"] = json.loads(self.tempering.to_json())
        return found

    def recall(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._recall_module(arrays)
        self.means = arrays.take("means", "f", self.means.shape, finite=False)
        self.mixing = arrays.take("mixing", "f", self.mixing.shape)
        self.slope = float(facts["slope"])
        if "temperature" in facts:
            self.tempering = Temperature.from_json(json.dumps(facts["temperature"]))

    def summary(self) -> str:
        own = np.linalg.eigvalsh(self.mixing)[-1]
        found = f"slope {self.slope:.2f} on what the arms share, at most {own:.2f} on what tells them apart"
        return found + (f", temperature {self.tempering.temperature_:.2f}" if self.tempering else "")


class QualityHead(GradedHead):
    """One logit per arm: right or wrong; quality may be any number in [0, 1] (`losses`)."""

    kind = "quality"

    def _made(self, width: int, n_arms: int) -> Any:
        return linear(width, n_arms)

    def teach(self, quality: FloatArray, device: Any) -> None:
        super().teach(quality, device)
        start_at(self.module, logit(np.nan_to_num(self.means, nan=0.5)))

    def loss(self, states: Any, rows: Rows) -> Any:
        mask = self.mask_[rows]
        each = self.criterion(*two_ways(self.module(states), self.targets_[rows]))
        return (each * mask).sum() / mask.sum().clamp(min=1)

    def residuals(self, states: Any) -> FloatArray:
        return as_numpy(self.module(states).sigmoid()) - self.means


def fitted_temperature(chances: FloatArray, quality: FloatArray) -> Temperature:
    """From chances (n,) and qualities (n,); a graded one counts as 20 answers, right in that share."""
    if np.isin(quality, (0, 1)).all():
        return Temperature().fit(chances, quality)
    cuts = (np.arange(_COPIES) + 0.5) / _COPIES
    return Temperature().fit(np.repeat(chances, _COPIES), (quality[:, None] > cuts).ravel())


def linear(width: int, n_outputs: int) -> Any:
    """A linear layer with small random weights."""
    import torch

    layer = torch.nn.Linear(width, n_outputs)
    with torch.no_grad():
        layer.weight.normal_(std=_SPREAD)
        layer.bias.zero_()
    return layer


def start_at(layer: Any, bias: FloatArray) -> None:
    """Begin at what is right in the mean, so that training learns only what differs between queries."""
    import torch

    with torch.no_grad():
        layer.bias.copy_(torch.from_numpy(np.asarray(bias, np.float32)))


def logit(chance: FloatArray) -> FloatArray:
    clipped = chance.clip(0.01, 0.99)
    return np.asarray(np.log(clipped / (1 - clipped)))


def as_numpy(tensor: Any) -> FloatArray:
    found: FloatArray = tensor.detach().cpu().numpy().astype(np.float64)
    return found
