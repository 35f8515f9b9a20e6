"""Every bandit: planted worlds, bad input, files, replicas; and what is particular to a kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import bandits
from suffice.bandits import BaseBandit, load_bandit
from suffice.bandits.context import Projection
from suffice.bandits.lin_ts import chances_of_highest
from suffice.bandits.linear import LinearBandit
from suffice.bandits.neural_linear import Network, NeuralLinear
from suffice.bandits.pilot import Pilot, contrastive_projection, won
from suffice.errors import ArtefactError, ConfigError, DataError, UnknownName
from suffice.types import FloatArray

ARMS = ("small", "middle", "large")
D = 4
NAMES = bandits.available()
MERGING = [
    name for name in NAMES if name not in ("exp3", "discounted_linucb", "sliding_window", "neural_linear")
]


def made(name: str, **params: Any) -> BaseBandit:
    found: BaseBandit = bandits.create(name, ARMS, D, **params)
    return found


def contexts(n: int, seed: int = 0) -> FloatArray:
    random = np.random.default_rng(seed)
    return np.column_stack([random.normal(size=(n, D - 1)) / 2, np.ones(n)])


def rewards(x: FloatArray) -> FloatArray:
    """Of every arm: large is best where the first number is positive, small elsewhere."""
    return np.clip(np.column_stack([0.6 - 0.4 * x[:, 0], 0.4 + 0 * x[:, 0], 0.6 + 0.4 * x[:, 0]]), 0, 1)


def play(bandit: BaseBandit, n: int, *, seed: int = 0, **options: Any) -> list[str]:
    x = contexts(n, seed)
    truth = rewards(x)
    pulled = []
    for row in range(n):
        pull = bandit.decide(x[row], id=f"{seed}-{row}", now=float(row), **options)
        bandit.learn(pull, truth[row, bandit.arms.index(pull.arm)])
        pulled.append(pull.arm)
    return pulled


@pytest.mark.parametrize("name", NAMES)
def test_learns_and_counts(name: str) -> None:
    bandit = made(name)
    play(bandit, 600)
    assert bandit.version == 600
    assert bandit.n_waiting == 0
    late = play(bandit, 200, seed=1)
    x = contexts(200, 1)
    if name == "exp3":  # reads no context
        assert late.count("middle") < 60
        return
    best = np.where(x[:, 0] > 0, "large", "small")
    clear = np.abs(x[:, 0]) > 0.1
    assert (np.array(late) == best)[clear].mean() > 0.85
    expected = bandit.rewards(np.array([0.5, 0, 0, 1]))
    assert expected.mean[2] > expected.mean[0]


@pytest.mark.parametrize("name", NAMES)
def test_propensities_are_those_of_what_is_drawn(name: str) -> None:
    bandit = made(name, floor=0.05)
    play(bandit, 50)
    x = contexts(1, 9)[0]
    drawn = np.zeros(3)
    first: tuple[float, ...] | None = None
    for row in range(600):
        pull = bandit.decide(x, id=f"p{row}", now=0.0)
        assert pull.propensity == pull.propensities[bandit.arms.index(pull.arm)] >= 0.05 - 1e-9
        assert abs(sum(pull.propensities) - 1) < 1e-9
        drawn[bandit.arms.index(pull.arm)] += 1
        if isinstance(bandit, LinearBandit):  # as if it had not been asked
            bandit._waiting.pop(pull.id)
            bandit._rebuild()
        elif isinstance(bandit, NeuralLinear):
            bandit._forgotten(ARMS.index(pull.arm), bandit._waiting.pop(pull.id))
        first = first or pull.propensities
    if name not in ("discounted_linucb", "sliding_window"):
        assert first is not None
        np.testing.assert_allclose(drawn / 600, first, atol=0.07)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_resumed_it_goes_on_the_same(name: str, tmp_path: Path) -> None:
    bandit = made(name, floor=0.02, seed=3)
    play(bandit, 80)
    waiting = bandit.decide(contexts(1, 5)[0], id="open", now=90.0)
    bandit.save(tmp_path)
    again = load_bandit(tmp_path)
    assert again.learn(waiting, 0.7) and bandit.learn(waiting, 0.7)
    assert isinstance(again, BaseBandit)
    assert play(bandit, 60, seed=2) == play(again, 60, seed=2)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_changes_nothing(name: str, tmp_path: Path) -> None:
    bandit = made(name, lease_s=10.0)
    x = contexts(3)
    with pytest.raises(DataError, match="shape"):
        bandit.decide(x[0, :2], id="a", now=0.0)
    with pytest.raises(DataError, match="NaN"):
        bandit.decide([np.nan, 0, 0, 1], id="a", now=0.0)
    with pytest.raises(DataError, match="eligible"):
        bandit.decide(x[0], id="a", now=0.0, eligible=[False] * 3)
    with pytest.raises(DataError, match="costs"):
        bandit.decide(x[0], [1.0], id="a", now=0.0, price=1.0)
    for cost in (-1.0, np.inf):
        with pytest.raises(DataError, match="each at least 0"):
            bandit.decide(x[0], [0.1, cost, 0.1], id="a", now=0.0, price=1.0)
    for price in (-1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="the price is"):
            bandit.decide(x[0], [0.1] * 3, id="a", now=0.0, price=price)
    for penalty in ([np.nan, 0.0, 0.0], [0.0, 0.0]):
        with pytest.raises(DataError, match="penalties"):
            bandit.choose(x[0], penalty)
    assert bandit.n_waiting == 0
    pull = bandit.decide(x[0], id="a", now=0.0)
    with pytest.raises(DataError, match="waiting"):
        bandit.decide(x[0], id="a", now=0.0)
    for wrong in (np.nan, -0.1, 1.1, np.inf):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            bandit.learn(pull, wrong)
    assert bandit.learn("unknown", 0.5) is False
    assert bandit.learn("a", 0.5) is True
    assert bandit.learn(pull, 0.5) is False
    late = bandit.decide(x[1], id="b", now=1.0)
    assert bandit.expire(5.0) == 0
    assert bandit.expire(12.0) == 1
    assert bandit.learn(late, 0.5) is False
    assert bandit.n_ignored == 3
    with pytest.raises(ConfigError):
        made(name, floor=0.5)
    with pytest.raises(ConfigError):
        bandits.create(name, ("a", "a"), D)
    bandit.save(tmp_path)
    arrays = dict(np.load(tmp_path / "arrays.npz"))
    np.savez(tmp_path / "arrays.npz", **arrays)
    (tmp_path / "arrays.npz").write_bytes((tmp_path / "arrays.npz").read_bytes() + b"x")
    with pytest.raises(ArtefactError):
        load_bandit(tmp_path)
    with pytest.raises(ArtefactError):
        load_bandit(tmp_path / "nowhere")


@pytest.mark.parametrize("name", NAMES)
def test_arms_come_and_go(name: str) -> None:
    bandit = made(name)
    play(bandit, 60)
    bandit.add_arm("new", burn_in=5, share=0.25)
    x = contexts(200, 3)
    pulls: list[bandits.Pull] = []
    while bandit._burn_in:
        pulls.append(bandit.decide(x[len(pulls)], [0, 0, 0, 50.0], id=f"n{len(pulls)}", now=0.0, price=100.0))
        assert pulls[-1].propensities[3] >= 0.25 - 1e-9
    new = [pull for pull in pulls if pull.arm == "new"]
    assert len(new) == 5 < len(pulls)
    bandit.learn(new[0], 1.0)
    bandit.remove_arm("new")
    bandit.add_arm("new")
    assert bandit.learn(new[1], 1.0) is False  # of the arm that was there before
    bandit.remove_arm("new")
    assert "new" not in {bandit.decide(x[row], id=f"m{row}", now=0.0).arm for row in range(150, 170)}
    with pytest.raises(UnknownName):
        bandit.remove_arm("new")
    with pytest.raises(ConfigError):
        bandit.add_arm("small")


@pytest.mark.parametrize("name", NAMES)
def test_a_pull_of_another_process(name: str) -> None:
    here, there = made(name), made(name)
    pull = there.decide(contexts(1)[0], id="a", now=0.0)
    here.adopt(pull)
    with pytest.raises(DataError, match="waiting"):
        here.adopt(pull)
    assert here.learn(pull, 1.0) is True
    assert here.learn(pull, 1.0) is False


def test_what_was_learnt_before_an_arm_came_is_not_lost() -> None:
    bandit = made("linucb")
    play(bandit, 5)
    bandit.add_arm("new")
    found = bandit.take()  # type: ignore[attr-defined]
    assert found.n == 5 and found.gram.sum() != 0


def test_a_context_may_be_used_again() -> None:
    bandit = made("linucb")
    x = contexts(1)[0].astype(np.float32)
    pull = bandit.decide(x, id="a", now=0.0)
    x[:] = 7
    assert (pull.x != 7).any()


def test_states_of_another_dimension_or_format(tmp_path: Path) -> None:
    bandit = made("linucb")
    bandit.save(tmp_path)
    manifest = (tmp_path / "bandit.json").read_text()
    for wrong in (manifest.replace('"d":4', '"d":5'), manifest.replace('"format":1', '"format":9'), "{}"):
        (tmp_path / "bandit.json").write_text(wrong)
        with pytest.raises(ArtefactError):
            load_bandit(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_price_and_eligibility(name: str) -> None:
    bandit = made(name)
    play(bandit, 200)
    x = contexts(30, 4)
    only = [
        bandit.decide(row, id=f"e{n}", now=0.0, eligible=[False, True, False]).arm for n, row in enumerate(x)
    ]
    assert set(only) == {"middle"}
    dear = [
        bandit.decide(row, [0.0, 0.001, np.nan], id=f"c{n}", now=0.0, price=1e6).arm
        for n, row in enumerate(x)
    ]
    assert dear.count("small") >= 25
    unknown = [
        bandit.decide(row, [np.nan, 0.001, np.nan], id=f"n{n}", now=0.0, price=1e-6).arm
        for n, row in enumerate(x)
    ]
    assert set(unknown) == {"middle"}  # what nobody knows is not cheap
    assert bandit.decide(x[0], [np.nan] * 3, id="all", now=0.0, price=1.0).arm in ARMS


@pytest.mark.parametrize("name", NAMES)
def test_one_arm(name: str) -> None:
    bandit = bandits.create(name, ("only",), D)
    assert bandit.decide(contexts(1)[0], id="1", now=0.0).propensities == (1.0,)
    with pytest.raises(ConfigError, match="last"):
        bandit.remove_arm("only")


def test_replicas_that_do_not_fit_are_refused() -> None:
    bandit = made("linucb")
    with pytest.raises(ConfigError, match="'exp3' cannot be put together"):
        made("exp3").take()
    with pytest.raises(ConfigError, match="with d 2, and this is one of"):
        bandit.merge(bandits.create("linucb", ARMS, 2).take())
    with pytest.raises(ConfigError, match="int is not what"):
        bandit.merge(3)
    with pytest.raises(ConfigError, match=r"alpha 1e\+300"):
        made("linucb", alpha=1e300)
    with pytest.raises(ConfigError, match="share 2"):
        bandit.add_arm("new", burn_in=3, share=2)
    with pytest.raises(ConfigError, match="'small' is there already"):
        bandit.add_arm("small")


@pytest.mark.parametrize("name", MERGING)
def test_replicas_put_together_are_one(name: str) -> None:
    whole, left, right = (made(name) for _ in range(3))
    assert all(isinstance(one, LinearBandit) for one in (whole, left, right))
    x = contexts(90)
    truth = rewards(x)
    for row in range(90):
        arm = row % 3
        for bandit in (whole, left if row % 2 else right):
            pull = bandits.Pull(str(row), ARMS[arm], x[row].astype(np.float32), 1.0, (1.0,), 0.0, 0)
            bandit._waiting[pull.id] = pull
            bandit._asked(arm, pull)
            bandit.learn(pull, truth[row, arm])
    one = made(name)
    for replica in (right, left):
        one.merge(replica.take())  # type: ignore[attr-defined]
    np.testing.assert_allclose(one.rewards(x[0]).mean, whole.rewards(x[0]).mean, atol=1e-4)
    np.testing.assert_allclose(one.rewards(x[0]).width, whole.rewards(x[0]).width, atol=1e-4)
    assert one.version == 90
    assert left.take().n == 0  # type: ignore[attr-defined]


def test_late_rewards_do_not_pile_up_on_one_arm() -> None:
    bandit = made("linucb", alpha=1.0)
    x = contexts(1)[0]
    pulled = [bandit.decide(x, id=str(row), now=0.0).arm for row in range(30)]
    assert set(pulled) == set(ARMS)


def test_rank_one_steps_are_the_inverse() -> None:
    bandit = made("linucb")
    play(bandit, 300)
    assert isinstance(bandit, LinearBandit)
    bandit._settle()
    for place in range(3):
        exact = np.linalg.inv(bandit._gram[place] + bandit.ridge * np.eye(D))
        np.testing.assert_allclose(bandit._inverse[place], exact, atol=2e-4)
        np.testing.assert_allclose(bandit._theta[place], exact @ bandit._target[place], atol=2e-3)


@pytest.mark.parametrize(
    ("name", "params"), [("discounted_linucb", {"gamma": 0.98}), ("sliding_window", {"window": 60})]
)
def test_those_that_forget_follow_a_change(name: str, params: dict[str, Any]) -> None:
    bandit = made(name, **params)
    play(bandit, 300)
    x = contexts(300, 7)
    turned = rewards(-x)
    right = 0
    for row in range(300):
        pull = bandit.decide(x[row], id=f"t{row}", now=0.0)
        place = ARMS.index(pull.arm)
        bandit.learn(pull, turned[row, place])
        right += row >= 200 and turned[row, place] > turned[row].max() - 0.05
    assert right > 75
    with pytest.raises(ConfigError, match="put together"):
        bandit.merge(made("linucb").take())  # type: ignore[attr-defined]


def test_thompson_chances_against_draws() -> None:
    mean, sd = np.array([0.5, 0.55, 0.2]), np.array([0.1, 0.05, 0.3])
    drawn = np.random.default_rng(0).normal(mean, sd, size=(200_000, 3)).argmax(axis=1)
    np.testing.assert_allclose(chances_of_highest(mean, sd, None), np.bincount(drawn) / 200_000, atol=0.005)
    assert chances_of_highest(mean, sd, np.array([True, False, True]))[1] == 0


def test_the_networks_slopes_against_differences() -> None:
    random = np.random.default_rng(0)
    network = Network(D, 6, 2, 3, random)
    network.weights = [random.normal(size=one.shape) for one in network.weights]  # double, for differences
    x, arm = random.normal(size=(5, D)), np.array([0, 1, 2, 1, 0])
    target, weight = random.normal(size=5), np.array([1, 0.5, 1, 1, 0.2])

    def loss() -> float:
        found = (network.features(x) @ network.weights[-1])[np.arange(5), arm]  # type: ignore[arg-type]
        return float((weight * (found - target) ** 2).mean() / 2)

    slopes: list[Any] = []
    network._step = lambda found, rate: slopes.extend(found)  # type: ignore[method-assign]
    network.train(x, arm, target, weight, 0.1)  # type: ignore[arg-type]
    for array, slope in zip(network.weights, slopes, strict=True):
        assert slope.shape == array.shape
        for place in list(np.ndindex(array.shape))[::3]:
            before, sides = array[place], []
            for off in (1e-6, -1e-6):
                array[place] = before + off
                sides.append(loss())
            array[place] = before
            assert slope[place] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-6)


def test_neural_linear_learns_what_no_line_says() -> None:
    """The middle arm is best where a number is near 0, the others far from it, on either side."""
    late: dict[str, float] = {}
    for name in ("linucb", "neural_linear"):
        bandit = made(name, seed=1)
        x = contexts(900, 2)
        truth = np.clip(np.column_stack([2 * x[:, 0] ** 2, 0.5 + 0 * x[:, 0], 0.3 + 0 * x[:, 0]]), 0, 1)
        lost = []
        for row in range(900):
            pull = bandit.decide(x[row], id=str(row), now=0.0)
            place = ARMS.index(pull.arm)
            bandit.learn(pull, truth[row, place])
            lost.append(truth[row].max() - truth[row, place])
        late[name] = float(np.mean(lost[-300:]))
    assert late["neural_linear"] < 0.02
    assert late["linucb"] > 0.04


def test_neural_linear_regressions_are_those_of_its_features() -> None:
    bandit = made("neural_linear", every=40, memory=60)
    play(bandit, 40)
    assert isinstance(bandit, NeuralLinear)
    bandit.decide(contexts(1, 7)[0], id="light", now=0.0)
    bandit.learn("light", 0.9, 0.25)  # a quarter of an observation, of the context as it is
    np.testing.assert_allclose(bandit._fresh[0][1:], [0.4, 0.25, *contexts(1, 7)[0]], atol=1e-6)
    play(bandit, 39, seed=3)
    assert len(bandit._kept) == 60 and not bandit._fresh
    waiting = bandit.decide(contexts(1, 8)[0], id="open", now=0.0)
    play(bandit, 40, seed=4)  # the network changes while one waits
    place, of = ARMS.index(waiting.arm), bandit._kept[:, 0]
    rows = bandit._network.features(bandit._kept[of == place, 3:]).astype(float)
    root = np.sqrt(bandit._kept[of == place, 2])
    eye = bandit._head.ridge * np.eye(rows.shape[1])
    gram = (rows * root[:, None]).T @ (rows * root[:, None]) + eye
    theta = np.linalg.solve(gram, rows.T @ (root**2 * bandit._kept[of == place, 1]))
    z = bandit._features(contexts(1, 9)[0].astype(np.float32))
    asked = bandit._features(waiting.x).astype(float)
    sd = np.sqrt(z @ np.linalg.inv(gram + np.outer(asked, asked)) @ z) * bandit._sd[place]
    found = bandit.rewards(contexts(1, 9)[0])
    assert found.mean[place] == pytest.approx(0.5 + z @ theta, abs=2e-3)
    assert found.width[place] == pytest.approx(sd, rel=2e-2)


def test_neural_linear_starts_from_outcomes() -> None:
    x = contexts(300)
    truth = np.where(np.random.default_rng(3).random((300, 3)) < 0.3, np.nan, rewards(x))
    warm = bandits.create("neural_linear", ARMS, D).warm(x, truth)
    assert warm.version == 0 and len(warm._kept) == np.isfinite(truth).sum()
    for row in contexts(20, 1):
        np.testing.assert_allclose(warm.rewards(row).mean, rewards(row[None])[0], atol=0.12)
    with pytest.raises(DataError, match="contexts"):
        warm.warm(x[:, :2], truth)


def test_neural_linear_refuses() -> None:
    bandit = made("neural_linear")
    with pytest.raises(ConfigError, match="`adopt` the other's pulls"):
        bandit.take()
    with pytest.raises(ConfigError, match="cannot be put together"):
        bandit.merge(made("linucb").take())
    for wrong in ({"layers": 3}, {"width": 0}, {"rate": 0.0}, {"memory": 10}, {"noise": 2.0}):
        with pytest.raises(ConfigError, match="are needed"):
            made("neural_linear", **wrong)


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    bandit = made("neural_linear")
    play(bandit, 60)
    bandit.save(tmp_path)
    manifest = (tmp_path / "bandit.json").read_text()
    for wrong in (manifest.replace('"width":32', '"width":31'), manifest.replace('"layers":1', '"layers":2')):
        assert wrong != manifest
        (tmp_path / "bandit.json").write_text(wrong)
        with pytest.raises(ArtefactError, match="does not fit"):
            load_bandit(tmp_path)


def test_pilot_starts_from_outcomes_and_from_preferences() -> None:
    x = contexts(400)
    truth = rewards(x)
    warm = bandits.create("pilot", ARMS, D).warm(x, truth)
    assert isinstance(warm, Pilot) and warm.prior_weight is not None
    np.testing.assert_allclose(warm.rewards(x[0]).mean, truth[0], atol=0.1)
    pairs = np.random.default_rng(1).integers(0, 3, (400, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    rows = x[: len(pairs)]
    gap = (
        rewards(rows)[np.arange(len(pairs)), pairs[:, 1]] - rewards(rows)[np.arange(len(pairs)), pairs[:, 0]]
    )
    preferred = bandits.create("pilot", ARMS, D).prefer(
        rows,
        [ARMS[one] for one in pairs[:, 0]],
        [ARMS[one] for one in pairs[:, 1]],
        (gap > 0) + 0.5 * (gap == 0),
    )
    means = preferred.rewards(np.array([0.8, 0, 0, 1])).mean
    assert means[2] > means[1] > means[0]
    cold = sum(arm != "large" for arm in play(made("pilot"), 40, seed=11))
    assert cold > 0
    with pytest.raises(DataError, match="no preference"):
        bandits.create("pilot", ARMS, D).prefer(x[:1], ["x"], ["y"], [1.0])
    with pytest.raises(DataError, match="contexts"):
        bandits.create("pilot", ARMS, D).warm(x[:, :2], truth)


def test_wins_against_planted_strengths() -> None:
    random = np.random.default_rng(0)
    theta = np.array([[1.0, 0.0], [0.0, 0.5], [-1.0, -0.5]])
    x = random.normal(size=(6000, 2))
    pairs = np.array([random.choice(3, 2, replace=False) for _ in range(6000)])
    odds = ((theta[pairs[:, 1]] - theta[pairs[:, 0]]) * x).sum(axis=1)
    wins = (random.random(6000) < 1 / (1 + np.exp(-odds))).astype(float)
    np.testing.assert_allclose(won(x, pairs[:, 0], pairs[:, 1], wins, 3), theta, atol=0.15)


def test_contrastive_projection_draws_same_winners_together() -> None:
    random = np.random.default_rng(0)
    winner = random.integers(0, 2, 300)
    vectors = random.normal(size=(300, 20)) * np.r_[np.full(18, 2.0), 0.5, 0.5]
    vectors[:, 19] += winner
    plain, learnt = (
        Projection.fit(vectors, 5),
        contrastive_projection(vectors, winner, 5, n_steps=150, batch=64),
    )

    def apart(projection: Projection) -> float:
        rows = projection(vectors)[:, :-1]
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        same = winner[:, None] == winner[None]
        return float((rows @ rows.T)[same].mean() - (rows @ rows.T)[~same].mean())

    assert learnt.d == 5
    assert apart(learnt) > apart(plain) + 0.1
    with pytest.raises(DataError):
        contrastive_projection(vectors, np.zeros(300, int))


def test_projection() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 8))
    found = Projection.fit(vectors, 5)
    assert found(vectors).shape == (50, 5)
    assert (found(vectors)[:, -1] == 1).all()
    np.testing.assert_allclose(found(vectors[3]), found(vectors)[3], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found(vectors)[:, :-1], axis=1).mean(), 1, atol=1e-5)
    with pytest.raises(DataError):
        Projection.fit(vectors[:1])
