"""The router that ships trained: what it knows, what it does not, and what a few labels add."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from suffice import routers
from suffice.errors import ArtefactError, ConfigError, UnknownModel
from suffice.outcomes import Outcomes
from suffice.routers import builtin_data
from suffice.routers.builtin import Builtin
from suffice.routers.builtin_text import SHAPES, shape, text_hashes
from suffice.routers.prior import prior_scores
from suffice.types import Candidate, Price, Query

EASY = "What is the capital of France?"
HARD = (
    "A sequence of 2024 integers satisfies $a_{n+1} = 3a_n - 7a_{n-1} + 12$ with $a_1 = 41$ and $a_2 = 157$. "
    "Find the remainder when the sum of $a_1^{2024}, a_2^{2023}, \\dots$ is divided by 10007, and prove it."
)
ODD = "zxqv blorptangle frumiously qwertzuiopad snarkblat"


def candidate(name: str, usd: str | None = None, strength: float | None = None) -> Candidate:
    price = (
        Price() if usd is None else Price(input_usd_per_mtok=Decimal(usd), output_usd_per_mtok=Decimal(usd))
    )
    return Candidate(name=name, provider="openai", model=name, price=price, strength=strength)


PANEL = [candidate("cheap", "0.2"), candidate("middle", "2"), candidate("dear", "30")]


def ready(panel: list[Candidate] = PANEL) -> Builtin:
    made = routers.untrained("builtin", panel)
    assert isinstance(made, Builtin)
    return made


def scores(router: Builtin, *texts: str) -> np.ndarray:
    return router.scores([Query(text=text) for text in texts])


def test_dearer_is_expected_to_be_better_and_hard_harder() -> None:
    found = scores(ready(), EASY, HARD)
    assert np.all(np.diff(found, axis=1) > 0)
    assert np.all(found[0] > found[1])


def test_strength_goes_before_price() -> None:
    router = ready([candidate("rated", "0.1", strength=0.95), candidate("dear", "30")])
    assert scores(router, EASY)[0].argmax() == 0


def test_nothing_known_of_a_candidate_is_no_reason_to_trust_it() -> None:
    found = scores(ready([*PANEL, candidate("unknown")]), EASY)[0]
    assert found[3] == pytest.approx(found[0])
    alike = scores(ready([candidate("a"), candidate("b")]), ODD)[0]
    assert alike[0] == alike[1] > 0


@pytest.mark.parametrize("text", [ODD, "", "你好，世界", "\ud800"])
def test_unfamiliar_texts_go_to_the_strongest(text: str) -> None:
    router = ready()
    assert router.familiarity([text])[0] < 0.5
    found = scores(router, text)[0]
    assert found[2] > 2 * found[0]
    assert found[0] <= found[1] <= found[2]
    assert "unfamiliar" in str(router.explain(Query(text=text)).evidence)


def test_familiar_texts_are_explained() -> None:
    router = ready()
    assert router.familiarity([EASY, HARD]).min() > 0.9
    evidence = " ".join(router.explain(Query(text="Write a python function to sort a list.")).evidence)
    assert "domain code" in evidence and "easy" in evidence and "price or strength" in evidence
    assert "domain maths" in " ".join(router.explain(Query(text=HARD)).evidence)
    assert "hard" in router.explain(Query(text=HARD)).evidence[0]


def domains_table(n: int, seed: int = 0) -> Outcomes:
    """`poet` writes no code, `coder` nothing else; both of the same mean."""
    rng = np.random.default_rng(seed)
    code = ["Write a python function to reverse a {} list.", "Write a function to count the {} in an array."]
    lore = ["Who wrote the famous novel about {}?", "In which country was the actor of {} born?"]
    words = ["long", "small", "old", "famous", "red", "happy", "green", "first", "last", "big"]
    is_code = rng.random(n) < 0.5
    texts = [str(rng.choice(code if one else lore)).format(" ".join(rng.choice(words, 2))) for one in is_code]
    right = np.column_stack((np.where(is_code, 0.1, 0.9), np.where(is_code, 0.9, 0.1)))
    return Outcomes.from_arrays(texts, ("poet", "coder"), (rng.random((n, 2)) < right).astype(float))


def test_a_few_dozen_labels_teach_who_is_good_at_what() -> None:
    router = routers.create("builtin").fit(domains_table(40))
    test = domains_table(200, seed=1)
    chosen = np.take_along_axis(test.quality, router.scores(test.queries).argmax(axis=1)[:, None], axis=1)
    assert chosen.mean() > 0.8


def test_an_added_model_is_as_if_fitted_and_leaves_the_others() -> None:
    table = domains_table(60)
    router = ready([candidate("poet", "1"), candidate("other", "30")])
    before = scores(router, EASY)
    router.add_model("coder", table)
    assert router.arms == ("poet", "other", "coder")
    after = scores(router, EASY)
    np.testing.assert_array_equal(after[:, :2], before)
    fitted = routers.create("builtin").fit(table)
    assert after[0, 2] == pytest.approx(fitted.scores([Query(text=EASY)])[0, 1])
    with pytest.raises(UnknownModel, match="absent"):
        router.add_model("absent", table)


def test_the_posterior_is_where_the_gradient_is_nought() -> None:
    """Against central differences of the log posterior, written out."""
    table = domains_table(30)
    router = routers.create("builtin").fit(table)
    read, familiarity = builtin_data.pretrained().read(table.texts)
    read[:, 2:] -= 1 / (read.shape[1] - 2)
    x = np.hstack((np.ones((len(read), 1)), read * familiarity[:, None]))
    level = builtin_data.facts().level
    mean = np.array([level, 1.0, 0.0, *[0.0] * (x.shape[1] - 3)])
    sd = np.array([2.0, 0.5, 0.5, *[0.7] * (x.shape[1] - 3)])

    def log_posterior(theta: np.ndarray) -> float:
        right = 1 / (1 + np.exp(-(x @ theta)))
        y = table.quality[:, 0]
        return float(
            np.sum(y * np.log(right) + (1 - y) * np.log(1 - right)) - np.sum(((theta - mean) / sd) ** 2) / 2
        )

    for step in np.eye(x.shape[1]) * 1e-4:
        slope = log_posterior(router.thetas_[0] + step) - log_posterior(router.thetas_[0] - step)
        assert abs(slope / 2e-4) < 1e-4


def test_untrained_survives_saving(tmp_path: Path) -> None:
    router = ready()
    router.save(tmp_path)
    again = routers.load(tmp_path)
    np.testing.assert_array_equal(again.scores([Query(text=ODD)]), scores(router, ODD))


def test_another_reading_is_an_error(tmp_path: Path) -> None:
    ready().save(tmp_path)
    manifest = tmp_path / "router.json"
    manifest.write_text(manifest.read_text().replace('"reading": "1/', '"reading": "0/'))
    with pytest.raises(ArtefactError, match="another built-in reading"):
        routers.load(tmp_path)


def test_parameters_and_candidates_are_checked() -> None:
    with pytest.raises(ConfigError, match="prior_weight"):
        routers.create("builtin", prior_weight=0.0).fit(domains_table(5))
    with pytest.raises(ConfigError, match="no candidates"):
        routers.untrained("builtin", [])


def test_training_texts_are_known_again() -> None:
    """A question of MMLU that stands in the training data, in another case and spacing."""
    known = (
        "find the degree for the given field  extension Q(sqrt(2), sqrt(3), sqrt(18)) over Q.\n"
        "A. 0\nB. 4\nC. 2\nD. 6\nAnswer:"
    )
    assert ready().seen([known, ODD, ""]).tolist() == [True, False, False]
    assert text_hashes(["A  b"])[0] == text_hashes(["a B"])[0]


def test_shapes_of_a_text() -> None:
    found = dict(
        zip(SHAPES, shape("Ann has 12 eggs. She sells half for $3.50 each.\nA. 1\nB. 2"), strict=True)
    )
    assert found["numbers"] == pytest.approx(np.log1p(2))
    assert found["largest number"] == 2
    assert found["answers to choose from"] == pytest.approx(np.log1p(2))
    assert found["parts and multiples"] == pytest.approx(np.log1p(2))
    assert found["other scripts"] == 0
    assert np.isfinite([shape(text) for text in ("", "\ud800é", "1" * 100_000)]).all()


def test_what_ships_is_small_names_its_sources_and_loads_late() -> None:
    folder = files("suffice.routers") / "pretrained"
    assert {path.name for path in folder.iterdir()} == {"builtin.npz", "builtin.json"}
    assert sum(len(path.read_bytes()) for path in folder.iterdir()) <= 500_000
    sources = {one["name"]: one for one in builtin_data.facts().sources}
    assert not {"routerbench", "routerdc7", "mot_cascade", "alpaca_pairs"} & set(sources)
    assert all(one["licence"] and one["queries"] for one in sources.values())
    code = (
        "import suffice, sys; from suffice import routers; routers.available(); "
        "print(any('routers.builtin' in name for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_priors_of_models_without_data() -> None:
    found, why = prior_scores([*PANEL, candidate("rated", strength=0.7), candidate("unknown")], {})
    assert found["rated"] == 0.7 and found["unknown"] is None
    assert found["cheap"] < found["middle"] < found["dear"]  # type: ignore[operator]
    assert "shipped" in why


def test_priors_follow_the_panel() -> None:
    weak, _ = prior_scores(PANEL, {"cheap": 0.2})
    fair, _ = prior_scores(PANEL, {"cheap": 0.6})
    assert set(weak) == {"middle", "dear"}
    assert 0.2 < weak["middle"] < fair["middle"] < 0.85  # type: ignore[operator]
    upside_down, _ = prior_scores(PANEL, {"cheap": 0.9, "dear": 0.3})
    assert 0.3 < upside_down["middle"] < 0.9, "never a falling line"  # type: ignore[operator]
