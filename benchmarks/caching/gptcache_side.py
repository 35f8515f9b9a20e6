"""GPTCache's own cache and evaluation on pairs; run by compare.py with the python of its environment.

    python gptcache_side.py PAIRS.npz SCORES.json

A pair's first text is what is cached, its second what is asked. The vectors are those in the file
(all-MiniLM-L6-v2), the evaluations GPTCache's own: `SearchDistanceEvaluation` on the distance that its faiss
index gives (a first pair goes through the whole store, to check that), and `NumpyNormEvaluation`; 0.8 of
their range is the default threshold of its `Config`. Its ONNX evaluation needs a model from a hub.
"""

import json
import sys
from pathlib import Path

import numpy as np
from gptcache import Config
from gptcache.manager import CacheBase, VectorBase, get_data_manager
from gptcache.similarity_evaluation import NumpyNormEvaluation, SearchDistanceEvaluation


def main() -> None:
    given = np.load(sys.argv[1], allow_pickle=False)
    texts_a, texts_b = given["a"].tolist(), given["b"].tolist()
    norm = NumpyNormEvaluation(enable_normal=True)
    distance = SearchDistanceEvaluation()
    threshold = Config().similarity_threshold
    dimension = given["va"].shape[1]
    store = get_data_manager(
        CacheBase("sqlite", sql_url="sqlite:///./pairs.db"),
        VectorBase("faiss", dimension=dimension, index_path="./pairs.index", top_k=1),
    )
    by_distance, by_norm = [], []
    for i, (a, b, va, vb) in enumerate(zip(texts_a, texts_b, given["va"], given["vb"], strict=True)):
        if not i:  # that a whole pass through the store gives the distance computed below
            store.save(a, "answer", va)
            (found,) = store.search(vb, top_k=1)
            assert abs(found[0] - _distance(va, vb)) < 1e-4, (found, _distance(va, vb))
        found = (_distance(va, vb), i)
        by_distance.append(distance.evaluation({"question": b}, {"question": a, "search_result": found}))
        by_norm.append(norm.evaluation({"question": b, "embedding": vb}, {"question": a, "embedding": va}))
    scores = {
        "search distance": {"scores": _plain(by_distance), "default": threshold * distance.range()[1]},
        "vector norm": {"scores": _plain(by_norm), "default": threshold * norm.range()[1]},
    }
    Path(sys.argv[2]).write_text(json.dumps(scores))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """What faiss's flat index gives: the squared Euclidean distance."""
    return float(((a - b) ** 2).sum())


def _plain(scores: list) -> list[float]:
    return [float(score) for score in scores]


if __name__ == "__main__":
    main()
