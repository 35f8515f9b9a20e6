"""Boosted regression trees in numpy: all trees of all targets go down one level at a time.

Trees come from LightGBM's `Booster.dump_model()` and are kept as arrays: for every node the feature, the
threshold (values up to it go left), and the two nodes below; a leaf leads to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError
from suffice.routers.artefact import Arrays
from suffice.types import FloatArray

_BLOCK: Final = 1 << 18
"""Tree visits at once: bounds the memory that a batch takes."""


class Trees:
    """T trees, each of which adds to one of R targets."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """
        Parameters
        ----------
        arrays : "feature", "threshold", "left", "right", "value" of all N nodes, one tree after another,
            and "root", "target" of all T trees
        """
        self.arrays = dict(arrays)
        self.roots = np.asarray(self.arrays["root"], np.intp)
        # the branch not taken lies next to the one taken, so that a comparison is an index
        self._below = np.stack((self.arrays["right"], self.arrays["left"]), axis=1).astype(np.intp).ravel()
        self._feature = self.arrays["feature"].astype(np.intp)
        self._depth = self._deepest()

    def _deepest(self) -> int:
        """Steps after which every tree has come to a leaf."""
        pairs = self._below.reshape(-1, 2)
        at = np.unique(self.roots)
        for depth in range(len(pairs) + 1):
            if (pairs[at] == at[:, None]).all():
                return depth
            at = np.unique(pairs[at])
        raise ArtefactError("the trees have a cycle")

    @property
    def n_trees(self) -> int:
        return len(self.roots)

    def predict(self, x: FloatArray, n_targets: int) -> FloatArray:
        """(n, R) sums of leaf values for features (n, d)."""
        out = np.zeros((len(x), n_targets))
        size = max(_BLOCK // max(self.n_trees, 1), 1)
        target = self.arrays["target"]
        for start in range(0, len(x), size):
            leaves = self._leaves(x[start : start + size])
            for row, values in enumerate(self.arrays["value"][leaves], start):
                out[row] = np.bincount(target, weights=values, minlength=n_targets)
        return out

    def _leaves(self, x: FloatArray) -> NDArray[np.intp]:
        """(n, T): the leaf at which each row ends in each tree."""
        n, width = x.shape
        flat, threshold = x.ravel(), self.arrays["threshold"]
        base = np.repeat(np.arange(n) * width, self.n_trees)
        node = np.tile(self.roots, n)
        for _ in range(self._depth):
            goes_left = flat[base + self._feature[node]] <= threshold[node]
            node = self._below[2 * node + goes_left]
        return node.reshape(n, self.n_trees)

    @classmethod
    def of_models(cls, models: Sequence[tuple[int, Mapping[str, Any], int]]) -> Trees:
        """From (target, `dump_model()`, how many of its trees)."""
        nodes: dict[str, list[Any]] = {
            name: [] for name in ("feature", "threshold", "left", "right", "value")
        }
        roots, targets = [], []
        for target, model, n_trees in models:
            for tree in model["tree_info"][:n_trees]:
                roots.append(_add(nodes, tree["tree_structure"]))
                targets.append(target)
        return cls(
            {
                "feature": np.array(nodes["feature"], np.int32),
                "threshold": np.array(nodes["threshold"], np.float64),
                "left": np.array(nodes["left"], np.int32),
                "right": np.array(nodes["right"], np.int32),
                "value": np.array(nodes["value"], np.float64),
                "root": np.array(roots, np.int32),
                "target": np.array(targets, np.int32),
            }
        )

    @classmethod
    def restore(cls, arrays: Arrays, n_features: int, n_targets: int) -> Trees:
        """From a router's artefact.

        Raises
        ------
        ArtefactError
            If an index points outside, or the arrays are not of one length.
        """
        root, target = (arrays.take(name, "i", (None,)) for name in ("root", "target"))
        feature = arrays.take("feature", "i", (None,))
        shape = feature.shape
        left, right = (arrays.take(name, "i", shape) for name in ("left", "right"))
        found = {
            "feature": feature,
            "left": left,
            "right": right,
            "threshold": arrays.take("threshold", "f", shape),
            "value": arrays.take("value", "f", shape),
            "root": root,
            "target": target,
        }
        limits = [(feature, n_features), (left, *shape), (right, *shape), (root, *shape), (target, n_targets)]
        is_inside = all(((one >= 0) & (one < limit)).all() for one, limit in limits)
        if len(root) != len(target) or not is_inside:
            raise ArtefactError("the trees point outside of their arrays")
        return cls(found)


def _add(nodes: dict[str, list[Any]], node: Mapping[str, Any]) -> int:
    """The number of a node, added with all below it."""
    number = len(nodes["feature"])
    is_leaf = "leaf_value" in node
    nodes["feature"].append(0 if is_leaf else int(node["split_feature"]))
    nodes["threshold"].append(0.0 if is_leaf else float(node["threshold"]))
    nodes["value"].append(float(node["leaf_value"]) if is_leaf else 0.0)
    nodes["left"].append(number)
    nodes["right"].append(number)
    if not is_leaf:
        nodes["left"][number] = _add(nodes, node["left_child"])
        nodes["right"][number] = _add(nodes, node["right_child"])
    return number
