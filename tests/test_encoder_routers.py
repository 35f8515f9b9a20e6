"""Routers that fine-tune a transformer: bert, routerdc, causal_lm. Small ones, built here."""

from __future__ import annotations

import json
import math
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import routers
from suffice.errors import ArtefactError, ConfigError, DataError, MissingDependency
from suffice.outcomes import Outcomes, Preferences
from suffice.routers import tiny
from suffice.routers.causal_lm import label_shares
from suffice.routers.encoder import Encoder, Pieces
from suffice.routers.frozen import above_frozen
from suffice.routers.heads import QualityHead
from suffice.routers.pairs import PairHead, three_ways, win_rates
from suffice.routers.routerdc import sample_llm_loss, sample_sample_loss
from suffice.routers.tiny import HashedWords
from suffice.routers.tuning import Progress, Schedule, _batches, pace_at, tune
from suffice.types import Query

needs_torch = pytest.mark.skipif(
    not all(map(find_spec, ("torch", "transformers", "peft"))), reason="pip install 'suffice[torch]'"
)
SMALL: dict[str, dict[str, Any]] = {
    "bert": {"encoder": "tiny"},
    "routerdc": {"encoder": "tiny"},
    "causal_lm": {"model": "tiny"},
}
NAMES = tuple(SMALL)
SUBJECTS = {
    "maths": ("integral", "derivative", "equation", "polynomial", "matrix", "theorem"),
    "code": ("python", "function", "loop", "compile", "recursion", "array"),
}
ARMS = ("coder", "abacus")


def table(n: int = 300, seed: int = 0) -> Outcomes:
    """Each of two arms is good at one subject."""
    rng = np.random.default_rng(seed)
    is_code = rng.random(n) < 0.5
    words = [SUBJECTS["code" if code else "maths"] for code in is_code]
    texts = [" ".join(rng.choice(own, 4)) + f" {i}" for i, own in enumerate(words)]
    chances = np.where(is_code[:, None], (0.9, 0.2), (0.2, 0.9))
    return Outcomes.from_arrays(texts, ARMS, (rng.random((n, 2)) < chances).astype(float))


def fit(name: str, outcomes: Outcomes, **params: Any) -> Any:
    return routers.create(name, **SMALL[name] | params).fit(outcomes)


QUERIES = [Query(text="an integral of a polynomial, a theorem"), Query(text="a python function, a loop")]


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_what_queries_differ_in_is_learnt_from_outcomes(name: str) -> None:
    reports: list[Progress] = []
    router = routers.create(name, **SMALL[name])
    router.on_progress = reports.append
    scores = router.fit(table()).scores(QUERIES)
    assert scores[0, 1] > scores[0, 0] + 0.3
    assert scores[1, 0] > scores[1, 1] + 0.3
    assert 1 <= len(reports) <= 10
    assert min(report.held_out_loss for report in reports) == router.course_["held_out_loss"]


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_what_queries_differ_in_is_learnt_from_battles(name: str) -> None:
    battles = Preferences.from_outcomes(table())
    router = routers.create(name, **SMALL[name]).fit_preferences(battles)
    scores = router.scores(QUERIES)
    places = [router.arms.index(arm) for arm in ARMS]
    gaps = (scores[:, places[0]] - scores[:, places[1]]).tolist()
    assert gaps[0] < -0.1 < 0.1 < gaps[1]
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=0.02)


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_the_side_on_which_a_model_stands_does_not_matter(name: str) -> None:
    battles = Preferences.from_outcomes(table(60))
    turned = Preferences.from_columns(
        battles.query_id, battles.query, battles.model_b, battles.model_a, 1 - battles.pref_b
    ).select(np.arange(len(battles))[::-1])
    both = [
        routers.create(name, **SMALL[name], max_steps=10).fit_preferences(one).scores(QUERIES)
        for one in (battles, turned)
    ]
    np.testing.assert_allclose(both[0], both[1], atol=1e-3)


