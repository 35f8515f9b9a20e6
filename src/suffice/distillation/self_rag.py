"""A small language model that says itself whether a question wants a look-up: none, one or several.

References
----------
Asai et al. (2023), Self-RAG, arXiv 2310.11511, sections 3.2.1 and 3.3: the model is trained to say
[Retrieval] or [No Retrieval], and retrieves where p([Retrieval]) over the sum of both exceeds a threshold.
Departures: the critic that labels is one's own runs (the simplest strategy that answered right, as in
Adaptive-RAG), rather than GPT-4; three tokens that the model has stand for the signals, rather than new ones;
only they are taught, not to answer with passages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from suffice.distillation.confidence_tuning import SCHEDULE, Examples, learn
from suffice.distillation.stated import StatedConfidence, clean
from suffice.errors import ConfigError, DataError
from suffice.gating import Strategies
from suffice.routers.tuning import Progress, Schedule
from suffice.types import FloatArray, IntArray

SIGNALS: Final = ("[No Retrieval]", "[Retrieval]", "[Retrieval, several]")
"""Said as the digits 0, 1 and 2."""
_QUESTION: Final = "Question:\n"
_ASK: Final = (
    "\n\nWhat must be looked up to answer it? 0: nothing, 1: one passage, 2: several in turn.\nDigit: "
)
_RIGHT: Final = 0.5


class SelfRag(StatedConfidence):
    """A policy over the signals; opened, trained and saved as `StatedConfidence` is."""

    def signal_prompts(self, questions: Sequence[str]) -> list[list[int]]:
        """Token numbers of every question; a long one loses its end."""
        ask = self.body.tokenizer.bare(_ASK)
        room = self.body.max_length - len(ask)
        if room < 16:
            raise ConfigError(f"max_length {self.body.max_length} leaves no room for a question")
        return [self.body.tokenizer.encode(_QUESTION + clean(text), room) + ask for text in questions]

    def signals(self, questions: Sequence[str]) -> FloatArray:
        """(n, 3): how likely each signal is, among the three."""
        found = self.digits(self.body.all_states(self.signal_prompts(questions)))
        chances: FloatArray = found[:, : len(SIGNALS)].softmax(dim=1).cpu().numpy().astype(np.float64)
        return chances


def signal_labels(table: Strategies) -> IntArray:
    """(n,): 0, 1 or 2, the simplest of three strategies that was right; the last where none was.

    Raises
    ------
    DataError
        If there are not three strategies.
    """
    if len(table.arms) != len(SIGNALS):
        raise DataError(f"{len(table.arms)} strategies; {len(SIGNALS)} are needed: none, single, multi")
    right = table.quality >= _RIGHT
    return np.where(right.any(axis=1), right.argmax(axis=1), len(SIGNALS) - 1)


def learn_signals(
    model: SelfRag,
    questions: Sequence[str],
    wanted: IntArray,
    *,
    held_out: float = 0.1,
    schedule: Schedule = SCHEDULE,
    report: Callable[[Progress], None] | None = None,
) -> Progress:
    """Cross-entropy of the signals, rare ones weighted up; changes the model.

    Parameters
    ----------
    wanted : shape (n,), 0 to 2, as `signal_labels` gives them
    held_out : share of the rows that decide when to stop, in (0, 1)

    Returns
    -------
    The step of the least loss on rows held out.
    """
    wanted = np.asarray(wanted, np.intp)
    if not ((wanted >= 0) & (wanted < len(SIGNALS))).all():
        raise DataError(f"a signal is 0 to {len(SIGNALS) - 1}")
    counts = np.bincount(wanted, minlength=len(SIGNALS))
    weight = (counts.sum() / np.maximum(counts, 1) / len(SIGNALS)).astype(np.float32)
    own = np.column_stack([wanted.astype(np.float32), weight[wanted]])

    def objective(log_probs: Any, reference: Any, facts: Any) -> Any:
        chosen = log_probs[:, : len(SIGNALS)].log_softmax(dim=1).gather(1, facts[:, :1].long())[:, 0]
        return -(chosen * facts[:, 1]).mean()

    examples = Examples(model.signal_prompts(questions), (wanted == 0).astype(np.float64))
    return learn(model, examples, objective, own, held_out, schedule, report)
