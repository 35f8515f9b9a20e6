"""Numeric cores of confidence signals against the tools whose formulas they share: largest difference.

In an environment of its own:

    python -m venv oracle
    oracle/bin/pip install scipy rouge-score nltk
    oracle/bin/pip install --no-deps lm-polygraph==0.7.0 uqlm==0.6.7
    PYTHONPATH=src oracle/bin/python benchmarks/confidence/signal_oracle.py

Only the modules that hold formulas are loaded, not the packages around them, which need torch and LangChain.
lm-polygraph gives uncertainty and uqlm confidence: signs and logarithms are turned where the table says so.
What neither has (votes, verdicts, quantiles, ensembles) is checked in tests/test_confidence.py by slow loops.
"""

import importlib
import importlib.util
import sys
import types
from collections import defaultdict
from pathlib import Path

import numpy as np

from suffice.confidence import (
    cocoa,
    degree_matrix,
    eccentricity,
    eigenvalue,
    lexical_similarity,
    meaning_clusters,
    min_token_probability,
    normalised_probability,
    num_semantic_sets,
    perplexity,
    probability_margin,
    semantic_density,
    semantic_entropy,
    sentence_sar,
    sequence_log_likelihood,
    token_entropy,
    token_sar,
)

TOLERANCE = 1e-8
N_CASES = 200
WORDS = ["the", "answer", "may", "be", "paris", "lyon", "nice", "not", "sure", "city", "capital", "of", "in"]


def hollow(name):
    """A package that finds its modules but does not run its own __init__."""
    top, _, rest = name.partition(".")
    root = (
        Path(importlib.util.find_spec(top).submodule_search_locations[0]) if top not in sys.modules else None
    )
    package = types.ModuleType(name)
    base = root if root else Path(sys.modules[top].__path__[0])
    package.__path__ = [str(base.joinpath(*rest.split(".")) if rest else base)]
    sys.modules[name] = package


def load():
    for name in ("lm_polygraph", "lm_polygraph.utils", "lm_polygraph.estimators"):
        hollow(name)
    for name in ("uqlm", "uqlm.nli", "uqlm.white_box"):
        hollow(name)
    common = types.ModuleType("lm_polygraph.utils.common")
    common.polygraph_module_init = lambda init: init
    layers = types.ModuleType("torch.nn")
    layers.Softmax = lambda dim: None  # made and never used there
    torch = types.ModuleType("torch")
    torch.nn = layers
    sys.modules |= {"lm_polygraph.utils.common": common, "torch": torch, "torch.nn": layers}
    importlib.import_module("lm_polygraph.estimators.num_sem_sets")
    del sys.modules["torch"], sys.modules["torch.nn"]  # scipy would ask it for tensors


def polygraph(module, name, **options):
    return getattr(importlib.import_module(f"lm_polygraph.estimators.{module}"), name)(**options)


def main():
    load()
    worst = defaultdict(float)
    for seed in range(N_CASES):
        for key, ours, theirs in [*one_answer(seed), *samples(seed)]:
            worst[key] = max(worst[key], abs(float(ours) - float(theirs)) / max(1.0, abs(float(theirs))))
    print(f"{'signal':<26}{'tool':<14}{'as':<58}{'largest difference':>18}")
    for (signal, tool, how), difference in sorted(worst.items()):
        print(f"{signal:<26}{tool:<14}{how:<58}{difference:>18.1e}")
    assert max(worst.values()) < TOLERANCE


def one_answer(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 40)), 5
    rows = np.log(rng.dirichlet(np.ones(8), n)[:, :k])
    tokens, without, siblings = rows[:, 0], rng.uniform(0, 1, n), rng.uniform(0, 1, 6)
    stats = {
        "greedy_log_likelihoods": [tokens],
        "token_similarity": [without],
        "greedy_sentence_similarity": [siblings],
        "greedy_tokens": [list(range(n))],
    }
    given = [
        {"logprob": row[0], "top_logprobs": [{"logprob": value} for value in row]} for row in rows.tolist()
    ]
    single = importlib.import_module("uqlm.white_box.single_logprobs").SingleLogprobsScorer()
    top = importlib.import_module("uqlm.white_box.top_logprobs").TopLogprobsScorer(top_k_logprobs=k)
    one, several = single.evaluate([given]), top.evaluate([given])
    lm, uq = "lm-polygraph", "uqlm"
    yield (
        ("sequence_log_likelihood", lm, "-MaximumSequenceProbability"),
        sequence_log_likelihood.score(tokens),
        -polygraph("max_probability", "MaximumSequenceProbability")(stats)[0],
    )
    yield (
        ("perplexity", lm, "exp(Perplexity)"),
        perplexity.score(tokens),
        np.exp(polygraph("perplexity", "Perplexity")(stats)[0]),
    )
    yield (
        ("normalised_probability", uq, "sequence_probability"),
        normalised_probability.score(tokens),
        one["sequence_probability"][0],
    )
    yield (
        ("min_token_probability", uq, "min_probability"),
        min_token_probability.score(tokens),
        one["min_probability"][0],
    )
    yield (
        ("token_entropy", uq, "mean_token_negentropy (confidence)"),
        token_entropy.score(rows).confidence,
        several["mean_token_negentropy"][0],
    )
    yield (
        ("token_entropy max", uq, "min_token_negentropy (confidence)"),
        token_entropy.score(rows, reduce="max").confidence,
        several["min_token_negentropy"][0],
    )
    yield (
        ("probability_margin", uq, "probability_margin"),
        probability_margin.score(rows),
        several["probability_margin"][0],
    )
    yield (
        ("token_sar", lm, "TokenSAR"),
        token_sar.score(tokens, without),
        polygraph("token_sar", "TokenSAR")(stats)[0],
    )
    yield (("cocoa", lm, "CocoaPPL"), cocoa.score(tokens, siblings), polygraph("cocoa", "CocoaPPL")(stats)[0])
    yield (
        ("cocoa, not normalised", lm, "CocoaMSP"),
        cocoa.score(tokens, siblings, normalised=False),
        polygraph("cocoa", "CocoaMSP")(stats)[0],
    )


