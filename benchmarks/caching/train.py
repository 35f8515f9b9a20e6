"""Trains the judgements that ship: weights on two parts of the written pairs, calibration on a third.

    python benchmarks/caching/train.py [--precision 0.99] [--vectors DIR] [--write FILE]

The test part is not read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
import numpy as np
from pairs import Written, pairs
from vectors import EMBEDDERS, Vectors

from suffice.caching.guards import raised
from suffice.caching.judgement import FEATURES, Judgement, Pair
from suffice.caching.reading import read


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", type=float, default=0.99)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--show", action="store_true", help="pairs of the calibration part that go wrong")
    options = parser.parse_args()
    training = [one for part in ("training", "development") for one in pairs(part, per_family=200)]
    calibration = pairs("calibration", per_family=300)
    made: dict[str, Judgement] = {}
    for name in (*EMBEDDERS, "words"):
        with_cosines = _without if name == "words" else Vectors(name, options.vectors).pairs
        judgement = Judgement.fit(with_cosines(training))
        held = with_cosines(calibration)
        judgement = judgement.calibrated(held, precision=options.precision)
        made[name] = judgement
        served = np.array([_serves(judgement, pair) for pair in held])
        same = np.array([pair.same for pair in held])
        print(
            f"{name}: threshold {judgement.threshold:.4f}, on {len(held)} calibration pairs precision "
            f"{same[served].mean():.4f}, recall {served[same].mean():.3f}"
        )
        print("   ", {feature: round(w, 2) for feature, w in zip(FEATURES, judgement.weights, strict=True)})
        if options.show:
            _show(judgement, held, calibration)
    if options.write is not None:
        options.write.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")


def _without(written: list[Written]) -> list[Pair]:
    return [Pair(a=one.a, b=one.b, same=one.same, cosine=0.0) for one in written]


def _serves(judgement: Judgement, pair: Pair) -> bool:
    verdict = judgement.verdict(read(pair.a), read(pair.b), pair.cosine)
    return not verdict.vetoes and verdict.probability >= judgement.threshold


def _show(judgement: Judgement, held: list[Pair], written: list[Written]) -> None:
    for pair, one in zip(held, written, strict=True):
        a, b = read(pair.a), read(pair.b)
        verdict = judgement.verdict(a, b, pair.cosine)
        if pair.same and verdict.vetoes:
            print(f"  VETO {raised(a, b)} {pair.a!r} / {pair.b!r}")
        elif _serves(judgement, pair) != pair.same:
            said = "MISSED" if pair.same else f"WRONG ({one.kind})"
            print(f"  {said} {verdict.probability:.3f} cos {pair.cosine:.2f} {pair.a!r} / {pair.b!r}")


if __name__ == "__main__":
    main()
