"""Ours, a bare cosine and GPTCache on pairs that nothing was learnt from.

    python benchmarks/caching/compare.py [--part held] [--pairs FILE] [--peer PYTHON] [--vectors DIR] [--show]

Without --pairs: a part of the written pairs, test, growth or held. With it, a JSON list of {"text_a",
"text_b", "label"}, as GPTCache's own `similiar_qqp_full.json`, of which --sample are drawn, as many of either
label; --peer is the python of an environment with gptcache; its cache is run with our MiniLM vectors (its
default ONNX models come from a hub).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pairs import Written, pairs
from vectors import EMBEDDERS, Vectors

from suffice.caching.judgement import Judgement, Pair
from suffice.caching.reading import read

PEER = Path(__file__).parent / "gptcache_side.py"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("test", "growth", "held"), default="test")
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--sample", type=int, default=3_000)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    written = (
        pairs(options.part, per_family=200) if options.pairs is None else _read(options.pairs, options.sample)
    )
    same = np.array([one.same for one in written])
    families = np.array([one.family for one in written])
    print(f"{len(written)} pairs, {same.sum()} the same, {len(set(families))} families")
    print(f"{'':34}{'precision':>10} [95 %]          {'recall':>7} {'served':>7}")
    minilm = None
    for name in (*EMBEDDERS, "words"):
        held = _with_cosines(name, written, options.vectors)
        served = _served(Judgement.shipped("none" if name == "words" else _name(name)), held)
        _row(f"ours, {name}", served, same, families)
        if name != "words":
            cosines = np.array([pair.cosine for pair in held])
            _row(f"cosine {name}, same recall", _top(cosines, same, served), same, families)
            for cut in (0.9, 0.95) if name == "minilm" else ():
                _row(f"cosine {name} >= {cut}", cosines >= cut, same, families)
        if name == "minilm":
            minilm = served
            if options.show:
                _show(held, written, served)
    if options.peer is not None:
        assert minilm is not None
        for label, scores, cut in _peer(options.peer, written, options.vectors):
            if cut is not None:
                _row(f"{label}, >= {cut:g}", scores >= cut, same, families)
            _row(f"{label}, same recall", _top(scores, same, minilm), same, families)


def _read(path: Path, n: int) -> list[Written]:
    text = path.read_text(errors="replace")
    rows = json.loads(text[text.index("[\n") : text.rindex("]") + 1])
    rng = random.Random(0)
    rng.shuffle(rows)
    chosen = [row for label in (1, 0) for row in [r for r in rows if r["label"] == label][: n // 2]]
    return [
        Written(row["text_a"], row["text_b"], bool(row["label"]), "natural", str(i))
        for i, row in enumerate(chosen)
    ]


def _name(embedder: str) -> str:
    return "hashed-1" if embedder == "hashed" else "minilm@"


def _with_cosines(name: str, written: list[Written], folder: Path | None) -> list[Pair]:
    if name == "words":
        return [Pair(a=one.a, b=one.b, same=one.same, cosine=0.0) for one in written]
    return Vectors(name, folder).pairs(written)


def _served(judgement: Judgement, held: list[Pair]) -> np.ndarray:
    verdicts = [judgement.verdict(read(pair.a), read(pair.b), pair.cosine) for pair in held]
    return np.array([not v.vetoes and v.probability >= judgement.threshold for v in verdicts])


def _top(scores: np.ndarray, same: np.ndarray, served: np.ndarray) -> np.ndarray:
    """What a cut on scores serves at the recall (or just above it) that `served` has."""
    wanted = int(served[same].sum())
    cut = np.sort(scores[same])[::-1][max(wanted - 1, 0)]
    return scores >= cut


def _row(label: str, served: np.ndarray, same: np.ndarray, families: np.ndarray) -> None:
    """Precision with a bootstrap over families (over pairs, where each is its own)."""
    rng = np.random.default_rng(0)
    _, of = np.unique(families, return_inverse=True)
    right = np.bincount(of, served & same)
    all_served = np.bincount(of, served)
    draws = rng.integers(0, len(right), (1000, len(right)))
    with np.errstate(invalid="ignore"):
        low, high = np.nanpercentile(right[draws].sum(1) / all_served[draws].sum(1), (2.5, 97.5))
    precision = (served & same).sum() / max(served.sum(), 1)
    recall = served[same].mean()
    print(f"{label:34}{precision:10.4f} [{low:.3f}, {high:.3f}] {recall:9.3f} {served.sum():7d}")


def _show(held: list[Pair], written: list[Written], served: np.ndarray) -> None:
    judgement = Judgement.shipped("minilm@")
    for pair, one, is_served in zip(held, written, served, strict=True):
        if is_served != pair.same:
            verdict = judgement.verdict(read(pair.a), read(pair.b), pair.cosine)
            said = f"WRONG {one.kind}" if is_served else f"MISSED {verdict.vetoes}"
            print(f"  {said} p {verdict.probability:.2f} cos {pair.cosine:.2f} {pair.a!r} / {pair.b!r}")


def _peer(
    python: Path, written: list[Written], folder: Path | None
) -> Iterator[tuple[str, np.ndarray, float]]:
    """GPTCache's scores of the pairs, each pair in a cache of its own."""
    vectors = Vectors("minilm", folder)
    with tempfile.TemporaryDirectory() as place:
        given = Path(place) / "pairs.npz"
        np.savez(
            given,
            a=np.array([one.a for one in written]),
            b=np.array([one.b for one in written]),
            va=vectors([one.a for one in written]),
            vb=vectors([one.b for one in written]),
        )
        taken = Path(place) / "scores.json"
        subprocess.run([python, PEER, given, taken], check=True, cwd=place)
        for label, found in json.loads(taken.read_text()).items():
            yield f"GPTCache {label}", np.array(found["scores"]), found["default"]


if __name__ == "__main__":
    main()
