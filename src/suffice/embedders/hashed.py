"""The default embedder: hashed word and character n-grams, in numpy alone.

A text becomes an array of code points; polynomial hashes of all its words and character n-grams are
computed at once from prefix sums, so that no Python loop runs over n-grams. Weinberger et al. (2009),
Feature Hashing for Large Scale Multitask Learning; Rabin and Karp (1987) for the rolling hash.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.types import Kind, SparseFeatures

_Hashes = NDArray[np.uint64]
_Points = NDArray[np.uint8] | NDArray[np.uint32]

MAX_CHARACTERS: Final = 16_384
"""A longer text counts by its first and last 8,192 characters: instructions stand at either end."""

_BASE: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_MIX: Final = np.array(0xBF58476D1CE4E5B9, np.uint64)  # numpy takes arrays sooner than its own scalars
_MIX_2: Final = np.array(0x94D049BB133111EB, np.uint64)
_SHIFT: Final = np.array(31, np.uint64)

_NEW_LINE: Final = " \u00b6 "
"""Lines show lists, code and answers to choose from: their ends are words."""

_SPACELESS: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
)
"""Scripts written without spaces: each character is taken as a word."""


class HashedNgrams:
    """Word and character n-grams hashed into buckets, and a fixed random projection of them.

    The dense vectors are a count sketch (Charikar et al., 2002): every bucket adds its value, with
    a random sign, to one of `dimensions` sums, which keeps inner products right on average.
    Constructing it learns nothing: equal settings give equal vectors on every machine.
    """

    def __init__(
        self,
        *,
        buckets: int = 1 << 18,
        words: tuple[int, int] = (1, 2),
        characters: tuple[int, int] = (3, 5),
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        buckets : a power of two, 2 to 2^30; for words and for characters each
        words : shortest and longest word n-gram, from 1
        characters : shortest and longest character n-gram, from 1
        dimensions : of the dense vectors, from 1
        seed : of the hashes and signs
        """
        if not 2 <= buckets <= 1 << 30 or buckets & (buckets - 1):
            raise ConfigError(f"buckets is {buckets}; a power of two from 2 to 2^30 is needed: try 262144")
        for what, (low, high) in (("words", words), ("characters", characters)):
            if not 1 <= low <= high:
                raise ConfigError(
                    f"{what} is {(low, high)}; (shortest, longest) with 1 <= shortest is needed"
                )
        if dimensions < 1:
            raise ConfigError(f"dimensions is {dimensions}; at least 1 is needed")
        self.buckets, self.dimensions, self.seed = buckets, dimensions, seed
        self.words, self.characters = (words[0], words[1]), (characters[0], characters[1])
        self._shift = np.array(64 - (buckets.bit_length() - 1), np.uint64)
        self._salt = np.array((seed * 0xD6E8FEB86659FD93 + 0x2545F4914F6CDD1D) & _MASK, np.uint64)

    @property
    def name(self) -> str:
        words, characters = ("{}-{}".format(*pair) for pair in (self.words, self.characters))
        return f"hashed-1:b{self.buckets},w{words},c{characters},d{self.dimensions},s{self.seed}"

    def features(self, texts: Sequence[str], kind: Kind = "words") -> SparseFeatures:
        """Rows of length 1 with entries 1 + ln(count); an empty text gives an empty row.

        Parameters
        ----------
        texts : n of them
        kind : "words", "characters" or "both"
            "both" has twice the columns, words first; the two halves weigh the same.
        """
        rows = [self._row(text, kind) for text in texts]
        if len(rows) == 1:
            indices, values = rows[0]
            indptr = np.array((0, len(indices)), np.int64)
        else:
            indices = np.concatenate([row[0] for row in rows]) if rows else np.empty(0, np.int32)
            values = np.concatenate([row[1] for row in rows]) if rows else np.empty(0, np.float32)
            indptr = np.zeros(len(rows) + 1, np.int64)
            np.cumsum([len(row[0]) for row in rows], out=indptr[1:])
        width = self.buckets * (2 if kind == "both" else 1)
        return SparseFeatures(indptr=indptr, indices=indices, values=values, n_columns=width)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows of shape (n, dimensions); an empty text gives a zero row."""
        rows = self.features(texts, "both")
        mixed = (rows.indices.astype(np.uint64) + self._salt) * _MIX
        mixed ^= mixed >> _SHIFT
        mixed *= _MIX_2
        place = (mixed >> np.uint64(32)) % np.uint64(self.dimensions)
        signed = np.where(mixed & np.uint64(1 << 20), rows.values, -rows.values)
        flat = place.astype(np.int64)
        if len(texts) != 1:
            flat += rows.row_ids() * self.dimensions
        sums = np.bincount(flat, weights=signed, minlength=len(texts) * self.dimensions)
        vectors = sums.reshape(len(texts), self.dimensions).astype(np.float32)
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
        norms[norms == 0] = 1
        vectors /= norms
        return vectors

    def _row(self, text: str, kind: Kind) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        points = _code_points(text)
        halves = []
        if kind != "characters":
            halves.append(self._counts(_word_hashes(points, self.words)))
        if kind != "words":
            halves.append(self._counts(_character_hashes(points, self.characters)))
        if len(halves) == 1:
            return halves[0]
        (left, left_values), (right, right_values) = halves
        values = np.concatenate((left_values, right_values))
        if len(left) and len(right):
            values *= np.float32(0.5**0.5)
        return np.concatenate((left, right + np.int32(self.buckets))), values

    def _counts(self, hashes: _Hashes) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Hashes, which are used up, to ascending buckets and their weights, a row of length 1."""
        if not len(hashes):
            return np.empty(0, np.int32), np.empty(0, np.float32)
        mixed = hashes
        mixed ^= self._salt
        mixed *= _MIX
        mixed ^= mixed >> _SHIFT
        mixed *= _MIX_2
        mixed >>= self._shift
        buckets = mixed.astype(np.int32)
        buckets.sort()
        is_edge = np.empty(len(buckets) + 1, np.bool_)  # of a run of equal buckets
        is_edge[0] = is_edge[-1] = True
        np.not_equal(buckets[1:], buckets[:-1], out=is_edge[1:-1])
        edges = is_edge.nonzero()[0]
        firsts = edges[:-1]
        values = _weights(len(buckets).bit_length()).take(edges[1:] - firsts)
        values *= 1 / math.sqrt(values @ values)
        return buckets.take(firsts), values


