"""Least squares of a quantity per arm on the length of the query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np

from suffice.types import FloatArray, Query, content_text

_PENALTY = 1e-3
"""On standardised columns: keeps a constant length, or one query, from blowing up."""


class LengthRegression(msgspec.Struct, frozen=True, kw_only=True):
    """y = a + b ln(1 + bytes) + c bytes / 1000 for each arm, within the range that was seen.

    Beyond the longest training query the linear part goes on growing, the logarithm too; the result
    is never below the least value seen.
    """

    coefficients: list[list[float] | None]
    """(K): a, b, c; None for an arm without data."""
    lowest: list[float]
    """(K): the least value seen, 0 without data."""

    @classmethod
    def learn(cls, n_bytes: FloatArray, values: FloatArray, *, is_linear: bool = True) -> Self:
        """
        Parameters
        ----------
        n_bytes : (n,)
        values : (n, K), NaN unknown
        is_linear : False leaves c out: what comes out need not grow with what went in
        """
        columns = _columns(n_bytes)
        if not is_linear:
            columns[:, 2] = 0
        fitted, lowest = [], []
        for arm in values.T:
            is_known = ~np.isnan(arm)
            fitted.append(_least_squares(columns[is_known], arm[is_known]) if is_known.any() else None)
            lowest.append(float(arm[is_known].min()) if is_known.any() else 0.0)
        return cls(coefficients=fitted, lowest=lowest)

    @classmethod
    def constant(cls, n_arms: int, value: float) -> Self:
        """The same for every arm and length."""
        return cls(coefficients=[[value, 0.0, 0.0] for _ in range(n_arms)], lowest=[0.0] * n_arms)

    @classmethod
    def unknown(cls, n_arms: int) -> Self:
        """No data for any arm."""
        return cls(coefficients=[None] * n_arms, lowest=[0.0] * n_arms)

    def fits(self, n_arms: int) -> bool:
        """Whether there are three numbers for each arm with data."""
        rows = [row for row in self.coefficients if row is not None]
        return len(self.coefficients) == len(self.lowest) == n_arms and all(len(row) == 3 for row in rows)

    def matrix(self) -> tuple[FloatArray, FloatArray]:
        """(3, K) coefficients, NaN without data, and (K,) least values."""
        rows = [[np.nan] * 3 if row is None else row for row in self.coefficients]
        return np.array(rows, np.float64).reshape(-1, 3).T, np.array(self.lowest, np.float64)


class LengthPredictor:
    """A fitted regression as arrays."""

    def __init__(self, regression: LengthRegression) -> None:
        self._coefficients, self._lowest = regression.matrix()
        self._knows_none = bool(np.isnan(self._coefficients).all())

    def __call__(self, n_bytes: FloatArray) -> FloatArray:
        """(n, K) for lengths (n,); NaN for an arm without data."""
        if self._knows_none:
            return np.full((len(n_bytes), len(self._lowest)), np.nan)
        return np.maximum(_columns(n_bytes) @ self._coefficients, self._lowest)


def query_bytes(queries: Sequence[Query]) -> FloatArray:
    """(n,): UTF-8 bytes of all that is sent."""
    return np.array([_n_bytes(query) for query in queries], np.float64)


def _n_bytes(query: Query) -> int:
    if not query.messages:
        return _length(query.text)
    return sum(_length(content_text(message.get("content"))) for message in query.messages)


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _columns(n_bytes: FloatArray) -> FloatArray:
    if len(n_bytes) == 1:  # a decision
        n = n_bytes.item()
        return np.array(((1.0, math.log1p(n), n / 1000),))
    columns = np.empty((len(n_bytes), 3))
    columns[:, 0] = 1
    np.log1p(n_bytes, out=columns[:, 1])
    columns[:, 2] = n_bytes / 1000
    return columns


def _least_squares(columns: FloatArray, values: FloatArray) -> list[float]:
    """Ridge on standardised columns, put back on the original scale."""
    slopes, middle = columns[:, 1:], values.mean()
    centres, scales = slopes.mean(axis=0), slopes.std(axis=0)
    scales[scales < 1e-9] = np.inf
    standard = (slopes - centres) / scales
    gram = standard.T @ standard + _PENALTY * len(values) * np.eye(2)
    b = np.linalg.solve(gram, standard.T @ (values - middle)) / scales
    return [float(middle - centres @ b), *b.tolist()]
