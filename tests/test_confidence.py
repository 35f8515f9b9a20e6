"""The numeric cores against hand-computed values and slow loops written from the papers' formulas."""

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from suffice.confidence import (
    Signal,
    Unavailable,
    cocoa,
    deep_ensemble,
    degree_matrix,
    eccentricity,
    eigenvalue,
    ensemble_vote,
    label_probability,
    lexical_similarity,
    mc_dropout,
    meaning_clusters,
    min_token_probability,
    normalised_probability,
    num_semantic_sets,
    perplexity,
    predictive_entropy,
    probability_margin,
    rank_alternatives,
    rephrasing,
    self_consistency,
    semantic_density,
    semantic_entropy,
    sentence_sar,
    sequence_log_likelihood,
    signals,
    softmax_response,
    token_entropy,
    token_quantiles,
    token_sar,
)
from suffice.confidence.base import entropy

TOL = 1e-8
INF = math.inf
SEEDS = range(12)
ONE_SEQUENCE = (
    sequence_log_likelihood.score,
    normalised_probability.score,
    perplexity.score,
    min_token_probability.score,
    token_quantiles.score,
)


def lps(rng: np.random.Generator, n: int) -> list[float]:
    return np.log(rng.uniform(0.02, 1.0, n)).tolist()


def similarities(rng: np.random.Generator, n: int) -> np.ndarray:
    """Not symmetric, as an NLI model gives them, with 1 on the diagonal."""
    matrix = rng.uniform(0, 1, (n, n))
    np.fill_diagonal(matrix, 1.0)
    return matrix


def is_near(reading: object, value: float, confidence: float) -> None:
    assert isinstance(reading, Signal), reading
    assert reading.value == pytest.approx(value, abs=TOL, rel=TOL)
    assert reading.confidence == pytest.approx(confidence, abs=TOL)
    assert float(reading) == reading.value


