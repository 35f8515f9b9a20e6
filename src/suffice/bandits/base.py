"""What every bandit does: decide, wait for the reward, learn; and what it refuses."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.bandits import files
from suffice.errors import ArtefactError, ConfigError, DataError, SufficeError, UnknownName
from suffice.types import BoolArray, FloatArray

Vector = NDArray[np.float32]
_LARGEST = 1e6
"""Length of a context: its square stays within float32."""
_MIDDLE = 0.5
"""Of rewards: what differs from it is weighed."""


class Pull(msgspec.Struct, frozen=True):
    """One decision: enough to learn from later, after a restart, in another process."""

    id: str
    arm: str
    x: Vector
    """(d,)."""
    propensity: float
    """Chance that this arm was pulled, in (0, 1]."""
    propensities: tuple[float, ...]
    """(K,) of all arms, in the order of `arms` at the time."""
    at: float
    """Seconds, as passed in."""
    version: int
    """How many rewards had been learnt."""


class Estimates(NamedTuple):
    """Of every arm's reward for a context, each (K,)."""

    mean: FloatArray
    width: FloatArray
    """Of the confidence bound; 0 for bandits without one."""


@runtime_checkable
class Bandit(Protocol):
    """See `BaseBandit`, which has the words."""

    name: str
    arms: tuple[str, ...]
    d: int

    def decide(
        self,
        x: ArrayLike,
        costs_usd: ArrayLike | None = None,
        *,
        id: str,
        now: float,
        eligible: ArrayLike | None = None,
        price: float = 0.0,
    ) -> Pull: ...

    def rewards(self, x: ArrayLike) -> Estimates: ...

    def learn(self, pull: Pull | str, reward: float, weight: float = 1.0) -> bool: ...

    def adopt(self, pull: Pull) -> None: ...

    def expire(self, now: float) -> int: ...

    def add_arm(self, name: str, *, burn_in: int = 0) -> None: ...

    def remove_arm(self, name: str) -> None: ...

    def save(self, directory: Path) -> None: ...


