"""The POMDP's policy against every policy there is, and its model against counts by hand."""

import itertools

import numpy as np
import pytest

from suffice.cascades import Recorded, play
from suffice.cascades.automix import Pomdp
from suffice.cascades.automix.pomdp import alone, followed, reachable, read_arms, solve
from suffice.cascades.automix.states import States, binned, first_solver
from suffice.errors import ConfigError
from suffice.outcomes import Outcomes


def world(n_arms: int, seed: int) -> States:
    """Random beliefs; two bins of a reading, and none."""
    rng = np.random.default_rng(seed)
    return States(
        prior=rng.dirichlet(np.ones(n_arms + 1)),
        quality=rng.random((n_arms + 1, n_arms)),
        observed=tuple(rng.dirichlet([2.0, 2.0, 0.2], size=n_arms + 1) for _ in range(n_arms - 1)),
        edges=((0.5,),) * (n_arms - 1),
        cost_usd=np.sort(rng.random(n_arms)),
        reading_cost_usd=np.append(rng.random(n_arms - 1) * 0.1, 0.0),
    )


def value_of(states: States, value: float, policy: dict[tuple[int, ...], int]) -> float:
    """Expected worth by going through all that may be read, state by state."""
    total = 0.0
    spaces = [range(states.n_readings(arm)) for arm in range(states.n_arms)]
    for state, prior in enumerate(states.prior):
        for bins in itertools.product(*spaces):
            chance = prior * np.prod([states.likelihood(arm, one)[state] for arm, one in enumerate(bins)])
            history, cost = [-1] * states.n_arms, 0.0
            while (action := policy[tuple(history)]) >= 0:
                cost += states.cost_usd[action] + states.reading_cost_usd[action]
                history[action] = bins[action]
            total += chance * (value * states.quality[state, -1 - action] - cost)
    return total


def choices(states: States, history: tuple[int, ...]) -> list[int]:
    asked = [arm for arm, one in enumerate(history) if one >= 0]
    last = asked[-1] if asked else -1
    later = list(range(last + 1, states.n_arms))
    is_blind = asked and last < states.n_arms - 1 and history[last] == states.n_readings(last) - 1
    return later if is_blind else later + [-1 - arm for arm in asked]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("value", [0.0, 1.0, 3.0, 20.0])
def test_two_arms_against_every_policy(seed: int, value: float) -> None:
    states = world(2, seed)
    histories = list(itertools.product([-1, 0, 1, 2], [-1, 0]))
    options = [choices(states, history) for history in histories]
    best = max(
        value_of(states, value, dict(zip(histories, actions, strict=True)))
        for actions in itertools.product(*options)
    )
    policy, worth = solve(states, value)
    assert worth == pytest.approx(best)
    assert value_of(states, value, reachable(policy, states)) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(3))
def test_three_arms_have_no_better_neighbour(seed: int) -> None:
    states = world(3, seed)
    policy, worth = solve(states, 4.0)
    assert value_of(states, 4.0, policy) == pytest.approx(worth)
    for history in list(policy):
        for action in choices(states, history):
            assert value_of(states, 4.0, policy | {history: action}) <= worth + 1e-12


def test_states_are_counted() -> None:
    quality = np.array([[1, 1], [1, 0], [0, 1], [0, 1], [0, 0]], float)
    assert first_solver(quality).tolist() == [0, 0, 1, 1, 2]
    votes = np.column_stack([[1.0, 0.5, 0.0, np.nan, 0.0], np.full(5, np.nan)])
    table = Recorded.of(
        Outcomes.from_arrays([*"abcde"], ["s", "l"], quality, cost_usd=[[1.0, 3.0]] * 5), {"v": votes}
    )
    states = States.fit(table, "v", n_bins=2)
    assert states.prior.tolist() == [0.4, 0.4, 0.2]
    assert states.edges == ((0.25,),)  # half of the readings lie below
    assert binned(votes[:, 0], states.edges[0]).tolist() == [1, 1, 0, 2, 0]
    overall = np.array([3.0, 3.0, 2.0]) / 8  # two, two and one of five, and one of each on top
    assert states.observed[0][0] == pytest.approx((np.array([0, 2, 0]) + 2 * overall) / 4)
    assert states.observed[0].sum(axis=1) == pytest.approx(1.0)
    assert states.quality[0].tolist() == pytest.approx([(2 + 2 * 0.4) / 4, (1 + 2 * 0.6) / 4])
    assert states.reading_cost_usd.tolist() == [0.0, 0.0]


def test_following_is_playing() -> None:
    rng = np.random.default_rng(0)
    quality = (rng.random((200, 3)) < [0.4, 0.6, 0.8]).astype(float)
    votes = np.clip(quality * 0.4 + rng.random((200, 3)) * 0.6, 0, 1)
    votes[rng.random((200, 3)) < 0.1] = np.nan
    table = Recorded.of(
        Outcomes.from_arrays(
            [f"q{row}" for row in range(200)], [*"abc"], quality, cost_usd=rng.random((200, 3)) * [1, 4, 9]
        ),
        {"verification": votes},
        reading_cost_usd={"verification": rng.random((200, 3)) * 0.2},
    )
    for value in (1.0, 5.0, 20.0, 80.0):
        cascade = Pomdp(n_bins=3).fit(table, value_usd=value)
        bins = [cascade.states_.bin(arm, float(one)) for row in votes for arm, one in enumerate(row)]
        quality_, cost = followed(cascade.policy_, table, "verification", np.array(bins).reshape(200, 3))
        slow = play(cascade, table)
        assert np.array_equal(slow.quality, quality_) and np.allclose(slow.cost_usd, cost)


def test_believing_one_arm_reads_nothing() -> None:
    states = world(3, 0)
    for arm in range(3):
        policy = alone(states, arm)
        assert not read_arms(policy)
        assert policy[(-1, -1, -1)] == arm


def test_too_many_histories() -> None:
    rng = np.random.default_rng(0)
    votes = rng.random((400, 4))
    table = Recorded.of(
        Outcomes.from_arrays([f"q{row}" for row in range(400)], [*"abcd"], votes.round(), cost_usd=votes),
        {"v": votes},
    )
    with pytest.raises(ConfigError, match="lower n_bins"):
        Pomdp(signal="v", n_bins=80).fit(table)
