"""How gmtrouter reads a user's history: messages from past choices to the user, attention, a head.

A past choice i sends v_i = s_i (Z_b - Z_a), with Z the models' vectors and s_i what was preferred minus
what everybody's rating expected. On a query x the user's state is made of the mean message and of the
mean weighed by attention of x to the past queries; the head shifts the rating of b over a by

    (h_mean B_mean + h_near B_near) . (Z_b - Z_a).

Means are taken n / (n + c) times: a short history says little. Gradients are written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.routers.descent import by_name, cross_entropy, sigmoid
from suffice.routers.histories import History
from suffice.types import FloatArray

Weights = dict[str, NDArray[np.float64]]


def first_weights(models: Sequence[str], width: int, latent: int, keys: int, seed: int) -> Weights:
    """Z (K, r), the map to keys (q, D), both heads (r, r), and log c (1,)."""
    rng = np.random.default_rng(seed)
    return {
        "models": by_name(models, latent, 1 / np.sqrt(latent), seed).astype(np.float64),
        "keys": 0.5 * rng.standard_normal((keys, width)),
        "mean": 2 * np.eye(latent),
        "near": np.eye(latent),
        "doubt": np.array([np.log(10.0)]),
    }


def state_of(weights: Weights, history: History) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A user's state: keys (n, q), messages (n, r) taken n / (n + c) times, and their mean (r,)."""
    surprise = history.pref_b - sigmoid(history.gaps)
    models = weights["models"]
    messages = surprise[:, None] * (models[history.second] - models[history.first])
    messages *= len(history) / (len(history) + np.exp(weights["doubt"]))
    return history.inputs @ weights["keys"].T, messages, messages.sum(axis=0) / max(len(history), 1)


def shift_of(
    weights: Weights, state: tuple[FloatArray, FloatArray, FloatArray], inputs: FloatArray
) -> FloatArray:
    """(m, K): what the user adds to the ratings on queries of these inputs (m, D)."""
    keys, messages, mean = state
    near = _attention(inputs @ weights["keys"].T, keys) @ messages
    return np.asarray((mean @ weights["mean"] + near @ weights["near"]) @ weights["models"].T)


def episode(
    weights: Weights, support: History, asked: History, *, with_gradients: bool
) -> tuple[float, dict[str, NDArray[Any]]]:
    """Mean cross-entropy of the choices asked for, given the support (n >= 1), and its gradients."""
    models, n, m = weights["models"], len(support), len(asked)
    keys, messages, mean = state_of(weights, support)
    asking = asked.inputs @ weights["keys"].T
    attention = _attention(asking, keys)
    near = attention @ messages
    apart = models[asked.second] - models[asked.first]
    state = mean @ weights["mean"] + near @ weights["near"]
    gaps = asked.gaps + np.einsum("mr,mr->m", state, apart)
    loss = float(cross_entropy(gaps, asked.pref_b).mean())
    if not with_gradients:
        return loss, {}
    back = (sigmoid(gaps) - asked.pref_b)[:, None] / m
    on_state = back * apart
    on_mean, on_near = weights["mean"] @ on_state.sum(axis=0), on_state @ weights["near"].T
    on_messages = attention.T @ on_near + on_mean / n
    pulled = on_near @ messages.T
    on_logits = attention * (pulled - (attention * pulled).sum(axis=1, keepdims=True))
    on_logits /= np.sqrt(keys.shape[1])
    c = float(np.exp(weights["doubt"][0]))
    surprise = (support.pref_b - sigmoid(support.gaps))[:, None] * (n / (n + c))
    on_models = np.zeros_like(models)
    for history, moved in ((asked, back * state), (support, surprise * on_messages)):
        np.add.at(on_models, history.second, moved)
        np.subtract.at(on_models, history.first, moved)
    return loss, {
        "models": on_models,
        "keys": (on_logits @ keys).T @ asked.inputs + (on_logits.T @ asking).T @ support.inputs,
        "mean": np.outer(mean, on_state.sum(axis=0)),
        "near": near.T @ on_state,
        "doubt": np.array([-float((on_messages * messages).sum()) * c / (n + c)]),
    }


def _attention(asking: FloatArray, keys: FloatArray) -> FloatArray:
    """(m, n): softmax of scaled products."""
    logits = asking @ keys.T / np.sqrt(keys.shape[1])
    weights = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
