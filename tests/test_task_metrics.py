"""Metrics against hand-graded answers, nasty ones included; no text whatever may break or stall one."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffice.datasets import metrics
from suffice.datasets.metrics.choice import chosen_letter
from suffice.datasets.metrics.gsm8k import final_number
from suffice.datasets.metrics.latex import plain, value
from suffice.datasets.metrics.maths import final_answer, same_answer
from suffice.errors import ConfigError, UnknownName

CAPITALS = json.dumps(["Paris", "Paris, France"])

OPEN = [
    ("em", "Paris", "Paris", 1.0),
    ("em", "  the PARIS! ", "Paris", 1.0),
    ("em", "Paris, France", CAPITALS, 1.0),
    ("em", "It is Paris", "Paris", 0.0),
    ("em", "Answer: **Paris**", "Paris", 1.0),
    ("em", "", "Paris", 0.0),
    ("em", "\uff30aris", "Paris", 1.0),
    ("f1", "Paris", "Paris", 1.0),
    ("f1", "It is Paris", "Paris", 0.5),
    ("f1", "France", CAPITALS, 2 / 3),
    ("f1", "the the the", "a", 1.0),
    ("f1", "Rome", "Paris", 0.0),
    ("f1", "", "Paris", 0.0),
    ("f1", "Paris Paris Paris", "Paris", 0.5),
    ("f1", "O'Brien", "OBrien", 1.0),
]


@pytest.mark.parametrize(("metric", "said", "reference", "score"), OPEN)
def test_open_answers(metric: str, said: str, reference: str, score: float) -> None:
    assert metrics.create(metric).score(said, reference) == pytest.approx(score)


CHOICES = [
    ("B", "B"),
    ("(b)", "B"),
    ("B) Paris", "B"),
    ("**C**", "C"),
    ("**C) Paris**", "C"),
    ("The answer is B.", "B"),
    ("The correct answer is (C).", "C"),
    ("the correct option is: D", "D"),
    ("Answer: A", "A"),
    ("**Answer:** E", "E"),
    ("Answer: $\\boxed{\\text{D}}$", "D"),
    ("so we get \\boxed{C}", "C"),
    ("A is tempting, yet the correct answer is C", "C"),
    ("Answer: B\nWait, no.\nAnswer: D", "D"),
    ("I think (A), as B) is wrong", None),
    ("I would go with C", "C"),
    ("A cat sat on a mat", None),
    ("I am not sure", None),
    ("B or C", None),
    ("Because", None),
    ("", None),
    ("Option J", "J"),
    ("The answer is blue", None),
    ("final answer: [B]", "B"),
    ("It's A.", "A"),
    ("D\n\nThe reason is that A is false.", "D"),
    ("答案: B", "B"),
]


@pytest.mark.parametrize(("said", "letter"), CHOICES)
def test_letters(said: str, letter: str | None) -> None:
    assert chosen_letter(said) == letter
    assert metrics.create("choice").score(said, letter or "A") == float(letter is not None)


NUMBERS = [
    ("48/2 = <<48/2=24>>24 clips.\n#### 72", 72),
    ("#### 1,234", 1234),
    ("#### -5", -5),
    ("#### $18.50", 18.5),
    ("The answer is 42.", 42),
    ("**Answer:** 42 apples", 42),
    ("answer is 40 + 2 = 42", 42),
    ("\\boxed{3/4}", 0.75),
    ("\\boxed{1{,}000} or 7", 7),
    ("She has 3 left. The final answer is: $1,000,000.", 1_000_000),
    ("first 5, then 6", 6),
    ("\u22123", -3),
    (".5", 0.5),
    ("7.", 7),
    ("no number", None),
    ("", None),
    ("#### none\nso 5", 5),
    ("1/0", None),
    ("9" * 400, None),
]


@pytest.mark.parametrize(("said", "number"), NUMBERS)
def test_final_numbers(said: str, number: float | None) -> None:
    assert final_number(said) == number


SAME = [
    ("0.5", r"\frac12"),
    ("1/2", r"\dfrac{1}{2}"),
    ("2/3", r"\tfrac 23"),
    ("-1/3", r"-\frac{1}{3}"),
    (r"\frac{-1}{2}", r"-\frac12"),
    (r"1\frac{1}{2}", "1.5"),
    ("1,234", "1234"),
    ("10,000,000", "10000000"),
    (r"\$32,\!348", "32348"),
    (r"10\text{ cm}", "10"),
    ("12 square units", "12"),
    (r"25\text{ square feet}", "25"),
    (r"50\%", "50"),
    (r"90^\circ", "90"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    (r"\frac{\sqrt3}{3}", r"\frac{1}{\sqrt{3}}"),
    ("5/sqrt(4)", "2.5"),
    ("36√3", r"36\sqrt{3}"),
    (r"\frac{9}{4}\pi", r"\frac{9\pi}{4}"),
    ("2^{10}", "1024"),
    ("x=5", "5"),
    ("y=-2x+1", "y = -2x + 1"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("1, 2", "2,1"),
    ("(3,1.570796327)", r"\left(3,\frac{\pi}{2}\right)"),
    (r"[0,\infty)", r"[0, \infty)"),
    (r"(-\infty, 2]\cup[3,\infty)", r"(-\infty,2]\cup[3,\infty)"),
    (r"\text{(A)}", "(A)"),
    (r"\text{Monday}", "monday"),
    ("1112112_3", "1112112"),
    ("18.90", r"\$18.9"),
    (".5", "0.50"),
    ("5!", "120"),
    ("x^{2}", "x^2"),
]
DIFFERENT = [
    ("(1,2)", "(2,1)"),
    ("(1,2]", "(1,2)"),
    ("[1,2]", "(1,2)"),
    ("1,2,3", "1,2"),
    ("12", "1,2"),
    ("100", "10^3"),
    ("2x", "2"),
    ("x+1", "x+2"),
    ("1/0", "0"),
    ("0.33", r"\frac13"),
    ("", "0"),
    (r"\sqrt{-1}", "1"),
    ("101_2", "101_3"),
    ("10^10^10^10", "5"),
]


@pytest.mark.parametrize(("said", "wanted"), SAME)
def test_same_answers(said: str, wanted: str) -> None:
    assert same_answer(said, wanted)
    assert same_answer(wanted, said)


@pytest.mark.parametrize(("said", "wanted"), DIFFERENT)
def test_different_answers(said: str, wanted: str) -> None:
    assert not same_answer(said, wanted)
    assert not same_answer(wanted, said)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (r"so $x = \boxed{\frac{3}{4}}$.", r"\frac{3}{4}"),
        (r"\boxed{1}, no: \boxed{\{1, \{2\}\}}", r"\{1, \{2\}\}"),
        (r"\boxed 5$ is it", "5"),
        (r"\boxed{7", "7"),
        ("The final answer is $12$.", "12"),
        (r"Hence\n\[ x = 3 \]".replace("\\n", "\n"), " x = 3 "),
        ("**42**", "42"),
        ("", ""),
    ],
)
def test_where_the_answer_stands(said: str, answer: str) -> None:
    assert final_answer(said) == answer


def test_math_takes_a_solution_as_reference() -> None:
    graded = metrics.create("math")
    solution = r"We get $\frac{10}{4}$, so the answer is $\boxed{\frac{5}{2}}$."
    assert graded.score(r"It is $\boxed{2.5}$", solution) == 1
    assert graded.score("It is 2.5", r"\frac52") == 0  # a sentence is no answer
    assert graded.score("The answer is 2.5", r"\frac52") == 1


@given(st.fractions(max_denominator=1000), st.booleans())
def test_the_value_of_a_fraction(number: object, is_signed: bool) -> None:
    text = str(number)
    above, _, below = text.partition("/")
    latex = f"\\frac{{{above}}}{{{below or 1}}}"
    assert value(plain(latex)) == pytest.approx(float(number))  # type: ignore[arg-type]


HUMAN_EVAL = json.dumps(
    {
        "setup": 'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """Sum of xs."""\n',
        "tests": "def check(f):\n    assert f([1, 2]) == 3\n    assert f([]) == 0\n\ncheck(total)\n",
        "entry": "total",
    }
)
CODE = [
    ("```python\ndef total(xs):\n    return sum(xs)\n```", 1),
    ("def total(xs: List[int]) -> int:\n    return sum(xs)\n\nThis adds them up.", 1),
    ("    return sum(xs)", 1),
    ("return sum(xs)", 1),
    ("```python\n    return sum(xs)\n```", 1),
    ("```python\ndef total(xs):\n    return 3\n```", 0),
    ("```python\ndef total(xs):\n    while True: pass\n```", 0),
    ("```python\nimport os\ndef total(xs):\n    os.system('true')\n    return sum(xs)\n```", 0),
    ("```python\nimport sys\nsys.exit(0)\n```", 0),
    ("I cannot do that.", 0),
    ("", 0),
]


@pytest.mark.parametrize(("said", "score"), CODE)
def test_code_after_the_prompt(said: str, score: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suffice.datasets.metrics.code._CPU_S", 1)
    assert metrics.create("code").score(said, HUMAN_EVAL) == score


def test_code_with_tests_alone() -> None:
    graded = metrics.create("code")
    assert graded.score("```\ndef twice(x):\n    return 2 * x\n```", "assert twice(2) == 4") == 1
    assert graded.score("```\ndef thrice(x):\n    return 3 * x\n```", "assert twice(2) == 4") == 0


def test_a_reference_that_is_none_is_an_error() -> None:
    for name, reference in (("choice", "Paris"), ("gsm8k", "none"), ("math", " "), ("code", "{broken")):
        with pytest.raises(ValueError, match=r"reference"):
            metrics.create(name).score("B", reference)


REFERENCES = {
    "em": "Paris", "f1": CAPITALS, "choice": "B", "gsm8k": "#### 5", "math": r"\boxed{\frac12}",
    "number": "5", "contains": "a|b&c", "label": "spam//ham", "json": '{"a": 1}', "regex": r"\d+",
    "exact": "x",
    "verbatim": "x", "words": "3",
}  # fmt: skip
PIECES = st.sampled_from(
    ["\\boxed{", "}", "{", "\\frac", "1", "2", "^", "(", ")", "[", "]", ",", "Answer:", "answer is", "####",
     "$", "\\(", "\\", "A", "B)", "**", "-", ".", "/", "!", "\n", " ", "=", "\\sqrt", "_", "\ud800",
     "\0", "½"]
)  # fmt: skip
TEXT = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=40).map("".join))


@settings(max_examples=80, deadline=None)
@given(TEXT)
def test_no_response_breaks_a_metric(said: str) -> None:
    for name, reference in REFERENCES.items():
        assert 0 <= metrics.create(name).score(said, reference) <= 1


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT)
def test_equality_is_symmetric_and_reflexive(said: str, wanted: str) -> None:
    assert same_answer(said, wanted) == same_answer(wanted, said)
    assert same_answer(said, said) or not plain(said) or len(said) > 300


@pytest.mark.parametrize(
    "piece", ["(", "\\frac{", "1", "-", "answer is ", "{", "A ", "\\boxed{", "^", "$1,", "**"]
)
def test_long_responses_take_no_time(piece: str) -> None:
    said = (piece * 100_000)[:150_000]
    start = time.process_time()
    for name, reference in REFERENCES.items():
        if name != "json":  # tries every bracket; its own tests bound it
            metrics.create(name).score(said, reference)
    assert time.process_time() - start < 5


def test_numbers_beyond_all_bounds() -> None:
    for said in ("9" * 5000, "1e999", "-1e999", "1/" + "9" * 5000):
        assert metrics.create("number").score(said, "5") == 0


def test_names() -> None:
    assert set(REFERENCES) | {"code", "python", "judge"} == set(metrics.available())
    with pytest.raises(UnknownName, match="no metric is called 'bleu'"):
        metrics.create("bleu")


def test_a_metric_from_a_file(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "mine.py"
    path.write_text(
        "class Short:\n    def score(self, said, reference):\n        return float(len(said) < 9)\n"
    )
    assert metrics.create(f"{path}:Short").score("brief", "") == 1
    path.write_text("class Short:\n    pass\n")
    with pytest.raises(ConfigError, match=r"has no method score\(response, reference\)"):
        metrics.create(f"{path}:Short")
