"""Sequential intervals, drift and off-policy estimators: by hand, by loops, and on planted truth."""

import math

import numpy as np
import pytest

from suffice.metrics import (
    Adwin,
    BadScores,
    Difference,
    Logged,
    PageHinkley,
    asymptotic_sequence,
    betting_sequence,
    cluster_bootstrap,
    cross_fitted,
    direct,
    doubly_robust,
    empirical_bernstein_sequence,
    estimates,
    floored,
    ips,
    ratio_mismatch,
    sample_ratio_p,
    snips,
    switch_dr,
)


def test_the_asymptotic_radius_is_the_formula() -> None:
    x = np.random.default_rng(0).random(400)
    low, high = asymptotic_sequence(x, alpha=0.1, n_target=500)
    n, variance = 400, x.var()
    rho2 = (-2 * math.log(0.1) + math.log(-2 * math.log(0.1)) + 1) / 500
    radius = math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / 0.1))
    assert (high[-1] - low[-1]) / 2 == pytest.approx(radius * math.sqrt(variance))
    assert low[0] == -math.inf


def test_betting_bounds_are_those_of_a_plain_loop() -> None:
    x = np.random.default_rng(1).random(60) ** 2
    found = betting_sequence(x, alpha=0.1, n_levels=201)
    levels, log_term = np.linspace(0, 1, 201), math.log(2 / 0.1)
    up, down, alive = np.ones(201), np.ones(201), np.ones(201, dtype=bool)
    total, spread, variance = 0.0, 0.0, 0.25
    for t, value in enumerate(x, start=1):
        bet = math.sqrt(2 * log_term / (variance * t * math.log(1 + t)))
        for j, m in enumerate(levels):
            up[j] *= 1 + min(bet, 0.5 / m if m else math.inf) * (value - m)
            down[j] *= 1 - min(bet, 0.5 / (1 - m) if m < 1 else math.inf) * (value - m)
            alive[j] &= max(up[j], down[j]) / 2 < 1 / 0.1
        total += value
        spread += (value - (0.5 + total) / (t + 1)) ** 2
        variance = (0.25 + spread) / (t + 1)
        inside = levels[alive]
        assert found.low[t - 1] == pytest.approx(max(inside[0] - 0.005, 0))
        assert found.high[t - 1] == pytest.approx(min(inside[-1] + 0.005, 1))


@pytest.mark.parametrize("sequence", [betting_sequence, empirical_bernstein_sequence])
def test_bounded_sequences_hold_at_all_times(sequence: object) -> None:
    missed = 0
    for seed in range(60):
        x = (np.random.default_rng(seed).random(300) < 0.1).astype(float)
        low, high = sequence(x, alpha=0.1)  # type: ignore[operator]
        assert np.all(np.diff(low) >= 0) and np.all(np.diff(high) <= 0)
        missed += bool((low > 0.1).any() or (high < 0.1).any())
    assert missed <= 9
    assert high[-1] - low[-1] < 0.35


def test_a_difference_by_hand() -> None:
    found = Difference()
    rows = [(0, 1.0, 0.5), (1, 0.0, 0.5), (1, 1.0, 0.2), (0, 0.0, 0.2)]
    for row in rows:
        found.update(*row)
    # evidence: 0; 0 - 1 + 0; (0 - 1) + (1 - 0) / 0.2; (0.5 - 1) - (0 - 1) / 0.8
    weights, evidence = np.array([0.25, 0.25, 0.16, 0.16]), np.array([0.0, -1.0, 4.0, 0.75])
    mean = (weights * evidence).sum() / weights.sum()
    assert found.estimate == pytest.approx(mean)
    variance = ((weights * (evidence - mean)) ** 2).sum()
    assert found.aa - 2 * mean * found.ab + mean**2 * found.bb == pytest.approx(variance)


def test_rows_of_one_unit_count_as_one() -> None:
    alone, together = Difference(), Difference()
    rng = np.random.default_rng(0)
    for _ in range(100):
        arm, value, sums = int(rng.random() < 0.5), float(rng.random()), (0.0, 0.0)
        alone.update(arm, value, 0.5)
        for _ in range(4):
            sums = together.update(arm, value, 0.5, sums)
    widths = [high - low for low, high in (one.bounds(n_target=400) for one in (alone, together))]
    assert widths[1] > 0.8 * widths[0]


def test_a_canary_finds_what_an_even_split_finds() -> None:
    rng = np.random.default_rng(2)
    found = Difference()
    for share in (0.01, 0.05, 0.25, 0.5):
        for _ in range(2000):
            arm = int(rng.random() < share)
            found.update(arm, float(rng.random() < (0.7, 0.5)[arm]), share)
    low, high = found.bounds(spread=1.0)
    assert low < -0.2 < high < -0.1


