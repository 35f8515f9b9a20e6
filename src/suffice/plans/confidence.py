"""How sure an answer is, from the log-probabilities of its tokens, as a calibrated probability."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

from suffice import calibration
from suffice.confidence import Reading
from suffice.confidence.signals import get
from suffice.errors import ConfigError
from suffice.plans.logprobs import AskingModel
from suffice.protocols import Model
from suffice.types import Answer, TokenLogprob

SIGNALS: Final = (
    "normalised_probability",
    "perplexity",
    "min_token_probability",
    "sequence_log_likelihood",
    "token_quantiles",
    "token_entropy",
    "probability_margin",
    "targ_margin",
)
"""Those that cost no further call and look at nothing but the answer's tokens."""
N_ALTERNATIVES: Final = 5
"""Asked for per token, where a signal compares them."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """How calibrated confidences were spread where the calibrator was fitted."""

    edges: tuple[float, ...] = ()
    """Ascending; a confidence belongs to the first cell whose edge it does not exceed, or to the last."""
    shares: tuple[float, ...] = ()
    """Of each cell, one more than edges; they sum to 1."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What `suffice calibrate` writes beside a calibrator."""

    signal: str = ""
    """The column or router that it was fitted to."""
    n: int = 0
    date: str = ""
    reference: Reference = Reference()


class AnswerConfidence:
    """One signal, and the calibrator on top."""

    def __init__(
        self,
        signal: str = "normalised_probability",
        calibrator: calibration.Calibrator | None = None,
        *,
        asks: bool = True,
        about: About = About(),  # noqa: B008  frozen
    ) -> None:
        """
        Parameters
        ----------
        signal : one of `SIGNALS`
        calibrator : fitted to that signal's confidences; None shows them as they are
        asks : whether candidates are asked for log-probabilities that the client did not ask for

        Raises
        ------
        ConfigError
            If the signal is none, or needs more than the answer's own tokens.
        """
        if signal not in SIGNALS:
            raise ConfigError(
                f"confidence: the signal {signal!r} cannot be read from an answer's tokens alone; "
                f"known: {', '.join(SIGNALS)}"
            )
        self.signal, self.asks, self.about = signal, asks, about
        self._calibrator = calibrator
        info = get(signal)
        self._core: Callable[..., Reading] = info.core()
        self.needs_alternatives = info.access == "top-k"
        self._asked: dict[str, AskingModel] = {}

    @classmethod
    def read(cls, signal: str, path: Path | None, *, asks: bool = True) -> Self:
        """With the calibrator of a file.

        Raises
        ------
        ConfigError
            If the signal is none, or there is no such file.
        ArtefactError
            If it holds no calibrator.
        """
        if path is None:
            return cls(signal, asks=asks)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"no calibrator at {path} ({error.strerror}); `suffice calibrate --out` writes one"
            ) from None
        return cls(signal, calibration.from_json(content), asks=asks, about=_about(content))

    @property
    def reference(self) -> Reference:
        return self.about.reference

    def asking(self, model: Model) -> Model:
        """The model, asked for what the signal needs."""
        made = AskingModel(model, N_ALTERNATIVES if self.needs_alternatives else None)
        self._asked[model.candidate.name] = made
        return made

    def of(self, answer: Answer) -> tuple[float | None, str | None]:
        """In [0, 1], or None and why."""
        if not answer.logprobs:
            asked = self._asked.get(answer.candidate)
            refusal = None if asked is None else asked.refusal
            return None, refusal or answer.no_logprobs or "no log-probabilities came"
        reading = self._core(_values(answer.logprobs, alternatives=self.needs_alternatives))
        if reading.confidence is None:
            return None, getattr(reading, "reason", "the signal cannot be read")
        if self._calibrator is None:
            return reading.confidence, None
        value = float(self._calibrator.predict([reading.confidence])[0])
        return (value, None) if math.isfinite(value) else (None, "the calibrator gave no number")


def _values(logprobs: tuple[TokenLogprob, ...], *, alternatives: bool) -> list[float] | list[list[float]]:
    if not alternatives:
        return [token.logprob for token in logprobs]
    return [[value for _, value in token.top] for token in logprobs]


def _about(content: bytes) -> About:
    """Empty where a calibrator was written by other means."""
    try:
        about = msgspec.json.decode(content, type=_WithAbout).about
    except msgspec.DecodeError:
        return About()
    ref = about.reference
    fits = len(ref.shares) == len(ref.edges) + 1 and list(ref.edges) == sorted(ref.edges)
    return about if fits or not ref.shares else msgspec.structs.replace(about, reference=Reference())


class _WithAbout(msgspec.Struct):
    about: About = About()