def _code_points(text: str) -> _Points:
    """Lower-case code points, a sign for a new line, runs of white space as one space, also at the ends.

    ASCII text, whose only other sign is that of a new line, comes as bytes, with which all that follows
    is faster; other text is normalised to NFKC, which joins accents and full-width forms.
    """
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]} {text[-half:]}"
    is_ascii = text.isascii()
    if not is_ascii:
        text = unicodedata.normalize("NFKC", text)
    words = " ".join(text.lower().replace("\n", _NEW_LINE).split())
    if is_ascii:
        return np.frombuffer(f" {words} ".encode("latin-1"), np.uint8)
    return np.frombuffer(f" {words} ".encode("utf-32-le", "surrogatepass"), np.uint32)


def _word_hashes(points: _Points, sizes: tuple[int, int]) -> _Hashes:
    """One hash for every word n-gram, from prefix sums of code point x base^position."""
    befores, ends = _word_bounds(_classes(points))
    n = len(points)
    powers, inverses = _powers(max(n - 1, 255).bit_length())
    sums = np.add.accumulate(points * powers[:n])
    words = sums.take(ends)
    words -= sums.take(befores)
    words *= inverses.take(befores)
    words ^= words >> _SHIFT
    words *= _MIX
    return _ngrams(words, sizes)


def _character_hashes(points: _Points, sizes: tuple[int, int]) -> _Hashes:
    if len(points) <= 2:  # nothing but the two spaces
        return np.empty(0, np.uint64)
    return _ngrams(points.astype(np.uint64) + np.uint64(1), sizes)


def _ngrams(items: _Hashes, sizes: tuple[int, int]) -> _Hashes:
    """Hashes of all runs of low to high neighbouring items, the shorter runs first."""
    low, high = sizes[0], min(sizes[1], len(items))
    n_sizes = max(high - low + 1, 0)
    found = np.empty(n_sizes * (len(items) + 1) - n_sizes * (low + high) // 2, np.uint64)
    rolling, end = items, 0
    for size in range(1, high + 1):
        power, salt = _of_size(size)
        if size > 1:
            longer = items[size - 1 :] * power
            longer += rolling[:-1]
            rolling = longer
        if size >= low:
            start, end = end, end + len(rolling)
            np.add(rolling, salt, out=found[start:end])
    return found


def _word_bounds(classes: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The position before every word, and its last; 0 no word, 1 in a word, 2 a word by itself."""
    joins = classes & 1  # to a neighbour that is in a word as well
    return (classes[1:] > joins[:-1]).nonzero()[0], (classes[:-1] > joins[1:]).nonzero()[0]


def _classes(points: _Points) -> NDArray[np.uint8]:
    if points.dtype == np.uint8:
        return np.frombuffer(points.tobytes().translate(_BYTE_CLASSES), np.uint8)
    return _plane_classes()[np.minimum(points, 0xFFFF)]


@functools.lru_cache(maxsize=8)
def _powers(n_bits: int) -> tuple[_Hashes, _Hashes]:
    """base^i and base^-(i + 1) modulo 2^64 for i < 2^n_bits."""
    forth, back = np.full((2, 1 << n_bits), pow(_BASE, -1, 1 << 64), np.uint64)
    forth[0], forth[1:] = 1, _BASE
    return np.cumprod(forth), np.cumprod(back)


@functools.lru_cache(maxsize=8)
def _of_size(size: int) -> tuple[_Hashes, _Hashes]:
    """Of n-grams of that size: what the last item is multiplied by, and what tells them from others."""
    return np.array(pow(_BASE, size - 1, 1 << 64), np.uint64), np.array(_BASE * size & _MASK, np.uint64)


@functools.lru_cache(maxsize=8)
def _weights(n_bits: int) -> NDArray[np.float32]:
    """1 + ln(count) for counts below 2^n_bits; that of 0 is not used."""
    return np.log(np.maximum(np.arange(1 << n_bits), 1), dtype=np.float32) + np.float32(1)


def _class_table(n: int) -> NDArray[np.uint8]:
    """(n,): the word class of the first n code points."""
    categories = [unicodedata.category(chr(point)) for point in range(n)]
    table = np.array([_CLASS_OF.get(category[0], 2) for category in categories], np.uint8)
    table[ord("_")] = 1
    return table


_CLASS_OF: Final = {"L": 1, "N": 1, "M": 1, "Z": 0, "C": 0}
"""Letters, digits and marks make words, separators and controls none, others are words by themselves."""

_BYTE_CLASSES: Final = _class_table(256).tobytes()


@functools.cache
def _plane_classes() -> NDArray[np.uint8]:
    """(65536,): of the basic plane; the last stands for all above, emoji and rare Han."""
    table = _class_table(1 << 16)
    for low, high in _SPACELESS:
        table[low : high + 1][table[low : high + 1] == 1] = 2
    table[0xFFFF] = 2
    return table
