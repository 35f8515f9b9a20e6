"""Gates: planted strategies, the loop against the vectorised walk, files, advice, commands, bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import Commands
from suffice import gating
from suffice.errors import ArtefactError, ConfigError, DataError, NotFitted, UnknownName
from suffice.evaluation.gating import Predictor, Recordings, compare, read_recordings
from suffice.gating import Advice, Pay, Situation, Strategies, advise
from suffice.gating.base import BaseGate
from suffice.gating.looks import looks, pair, words
from suffice.gating.ridges import Ridges
from suffice.types import FloatArray

ARMS = ("none", "single", "multi")
SCORES = np.array([[0.95, 0.9, 0.9], [0.3, 0.9, 0.9], [0.2, 0.3, 0.8]])


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def planted(n: int = 400, seed: int = 0) -> tuple[Strategies, FloatArray]:
    """Kind 0 is known by heart, 1 wants one look-up, 2 several; right answers agree, wrong ones do not."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, size=n)
    chance = SCORES[kind]
    quality = (rng.random((n, 3)) < chance).astype(float)
    answers = np.array(
        [
            [
                f"town{row}" if right else ("not available" if arm else f"guess{row}")
                for arm, right in enumerate(one)
            ]
            for row, one in enumerate(quality)
        ],
        dtype=object,
    )
    calls = np.column_stack([np.zeros(n), np.ones(n), rng.integers(2, 6, n)])
    texts = [
        f"{('capital of', 'height of', 'birthplace of the director of')[k]} thing{i}?"
        for i, k in enumerate(kind)
    ]
    noisy = np.clip(chance + rng.normal(0, 0.1, chance.shape), 0.02, 0.98)
    sure = np.where(quality > 0, 0.8, 0.3) + rng.normal(0, 0.1, quality.shape)
    table = Strategies.of(
        texts,
        ARMS,
        quality,
        calls,
        np.maximum(calls, 1),
        responses=answers,
        readings={"sure": sure, "prefix_margin": sure + rng.normal(0, 0.2, quality.shape)},
    )
    return table, noisy


def every_gate() -> list[BaseGate]:
    return [
        gating.create(name, **({"signal": "sure"} if name == "confidence_probe" else {}))
        for name in gating.available()
    ]


@pytest.mark.parametrize("gate", every_gate(), ids=lambda gate: gate.name)
def test_walk_next_and_files_agree(gate: BaseGate, tmp_path: Path) -> None:
    table, scores = planted(150)
    gate.fit(table, scores, Pay(0.02, 0.001))
    found = gate.walk(table, scores)
    slow = BaseGate.walk(gate, table, scores)
    gate.save(tmp_path / "gate")
    again = gating.load_gate(tmp_path / "gate").walk(table, scores)
    for other in (slow, again):
        assert (found.arm == other.arm).all()
        np.testing.assert_allclose(found.retrieval_calls, other.retrieval_calls)
        np.testing.assert_allclose(found.lm_calls, other.lm_calls)


def test_stepwise_beats_every_fixed_strategy_and_saves_calls() -> None:
    table, scores = planted(1200)
    train, test = np.arange(600), np.arange(600, 1200)
    gate = gating.create("stepwise").fit(table.select(train), scores[train], Pay(0.01))
    rest = table.select(test)
    found = gate.walk(rest, scores[test])
    assert found.quality.mean() > rest.quality[:, 2].mean() + 0.02
    assert found.retrieval_calls.mean() < 0.6 * rest.retrieval_calls[:, 2].mean()
    assert (gate.needs_retrieval(rest, scores[test])[rest.quality[:, 0] == 0]).mean() > 0.6


@pytest.mark.parametrize("name", ["utility", "stepwise", "confidence_probe", "prefix_margin"])
def test_a_dearer_look_up_is_asked_for_less(name: str) -> None:
    table, scores = planted(500)
    params = {"signal": "sure"} if name == "confidence_probe" else {}
    calls = [
        gating.create(name, **params)
        .fit(table, scores, Pay(price))
        .walk(table, scores)
        .retrieval_calls.mean()
        for price in (0.0, 0.03, 0.1, 10.0)
    ]
    assert calls == sorted(calls, reverse=True)
    assert calls[0] > 0 and calls[-1] == 0


