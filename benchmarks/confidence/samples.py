"""Agreement of sampled answers: how well it tells a right majority from a wrong one.

    python benchmarks/confidence/samples.py --data DIR [--samples 10] [--resamples 500]

Samples of three models that were recorded for cascades (mot_cascade_samples), one prompt style at a time, the
first `--samples` (n) of each question. Judged is the commonest answer; questions without an answer ("none")
are not scored. AUROC of `self_consistency` (votes, margin), `semantic_entropy.discrete` (SE),
`num_semantic_sets`, `eigenvalue`, `degree_matrix` and `eccentricity`. Meanings: equal numbers or equal words
are one; a sample without an answer is one of its own. The last three compare whole responses, reasoning
included, by ROUGE-L. Intervals: 95 %, questions drawn with replacement.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from suffice.confidence import (
    Unavailable,
    degree_matrix,
    eccentricity,
    eigenvalue,
    lexical_similarity,
    meaning_clusters,
    num_semantic_sets,
    self_consistency,
    semantic_entropy,
)
from suffice.metrics import auroc, bootstrap_ci

COLUMNS: Final = ["query_id", "model", "task", "strategy", "sample", "answer", "score", "response"]
SETS: Final = (
    ("gpt-3.5-turbo", "date", "cot1"),
    ("gpt-3.5-turbo", "date", "pot1"),
    ("llama-2-13b", "date", "cot1"),
    ("llama-2-13b", "date", "pot1"),
    ("llama-2-13b", "gsm", "pot1"),
    ("llama-2-13b", "crepe", "pot1"),
    ("gpt-4", "gsm", "cot1"),
    ("gpt-4", "tabmwp", "cot1"),
    ("gpt-4", "navigate", "cot1"),
    ("gpt-4", "crepe", "cot1"),
)
WIDTHS: Final = {"votes": 21, "margin": 8, "SE": 21, "sets": 7, "EigV": 7, "Deg": 7, "Ecc": 7}
WITH_INTERVAL: Final = ("votes", "SE")
Sample = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with mot_cascade_samples.parquet")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--resamples", type=int, default=500)
    args = parser.parse_args()
    table = pq.read_table(args.data / "mot_cascade_samples.parquet", columns=COLUMNS)
    for number, (model, task, style) in enumerate(SETS):
        wanted = zip(("model", "task", "strategy"), (model, task, style), strict=True)
        kept = table
        for column, value in wanted:
            kept = kept.filter(pc.equal(kept[column], value))
        questions: dict[str, list[Sample]] = defaultdict(list)
        for sample in sorted(kept.to_pylist(), key=lambda row: (row["query_id"], row["sample"])):
            if len(questions[sample["query_id"]]) < args.samples:
                questions[sample["query_id"]].append(sample)
        readings, correct, n_missed = measure(list(questions.values()))
        if not number:
            heads = "".join(f"{name:>{WIDTHS[name]}}" for name in readings)
            print(f"{'':<26}{'n':>3}{'rows':>6}{'none':>6}{'right':>7}{heads}")
        drawn = max(len(samples) for samples in questions.values())
        cells = "".join(
            cell(name, np.array(values), correct, args.resamples) for name, values in readings.items()
        )
        name = f"{model} {task} {style}"
        print(f"{name:<26}{drawn:>3}{len(correct):>6}{n_missed:>6}{correct.mean():>7.1%}{cells}")


def measure(questions: Sequence[list[Sample]]) -> tuple[dict[str, list[float]], np.ndarray, int]:
    """Confidence by signal, whether the majority is right, and how many questions got no answer."""
    found: dict[str, list[float]] = defaultdict(list)
    correct = []
    for samples in questions:
        if len(samples) < 2:
            continue
        answers = [meaning(sample["answer"]) for sample in samples]
        chosen = self_consistency.majority(answers)
        if chosen is None:
            continue
        scores = [sample["score"] for sample, given in zip(samples, answers, strict=True) if given == chosen]
        correct.append(np.mean(scores) > 0.5)
        for name, reading in readings_of(samples, answers).items():
            assert not isinstance(reading, Unavailable), reading
            found[name].append(reading.confidence)
    return found, np.array(correct), len(questions) - len(correct)


def readings_of(samples: Sequence[Sample], answers: Sequence[Hashable | None]) -> dict[str, Any]:
    clusters = meaning_clusters.by_first_appearance(
        [("none", i) if given is None else given for i, given in enumerate(answers)]
    )
    texts = [sample["response"] or "" for sample in samples]
    similar = lexical_similarity.similarities(texts)
    graph: dict[str, Callable[..., Any]] = {
        "EigV": eigenvalue.score,
        "Deg": degree_matrix.score,
        "Ecc": eccentricity.score,
    }
    return {
        "votes": self_consistency.score(answers),
        "margin": self_consistency.margin(answers),
        "SE": semantic_entropy.discrete(clusters),
        "sets": num_semantic_sets.score(clusters),
        **{name: score(similar) for name, score in graph.items()},
    }


def meaning(answer: str | None) -> Hashable | None:
    """A number where it is one, else the words in lower case."""
    if answer is None or not answer.strip():
        return None
    try:
        return round(float(answer.replace(",", "").strip(" $%.")), 6)
    except ValueError:
        return " ".join(answer.lower().split())


def cell(name: str, confidence: np.ndarray, correct: np.ndarray, n_resamples: int) -> str:
    text = f"{auroc(confidence, correct):.3f}"
    if name in WITH_INTERVAL:
        low, high = bootstrap_ci(auroc, confidence, correct, n=n_resamples)
        text += f" ({low:.3f}-{high:.3f})"
    return f"{text:>{WIDTHS[name]}}"


if __name__ == "__main__":
    main()