def test_nothing_is_known_of_an_arm_without_rows() -> None:
    found = Difference()
    assert found.estimate is None and found.bounds() == (-math.inf, math.inf)
    found.update(0, 1.0, 0.5)
    assert found.bounds() == (-math.inf, math.inf)
    for bad in ((0, math.nan, 0.5), (1, 1.0, 1.0), (1, 1.0, 0.0)):
        with pytest.raises(BadScores):
            found.update(*bad)
    with pytest.raises(BadScores):
        found.pair(math.inf)


def test_the_chi_square_tail_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for counts in ([480, 520], [300, 340, 360], [10, 20, 30, 40], [1, 2, 3, 4, 50]):
        k = len(counts)
        p = sample_ratio_p(counts, [1 / k] * k)
        assert p == pytest.approx(stats.chisquare(counts).pvalue, abs=1e-12)
    for bad in (([1], [1.0]), ([0, 0], [0.5, 0.5]), ([1, 2], [0.5, 0.6])):
        with pytest.raises(BadScores):
            sample_ratio_p(*bad)


def test_a_wrong_split_is_noticed_and_a_right_one_is_not() -> None:
    rng = np.random.default_rng(0)
    for share, is_wrong in ((0.1, False), (0.15, True)):
        excess = np.cumsum((rng.random(20_000) < share) - 0.1)
        looks = [ratio_mismatch(float(excess[i]), 0.09 * (i + 1)) for i in range(200, 20_000, 50)]
        assert any(looks) == is_wrong


@pytest.mark.parametrize("make", [Adwin, PageHinkley])
def test_a_fall_is_found_and_rest_is_let_be(make: type) -> None:
    delays = []
    for seed in range(3):
        rng, detector = np.random.default_rng(seed), make()
        predicted = rng.uniform(0.6, 1.0, 8000)
        rest = [detector.update(float(v)) for v in (rng.random(5000) < predicted[:5000]) - predicted[:5000]]
        assert not any(rest)
        fallen = (rng.random(3000) < predicted[5000:] - 0.15) - predicted[5000:]
        delays.append(next(i for i, v in enumerate(fallen) if detector.update(float(v))))
    assert np.median(delays) < 400
    with pytest.raises(BadScores):
        make().update(math.nan)


def test_adwin_keeps_its_sums() -> None:
    rng, detector = np.random.default_rng(0), Adwin()
    values: list[float] = []
    for value in np.concatenate([rng.random(500), 0.5 * rng.random(500)]):
        detector.update(float(value))
        values.append(float(value))
        kept = np.array(values[len(values) - detector.n :])
        assert detector.mean == pytest.approx(kept.mean())
        assert detector._spread == pytest.approx(((kept - kept.mean()) ** 2).sum(), abs=1e-9)
    assert detector.n < 600