@pytest.mark.parametrize("seed", SEEDS)
def test_one_sequence(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = lps(rng, int(rng.integers(1, 30)))
    product = math.prod(math.exp(lp) for lp in tokens)
    root = product ** (1 / len(tokens))
    is_near(sequence_log_likelihood.score(tokens), math.log(product), product)
    is_near(normalised_probability.score(tokens), root, root)
    is_near(perplexity.score(tokens), 1 / root, root)
    least = min(math.exp(lp) for lp in tokens)
    is_near(min_token_probability.score(tokens), least, least)
    is_near(token_quantiles.score(tokens, quantile=0), math.log(least), least)


def test_perplexity_is_no_mean_log_likelihood() -> None:
    """lm-polygraph calls 1.0 what is e here."""
    is_near(perplexity.score([-1.0, -1.0]), math.e, 1 / math.e)
    is_near(perplexity.read(math.e), math.e, 1 / math.e)
    assert perplexity.read(None) == Unavailable("no perplexity")
    with pytest.raises(ValueError, match="at least 1"):
        perplexity.read(0.5)


@pytest.mark.parametrize("score", ONE_SEQUENCE)
def test_what_a_provider_may_send(score: object) -> None:
    assert callable(score)
    for given, reason in (
        (None, "no log-probabilities"),
        ([], "no token"),
        ([-1.0, math.nan], "NaN or above 0"),
        ([0.7], "NaN or above 0"),
    ):
        reading = score(given)
        assert isinstance(reading, Unavailable) and reason in reading.reason
        assert reading.value is None and reading.confidence is None
    assert score([-0.1, -INF]).confidence == pytest.approx(0, abs=1e-30)  # one impossible token
    assert score([1e-4]).confidence == 1  # rounding of half precision
    with pytest.raises(ValueError, match="one axis"):
        score([[-1.0]])


def test_the_end_of_sequence_token_counts_when_it_is_given() -> None:
    assert float(normalised_probability.score([-1.0, -1.0, -4.0])) == pytest.approx(math.exp(-2))


def test_token_quantiles_interpolate_between_order_statistics() -> None:
    tokens = [-5.0, -1.0, -3.0, -0.5]
    found = token_quantiles.features(tokens)
    assert isinstance(found, np.ndarray) and found.shape == (len(token_quantiles.NAMES),) == (22,)
    ordered = sorted(tokens)
    for quantile, value in zip(token_quantiles.QUANTILES, found, strict=False):
        place = quantile * (len(tokens) - 1)
        low = min(int(place), len(tokens) - 2)
        slow = ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])
        assert value == pytest.approx(slow, abs=TOL)
    assert found[-2:].tolist() == [4, -9.5]
    impossible = token_quantiles.features([-INF, 0.0, 0.0])
    assert isinstance(impossible, np.ndarray) and np.isfinite(impossible).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_alternatives_of_tokens(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [np.log(rng.dirichlet(np.ones(8))[: rng.integers(2, 8)]).tolist() for _ in range(6)]
    heights, shares, margins, gaps = [], [], [], []
    for row in rows:
        p = [math.exp(lp) for lp in row]
        q = [value / sum(p) for value in p]
        heights.append(-sum(value * math.log(value) for value in q))
        shares.append(heights[-1] / math.log(len(q)))
        first, second = sorted(p, reverse=True)[:2]
        margins.append(first - second)
        gaps.append(math.exp(-(math.log(first) - math.log(second)) / 2))
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    is_near(token_entropy.score(rows), mean(heights), 1 - mean(shares))
    is_near(token_entropy.score(rows, reduce="max"), max(heights), 1 - max(shares))
    is_near(probability_margin.score(rows), mean(margins), mean(margins))
    is_near(probability_margin.targ(rows, beta=2.0), mean(gaps), 1 - mean(gaps))


def test_tokens_without_alternatives_are_left_out() -> None:
    rows = [[-0.1], [], [math.log(0.5), math.log(0.5)], [-INF, -INF]]
    is_near(token_entropy.score(rows), math.log(2), 0)
    is_near(probability_margin.score([[0.0, -INF]]), 1, 1)
    for score in (token_entropy.score, probability_margin.score, probability_margin.targ):
        for given in (None, [], [[-0.1]], [[math.nan, -1.0]]):
            assert isinstance(score(given), Unavailable)


@pytest.mark.parametrize("seed", SEEDS)
def test_ranking_of_alternatives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [lps(rng, int(rng.integers(1, 6))) for _ in range(4)]
    means = [sum(row) / len(row) for row in rows]
    mass = [math.exp(sum(row)) for row in rows]
    best = means.index(max(means))
    is_near(rank_alternatives.score(rows), means[best], mass[best] / sum(mass))
    assert isinstance(rank_alternatives.score(rows[:1]), Unavailable)
    assert isinstance(rank_alternatives.score([[-1.0], []]), Unavailable)
    assert isinstance(rank_alternatives.score([[-INF], [-INF]]), Unavailable)


@pytest.mark.parametrize("seed", SEEDS)
def test_semantic_entropies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    clusters, sums = rng.integers(0, 4, n), np.asarray(lps(rng, n))
    members = {c: [i for i in range(n) if clusters[i] == c] for c in set(clusters.tolist())}
    shares = [len(found) / n for found in members.values()]
    discrete = -sum(f * math.log(f) for f in shares)
    is_near(semantic_entropy.discrete(clusters), discrete, 1 - discrete / math.log(n))
    mass = [sum(math.exp(sums[i]) for i in found) for found in members.values()]
    rao = -sum(m / sum(mass) * math.log(m / sum(mass)) for m in mass)
    is_near(semantic_entropy.rao(clusters, sums), rao, 1 - rao / math.log(n))
    kuhn = -sum(math.log(sum(math.exp(sums[j]) for j in members[c])) for c in clusters.tolist()) / n
    is_near(semantic_entropy.kuhn(clusters, sums), kuhn, min(1.0, math.exp(-kuhn)))
    is_near(semantic_entropy.naive(sums), -sums.mean(), math.exp(sums.mean()))
    is_near(num_semantic_sets.score(clusters), len(members), 1 - (len(members) - 1) / (n - 1))


def test_semantic_entropy_at_its_ends() -> None:
    is_near(semantic_entropy.discrete([3, 3, 3]), 0, 1)
    is_near(semantic_entropy.discrete([0, 1, 2]), math.log(3), 0)
    is_near(semantic_entropy.kuhn([0, 0], [0.0, 0.0]), -math.log(2), 1)  # two copies of a sure answer
    is_near(semantic_entropy.rao([0, 1], [0.0, -INF]), 0, 1)
    assert semantic_entropy.kuhn([0, 1], [0.0, -INF]).value == INF
    assert isinstance(semantic_entropy.rao([0, 1], [-INF, -INF]), Unavailable)
    for one in ([], [0]):
        assert isinstance(semantic_entropy.discrete(one), Unavailable)
        assert isinstance(num_semantic_sets.score(one), Unavailable)
        assert isinstance(semantic_entropy.rao(one, [-1.0] * len(one)), Unavailable)
    assert isinstance(semantic_entropy.rao([0, 1], None), Unavailable)
    with pytest.raises(ValueError, match="2 clusters but 3"):
        semantic_entropy.kuhn([0, 1], [-1.0, -1.0, -1.0])
    with pytest.raises(ValueError, match="shape"):
        semantic_entropy.discrete([[0, 1]])


@pytest.mark.parametrize("seed", SEEDS)
def test_graph_signals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 8))
    given = similarities(rng, n)
    w = [[(given[i, j] + given[j, i]) / 2 for j in range(n)] for i in range(n)]
    degrees = [sum(row) for row in w]
    laplacian = np.array(
        [[(i == j) - w[i][j] / math.sqrt(degrees[i] * degrees[j]) for j in range(n)] for i in range(n)]
    )
    values, vectors = np.linalg.eig(laplacian)  # not eigh, which the core uses
    soft = sum(max(0.0, 1 - value) for value in values.real)
    is_near(eigenvalue.score(given), soft, min(1.0, max(0.0, 1 - (soft - 1) / (n - 1))))
    apart = sum(n - degree for degree in degrees) / n**2
    is_near(degree_matrix.score(given), apart, 1 - apart)
    squares = 0.0
    for k in range(n):
        if values[k].real < 0.9:
            column = vectors[:, k].real / np.linalg.norm(vectors[:, k].real)
            squares += sum((x - column.mean()) ** 2 for x in column)
    far = math.sqrt(squares)
    is_near(eccentricity.score(given), far, 1 - far / math.sqrt(n - 1))