def samples(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 11))
    texts = [" ".join(rng.choice(WORDS, int(rng.integers(1, 12)))) for _ in range(n)]
    lengths = rng.integers(1, 9, n)
    sums, entail, contra, neutral = np.log(rng.uniform(0.01, 1, n)), *rng.uniform(0, 1, (3, n, n))
    entails = rng.uniform(size=(n, n)) < 0.6
    clusters = meaning_clusters.from_entailment(entails)
    members = [np.flatnonzero(clusters == c).tolist() for c in range(clusters.max() + 1)]
    own = float(np.log(rng.uniform(0.01, 1)))
    symmetric = (entail + entail.T) / 2
    stats = {
        "sample_texts": [texts],
        "sample_log_probs": [sums],
        "sample_tokens": [[[0] * length for length in lengths]],
        "semantic_matrix_entail": entail[None],
        "semantic_matrix_contra": contra[None],
        "sample_sentence_similarity": [symmetric],
        "semantic_classes_entail": {
            "class_to_sample": {0: members},
            "sample_to_class": {0: dict(enumerate(clusters.tolist()))},
        },
        "greedy_log_likelihoods": [[own]],
        "greedy_semantic_matrix_contra_forward": [contra[0]],
        "greedy_semantic_matrix_neutral_forward": [neutral[0]],
    }
    lm = "lm-polygraph"
    graph = {"similarity_score": "NLI_score", "affinity": "entail"}
    for name, core, module, theirs in (
        ("eigenvalue", eigenvalue, "eig_val_laplacian", "EigValLaplacian"),
        ("degree_matrix", degree_matrix, "deg_mat", "DegMat"),
        ("eccentricity", eccentricity, "eccentricity", "Eccentricity"),
    ):
        yield (name, lm, theirs), core.score(entail), polygraph(module, theirs, **graph)(stats)[0]
    yield (
        ("num_semantic_sets", lm, "NumSemSets"),
        num_semantic_sets.score(meaning_clusters.from_components(entail, contra)),
        polygraph("num_sem_sets", "NumSemSets")(stats)[0],
    )
    yield (
        ("lexical_similarity", lm, "-LexicalSimilarity rougeL (its stemmer changes no word)"),
        lexical_similarity.score(texts),
        -polygraph("lexical_similarity", "LexicalSimilarity", metric="rougeL")(stats)[0],
    )
    yield (
        ("semantic_entropy_kuhn", lm, "SemanticEntropy"),
        semantic_entropy.kuhn(clusters, sums),
        polygraph("semantic_entropy", "SemanticEntropy")(stats)[0],
    )
    yield (
        ("sentence_sar", lm, "SentenceSAR"),
        sentence_sar.score(sums, symmetric),
        polygraph("sentence_sar", "SentenceSAR")(stats)[0],
    )
    yield (
        ("semantic_density", lm, "-SemanticDensity"),
        semantic_density.score(own, sums / lengths, contra[0], neutral[0], texts=texts),
        -polygraph("semantic_density", "SemanticDensity", concat_input=False)(stats)[0],
    )
    uqlm = importlib.import_module("uqlm.nli.entropy_utils")
    shares = uqlm.compute_cluster_probabilities([1 / n] * n, members)
    mass = uqlm.compute_cluster_probabilities(np.exp(sums / lengths).tolist(), members)
    yield (
        ("semantic_entropy", "uqlm", "compute_semantic_entropy, equal probabilities"),
        semantic_entropy.discrete(clusters),
        uqlm.compute_semantic_entropy(shares),
    )
    yield (
        ("semantic_entropy_rao", "uqlm", "compute_semantic_entropy, length-normalised"),
        semantic_entropy.rao(clusters, sums / lengths),
        uqlm.compute_semantic_entropy(mass),
    )


if __name__ == "__main__":
    main()