@needs_torch
def test_battles_are_kept_on_disk(tmp_path: Path) -> None:
    battles = Preferences.from_outcomes(table(80))
    for name in ("bert", "causal_lm"):
        router = routers.create(name, **SMALL[name], max_steps=20).fit_preferences(battles)
        router.save(tmp_path / name)
        loaded = routers.load(tmp_path / name)
        np.testing.assert_array_equal(loaded.scores(QUERIES), router.scores(QUERIES))
        assert loaded.explain(QUERIES[0]) == router.explain(QUERIES[0])


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_no_battles(name: str) -> None:
    nothing = Preferences.from_columns(["1"], ["a"], ["m"], ["n"], [np.nan])
    with pytest.raises(DataError, match="none of 1 pairs"):
        routers.create(name, **SMALL[name]).fit_preferences(nothing)


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_few_texts_leave_every_arm_its_mean(name: str) -> None:
    few = table(15)
    expected = np.tile(few.quality.mean(axis=0), (2, 1))
    np.testing.assert_allclose(fit(name, few).scores(QUERIES), expected, atol=1e-9)


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_noise_is_not_followed_far(name: str) -> None:
    noise = np.random.default_rng(3).random((300, 2)).round()
    scores = fit(name, Outcomes.from_arrays(table().texts, ARMS, noise)).scores(table().queries)
    assert np.abs(scores - noise.mean(axis=0)).mean() < 0.06


@needs_torch
def test_rows_used_at_most() -> None:
    router = fit("bert", table(), max_rows=40, max_steps=5)
    assert len(router.head_.quality) == 40
    turned = fit("bert", table().select(np.arange(300)[::-1]), max_rows=40, max_steps=5)
    np.testing.assert_array_equal(router.scores(QUERIES), turned.scores(QUERIES))
    battles = Preferences.from_outcomes(table())
    assert routers.create("bert", encoder="tiny", max_rows=30).fit_preferences(battles).n_train_ == 30


@needs_torch
def test_frozen_layers_stay() -> None:
    before = Encoder.open("tiny").model.state_dict()
    after = fit("bert", table(60), frozen_layers=1, max_steps=5).encoder_.model.state_dict()
    moved = {name for name, tensor in after.items() if not (tensor == before[name].half().float()).all()}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)


@needs_torch
def test_frozen_layers_read_every_text_once() -> None:
    encoder = Encoder.open("tiny")
    tokens = encoder.tokens(["a b c", "", "one two three four five six"])
    assert above_frozen(encoder, tokens) == (encoder, tokens)
    encoder.freeze(1)
    upper, kept = above_frozen(encoder, tokens)
    assert [len(row) for row in kept] == [len(row) for row in tokens]
    np.testing.assert_allclose(upper.all_states(kept), encoder.all_states(tokens), atol=5e-3)
    upper.states(kept).sum().backward()
    moved = {name for name, weight in encoder.model.named_parameters() if weight.grad is not None}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)


@needs_torch
def test_only_additions_of_a_language_model_are_trained_and_saved(tmp_path: Path) -> None:
    router = fit("causal_lm", table(60), max_steps=5)
    router.save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as arrays:
        own = [name for name in arrays.files if name.startswith("encoder.")]
    assert own
    assert all("lora_" in name and "_proj" in name for name in own)
    before, after = Encoder.open("tiny", pooling="last").model, router.encoder_.model
    np.testing.assert_array_equal(
        after.layers[0].self_attn.q_proj.base_layer.weight.detach().numpy(),
        before.layers[0].self_attn.q_proj.weight.detach().numpy(),
    )


@needs_torch
def test_a_language_model_that_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit("causal_lm", table(60), max_steps=5).save(tmp_path)
    monkeypatch.setattr(tiny, "_SEED", 1)
    with pytest.raises(ArtefactError, match="weights differ"):
        routers.load(tmp_path)