@pytest.mark.parametrize("score", [eigenvalue.score, degree_matrix.score, eccentricity.score])
def test_graph_signals_at_their_ends(score: object) -> None:
    assert callable(score)
    same, apart = score(np.ones((4, 4))), score(np.eye(4))
    assert same.confidence == pytest.approx(1, abs=TOL)
    assert apart.confidence == pytest.approx(0.25 if score is degree_matrix.score else 0, abs=TOL)
    assert isinstance(score(np.ones((1, 1))), Unavailable)
    assert isinstance(score(np.full((2, 2), np.nan)), Unavailable)
    with pytest.raises(ValueError, match="shape"):
        score(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        score(np.full((2, 2), 1.5))


def test_an_answer_unlike_itself() -> None:
    for score in (eigenvalue.score, eccentricity.score):
        assert isinstance(score(np.zeros((2, 2))), Unavailable)


@pytest.mark.parametrize("seed", SEEDS)
def test_relevance_and_cocoa(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    tokens, without = lps(rng, n), rng.uniform(0, 1, n)
    relevance = [1 - value for value in without]
    token = sum(-lp * r / sum(relevance) for lp, r in zip(tokens, relevance, strict=True))
    is_near(token_sar.score(tokens, without), token, math.exp(-token))
    g = similarities(rng, n)
    g = (g + g.T) / 2
    p = [math.exp(lp) for lp in tokens]
    sums = [p[i] + sum(p[j] * g[i, j] / 0.001 for j in range(n) if j != i) for i in range(n)]
    sentence = -sum(math.log(value) for value in sums) / n
    most = 1 + (n - 1) / 0.001
    is_near(sentence_sar.score(tokens, g), sentence, math.prod(value / most for value in sums) ** (1 / n))
    apart = sum(1 - value for value in without) / n
    is_near(cocoa.score(tokens, without), -sum(tokens) / n * apart, math.exp(sum(tokens) / n * apart))
    whole = -sum(tokens) * apart
    is_near(cocoa.score(tokens, without, normalised=False), whole, math.exp(-whole))


def test_relevance_at_its_ends() -> None:
    is_near(token_sar.score([-1.0, -3.0], [1.0, 1.0]), 2, math.exp(-2))  # no token matters: all do
    is_near(token_sar.score([-1.0, -INF], [0.5, 1.0]), 1, math.exp(-1))
    is_near(cocoa.score([-INF], [1.0]), 0, 1)
    is_near(sentence_sar.score([-2000.0, -2000.0], np.eye(2)), 2000, 0)  # no underflow
    assert isinstance(cocoa.score([-1.0], []), Unavailable)
    assert isinstance(cocoa.score([-1.0], [math.nan]), Unavailable)
    assert isinstance(token_sar.score([-1.0], [math.nan]), Unavailable)
    assert isinstance(sentence_sar.score([-1.0], [[1.0]]), Unavailable)
    assert isinstance(sentence_sar.score(None, [[1.0]]), Unavailable)
    with pytest.raises(ValueError, match="2 tokens"):
        token_sar.score([-1.0, -1.0], [0.5])


@pytest.mark.parametrize("seed", SEEDS)
def test_semantic_density(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples, own = lps(rng, 5), lps(rng, 1)[0]
    against, beside = rng.uniform(0, 1, 5), rng.uniform(0, 1, 5)
    kernel = [max(0.0, 1 - (a + b / 2)) for a, b in zip(against, beside, strict=True)]
    p = [math.exp(lp) for lp in samples]
    above = math.exp(own) + sum(x * k for x, k in zip(p, kernel, strict=True))
    dense = above / (math.exp(own) + sum(p))
    is_near(semantic_density.score(own, samples, against, beside), dense, dense)
    texts = ["a", "b", "a", "c", "b"]
    kept = [0, 1, 3]
    above = math.exp(own) + sum(p[i] * kernel[i] for i in kept)
    dense = above / (math.exp(own) + sum(p[i] for i in kept))
    is_near(semantic_density.score(own, samples, against, beside, texts=texts), dense, dense)


def test_semantic_density_that_cannot_be_had() -> None:
    assert isinstance(semantic_density.score(None, [-1.0], [0], [0]), Unavailable)
    assert isinstance(semantic_density.score(-1.0, None, [0], [0]), Unavailable)
    assert semantic_density.score(-1.0, [], [], []) == Unavailable("no sample")
    assert isinstance(semantic_density.score(-INF, [-INF], [0], [0]), Unavailable)
    with pytest.raises(ValueError, match="1 samples but NLI"):
        semantic_density.score(-1.0, [-1.0], [0, 0], [0, 0])


def test_meaning_clusters() -> None:
    entails = np.eye(4, dtype=bool)
    entails[0, 1] = entails[1, 0] = entails[1, 2] = entails[2, 1] = True
    entails[0, 3] = True  # one way only
    # 2 entails 1, but the cluster's first member is 0
    assert meaning_clusters.from_entailment(entails).tolist() == [0, 0, 1, 2]
    assert meaning_clusters.from_components(entails, np.zeros((4, 4))).tolist() == [0, 0, 0, 1]
    assert meaning_clusters.from_similarity(np.full((3, 3), 0.9), threshold=0.9).tolist() == [0, 0, 0]
    assert meaning_clusters.from_similarity(np.full((2, 2), np.nan), threshold=0.5).tolist() == [0, 1]
    both_asked = [[np.nan, 1.0], [0.0, np.nan]]
    assert meaning_clusters.from_judgements(both_asked).tolist() == [0, 1]
    assert meaning_clusters.from_judgements([[np.nan, np.nan], [1.0, np.nan]]).tolist() == [0, 0]
    assert meaning_clusters.from_judgements(np.full((2, 2), np.nan)).tolist() == [0, 1]
    for empty in (meaning_clusters.from_entailment, meaning_clusters.from_judgements):
        assert empty(np.zeros((0, 0))).tolist() == []
    with pytest.raises(ValueError, match="shape"):
        meaning_clusters.from_entailment(np.zeros((2, 3)))


def test_components_are_found_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        linked = rng.uniform(size=(7, 7)) < 0.35
        linked = linked & linked.T
        found = meaning_clusters.from_components(linked, np.full((7, 7), 0.5))
        reach = np.linalg.matrix_power((linked | np.eye(7, dtype=bool)).astype(int), 7) > 0
        for i, j in combinations(range(7), 2):
            assert (found[i] == found[j]) == reach[i, j]


def test_votes() -> None:
    answers = ["18", "18", "20", None, None]
    is_near(self_consistency.score(answers), 0.4, 0.4)
    is_near(self_consistency.score(answers, answer="20"), 0.2, 0.2)
    is_near(self_consistency.score(answers, answer="21"), 0, 0)
    is_near(self_consistency.margin(answers), 0.2, 0.2)
    height = -(0.4 * math.log(0.4) + 3 * 0.2 * math.log(0.2))  # two None are two votes
    is_near(self_consistency.vote_entropy(answers), height, 1 - height / math.log(5))
    assert self_consistency.majority(["b", "a", "a", "b"]) == "b"  # the earliest of equals
    assert self_consistency.majority([None]) is None
    same = [7] * 10
    for read in (self_consistency.score, self_consistency.margin, self_consistency.vote_entropy):
        assert read(same).confidence == 1
        for none in ([], ["18"], [None, None]):
            assert isinstance(read(none), Unavailable)


def test_votes_of_models() -> None:
    is_near(ensemble_vote.score(["a", "b", "b", None]), 2 / 3, 2 / 3)
    is_near(ensemble_vote.score(["a", "b", "b"], weights=[3, 1, 1]), 0.6, 0.6)
    is_near(ensemble_vote.score(["a", "b"], answer="c"), 0, 0)
    for answers, weights in ((["a", None], None), ([], None), (["a", "b"], [0, 0])):
        assert isinstance(ensemble_vote.score(answers, weights=weights), Unavailable)
    with pytest.raises(ValueError, match="one weight per model"):
        ensemble_vote.score(["a", "b"], weights=[1, -1])


def test_rephrasing_tells_wording_from_chance() -> None:
    by_wording = [["a", "a"], ["b", "b"], ["a", "a"]]
    is_near(rephrasing.within(by_wording), 1, 1)
    is_near(rephrasing.between(by_wording), 1 / 3, 1 / 3)
    is_near(rephrasing.score(by_wording), 2 / 3, 2 / 3)
    is_near(rephrasing.score([["a"] * 9, ["b"]], answer="b"), 0.5, 0.5)  # a paraphrase is a vote
    is_near(rephrasing.between([["a", "b"], ["a", None]]), 0.25, 0.25)
    for read in (rephrasing.score, rephrasing.between):
        for none in ([], [["a"]], [["a"], []]):
            assert isinstance(read(none), Unavailable)
    assert isinstance(rephrasing.score([[None], [None]]), Unavailable)
    assert isinstance(rephrasing.within([["a"], ["b"]]), Unavailable)


@pytest.mark.parametrize("seed", SEEDS)
def test_rouge_l_by_the_textbook_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.choice(list("abcde"), int(rng.integers(1, 90))).tolist() for _ in range(2))
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, j in np.ndindex(len(a), len(b)):
        best = max(lengths[i][j + 1], lengths[i + 1][j])
        lengths[i + 1][j + 1] = lengths[i][j] + 1 if a[i] == b[j] else best
    precision, recall = lengths[-1][-1] / len(a), lengths[-1][-1] / len(b)
    f1 = 2 * precision * recall / (precision + recall) if precision else 0.0
    is_near(lexical_similarity.score([" ".join(a), " ".join(b)]), f1, f1)


def test_lexical_similarity_of_any_text() -> None:
    is_near(lexical_similarity.score(["", "?!"]), 1, 1)
    is_near(lexical_similarity.score(["", "word"]), 0, 0)
    is_near(lexical_similarity.score(["答案是八", "答案是九"]), 0.75, 0.75)
    is_near(lexical_similarity.score(["Это Париж", "это париж"]), 1, 1)
    is_near(lexical_similarity.score(["a b", "a b", "a c"]), (1 + 0.5 + 0.5) / 3, 2 / 3)
    assert isinstance(lexical_similarity.score(["one"]), Unavailable)


def test_label_probability() -> None:
    found = label_probability.from_logprobs(
        {"fraud": math.log(0.46), "fine": math.log(0.04), "unclear": -INF}
    )
    assert found == pytest.approx({"fraud": 0.92, "fine": 0.08, "unclear": 0.0}, abs=TOL)
    is_near(label_probability.score(found), 0.92, 0.92)
    is_near(label_probability.score(found, label="unclear"), 0, 0)
    counted = label_probability.from_samples(["x", "y", "x", None, "z"], labels=("x", "y"))
    is_near(label_probability.score(counted), 2 / 3, 2 / 3)
    for none in (
        label_probability.from_logprobs({}),
        label_probability.from_logprobs({"x": -INF}),
        label_probability.from_samples([None]),
    ):
        assert isinstance(none, Unavailable) and label_probability.score(none) is none
    assert isinstance(label_probability.score({"x": 1.0}, label="y"), Unavailable)


@pytest.mark.parametrize("seed", SEEDS)
def test_members_and_passes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), size=(4, 5))
    parts = deep_ensemble.decompose(p)
    for row in range(5):
        mean = [sum(p[m, row, k] for m in range(4)) / 4 for k in range(3)]
        total = -sum(x * math.log(x) for x in mean)
        each = -sum(x * math.log(x) for m in range(4) for x in p[m, row]) / 4
        assert parts.total[row] == pytest.approx(total, abs=TOL)
        assert parts.aleatoric[row] == pytest.approx(each, abs=TOL)
        assert parts.epistemic[row] == pytest.approx(total - each, abs=TOL)
        is_near(deep_ensemble.score(p[:, row]), total, max(mean))
        is_near(mc_dropout.score(p[:, row]), total - each, max(mean))
    assert isinstance(deep_ensemble.score(p[:1, 0]), Unavailable)
    assert isinstance(mc_dropout.score(p[:1, 0]), Unavailable)


