"""BERT: an encoder fine-tuned to say, for every arm, how good its answer to a query will be.

Ong et al. (2024), RouteLLM, arXiv 2406.18665, section 4.2 (BERT classifier): a three-way classifier of a
battle of two models, strong wins, tie or weak wins, on an encoder that is trained with it. From battles
that is what is learnt here, for any number of models (`pairs`). From outcomes the same encoder gets one
logit per arm instead, with cross-entropy against its quality; unknown qualities take no part. Departures:
mean pooling instead of the first token, as MiniLM was trained; a small learning rate is kept but most
queries are seen several times, since recorded outcomes are hundreds, not the paper's 65,000 battles.
"""

from __future__ import annotations

from typing import Final

from suffice.errors import ConfigError
from suffice.routers.encoder import MINILM, Encoder
from suffice.routers.finetuned import FineTuned
from suffice.routers.heads import Head, QualityHead
from suffice.routers.tiny import TINY

_RATE: Final = 5e-5
_TINY_RATE: Final = 1e-3


class Bert(FineTuned):
    """quality = arm's mean + what a fine-tuned encoder sees in the query."""

    name = "bert"

    def __init__(
        self,
        *,
        encoder: str = MINILM,
        epochs: float = 4.0,
        max_steps: int = 2000,
        batch: int = 16,
        learning_rate: float | None = None,
        max_length: int = 256,
        frozen_layers: int = 0,
        held_out: float = 0.1,
        patience: int = 3,
        max_rows: int | None = None,
        loss: str = "cross_entropy",
        loss_strength: float | None = None,
        temperature_scaling: bool = False,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        encoder : a directory in the format of transformers, an id of the hub that was downloaded before,
            or "tiny" (two layers, random, no download)
        epochs : times every training query is seen, at most
        max_steps : of the optimiser, at most
        batch : queries per step
        learning_rate : None takes 5e-5, for the tiny encoder 1e-3
        max_length : tokens of a query that are read
        frozen_layers : embeddings and so many first layers stay as they are, and read every text only once
            (`frozen`); 0 trains all
        held_out : share of the training queries that decide when to stop and how far to follow
        patience : looks at those without a better one before training stops; there are at most 10
        max_rows : training queries used at most, drawn by their texts; None takes all
        loss : "cross_entropy", or one that makes it less sure of itself: "label_smoothing", "focal",
            "focal_sample", "gatekeeper" (`losses`; the last goes on from what cross-entropy has learnt)
        loss_strength : share that is smoothed (0.1), gamma of "focal" (3), alpha of "gatekeeper" (0.2); None
            takes these
        temperature_scaling : after training, one temperature from the queries held out. Of battles it is
            what `pairs` does anyway
        seed : of new weights, batches and draws
        """
        self.encoder, self.epochs, self.max_steps, self.batch = encoder, epochs, max_steps, batch
        self.learning_rate, self.max_length, self.frozen_layers = learning_rate, max_length, frozen_layers
        self.held_out, self.patience, self.max_rows, self.seed = held_out, patience, max_rows, seed
        self.loss, self.loss_strength, self.temperature_scaling = loss, loss_strength, temperature_scaling

    @property
    def _base(self) -> tuple[str, float]:
        return self.encoder, _TINY_RATE if self.encoder == TINY else _RATE

    def _open(self) -> Encoder:
        encoder = Encoder.open(self.encoder, max_length=self.max_length)
        encoder.freeze(self.frozen_layers)
        return encoder

    def _graded(self, n_arms: int) -> Head:
        return QualityHead(self.encoder_.width, n_arms)

    def _check_params(self) -> None:
        super()._check_params()
        if self.frozen_layers < 0:
            raise ConfigError(f"{self.name} with frozen_layers {self.frozen_layers}: 0 or more are needed")