def words(directory: Path) -> None:
    """A tokenizer of whole words, as transformers saves one."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *SUBJECTS["maths"], *SUBJECTS["code"]]
    numbers = {word: number for number, word in enumerate(known)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(
        directory
    )


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A directory with a small encoder."""
    tiny.tiny_encoder(64).save_pretrained(tmp_path / "encoder")
    words(tmp_path / "encoder")
    return tmp_path / "encoder"


@needs_torch
def test_an_artefact_holds_all_of_a_fine_tuned_encoder(pretrained: Path, tmp_path: Path) -> None:
    router = routers.create("bert", encoder=str(pretrained), learning_rate=1e-3).fit(table())
    scores = router.scores([*QUERIES, Query(text="")])
    assert scores[0, 1] > scores[0, 0]
    router.save(tmp_path / "router")
    shutil.rmtree(pretrained)
    np.testing.assert_array_equal(
        routers.load(tmp_path / "router").scores([*QUERIES, Query(text="")]), scores
    )


@needs_torch
def test_a_language_model_of_a_directory(tmp_path: Path) -> None:
    tiny.tiny_causal(64).save_pretrained(tmp_path / "model")
    words(tmp_path / "model")
    router = routers.create("causal_lm", model=str(tmp_path / "model"), max_steps=5).fit(table(60))
    router.save(tmp_path / "router")
    np.testing.assert_array_equal(routers.load(tmp_path / "router").scores(QUERIES), router.scores(QUERIES))


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_here(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    where = "model" if name == "causal_lm" else "encoder"
    with pytest.raises(ConfigError, match=r"nobody/nothing.*hf download nobody/nothing.*tiny"):
        routers.create(name, **{where: "nobody/nothing"}).fit(table(30))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in NAMES:
        assert routers.get(name).extra == "torch"
        with pytest.raises(MissingDependency, match=r"suffice\[torch\]"):
            fit(name, table(30))


@needs_torch
@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found["facts"]["head"].update(kind="cosine"),
        lambda found: found["facts"]["head"].update(slope="steep"),
        lambda found: found["facts"]["encoder"].update(config={"model_type": "nothing"}),
        lambda found: found["facts"]["encoder"]["config"].update(hidden_size=32),
        lambda found: found["facts"].pop("course"),
        lambda found: found.update(params={"encoder": "tiny", "epochs": 0}),
    ],
)
def test_a_manifest_that_does_not_fit(spoil: Any, tmp_path: Path) -> None:
    fit("bert", table(30), max_steps=2).save(tmp_path)
    path = tmp_path / "router.json"
    found = json.loads(path.read_text())
    spoil(found)
    path.write_text(json.dumps(found))
    with pytest.raises(ArtefactError, match="suffice train"):
        routers.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("bert", {"epochs": 0}),
        ("bert", {"batch": 0}),
        ("bert", {"held_out": 1.0}),
        ("bert", {"max_rows": 0}),
        ("bert", {"frozen_layers": -1}),
        ("bert", {"learning_rate": 0.0}),
        ("routerdc", {"n_best": 0}),
        ("routerdc", {"temperature": 0.0}),
        ("routerdc", {"cluster_weight": -1.0}),
        ("causal_lm", {"rank": 0}),
        ("causal_lm", {"max_length": 12}),
    ],
)
def test_parameters_that_cannot_be(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=name):
        fit(name, table(30), **params)


@needs_torch
def test_texts_become_vectors_whatever_stands_beside_them() -> None:
    import torch

    encoder = Encoder.open("tiny", max_length=32)
    rows = encoder.tokens(["integral", "a python function with a loop", ""])
    together = encoder.all_states(rows)
    for place, row in enumerate(rows):
        with torch.no_grad():
            found = encoder.model(input_ids=torch.tensor([row])).last_hidden_state[0]
        np.testing.assert_allclose(together[place], found.mean(dim=0), atol=1e-5)
    causal = Encoder.open("tiny", pooling="last", max_length=32)
    rows = causal.tokens(["integral", "a python function with a loop"])
    with torch.no_grad():
        found = causal.model(input_ids=torch.tensor([rows[0]])).last_hidden_state[0]
    np.testing.assert_allclose(causal.all_states(rows)[0], found[-1], atol=1e-5)


