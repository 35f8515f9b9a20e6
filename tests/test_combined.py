"""The learned signal: better than its parts, calibrated, and at ease with what is missing."""

import math

import numpy as np
import pytest

from suffice.confidence import Signal, Unavailable
from suffice.confidence.combined import Combined, table
from suffice.errors import ArtefactError, DataError, NotFitted
from suffice.metrics import auroc


def planted(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Two independent signals of the truth, one of noise; the second often missing."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    absent = rng.uniform(size=n) < 0.3
    p = 1 / (1 + np.exp(-(1.2 * a + 1.2 * np.where(absent, -1, b) + 0.3)))
    signals = {"a": np.exp(a), "b": np.where(absent, np.nan, b), "noise": rng.normal(size=n)}
    return signals, rng.uniform(size=n) < p, p


def test_two_signals_are_better_than_one_and_calibrated() -> None:
    train, right, _ = planted(2_000, 0)
    test, truth, p = planted(4_000, 1)
    model = Combined().fit(train, right)
    predicted = model.predict(test)
    assert auroc(predicted, truth) > auroc(test["a"] / (1 + test["a"]), truth) + 0.05
    assert auroc(predicted, truth) > auroc(p, truth) - 0.015  # nearly what the truth itself would reach
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        inside = (predicted >= low) & (predicted < high)
        assert abs(predicted[inside].mean() - truth[inside].mean()) < 0.05


def test_weights_are_where_the_penalised_loss_is_least() -> None:
    """The loss is convex, so no gradient, by a loop over rows, means the optimum."""
    train, right, _ = planted(300, 2)
    model = Combined().fit(train, right)
    assert model.penalty_ is not None
    x = model._features({name: np.asarray(train[name], float) for name in model.names_})
    slope = [1e-6 * model.weights_[0], *(model.penalty_ * model.weights_[1:])]
    for row, truth in zip(x, right, strict=True):
        wrong = 1 / (1 + math.exp(-(model.weights_[0] + row @ model.weights_[1:]))) - truth
        slope = [value + wrong * weight for value, weight in zip(slope, [1.0, *row], strict=True)]
    assert slope == pytest.approx([0.0] * len(slope), abs=1e-8)


def test_units_and_the_order_of_names_do_not_matter() -> None:
    train, right, _ = planted(400, 3)
    test, _, _ = planted(50, 4)
    expected = Combined().fit(train, right).predict(test)
    turned = dict(reversed(train.items()))
    assert Combined().fit(turned, right).predict(test) == pytest.approx(expected, abs=1e-12)
    in_nats = {**train, "a": np.log(train["a"])}  # any increasing function of a signal gives the same ranks
    seen = Combined().fit(in_nats, right).predict(in_nats)
    assert seen == pytest.approx(Combined().fit(train, right).predict(train), abs=0.02)


def test_what_is_missing() -> None:
    train, right, _ = planted(400, 5)
    model = Combined().fit(train, right)
    nothing = model.predict({"a": [math.nan], "b": [math.nan]})
    assert 0.2 < nothing[0] < 0.8
    assert model.predict({"a": [5.0]}) == pytest.approx(
        model.predict({"a": [5.0], "b": [math.nan], "z": [1]})
    )
    ends = model.predict(
        {"a": [-math.inf, 0.01, 1.0, 100.0, math.inf], "b": np.zeros(5), "noise": np.zeros(5)}
    )
    assert np.isfinite(ends).all() and (np.diff(ends) >= 0).all()
    never_seen = Combined().fit({**train, "empty": np.full(400, np.nan)}, right)
    assert never_seen.predict(train) == pytest.approx(model.predict(train), abs=1e-9)
    for wrong in ({}, {"z": [1.0]}, {"a": [1.0], "b": [1.0, 2.0]}):
        with pytest.raises(DataError, match="columns of one length"):
            model.predict(wrong)


def test_useless_signals_give_the_share_that_is_right() -> None:
    rng = np.random.default_rng(6)
    right = rng.uniform(size=500) < 0.7
    predicted = (
        Combined().fit({"noise": rng.normal(size=500)}, right).predict({"noise": rng.normal(size=200)})
    )
    assert np.abs(predicted - 0.7).max() < 0.1
    constant = Combined().fit({"same": np.ones(100)}, np.arange(100) < 80).predict({"same": [1.0, 2.0]})
    assert constant == pytest.approx([0.8, 0.8], abs=0.01)


@pytest.mark.parametrize(
    ("right", "share"), [([1] * 30, 31 / 32), ([0] * 30, 1 / 32), ([1, 0, 1], 3 / 5), ([1], 2 / 3)]
)
def test_too_little_to_learn_from(right: list[int], share: float) -> None:
    model = Combined().fit({"a": np.arange(len(right))}, right)
    assert model.predict({"a": [0.0, math.nan]}) == pytest.approx([share, share])
    assert Combined.from_json(model.to_json()).predict({"a": [0.0]}) == pytest.approx([share])


def test_signals_that_tell_right_from_wrong_exactly() -> None:
    right = np.arange(200) >= 100
    predicted = Combined().fit({"a": np.arange(200.0)}, right).predict({"a": [0.0, 99.0, 100.0, 199.0]})
    assert predicted[0] < 0.05 and predicted[-1] > 0.95 and (np.diff(predicted) >= 0).all()


def test_saved_and_loaded() -> None:
    train, right, _ = planted(200, 7)
    model = Combined(n_folds=4, seed=3).fit(train, right)
    loaded = Combined.from_json(model.to_json())
    assert loaded.to_json() == model.to_json()
    assert (loaded.predict(train) == model.predict(train)).all()
    for damaged in (
        "",
        "{}",
        "[]",
        model.to_json().replace('"format": 1', '"format": 9'),
        '{"format": 1}',
        model.to_json().replace('"weights": [', '"weights": [0.5, '),
    ):
        with pytest.raises(ArtefactError, match="fit it again"):
            Combined.from_json(damaged)
    with pytest.raises(NotFitted):
        Combined().predict({"a": [1.0]})
    with pytest.raises(NotFitted):
        Combined().to_json()


@pytest.mark.parametrize(
    ("signals", "correct"),
    [({}, [1]), ({"a": []}, []), ({"a": [1.0]}, [2]), ({"a": [1.0]}, [math.nan]), ({"a": [1.0, 2.0]}, [1])],
)
def test_rows_that_are_no_rows(signals: dict[str, list[float]], correct: list[float]) -> None:
    with pytest.raises(DataError):
        Combined().fit(signals, correct)


def test_readings_as_a_table() -> None:
    found = table([{"a": Signal(3.0, 0.3), "b": Unavailable("no logprobs")}, {"b": Signal(0.5, 0.5)}])
    assert sorted(found) == ["a", "b"]
    assert found["a"][0] == 0.3 and np.isnan(found["a"][1])
    assert np.isnan(found["b"][0]) and found["b"][1] == 0.5
