"""Outcomes, Runs and Preferences: the table, its splits, its files."""

import os
import re
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffice.errors import DataError, UnknownName
from suffice.outcomes import Outcomes, Preferences, Runs
from suffice.outcomes.signatures import near_duplicates, signatures
from suffice.types import Price, Query

DATA = Path(os.environ.get("SUFFICE_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="no routing data: set SUFFICE_DATA to a folder that has it"
)

# file, how to read it, (queries, arms), unknown cells, mean quality as counted by an independent query
FILES = [
    ("adarague", {"arm": "strategy"}, (4200, 3), 0),
    ("alpaca_outputs", {}, (805, 27), 12075),
    ("bbh_codex", {}, (6511, 2), 0),
    ("gsm8k_openai2021", {}, (1319, 4), 0),
    ("llmrouter_example", {}, (6108, 9), 0),
    ("mmlu_pro", {}, (8423, 29), 8423 * 29 - 243_073),
    ("mot_cascade_samples", {"arm": "model", "aggregate": "mean"}, (6479, 3), 6479 * 3 - 8017),
    ("paretobandit", {}, (1785, 3), 0),
    ("routellm_gsm8k", {}, (1319, 2), 0),
    ("routellm_mmlu", {}, (14042, 2), 0),
    ("routellm_mtbench", {"where": {"turn": 1}}, (80, 2), 0),
    ("routerarena", {}, (809, 2), 0),
    ("routerbench", {}, (2225, 11), 90),
    ("routerbench_mini", {}, (800, 2), 0),
    ("routerdc7", {}, (20600, 7), 0),
    ("zeroeval", {}, (1988, 60), 1988 * 60 - 90_241),
]


def small(n: int = 4, arms: tuple[str, ...] = ("small", "large")) -> Outcomes:
    rng = np.random.default_rng(0)
    shape = (n, len(arms))
    return Outcomes.from_arrays(
        [Query(text=f"question {row}", id=f"q{row}", task="odd" if row % 2 else "even") for row in range(n)],
        arms,
        rng.random(shape),
        cost_usd=rng.random(shape),
        prompt_tokens=rng.integers(1, 100, shape),
        completion_tokens=rng.integers(1, 100, shape),
    )


def same(one: Outcomes, other: Outcomes) -> bool:
    fields = ("quality", "cost_usd", "prompt_tokens", "completion_tokens", "latency_s")
    return (
        one.queries == other.queries
        and one.arms == other.arms
        and all(np.array_equal(getattr(one, f), getattr(other, f), equal_nan=True) for f in fields)
    )


# ------------------------------------------------------------------ real files


@needs_data
@pytest.mark.parametrize(("name", "how", "shape", "n_unknown"), FILES, ids=[row[0] for row in FILES])
def test_reads_every_file(name, how, shape, n_unknown):
    outcomes = Outcomes.read(DATA / f"{name}.parquet", **how)
    assert outcomes.quality.shape == shape
    assert np.isnan(outcomes.quality).sum() == n_unknown
    known = outcomes.quality[~np.isnan(outcomes.quality)]
    assert known.min() >= 0
    assert known.max() <= 1


@needs_data
@pytest.mark.parametrize("name", ["routerbench", "zeroeval", "mmlu_pro"])
def test_means_agree_with_a_plain_group_by(name):
    outcomes = Outcomes.read(DATA / f"{name}.parquet")
    table = Runs.read(DATA / f"{name}.parquet").table.group_by("model").aggregate([("score", "mean")])
    expected = dict(zip(table["model"].to_pylist(), table["score_mean"].to_pylist(), strict=True))
    found = dict(zip(outcomes.arms, np.nanmean(outcomes.quality, axis=0), strict=True))
    assert found == pytest.approx(expected)


@needs_data
@pytest.mark.parametrize(
    ("name", "column"),
    [("adarague", "strategy"), ("routellm_mtbench", "turn"), ("mot_cascade_samples", "sample")],
)
def test_repeated_keys_are_refused_with_a_remedy(name, column):
    with pytest.raises(DataError, match=rf"rows for query '.+' and arm '.+'.*aggregate=.*{column}"):
        Outcomes.read(DATA / f"{name}.parquet")


@needs_data
def test_turns_and_strategies_can_be_arms_or_filters():
    runs = Runs.read(DATA / "routellm_mtbench.parquet")
    first, both = runs.to_outcomes(where={"turn": 1}), runs.to_outcomes(aggregate="mean")
    second = runs.where(turn=2).to_outcomes()
    assert both.quality == pytest.approx((first.quality + second.quality) / 2)
    styles = Outcomes.read(DATA / "mot_cascade_samples.parquet", arm="model+strategy", aggregate="mean")
    assert "gpt-4/cot1" in styles.arms


@needs_data
def test_runs_keep_extra_columns_and_stream():
    path = DATA / "adarague.parquet"
    runs = Runs.read(path)
    assert {"retrieval_calls", "eigen_score", "strategy"} <= set(runs.columns)
    parts = list(Runs.iter_batches(path, batch_rows=5000))
    assert [len(part) for part in parts] == [5000, 5000, 2600]
    assert pa.concat_tables([part.table for part in parts]).equals(runs.table)


@needs_data
@pytest.mark.parametrize(("name", "n"), [("alpaca_pairs", 89_284), ("pandalm_human_pairs", 999)])
def test_reads_preferences(name, n, tmp_path):
    preferences = Preferences.read(DATA / f"{name}.parquet")
    assert len(preferences) == n
    assert 0 <= preferences.pref_b.min() <= preferences.pref_b.max() <= 1
    preferences.write(tmp_path / "pairs.jsonl.gz")
    again = Preferences.read(tmp_path / "pairs.jsonl.gz")
    assert again.model_b == preferences.model_b
    assert np.array_equal(again.pref_b, preferences.pref_b)


# ------------------------------------------------------------------ construction


def test_import_leaves_pyarrow_alone():
    code = "import sys, suffice.outcomes; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": [[0.5, 1.5]]}, r"quality\[0, 1\] is 1.5; expected in \[0, 1\]"),
        ({"quality": [[0.5]]}, r"shape \(1, 1\), expected .* \(1, 2\)"),
        ({"cost_usd": [[-1.0, 0.0]]}, r"cost_usd\[0, 0\] is -1.0"),
        ({"latency_s": [[np.inf, 0.0]]}, "finite"),
        ({"arms": ["a", "a"]}, "arm 'a' occurs twice"),
        ({"queries": [Query(text="x", id="1"), Query(text="y", id="1")]}, "query id '1' occurs twice"),
        ({"references": ["r", "r"]}, "2 references for 1 queries"),
        ({"embeddings": [[1.0], [2.0]]}, "1 finite rows"),
    ],
)
def test_from_arrays_checks(change, message):
    fields = {"queries": ["hi"], "arms": ["a", "b"], "quality": [[0.0, 1.0]], **change}
    with pytest.raises(DataError, match=message):
        Outcomes.from_arrays(**fields)