@needs_torch
def test_the_end_of_a_prompt_is_never_cut() -> None:
    encoder = Encoder.open("tiny", pooling="last", max_length=32)
    short, long = encoder.tokens(["why", "why " * 1000], "[Question]\n", "\n\nPrediction:\n")
    end = HashedWords().bare("Prediction:")
    assert len(long) == 32
    assert short[-2:] == long[-2:] == end


@needs_torch
def test_words_of_a_pretrained_tokenizer(pretrained: Path) -> None:
    tokenizer = Pieces((pretrained / "tokenizer.json").read_text())
    text = "integral theorem unheard-of"
    assert tokenizer.encode(text, 64) == [2, 4, 9, 1, 1, 1, 3]
    assert tokenizer.encode(text, 4) == [2, 4, 9, 3]
    assert tokenizer.bare("integral") == [4]
    assert tokenizer.encode(text, 64)[-1] == 3


def test_hashed_words() -> None:
    words = HashedWords()
    assert words.encode("", 8) == [1]
    assert words.encode("Python, python", 8) == words.encode("python , python", 8)
    assert len(words.encode("x " * 100, 8)) == 8
    assert all(2 <= number < tiny.N_WORDS for number in words.bare("你好 🙂 été x_1"))


@needs_torch
def test_the_sample_llm_loss_is_the_papers() -> None:
    import torch

    rng = np.random.default_rng(0)
    similar, quality = rng.normal(size=(6, 5)), rng.permuted(np.tile(np.linspace(0, 1, 5), (6, 1)), axis=1)
    mask = np.ones((6, 5))
    mask[2, 1] = mask[4, [0, 3]] = 0
    total = 0.0
    for i in range(6):
        known = [k for k in range(5) if mask[i, k]]
        best = sorted(known, key=lambda k: -quality[i, k])[:2]
        worst = [k for k in sorted(known, key=lambda k: quality[i, k])[:3] if quality[i, k] <= 0.5]
        for k in (k for k in best if quality[i, k] > 0):
            against = [j for j in worst if j != k]
            weights = [math.exp(similar[i, j]) for j in (k, *against)]
            total -= math.log(weights[0] / sum(weights))
    found = sample_llm_loss(*map(torch.tensor, (similar, quality, mask)), n_best=2, n_worst=3)
    assert float(found) == pytest.approx(total / 6, rel=1e-6)