def test_silver_labels_are_the_simplest_that_suffices() -> None:
    quality = [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    ones = np.ones((4, 3))
    table = Strategies.of(list("abcd"), ARMS, quality, ones * [0, 1, 3], ones)
    assert gating.create("classifier").targets(table).argmax(axis=1).tolist() == [0, 1, 2, 2]


def test_what_cannot_be_read_is_looked_up() -> None:
    table, scores = planted(200)
    gate = gating.create("confidence_probe", signal="sure").fit(table, scores, Pay(0.02))
    dark = Strategies.of(
        table.queries, ARMS, table.quality, table.retrieval_calls, table.lm_calls,
        responses=table.responses, readings={"sure": np.full((200, 3), np.nan)},
    )  # fmt: skip
    assert (gate.walk(dark, scores).retrieval_calls > 0).all()


def test_strategies_are_put_in_order() -> None:
    table = Strategies.of(["q"], ["multi", "none", "single"], [[0.3, 0.1, 0.2]], [[4, 0, 1]], [[4, 1, 1]])
    assert table.arms == ARMS
    assert table.quality.tolist() == [[0.1, 0.2, 0.3]]


def test_looks() -> None:
    assert words("The answer is: Not available!") == ("answer", "is", "not", "available")
    assert looks(words("no answer"), words("who?"))[1] == 1
    assert looks((), words("who?"))[-1] == 1
    assert pair(words("The Hague"), words("hague")) == [1, 1, 1]
    assert pair((), ()) == [0, 0, 0]


def test_ridges_against_least_squares() -> None:
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(60, 4)), rng.normal(size=(60, 2))
    parts = np.arange(60) % 3
    found = Ridges(rows, parts, 1e-9)
    design = np.column_stack([rows, np.ones(60)])
    inside = parts != 1
    exact = design[~inside] @ np.linalg.lstsq(design[inside], targets[inside], rcond=None)[0]
    np.testing.assert_allclose(found.out_of_fold(targets)[~inside], exact, atol=1e-6)


@pytest.mark.parametrize(
    ("situation", "gate"),
    [
        (Situation(queries="simple", latency="tight"), "rules"),
        (Situation(queries="simple", latency="tight", has_entities=True), "popularity"),
        (Situation(latency="loose"), "confidence_probe"),
        (Situation(access="logprobs", queries="single_hop", latency="tight"), "prefix_margin"),
        (Situation(access="logprobs", n_labels=300, training="labels"), "confidence_probe"),
        (Situation(n_labels=2_000, training="labels"), "stepwise"),
        (Situation(n_labels=2_000, training="labels", latency="tight"), "classifier"),
        (Situation(access="weights", training="finetune"), "self_rag"),
        (Situation(access="weights", training="rl", queries="multi_hop", latency="loose"), "search_r1"),
    ],
)
def test_every_row_of_the_framework(situation: Situation, gate: str) -> None:
    found: Advice = advise(situation)
    assert found.gate == gate
    assert len(found.reason) > 30