def test_arrays_are_read_only_copies():
    quality = np.array([[0.0, 1.0]])
    outcomes = Outcomes.from_arrays(["hi"], ["a", "b"], quality)
    quality[0, 0] = 0.5
    assert outcomes.quality[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        outcomes.quality[0, 0] = 1.0


# ------------------------------------------------------------------ select, join, price


def test_select_takes_indices_masks_slices_and_arms():
    outcomes = small()
    assert outcomes.select([2, 0]).ids == ("q2", "q0")
    assert outcomes.select(np.array([True, False, False, True])).ids == ("q0", "q3")
    assert outcomes.select(slice(1, 3), ["large"]).quality.shape == (2, 1)
    assert outcomes.select([]).n_queries == 0
    with pytest.raises(UnknownName, match="no arm is called 'huge'"):
        outcomes.select(arms=["huge"])
    with pytest.raises(DataError, match="twice"):
        outcomes.select([0, 0])


def test_join_matches_queries_by_id():
    outcomes = small(arms=("a", "b", "c"))
    halves = outcomes.select(arms=["a"]), outcomes.select([3, 1, 0, 2], ["b", "c"])
    assert same(halves[0].join(halves[1]), outcomes)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (small(), "arm 'small' is in both"),
        (small(3, ("other",)), "query 'q3' is in one table only"),
        (small(5, ("other",)), "query 'q4' is in one table only"),
        (
            Outcomes.from_arrays([Query(text="?", id=f"q{i}") for i in range(4)], ["z"], [[1.0]] * 4),
            "another",
        ),
    ],
)
def test_join_refuses_conflicts(other, message):
    with pytest.raises(DataError, match=message):
        small().join(other)