def _logged(n: int = 4000, seed: int = 0) -> tuple[Logged, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    chances = np.column_stack([0.2 + 0.6 * x, 0.8 - 0.6 * x])
    behaviour = np.column_stack([np.full(n, 0.8), np.full(n, 0.2)])
    arm = (rng.random(n) < 0.2).astype(int)
    reward = (rng.random(n) < chances[np.arange(n), arm]).astype(float)
    target = np.column_stack([x > 0.5, x <= 0.5]).astype(float)
    return Logged.of(reward, arm, behaviour[np.arange(n), arm], target), x[:, None], 0.65


def test_estimators_by_hand() -> None:
    logged = Logged.of([1.0, 0.0, 1.0], [0, 1, 1], [0.5, 0.5, 0.25], [[1, 0], [0.5, 0.5], [0, 1]])
    assert logged.weights.tolist() == [2.0, 1.0, 4.0]
    assert ips(logged).value == pytest.approx(2.0)
    assert snips(logged).value == pytest.approx(6 / 7)
    q = [[0.5, 0.5], [0.4, 0.2], [0.9, 0.6]]
    assert direct(logged, q).value == pytest.approx((0.5 + 0.3 + 0.6) / 3)
    dr = (0.5 + 2 * 0.5 + 0.3 + 1 * -0.2 + 0.6 + 4 * 0.4) / 3
    assert doubly_robust(logged, q).value == pytest.approx(dr)
    assert switch_dr(logged, q, tau=3).value == pytest.approx(dr - 4 * 0.4 / 3)
    assert ips(logged).ess == pytest.approx(49 / 21)
    assert ips(logged).refused is not None
    weights = logged.weights
    psi = weights * (logged.reward - 6 / 7) / weights.mean()
    error = math.sqrt((psi**2).sum() / 2 / 3)  # the standard deviation over the root of n
    assert snips(logged).high - snips(logged).value == pytest.approx(1.959964 * error, rel=1e-6)


def test_estimators_find_the_truth() -> None:
    logged, x, truth = _logged()
    found = estimates(logged, cross_fitted(x, logged))
    for name in ("ips", "snips", "dr", "switch_dr"):
        assert found[name].low < truth < found[name].high, name
        assert found[name].refused is None
    assert found["dr"].high - found["dr"].low < found["ips"].high - found["ips"].low


def test_clusters_widen_the_interval() -> None:
    logged, _, _ = _logged(500)
    rows = np.repeat(np.arange(500), 5)
    fivefold = Logged.of(logged.reward[rows], logged.arm[rows], logged.propensity[rows], logged.target[rows])
    grouped = Logged.of(
        logged.reward[rows], logged.arm[rows], logged.propensity[rows], logged.target[rows], rows.astype(str)
    )
    one, five, group = (snips(x) for x in (logged, fivefold, grouped))
    assert five.high - five.low < 0.5 * (one.high - one.low)
    assert group.high - group.low == pytest.approx(one.high - one.low, rel=0.01)
    low, high = cluster_bootstrap(grouped, n_resamples=400)
    assert high - low == pytest.approx(one.high - one.low, rel=0.15)


def test_folds_keep_clusters_whole() -> None:
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(40), 5)
    reward = np.repeat(rng.random(40), 5)  # a user's reward is his own: only leaks could tell
    logged = Logged.of(reward, np.zeros(200, dtype=int), np.ones(200), np.ones((200, 1)), owner)
    q = cross_fitted(np.eye(40)[owner], logged, ridge=0.01)
    assert abs(np.corrcoef(q[:, 0], reward)[0, 1]) < 0.5
    assert np.all(np.abs(cross_fitted(np.ones((200, 1)), logged) - reward.mean()) < 0.2)


@pytest.mark.parametrize(("n_users", "held"), [(4, (0.9, 0.99)), (25, (0.9, 0.99))])
def test_few_clusters_widen_by_t_and_are_refused(n_users: int, held: tuple[float, float]) -> None:
    rng, n = np.random.default_rng(0), 400
    owner = np.arange(n) % n_users
    found = []
    for _ in range(300):
        reward = 0.5 + 0.2 * rng.normal(size=n_users)[owner] + 0.1 * rng.normal(size=n)
        found.append(ips(Logged.of(reward, [0] * n, [1.0] * n, [[1.0]] * n, owner)))
    assert held[0] < np.mean([one.low < 0.5 < one.high for one in found]) < held[1]
    assert all((one.refused is None) == (n_users >= 20) for one in found)


def test_one_cluster_has_no_interval() -> None:
    logged = Logged.of([1.0, 0.0] * 150, [0] * 300, [1.0] * 300, [[1.0]] * 300, np.zeros(300))
    found = estimates(logged)
    for one in found.values():
        assert (one.low, one.high) == (-math.inf, math.inf)
        assert one.refused is not None and "only 1 effective users" in one.refused
    with pytest.raises(BadScores, match="none to compare"):
        cross_fitted(np.ones((300, 1)), logged)
    with pytest.raises(BadScores, match="1 clusters, at least 20"):
        cluster_bootstrap(logged)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reward", [1.0, math.nan]),
        ("arm", [0, 2]),
        ("arm", [0.5, 0.5]),
        ("propensity", [0.0, 0.5]),
        ("propensity", [1.5, 0.5]),
        ("target", [[1, 0], [0.5, 0.4]]),
        ("cluster", [1]),
    ],
)
def test_bad_logs_are_refused(field: str, value: list[float]) -> None:
    good = {"reward": [1, 0], "arm": [0, 1], "propensity": [0.5, 0.5], "target": [[1, 0], [0, 1]]}
    Logged.of(**good)
    with pytest.raises(BadScores):
        Logged.of(**good | {field: value})


def test_a_floor_keeps_rows_distributions() -> None:
    found = floored([[0.9, 0.1, 0.0]], 0.05, [[True, True, False]])
    assert found.tolist() == [[pytest.approx(0.86), pytest.approx(0.14), 0.0]]
    for floor in (-0.1, 0.6, math.nan):
        with pytest.raises(BadScores):
            floored([[0.9, 0.1, 0.0]], floor)