@needs_torch
def test_the_sample_sample_loss_is_the_papers() -> None:
    import torch

    similar = np.random.default_rng(1).normal(size=(5, 5))
    clusters = np.array([0, 1, 0, 1, 2])  # one mate each, three others; the last is alone
    mates, others = {0: 2, 1: 3, 2: 0, 3: 1}, {0: (1, 3, 4), 1: (0, 2, 4), 2: (1, 3, 4), 3: (0, 2, 4)}
    losses = [
        -math.log(
            math.exp(similar[i, mates[i]]) / sum(math.exp(similar[i, j]) for j in (mates[i], *others[i]))
        )
        for i in range(4)
    ]
    found = sample_sample_loss(torch.tensor(similar), clusters)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-6)
    assert float(sample_sample_loss(torch.tensor(similar), np.zeros(5, int))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_graded_targets_keep_their_mean(values: list[float]) -> None:
    given_ = np.array(values)
    for shares, scale in ((three_ways(given_), (0, 0.5, 1)), (label_shares(given_), np.linspace(0, 1, 5))):
        assert (shares >= 0).all()
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        np.testing.assert_allclose(shares @ np.array(scale), given_, atol=1e-12)


def test_win_rates_are_davidsons() -> None:
    outputs = np.random.default_rng(2).normal(size=(4, 4)) * 3
    found = win_rates(outputs)
    for row, (*utilities, tie) in enumerate(outputs.tolist()):
        for k, own in enumerate(utilities):
            chances = []
            for other in utilities[:k] + utilities[k + 1 :]:
                win, loss = math.exp((own - other) / 2), math.exp((other - own) / 2)
                chances.append((win + math.exp(tie) / 2) / (win + loss + math.exp(tie)))
            assert found[row, k] == pytest.approx(np.mean(chances))
    np.testing.assert_allclose(win_rates(np.array([[900.0, -900.0, 0.0]])), [[1.0, 0.0]])


@needs_torch
def test_the_loss_of_battles_is_their_cross_entropy() -> None:
    import torch

    battles = Preferences.from_columns(
        ["1", "1", "2"], ["x", "x", "y"], ["a", "b", "c"], ["b", "c", "a"], [1.0, 0.25, 0.5]
    )
    head = PairHead(3, 3)
    head.teach(battles, {"x": 0, "y": 1}, "cpu")
    states = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    outputs = head.module(states).tolist()

    def chances(text: int, a: int, b: int) -> np.ndarray[Any, Any]:
        gap = (outputs[text][b] - outputs[text][a]) / 2
        weights = np.exp([-gap, outputs[text][3], gap])
        return np.asarray(weights / weights.sum())

    targets = three_ways(np.array([1.0, 0.25, 0.5]))
    logs = [np.log(chances(0, 0, 1)), np.log(chances(0, 1, 2)), np.log(chances(1, 2, 0))]
    assert float(head.loss(states, np.array([0, 1])).detach()) == pytest.approx(
        -np.sum(targets * logs) / 3, rel=1e-5
    )


@needs_torch
def test_unknown_quality_has_no_gradient() -> None:
    import torch

    head = QualityHead(4, 2)
    head.teach(np.array([[1.0, np.nan], [0.0, np.nan], [0.5, np.nan]]), "cpu")
    head.loss(torch.randn(3, 4), np.arange(3)).backward()
    assert head.module.weight.grad[0].abs().sum() > 0
    assert head.module.weight.grad[1].abs().sum() == 0
    assert np.isnan(head.scores(torch.randn(2, 4))[:, 1]).all()


@needs_torch
def test_training_goes_back_to_its_best_look() -> None:
    import torch

    body, head = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    looks = iter([3.0, 1.0, 2.0, 2.5, 0.0])
    seen = []

    def held_out() -> float:
        seen.append(float(body.weight.detach()))
        return next(looks)

    schedule = Schedule(epochs=10, max_steps=100, batch=2, rate=0.1, head_rate=0.1, patience=2, seed=0)
    best = tune(
        body, head, lambda rows: head(body(torch.ones(1, 1))).sum(), held_out, [], np.arange(20), schedule
    )
    assert best.held_out_loss == 1.0
    assert best.n_steps == 100
    assert len(seen) == 4
    assert float(body.weight.detach()) == seen[1]
    assert not body.training


def test_steps_warm_up_and_die_down() -> None:
    for n in (1, 2, 10, 1000):
        paces = [pace_at(step, n) for step in range(n)]
        assert all(0 < pace <= 1 for pace in paces)
        assert max(paces) == 1
    assert pace_at(1000, 1000) == 0


@pytest.mark.parametrize("lengths", [[], [5, 1, 4, 2, 3] * 7])
def test_every_epoch_shows_every_row_once(lengths: list[int]) -> None:
    rows = np.arange(35)
    schedule = Schedule(epochs=2, max_steps=99, batch=4, rate=1, head_rate=1, patience=1, seed=0)
    n_steps = schedule.steps(len(rows))
    assert n_steps == 18
    shown = np.concatenate(list(_batches(rows, lengths, n_steps, schedule)))
    for epoch in (shown[:35], shown[35:]):
        assert sorted(epoch.tolist()) == list(range(35))