class BaseBandit:
    """Books of what was pulled and not yet rewarded; chances and draws.

    A kind says how good arms look (`_estimates`) and with what chances they are pulled (`_chances`), and
    what it remembers (`_asked`, `_learnt`, `_forgotten`).
    """

    name: ClassVar[str]

    def __init__(
        self, arms: tuple[str, ...], d: int, *, floor: float = 0.0, lease_s: float = math.inf, seed: int = 0
    ) -> None:
        """
        Parameters
        ----------
        arms : names, at least one
        d : length of a context
        floor : every eligible arm is pulled with at least this chance, so that records can be used for
            off-policy evaluation; at most 1 / number of arms
        lease_s : how long a reward is waited for

        Raises
        ------
        ConfigError
            If one of them is out of range.
        """
        if not arms or len(set(arms)) < len(arms):
            raise ConfigError(f"arms are {', '.join(arms) or 'none'}; different names are needed")
        if d < 1 or not 0 <= floor <= 1 / len(arms) or not lease_s > 0:
            raise ConfigError(
                f"{self.name} with d {d}, floor {floor}, lease_s {lease_s}; d from 1, a floor from 0 to "
                f"{1 / len(arms):.3g} and a lease above 0 are needed"
            )
        self.arms, self.d, self.floor, self.lease_s, self.seed = tuple(arms), d, floor, lease_s, seed
        self.version = 0
        self.n_ignored = 0
        """Rewards that came twice, too late, for an unknown pull or a removed arm."""
        self._waiting: dict[str, Pull] = {}
        self._burn_in: dict[str, tuple[int, float]] = {}
        """Pulls to go, and the chance of each."""
        self._random = np.random.default_rng(seed)

    def decide(
        self,
        x: ArrayLike,
        costs_usd: ArrayLike | None = None,
        *,
        id: str,
        now: float,
        eligible: ArrayLike | None = None,
        price: float = 0.0,
    ) -> Pull:
        """Pull an arm.

        Parameters
        ----------
        x : shape (d,)
        costs_usd : shape (K,), at least 0
            Predicted; NaN: not known. At a price such an arm is pulled only where no eligible arm has a known
            cost: what nobody knows is not cheap.
        id : of the decision, under which its reward will come
        now : seconds, of any clock that does not go back
        eligible : shape (K,)
            False for arms that may not be pulled.
        price : reward given up per USD, at least 0

        Raises
        ------
        DataError
            If x does not fit or holds NaN, a cost or the price is out of range, no arm is eligible, or the id
            is waited for already.
        """
        if id in self._waiting:
            raise DataError(f"decision {id!r} is still waiting for its reward; ids have to differ")
        context = self._context(x)
        if not 0 <= price < math.inf:
            raise DataError(f"the price is {price}; expected reward per USD, at least 0")
        penalty = None
        if costs_usd is not None:
            costs = _costs(costs_usd, len(self.arms))
            if price:
                penalty, eligible = price * np.nan_to_num(costs), self._priced(costs, eligible)
        place, chances = self._chosen(context, penalty, eligible)
        pull = Pull(id, self.arms[place], context, chances[place], chances, now, self.version)
        self._wait(pull)
        return pull

    def choose(
        self, x: ArrayLike, penalty: ArrayLike | None = None, eligible: ArrayLike | None = None
    ) -> tuple[int, tuple[float, ...]]:
        """The place of the arm that would be pulled and the chances of all; `adopt` makes it a pull.

        Parameters
        ----------
        penalty : shape (K,)
            Taken off what the arms are expected to bring.

        Raises
        ------
        DataError
            If x or the penalty does not fit or holds NaN, or no arm is eligible.
        """
        taken = None if penalty is None else np.asarray(penalty, np.float64)
        if taken is not None and (taken.shape != (len(self.arms),) or not math.isfinite(taken.sum())):
            raise DataError(f"penalties {taken} for {len(self.arms)} arms; a finite number each is needed")
        return self._chosen(self._context(x), taken, eligible)

    def _priced(self, costs: FloatArray, eligible: ArrayLike | None) -> ArrayLike | None:
        """Of the eligible arms those of known cost, where there are any."""
        known = ~np.isnan(costs)
        if known.all():
            return eligible
        may = np.ones(len(costs), bool) if eligible is None else np.asarray(eligible, bool)
        priced: BoolArray = may & known if may.shape == known.shape else may  # `_chosen` refuses it
        return priced if priced.any() else eligible

    def _chosen(
        self, context: Vector, penalty: FloatArray | None, eligible: ArrayLike | None
    ) -> tuple[int, tuple[float, ...]]:
        open_ = None if eligible is None else np.asarray(eligible, bool)
        if open_ is not None and (open_.shape != (len(self.arms),) or not open_.any()):
            raise DataError(f"no arm is eligible, or {open_.shape} are given for {len(self.arms)} arms")
        return self._pulled(self._chances(context, penalty, open_), open_)

    def rewards(self, x: ArrayLike) -> Estimates:
        """What is expected of every arm, without pulling one."""
        return self._estimates(self._context(x))

    def learn(self, pull: Pull | str, reward: float, weight: float = 1.0) -> bool:
        """Take a reward in [0, 1]; False where nobody waits for it, and nothing changes.

        Parameters
        ----------
        weight : in (0, 1], how much of an observation it is; exact for linear models, whose context and
            reward are scaled by its root

        Raises
        ------
        ValueError
            If the reward or the weight is none; the decision keeps waiting.
        """
        if not 0 <= reward <= 1 or not 0 < weight <= 1:  # NaN too
            raise ValueError(f"reward {reward} of weight {weight}: expected 0 to 1")
        waiting = self._waiting.pop(pull if isinstance(pull, str) else pull.id, None)
        if waiting is None:
            self.n_ignored += 1
            return False
        self.version += 1
        self._took(self.arms.index(waiting.arm), waiting, float(reward), weight)
        return True

    def adopt(self, pull: Pull) -> None:
        """Wait for the reward of a pull that another process made, or that `choose` led to.

        Raises
        ------
        DataError
            If it is waited for already, or its context is of another length.
        """
        if pull.id in self._waiting:
            raise DataError(f"decision {pull.id!r} is still waiting for its reward")
        self._context(pull.x)
        if pull.arm in self.arms:
            self._wait(pull)

    def take(self) -> Any:
        """What was learnt since the last time this was called, for `merge`; raises ConfigError if it cannot
        be added up."""
        raise ConfigError(
            f"replicas of {self.name!r} cannot be put together: what they learn does not add up"
        )

    def merge(self, other: Any) -> None:
        """Add what another replica gave by `take`; raises ConfigError if it cannot be added."""
        self.take()

    def waits_for(self, id: str) -> bool:
        """Whether the reward of that pull is still to come."""
        return id in self._waiting

    def _wait(self, pull: Pull) -> None:
        self._waiting[pull.id] = pull
        if self._burn_in:
            self._count_burn_in(pull.arm)
        self._asked(self.arms.index(pull.arm), pull)

    def expire(self, now: float) -> int:
        """Wait no longer for pulls older than `lease_s`; how many there were."""
        late = [one for one in self._waiting.values() if now - one.at > self.lease_s]
        for one in late:
            del self._waiting[one.id]
            if one.arm in self.arms:
                self._forgotten(self.arms.index(one.arm), one)
        return len(late)

    @property
    def n_waiting(self) -> int:
        """Pulls whose reward has not come."""
        return len(self._waiting)

    def add_arm(self, name: str, *, burn_in: int = 0, share: float = 0.1) -> None:
        """A new arm.

        Parameters
        ----------
        burn_in : until it was pulled so often, it has at least the chance `share` where it is eligible,
            whatever it costs: at most that share of decisions is spent on getting to know it

        Raises
        ------
        ConfigError
            If it is there already, or the floor leaves it no room.
        """
        if name in self.arms:
            raise ConfigError(f"the arm {name!r} is there already; take another name")
        if burn_in < 0 or not 0 < share <= 1:
            raise ConfigError(
                f"the arm {name!r} with burn_in {burn_in} and share {share}: from 0, and inside (0, 1], "
                "are needed"
            )
        if self.floor * (len(self.arms) + 1) > 1:
            raise ConfigError(
                f"a floor of {self.floor} leaves no room for {name!r} beside {len(self.arms)} arms; lower it"
            )
        self.arms = (*self.arms, name)
        if burn_in:
            self._burn_in[name] = (burn_in, share)
        self._grown()

    def remove_arm(self, name: str) -> None:
        """Its rewards that are still to come will be ignored.

        Raises
        ------
        UnknownName
            If it is not there.
        ConfigError
            If it is the last one.
        """
        if name not in self.arms:
            raise UnknownName("arm", name, self.arms)
        if len(self.arms) == 1:
            raise ConfigError(f"{name!r} is the last arm")
        place = self.arms.index(name)
        self.arms = tuple(arm for arm in self.arms if arm != name)
        self._burn_in.pop(name, None)
        self._waiting = {key: pull for key, pull in self._waiting.items() if pull.arm != name}
        self._shrunk(place)

    def save(self, directory: Path) -> None:
        """All that is needed to go on, pulls that wait included."""
        facts = {
            "params": self._params(),
            "arms": self.arms,
            "d": self.d,
            "version": self.version,
            "n_ignored": self.n_ignored,
            "burn_in": self._burn_in,
            "random": json.dumps(self._random.bit_generator.state),
            "waiting": [
                (one.id, one.arm, one.propensity, one.propensities, one.at, one.version)
                for one in self._waiting.values()
            ],
        }
        rows = [one.x for one in self._waiting.values()]
        contexts = np.stack(rows) if rows else np.zeros((0, self.d), np.float32)
        files.write(Path(directory), self.name, facts, {"waiting": contexts, **self._arrays()})

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Raises ArtefactError if it is missing, damaged, or of another version, kind or dimension."""
        facts, arrays = files.read(Path(directory), cls.name)
        try:
            found = cls(tuple(facts["arms"]), facts["d"], **facts["params"])
            found.version, found.n_ignored = facts["version"], facts["n_ignored"]
            found._burn_in = {
                arm: (int(left), float(share)) for arm, (left, share) in facts["burn_in"].items()
            }
            found._random.bit_generator.state = json.loads(facts["random"])
            rows = arrays["waiting"]
            if rows.shape != (len(facts["waiting"]), found.d):
                raise ConfigError(f"contexts {rows.shape} for {len(facts['waiting'])} pulls of {found.d}")
            for row, (name, arm, chance, chances, at, version) in zip(rows, facts["waiting"], strict=True):
                pull = Pull(name, arm, row.astype(np.float32), chance, tuple(chances), at, version)
                found._waiting[name] = pull
            found._restore(arrays)
        except (SufficeError, KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{directory} does not fit the bandit {cls.name!r}: {error}") from error
        return found

    def _context(self, x: ArrayLike) -> Vector:
        context = np.array(x, np.float32)  # the caller may use its own again
        if context.shape != (self.d,):
            raise DataError(f"a context has shape {context.shape}, expected ({self.d},)")
        if not context.dot(context) <= _LARGEST**2:  # NaN too
            raise DataError(f"a context holds NaN, or is longer than {_LARGEST:g}")
        return context

    def _pulled(self, chances: FloatArray | int, eligible: BoolArray | None) -> tuple[int, tuple[float, ...]]:
        """Draw where there is chance; an index is an arm for certain, but for the floor."""
        n = len(self.arms)
        if not self.floor and not self._burn_in and isinstance(chances, int):
            return chances, _certain(n, chances)
        dense = chances if isinstance(chances, np.ndarray) else np.eye(n)[chances]
        may = np.ones(n, bool) if eligible is None else eligible
        for name, (_, share) in self._burn_in.items():
            place = self.arms.index(name)
            if may[place] and dense[place] < share:
                rest = 1 - dense[place]
                dense = dense * ((1 - share) / rest)
                dense[place] = share
        if self.floor:
            dense = self.floor * may + (1 - self.floor * may.sum()) * dense
        place = int(min(np.searchsorted(dense.cumsum(), self._random.random() * dense.sum()), n - 1))
        return place, tuple((dense / dense.sum()).tolist())

    def _count_burn_in(self, name: str) -> None:
        if name in self._burn_in:
            left, share = self._burn_in.pop(name)
            if left > 1:
                self._burn_in[name] = (left - 1, share)

    def _estimates(self, x: Vector) -> Estimates:
        raise TypeError(f"{type(self).__name__} has no `_estimates`")

    def _chances(self, x: Vector, penalty: FloatArray | None, eligible: BoolArray | None) -> FloatArray | int:
        """(K,) that add up to 1, or the one arm that is pulled for certain."""
        raise TypeError(f"{type(self).__name__} has no `_chances`")

    def _asked(self, place: int, pull: Pull) -> None:
        """An arm was pulled."""

    def _took(self, place: int, pull: Pull, reward: float, weight: float) -> None:
        """Its reward came, and counts as a part of one."""
        if weight < 1:
            root = math.sqrt(weight)
            pull = msgspec.structs.replace(pull, x=pull.x * np.float32(root))
            reward = _MIDDLE + root * (reward - _MIDDLE)
        self._learnt(place, pull, reward)

    def _learnt(self, place: int, pull: Pull, reward: float) -> None:
        """Its reward came."""

    def _forgotten(self, place: int, pull: Pull) -> None:
        """Its reward is no longer waited for."""

    def _grown(self) -> None:
        """One arm more, the last."""

    def _shrunk(self, place: int) -> None:
        """One arm less."""

    def _params(self) -> dict[str, Any]:
        lease = None if math.isinf(self.lease_s) else self.lease_s
        return {"floor": self.floor, "seed": self.seed} | ({} if lease is None else {"lease_s": lease})

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """What `_arrays` gave."""


@functools.lru_cache(maxsize=1024)
def _certain(n: int, place: int) -> tuple[float, ...]:
    """Chances of an arm that is pulled for certain."""
    return tuple(float(arm == place) for arm in range(n))


def best(values: FloatArray, penalty: FloatArray | None, eligible: BoolArray | None) -> int:
    """The index of the highest value less penalty among eligible arms; the first of equals."""
    if penalty is not None:
        values = values - penalty
    if eligible is not None:
        values = np.where(eligible, values, -np.inf)
    return int(values.argmax())


def _costs(costs_usd: ArrayLike, n: int) -> FloatArray:
    costs = np.asarray(costs_usd, np.float64)
    if costs.shape != (n,):
        raise DataError(f"costs have shape {costs.shape}, expected ({n},)")
    if not (np.isnan(costs) | ((costs >= 0) & np.isfinite(costs))).all():
        raise DataError(f"costs are {costs.tolist()} USD; each at least 0, or NaN where it is not known")
    return costs