def test_a_classifier() -> None:
    is_near(softmax_response.score([0.2, 0.7, 0.1]), 0.7, 0.7)
    height = -(0.2 * math.log(0.2) + 0.7 * math.log(0.7) + 0.1 * math.log(0.1))
    is_near(predictive_entropy.score([0.2, 0.7, 0.1]), height, 1 - height / math.log(3))
    is_near(predictive_entropy.score([1.0, 0.0]), 0, 1)
    assert entropy([1.0, 0.0]) == 0
    for wrong in ([1.0], [0.5, 0.6], [-0.5, 1.5], [[0.5, 0.5]], [np.nan, 1.0], []):
        with pytest.raises(ValueError, match="class probabilities"):
            softmax_response.score(wrong)


def test_a_signal_is_within_its_range() -> None:
    for value, confidence in ((math.nan, 0.5), (1.0, 1.1), (1.0, -0.1), (1.0, math.nan)):
        with pytest.raises(ValueError, match="a confidence lies in"):
            Signal(value, confidence)


def test_the_documentation_lists_every_signal() -> None:
    page = (Path(__file__).parent.parent / "docs" / "confidence.md").read_text()
    _, _, table = page.partition("| signal | needs | calls | raw value | source |\n|---|---|---|---|---|\n")
    expected = [
        f"| `{info.name}` | {info.needs} | {info.cost} | {info.value} | {info.source} |"
        for info in map(signals.get, signals.available())
    ]
    assert table.partition("\n\n")[0].splitlines() == expected


def test_the_list_of_signals() -> None:
    for name in signals.available():
        info = signals.get(name)
        assert callable(info.core()) and info.name == name
        assert info.source and info.value
        grows = info.calls(10) > info.calls(0)
        assert grows == ("n" in info.cost.split())
    assert signals.get("rephrasing").calls(5) == 6
    assert signals.get("perplexity").calls(5) == 0
    with pytest.raises(signals.UnknownName, match="no signal is called 'mood'"):
        signals.get("mood")