def test_prices_turn_tokens_into_costs():
    outcomes = Outcomes.from_arrays(
        ["x", "y"],
        ["a", "b"],
        [[1.0, 1.0], [1.0, 1.0]],
        cost_usd=[[9.0, 9.0], [9.0, np.nan]],
        prompt_tokens=[[1000, 10], [np.nan, 10]],
        completion_tokens=[[500, 10], [500, 10]],
    )
    price = Price(input_usd_per_mtok=Decimal(2), output_usd_per_mtok=Decimal(6))
    costs = outcomes.with_prices({"a": price, "unheard of": price}).cost_usd
    assert costs[0, 0] == 0.005  # 1000 * 2e-6 + 500 * 6e-6
    assert costs[1, 0] == 9.0  # no tokens: what was recorded
    assert costs[0, 1] == 9.0  # no price
    assert np.isnan(costs[1, 1])


# ------------------------------------------------------------------ split

TEXTS = st.lists(
    st.sampled_from(["Hello", "hello ", "bye", "a b", "A  B", "ｈｅｌｌｏ", "", "x"]), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(
    texts=TEXTS,
    fractions=st.sampled_from([0.5, 0.9, (0.6, 0.2, 0.2), (0.25,) * 4]),
    seed=st.integers(0, 5),
    by=st.sampled_from(["row", "cluster", "task"]),
)
def test_split_is_disjoint_complete_and_keeps_duplicates_together(texts, fractions, seed, by):
    queries = [Query(text=text, id=str(i), task=f"t{i % 5}") for i, text in enumerate(texts)]
    outcomes = Outcomes.from_arrays(queries, ["a"], [[0.5]] * len(queries) or np.empty((0, 1)))
    try:
        parts = outcomes.split(fractions, seed=seed, by=by)
    except DataError as error:
        assert re.search("cannot (fill|be split)", str(error))  # noqa: PT017  # either is right, depending on the texts
        return
    assert sorted(name for part in parts for name in part.ids) == sorted(outcomes.ids)
    assert all(part.n_queries for part in parts)
    side = {query.id: index for index, part in enumerate(parts) for query in part.queries}
    for text in ({"0": {"Hello", "hello ", "ｈｅｌｌｏ"}, "1": {"a b", "A  B"}}).values():
        assert len({side[query.id] for query in queries if query.text in text}) <= 1
    if by == "task":
        for task in {query.task for query in queries}:
            assert len({side[query.id] for query in queries if query.task == task}) <= 1


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(12)), seed=st.integers(0, 3))
def test_split_by_cluster_does_not_depend_on_the_order_of_rows(order, seed):
    outcomes = small(12)
    plain = outcomes.split(0.5, seed=seed, by="cluster")
    shuffled = outcomes.select(order).split(0.5, seed=seed, by="cluster")
    assert [set(part.ids) for part in plain] == [set(part.ids) for part in shuffled]


def test_split_has_the_sizes_asked_for_and_varies_with_the_seed():
    outcomes = small(1000)
    assert [part.n_queries for part in outcomes.split((0.6, 0.3, 0.1))] == [600, 300, 100]
    assert outcomes.split(0.5, seed=0)[0].ids != outcomes.split(0.5, seed=1)[0].ids
    assert outcomes.split(0.5, seed=3)[0].ids == outcomes.split(0.5, seed=3)[0].ids


def test_clusters_join_near_duplicates_only():
    text = "How many apples does Ann have if she buys {} apples in the morning and eats two of them at noon?"
    texts = [text.format(n) for n in ("seven", "seven ", "eight", "nine")]
    texts += [f"{word} {word[::-1]} is another thing" for word in ("zebra", "quark", "violin", "copper")]
    cluster = near_duplicates(texts)
    assert cluster[:4].tolist() == [cluster[0]] * 4
    assert len(set(cluster[4:].tolist())) == 4
    outcomes = Outcomes.from_arrays(texts, ["a"], [[1.0]] * len(texts))
    for seed in range(5):
        first, _ = outcomes.split(0.5, seed=seed, by="cluster")
        assert len({name in first.ids for name in ("0", "1", "2", "3")}) == 1


