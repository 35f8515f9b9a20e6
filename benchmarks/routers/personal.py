"""Do users' histories help: accuracy of predicted choices after 0, 5 and 20 interactions a user.

    python benchmarks/routers/personal.py simulated --data outcomes.parquet
    python benchmarks/routers/personal.py annotators --data pandalm_human_pairs.parquet

`simulated`: users made up over measured outcomes. User u values an answer at quality - mind_u * cost
(log cost between the cheapest 0 and the dearest 1 model, mind_u lognormal) + taste_u (normal, by model) +
bias_u (normal, by task family, for the dearer half of the models), and prefers of two answers the one of
the higher value, by chance sigmoid(4 difference). Two thirds of the users are trained on; the others are
met for the first time: 0, 5 or 20 of their choices are observed, the rest predicted.

`annotators`: the three human votes of each pair (the first vote is taken as the first annotator's). All
three judge other pairs in training; each one's extra interactions come from a pool of its own.

The router without users is the same one asked without `user`. Intervals: 2,000 bootstrap samples of
users (simulated) or of queries (annotators), of the paired difference in accuracy to it; ties are left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from suffice import routers
from suffice.outcomes import Outcomes, Preferences
from suffice.types import Query

METHODS = ("personalized", "gmtrouter")
COUNTS = (0, 5, 20)


class Choices:
    """Rows of one user."""

    def __init__(self, user: str, texts: list[str], a: list[str], b: list[str], pref: Any) -> None:
        self.user, self.texts, self.a, self.b, self.pref = user, texts, a, b, np.asarray(pref, float)

    def take(self, rows: Sequence[int]) -> Choices:
        texts, a, b = ([column[i] for i in rows] for column in (self.texts, self.a, self.b))
        return Choices(self.user, texts, a, b, self.pref[list(rows)])


def joined(parts: Sequence[Choices]) -> Preferences:
    texts, a, b, users = ([] for _ in range(4))
    for part in parts:
        texts += part.texts
        a += part.a
        b += part.b
        users += [part.user] * len(part.texts)
    pref = np.concatenate([part.pref for part in parts])
    return Preferences.from_columns(texts, texts, a, b, pref, annotator=users)


def simulated(path: str, n_users: int, n_choices: int, seed: int) -> list[Choices]:
    rng = np.random.default_rng(seed)
    outcomes = Outcomes.read(path)
    quality, k = np.nan_to_num(outcomes.quality, nan=0.0), len(outcomes.arms)
    cost = np.log(np.maximum(np.nanmean(outcomes.cost_usd, axis=0), 1e-9))
    cost = (cost - cost.min()) / max(float(np.ptp(cost)), 1e-9)
    families = [(query.task or "").split("-")[0].split(".")[0] for query in outcomes.queries]
    of_query = np.unique(families, return_inverse=True)[1].reshape(-1)
    dearer = cost > np.median(cost)
    users = []
    for u in range(n_users):
        mind, taste = 0.5 * rng.lognormal(), rng.normal(0, 0.3, k)
        bias = rng.normal(0, 0.4, of_query.max() + 1)
        rows = rng.integers(len(families), size=n_choices)
        a, b = np.array([rng.choice(k, 2, replace=False) for _ in rows]).T

        def value(
            model: Any, rows: Any = rows, mind: Any = mind, taste: Any = taste, bias: Any = bias
        ) -> Any:
            own = taste[model] - mind * cost[model] + bias[of_query[rows]] * dearer[model]
            return quality[rows, model] + own

        pref = rng.random(n_choices) < 1 / (1 + np.exp(-4 * (value(b) - value(a))))
        texts = [outcomes.texts[row] for row in rows]
        first, second = ([outcomes.arms[m] for m in side] for side in (a, b))
        users.append(Choices(f"user-{u}", texts, first, second, pref))
    return users


def annotators(path: str) -> list[Choices]:
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    texts = [f"{row['query']}\n{row['context'] or ''}" for row in rows]
    a, b = ([row[side] for row in rows] for side in ("model_a", "model_b"))
    votes = {"1": 0.0, "2": 1.0, "0": 0.5}
    return [
        Choices(f"annotator-{i}", texts, a, b, [votes[row["votes"][i]] for row in rows]) for i in range(3)
    ]


def hits(router: Any, asked: Choices, user: str | None) -> Any:
    """1 where the preferred model has the higher rating, NaN for ties."""
    ratings = router.ratings([Query(text=text, user=user) for text in asked.texts])
    place = {model: k for k, model in enumerate(sorted(router.arms))}
    rows = np.arange(len(asked.texts))
    gaps = ratings[rows, [place[m] for m in asked.b]] - ratings[rows, [place[m] for m in asked.a]]
    right = np.where(gaps == 0, 0.5, (gaps > 0) == (asked.pref > 0.5))
    return np.where(asked.pref == 0.5, np.nan, right)


def compare(
    train: list[Choices], shown: list[Choices], asked: list[Choices], by_query: bool, **params: Any
) -> None:
    """Print a row for each method and number of interactions of the users shown and asked."""
    print(f"{'router':13} {'shown':>5} {'accuracy':>9} {'without user':>13}  difference (95 % CI)")
    for method in METHODS:
        start = time.perf_counter()
        router = routers.create(method, **params).fit_preferences(joined(train))
        seconds = time.perf_counter() - start
        base = np.array([hits(router, one, None) for one in asked])
        before = 0
        for count in COUNTS:
            if count > before:
                router.observe(joined([one.take(range(before, count)) for one in shown]))
            before = count
            own = np.array([hits(router, one, one.user) for one in asked])
            low, high = interval((own - base).T if by_query else own - base)
            difference = np.nanmean(own) - np.nanmean(base)
            print(
                f"{method:13} {count:5} {np.nanmean(own):9.4f} {np.nanmean(base):13.4f}  "
                f"{difference:+.4f} ({low:+.4f} to {high:+.4f})"
            )
        print(f"{method}: fit in {seconds:.1f} s")


def interval(differences: Any, n: int = 2000) -> tuple[float, float]:
    """Of the mean, by resampling the first axis."""
    rng = np.random.default_rng(0)
    sums, counts = np.nansum(differences, axis=1), (~np.isnan(differences)).sum(axis=1)
    drawn = rng.integers(len(sums), size=(n, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("simulated", "annotators"))
    parser.add_argument("--data", required=True)
    parser.add_argument("--users", type=int, default=90)
    parser.add_argument("--choices", type=int, default=100, help="of each simulated user")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.what == "simulated":
        users = simulated(given.data, given.users, given.choices, given.seed)
        met = users[2 * len(users) // 3 :]
        most = COUNTS[-1]
        shown = [one.take(range(most)) for one in met]
        asked = [one.take(range(most, given.choices)) for one in met]
        compare(users[: 2 * len(users) // 3], shown, asked, by_query=False)
        return
    users = annotators(given.data)
    by_text = sorted(set(users[0].texts))
    order = np.random.default_rng(given.seed).permutation(len(by_text))
    part = {by_text[at]: rank % 2 for rank, at in enumerate(order.tolist())}
    half = [[row for row, text in enumerate(users[0].texts) if part[text] == side] for side in (0, 1)]
    crowd = [one.take(half[0][20:]) for one in users]
    for one in crowd:
        one.user = f"{one.user}-in-training"
    shown = [one.take(half[0][:20]) for one in users]
    compare(crowd, shown, [one.take(half[1]) for one in users], by_query=True)


if __name__ == "__main__":
    main()
