"""Saved routers that must not be used, and why not."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ArtefactError
from suffice.outcomes import Outcomes
from suffice.types import Query

EMBEDDER = HashedNgrams()
TEXTS = [f"question number {i} about {'maths' if i % 2 else 'poems'}" for i in range(30)]
TABLE = Outcomes.from_arrays(TEXTS, ["a", "b"], np.random.default_rng(0).random((30, 2)))
LEARNT = ("knn", "ridge", "blend", "strongest")


@pytest.fixture(params=LEARNT)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    routers.create(request.param, EMBEDDER).fit(TABLE).save(tmp_path)
    routers.load(tmp_path, EMBEDDER).scores([Query(text="fine so far")])
    return tmp_path


def refuse(directory: Path, match: str | None = None, embedder: Any = EMBEDDER) -> str:
    with pytest.raises(ArtefactError, match=match) as caught:
        routers.load(directory, embedder)
    return str(caught.value)


def edit(directory: Path, **changes: Any) -> None:
    path = directory / "router.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite_arrays(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the arrays and make the digest fit again."""
    import hashlib

    with np.load(directory / "arrays.npz") as found:
        arrays = dict(found)
    change(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (directory / "arrays.npz").write_bytes(buffer.getvalue())
    edit(directory, sha256=hashlib.sha256(buffer.getvalue()).hexdigest())


@pytest.mark.parametrize("file", ["router.json", "arrays.npz"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files(saved: Path, file: str, keep: float) -> None:
    content = (saved / file).read_bytes()
    (saved / file).write_bytes(content[: int(len(content) * keep)])
    assert "suffice train" in refuse(saved)


@pytest.mark.parametrize("file", ["router.json", "arrays.npz"])
def test_missing_files(saved: Path, file: str) -> None:
    (saved / file).unlink()
    assert "suffice train" in refuse(saved, "cannot be read")


def test_a_flipped_bit(saved: Path) -> None:
    path = saved / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refuse(saved, "damaged")


def test_arrays_of_another_save(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    routers.create("knn", EMBEDDER).fit(TABLE.select(np.arange(20))).save(other)
    (saved / "arrays.npz").write_bytes((other / "arrays.npz").read_bytes())
    refuse(saved, "not the file that was saved")


def test_no_directory(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere", "no router at")
    (tmp_path / "file").write_text("x")
    refuse(tmp_path / "file", "no router at")


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_version(saved: Path, version: int) -> None:
    edit(saved, format=version)
    assert "suffice train" in refuse(saved, f"format {version}, this version reads 1")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "1"},
        {"arms": []},
        {"arms": ["a", "a"]},
        {"arms": ["a"]},
        {"arms": ["a", "b", "c"]},
        {"arms": None},
        {"n_train": "many"},
        {"params": {"no_such": 1}},
        {"params": {"k": "ten", "penalties": "none", "model": 1}},
        {"sha256": ""},
        {"facts": []},
    ],
)
def test_a_manifest_that_does_not_fit(saved: Path, changes: dict[str, Any]) -> None:
    edit(saved, **changes)
    refuse(saved)


@pytest.mark.parametrize("facts", [{}, {"slopes": [1]}, {"slopes": "xx", "penalties": [1, 1], "k": 3}])
def test_facts_that_do_not_fit(saved: Path, facts: dict[str, Any]) -> None:
    edit(saved, facts=facts)
    refuse(saved)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff\xfe", b'{"format": 1}', b"not json"])
def test_a_manifest_that_is_none(saved: Path, content: bytes) -> None:
    (saved / "router.json").write_bytes(content)
    refuse(saved)


def drop(arrays: dict[str, Any]) -> None:
    arrays.pop(next(iter(arrays)))


def shorten(arrays: dict[str, Any]) -> None:
    name = next(iter(arrays))
    arrays[name] = arrays[name][:-1]


def retype(arrays: dict[str, Any]) -> None:
    name = next(iter(arrays))
    arrays[name] = np.full(arrays[name].shape, "x")


def add_axis(arrays: dict[str, Any]) -> None:
    name = next(iter(arrays))
    arrays[name] = arrays[name][None]


@pytest.mark.parametrize("change", [drop, shorten, retype, add_axis])
def test_arrays_that_do_not_fit(saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    rewrite_arrays(saved, change)
    assert "array" in refuse(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["knn", "ridge", "blend"])
def test_numbers_that_are_none(name: str, value: float, tmp_path: Path) -> None:
    routers.create(name, EMBEDDER).fit(TABLE).save(tmp_path)

    def spoil(arrays: dict[str, Any]) -> None:
        arrays[{"knn": "vectors", "ridge": "weights", "blend": "ridge_weights"}[name]][0] = value

    rewrite_arrays(tmp_path, spoil)
    refuse(tmp_path, "NaN or infinity")


class Trap:
    """What a pickle would run."""

    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Trap, "ran", True)


def test_pickles_are_never_opened(saved: Path) -> None:
    def trap(arrays: dict[str, Any]) -> None:
        arrays[next(iter(arrays))] = np.array([Trap()], dtype=object)

    rewrite_arrays(saved, trap)
    assert "no plain arrays" in refuse(saved)
    import hashlib

    packed = pickle.dumps(Trap())
    (saved / "arrays.npz").write_bytes(packed)
    edit(saved, sha256=hashlib.sha256(packed).hexdigest())
    refuse(saved)
    assert not Trap.ran


@pytest.mark.parametrize("name", ["knn", "ridge", "blend"])
def test_another_embedder(name: str, tmp_path: Path) -> None:
    routers.create(name, EMBEDDER).fit(TABLE).save(tmp_path)
    assert HashedNgrams(seed=1).name in refuse(tmp_path, "must not be mixed", HashedNgrams(seed=1))

    class Same(HashedNgrams):
        """Says it is the one, but gives other vectors."""

        name = EMBEDDER.name

    refuse(tmp_path, "now gives 32", Same(dimensions=32))
    routers.load(tmp_path)  # the default embedder is the one
    routers.create(name, HashedNgrams(seed=1)).fit(TABLE).save(tmp_path)
    refuse(tmp_path, "must not be mixed", None)


def test_another_router(saved: Path) -> None:
    with pytest.raises(ArtefactError, match="not 'random'"):
        routers.get("random").load(saved)


def test_saving_again_replaces(tmp_path: Path) -> None:
    routers.create("knn", EMBEDDER).fit(TABLE).save(tmp_path)
    routers.create("strongest").fit(TABLE).save(tmp_path)
    assert routers.read_manifest(tmp_path).router == "strongest"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "router.json"]


@pytest.mark.parametrize("file", ["costs.json", "latencies.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b'{"arms": ["a"]}', None])
def test_cost_and_latency_models(tmp_path: Path, file: str, content: bytes | None) -> None:
    routers.fit_cost_model(TABLE).save(tmp_path)
    routers.fit_latency_model(TABLE).save(tmp_path)
    load = {"costs.json": routers.load_cost_model, "latencies.json": routers.load_latency_model}[file]
    load(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ArtefactError, match="train the router again"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["costs.json", "latencies.json"])
@pytest.mark.parametrize("change", [{"arms": ["a"]}, {"format": 2}, {"arms": ["a", "b", "c"]}])
def test_cost_and_latency_models_that_do_not_fit(tmp_path: Path, file: str, change: dict[str, Any]) -> None:
    routers.fit_cost_model(TABLE).save(tmp_path)
    routers.fit_latency_model(TABLE).save(tmp_path)
    found = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text(json.dumps(found | change))
    with pytest.raises(ArtefactError, match="train the router again"):
        (routers.load_cost_model if file == "costs.json" else routers.load_latency_model)(tmp_path)