@needs_data
def test_clusters_of_distinct_questions_stay_small():
    texts = Outcomes.read(DATA / "gsm8k_openai2021.parquet").texts
    assert Counter(near_duplicates(texts).tolist()).most_common(1)[0][1] <= 3


def test_agreement_of_signatures_estimates_similarity():
    one, other = "abcdefgh" * 40 + "x" * 200, "abcdefgh" * 40 + "".join(map(chr, range(200, 400)))
    grams = [{t.encode()[i : i + 8] for i in range(len(t.encode()) - 7)} for t in (one, other)]
    similarity = len(grams[0] & grams[1]) / len(grams[0] | grams[1])
    agreement = (np.equal(*signatures([one, other]))).mean()
    assert agreement == pytest.approx(similarity, abs=0.3)  # 20 hashes: a standard deviation of 0.11 at most


@pytest.mark.parametrize("fractions", [0.0, 1.0, -0.1, (0.5, 0.6), (), (1.5, -0.5), float("nan")])
def test_split_refuses_what_are_no_shares(fractions):
    with pytest.raises(DataError, match="positive shares"):
        small().split(fractions)


def test_split_refuses_what_it_cannot_fill():
    with pytest.raises(DataError, match=r"4 queries in 2 groups \(by='task'\) cannot fill 3 parts"):
        small().split((0.4, 0.3, 0.3), by="task")


# ------------------------------------------------------------------ round trips

NUMBER = st.one_of(st.just(float("nan")), st.floats(0, 1))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def tables(draw):
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    matrix = st.lists(st.lists(NUMBER, min_size=k, max_size=k), min_size=n, max_size=n)
    task = draw(st.sampled_from([None, "t", 'u,\n"v"']))
    return Outcomes.from_arrays(
        [Query(text=draw(TEXT), id=f"id {row}", task=task) for row in range(n)],
        [f"arm, {column}" for column in range(k)],
        draw(matrix),
        cost_usd=draw(matrix),
        latency_s=draw(matrix),
        responses=np.array([[draw(st.none() | TEXT) for _ in range(k)] for _ in range(n)], dtype=object),
        references=[draw(st.none() | TEXT) for _ in range(n)],
        embeddings=np.arange(n * 2).reshape(n, 2),
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv", ".jsonl.gz", ".csv.gz"])
@settings(max_examples=25, deadline=None)
@given(outcomes=tables())
def test_what_is_written_reads_back_the_same(suffix, outcomes, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / f"outcomes{suffix}"
    outcomes.write(path)
    again = Outcomes.read(path, responses=True)
    assert same(again, outcomes)
    assert again.responses.tolist() == outcomes.responses.tolist()
    assert (again.references or (None,) * outcomes.n_queries) == outcomes.references
    if "csv" not in suffix:
        assert np.array_equal(again.embeddings, outcomes.embeddings)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), aggregate=st.sampled_from(["error", "mean"]))
def test_reading_does_not_depend_on_the_order_of_rows(data, aggregate, tmp_path_factory):
    path = tmp_path_factory.mktemp("order") / "rows.parquet"
    small(6).write(path)
    runs = Runs.read(path)
    shuffled = Runs(runs.table.take(data.draw(st.permutations(range(len(runs))))))
    plain, other = (table.to_outcomes(aggregate=aggregate) for table in (runs, shuffled))
    order = [other.ids.index(name) for name in plain.ids]
    assert same(plain, other.select(order, plain.arms))


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_preferences_round_trip(suffix, tmp_path):
    preferences = Preferences.from_columns(
        ["1", "2"], ["x", "y"], ["a", "a"], ["b", "c"], [0.25, np.nan], judge=["j", None]
    )
    preferences.write(tmp_path / f"pairs{suffix}")
    again = Preferences.read(tmp_path / f"pairs{suffix}")
    assert again.judge == ("j", None)
    assert again.models == ("a", "b", "c")
    assert np.array_equal(again.pref_b, preferences.pref_b, equal_nan=True)
    with pytest.raises(DataError, match=r"row 1, column 'pref_b': 2.0 is outside"):
        Preferences.from_columns(["1"], ["x"], ["a"], ["b"], [2.0])