def test_bad_input() -> None:
    table, scores = planted(60)
    with pytest.raises(DataError, match="scores have shape"):
        gating.create("utility").fit(table, scores[:, :2], Pay())
    with pytest.raises(DataError, match="no query"):
        gating.create("utility").fit(table.select([]), scores[:0], Pay())
    with pytest.raises(UnknownName):
        gating.create("always", strategy="often").fit(table, scores, Pay())
    with pytest.raises(DataError, match="reads other"):
        gating.create("confidence_probe", signal="other").fit(table, scores, Pay())
    with pytest.raises(ConfigError):
        gating.create("stepwise", penalty=0)
    with pytest.raises(DataError, match="at least 10"):
        gating.create("stepwise").fit(table.select(range(5)), scores[:5], Pay())
    without = Strategies.of(table.queries, ARMS, table.quality, table.retrieval_calls, table.lm_calls)
    with pytest.raises(DataError, match="looks at the answers"):
        gating.create("stepwise").fit(without, scores, Pay())
    with pytest.raises(NotFitted):
        gating.create("never").save(Path("nowhere"))
    with pytest.raises(DataError, match="outside 0 to 1"):
        Strategies.of(["q"], ["a", "b"], [[0, np.nan]], [[0, 1]], [[1, 1]])
    with pytest.raises(DataError, match="two different"):
        Strategies.of(["q"], ["a", "a"], [[0, 1]], [[0, 1]], [[1, 1]])


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    table, scores = planted(60)
    gating.create("stepwise").fit(table, scores, Pay()).save(tmp_path)
    manifest = json.loads((tmp_path / "cascade.json").read_text())
    manifest["facts"]["arms"] = ["none", "single"]
    (tmp_path / "cascade.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError):
        gating.load_gate(tmp_path)


def test_chosen_on_training_queries_alone() -> None:
    table, _ = planted(600)
    tasks = tuple(text.split(" of")[0] for text in table.texts)
    whole = Recordings(table=table, tasks=tasks, assumed={})
    train, test = whole.select(range(400)), whole.select(range(400, 600))
    found = compare(
        train,
        test,
        gates={"never": {}, "stepwise": {}, "utility": {}},
        router="ridge",
        prices=(0.0, 0.01, 0.05),
    )
    shuffled = Recordings(table=test.table, tasks=test.tasks, assumed={})
    shuffled.table.quality[:] = 1 - shuffled.table.quality
    other = compare(
        train,
        shuffled,
        gates={"never": {}, "stepwise": {}, "utility": {}},
        router="ridge",
        prices=(0.0, 0.01, 0.05),
    )
    assert (found.recommended.gate, found.recommended.retrieval_price) == (
        other.recommended.gate,
        other.recommended.retrieval_price,
    )
    assert found.baselines["oracle"].in_accuracy >= found.recommended.in_accuracy
    assert found.recommended.in_accuracy > found.baselines["multi"].in_accuracy - 0.03
    assert found.recommended.retrieval_calls < found.baselines["multi"].retrieval_calls


def test_a_predictor_survives_its_files(tmp_path: Path) -> None:
    table, _ = planted(120)
    rows = Recordings(table=table, tasks=tuple("ab"[i % 2] for i in range(120)), assumed={})
    found = Predictor("ridge").fit(rows, table.quality)
    found.save(tmp_path)
    np.testing.assert_allclose(Predictor.load(tmp_path).scores(table.queries), found.scores(table.queries))


def write(path: Path, table: Strategies, **more: Any) -> Path:
    lines = [
        {
            "query_id": f"{path.stem}-{row}",
            "query": query.text,
            "strategy": name,
            "score": table.quality[row, arm],
            "response": table.answer(row, arm),
            "retrieval_calls": None if name == "multi" and row % 2 else table.retrieval_calls[row, arm],
            "sure": table.readings["sure"][row, arm],
        }
        | more
        for row, query in enumerate(table.queries)
        for arm, name in enumerate(table.arms)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_commands(tmp_path: Path, suffice: Commands) -> None:
    table, _ = planted(300)
    train = write(tmp_path / "train.jsonl", table.select(range(200)))
    test = write(tmp_path / "test.jsonl", table.select(range(200, 300)))
    assert read_recordings(train).assumed["retrieval_calls of multi"] == "3.33 for 100 of 200"
    done = suffice("gate", "evaluate", "--train", str(train), "--test", str(test), "--router", "ridge",
               "--signal", "sure", "--json")  # fmt: skip
    found = json.loads(done.out)
    wanted = {"in_accuracy", "retrieval_calls", "lm_calls", "share", "auroc_needs_retrieval"}
    assert all(
        wanted <= set(one) for one in [*found["gates"].values(), found["recommended"], *found["frontier"]]
    )
    assert set(found["baselines"]) == {"never", "single", "multi", "oracle"}
    assert "confidence_probe(sure)" in found["gates"]
    few = ("--gates", "utility,always", "--router", "ridge")
    assert "recommended" in suffice("gate", "evaluate", "--train", str(train), "--test", str(test), *few).out
    probe = ("--gates", "confidence_probe", "--signal", "-sure")
    shown = suffice("gate", "evaluate", "--train", str(train), "--test", str(test), *probe)
    assert shown.code == 0 and "confidence_probe(-sure) *" in shown.out
    out = tmp_path / "gate"
    suffice("gate", "train", "--data", str(train), "--router", "ridge", "--out", str(out))
    assert gating.load_gate(out).name == "stepwise"
    assert Predictor.load(out / "router").arms == ARMS
    assert suffice("gate", "advise", "--labels", "800").out.startswith("stepwise: ")


def test_commands_refuse(tmp_path: Path, suffice: Commands) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text(json.dumps({"query_id": "1", "query": "q", "model": "m", "score": 1}))
    assert "strategy" in suffice("gate", "train", "--data", str(path), "--out", str(tmp_path / "x")).err
    lines = [{"query_id": "1", "query": "q", "strategy": one, "score": 1} for one in ("none", "often")]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert "often" in suffice("gate", "train", "--data", str(path), "--out", str(tmp_path / "x")).err
    both = ("--train", str(path), "--test", str(path), "--gates", "confidence_probe")
    assert "--signal COLUMN" in suffice("gate", "evaluate", *both).err
    probe = ("--gate", "confidence_probe", "--out", str(tmp_path / "x"))
    assert "--signal COLUMN" in suffice("gate", "train", "--data", str(path), *probe).err
    probe = ("--gate", "confidence_probe", "--signal", "absent", "--out", str(tmp_path / "x"))
    assert "'absent': no such column" in suffice("gate", "train", "--data", str(path), *probe).err
