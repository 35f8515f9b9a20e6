"""What the built-in router was trained to know: read from the package when first needed, and once.

`pretrained/builtin.npz` and `pretrained/builtin.json` are made by `scripts/pretrain/train.py`.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError
from suffice.routers.builtin_text import shape, text_hashes
from suffice.types import BoolArray, FloatArray

_SHARPNESS: Final = 6.0
"""From regressions on domain membership to shares that add up to 1."""
_LATENTS: Final = 2
"""Ease and spread, before the domains."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The manifest of the shipped artefact."""

    format: int
    domains: tuple[str, ...]
    level: float
    """Logit of an average model on an average question."""
    price_slope: float
    """Logits of ability per factor ten of output price."""
    price_mean: float
    """log10 of the output price at which ability is average."""
    ability_sd: float
    """Of ability around what the price says, in logits."""
    usual_share: float
    """Share of a text's word weight that is known in nearly all training texts (1st percentile)."""
    n_queries: int
    sources: list[dict[str, Any]] = []


class Pretrained:
    """Words, shapes and hashes of the shipped artefact."""

    def __init__(self, facts: Facts, arrays: dict[str, NDArray[Any]]) -> None:
        self.facts = facts
        self.columns = arrays["columns"]
        self.idf = arrays["idf"].astype(np.float64)
        self.unknown_idf = float(arrays["unknown_idf"])
        self.words = arrays["words"] * arrays["scales"]
        self.shape_mean, self.inverse_sd = arrays["shape_mean"], 1 / arrays["shape_sd"]
        self.shape_weights = arrays["shape_weights"]
        self.biases = arrays["biases"]
        self.hashes = np.cumsum(arrays["hash_steps"].astype(np.uint64)).astype(np.uint32)
        self.embedder = _word_embedder()

    def read(self, texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """What texts are like: (n, 2 + D) ease, spread and domain shares; (n,) familiarity in [0, 1].

        Familiarity is the share of a text's words, weighed by rarity, that training knew, relative to
        what is usual: 1 for nearly all training texts, 0 for a text of unknown words only.
        """
        rows = self.embedder.features(texts)
        places = self.columns.searchsorted(rows.indices)
        np.minimum(places, len(self.columns) - 1, out=places)
        is_known = self.columns[places] == rows.indices
        found = np.zeros((len(texts), self.words.shape[1]))
        share = np.zeros(len(texts))
        ends = rows.indptr.tolist()
        for row, (start, end) in enumerate(itertools.pairwise(ends)):
            known = places[start:end][is_known[start:end]]
            weights = self.idf[known]
            known_size = float(weights @ weights)
            size = known_size + (end - start - len(known)) * self.unknown_idf**2
            if size > 0:
                weights.dot(self.words.take(known, axis=0), out=found[row])
                found[row] *= size**-0.5
                share[row] = known_size / size
        standard = np.array([shape(text) for text in texts])
        standard -= self.shape_mean
        standard *= self.inverse_sd
        _clip(standard, -3.0, 3.0)
        found[:, :_LATENTS] += standard @ self.shape_weights
        logits = found[:, _LATENTS:]
        logits += self.biases
        _clip(logits, -0.5, 1.5)
        logits *= _SHARPNESS
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return found, np.minimum(share / self.facts.usual_share, 1.0)

    def seen(self, texts: Sequence[str]) -> BoolArray:
        """(n,): whether a text, but for case, width and white space, stands in the training data."""
        wanted = text_hashes(texts)
        places = np.searchsorted(self.hashes, wanted)
        places[places == len(self.hashes)] = 0
        return np.asarray(self.hashes[places] == wanted)


def _clip(values: FloatArray, low: float, high: float) -> None:
    """In place; faster than `np.clip`, which matters for one query."""
    np.maximum(values, low, out=values)
    np.minimum(values, high, out=values)


@lru_cache(maxsize=1)
def facts() -> Facts:
    """The manifest alone.

    Raises
    ------
    ArtefactError
        If the package was built without it, or it is damaged.
    """
    try:
        return msgspec.json.decode(_bytes("builtin.json"), type=Facts)
    except msgspec.DecodeError as error:
        raise ArtefactError(f"the built-in router's manifest is damaged ({error})") from error


@lru_cache(maxsize=1)
def pretrained() -> Pretrained:
    """The shipped artefact, read once.

    Raises
    ------
    ArtefactError
        If the package was built without it, or it is damaged.
    """
    try:
        with np.load(io.BytesIO(_bytes("builtin.npz")), allow_pickle=False) as arrays:
            return Pretrained(facts(), {name: arrays[name] for name in arrays.files})
    except (ValueError, KeyError, OSError) as error:
        raise ArtefactError(f"the built-in router's arrays are damaged ({error})") from error


def _bytes(name: str) -> bytes:
    path = files("suffice.routers") / "pretrained" / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"this installation lacks the built-in router's {name} ({error})") from error


def _word_embedder() -> Any:
    """Hashed single words, whatever embedder other routers use."""
    from suffice.routers import hashed_embedder

    return hashed_embedder(words=(1, 1))
