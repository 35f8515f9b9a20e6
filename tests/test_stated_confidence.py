"""What a model says of its own confidence, as text: numbers, guesses, True or False, verdicts on steps."""

import math

import pytest

from suffice.confidence import Unavailable, forced_reasoning, p_true, verbalised

INF = math.inf


@pytest.mark.parametrize(
    ("reply", "share"),
    [
        ("8/10", 0.8),
        ("8 / 10", 0.8),
        ("Score: **8**/10", 0.8),
        ("80%", 0.8),
        ("~80 %", 0.8),
        ("99.5 percent", 0.995),
        ("0.8", 0.8),
        (".8", 0.8),
        ("0,8", 0.8),
        ("1.0", 1.0),
        ("1", 0.1),
        ("0", 0.0),
        ("10", 1.0),
        ("8.5", 0.85),
        ("85", 0.85),
        ("eight", 0.8),
        ("I would say seven or eight.", 0.75),
        ("ninety-five percent", 0.95),
        ("a hundred percent", 1.0),
        ("one", 0.1),
        ("one out of ten", 0.1),
        ("between 7 and 8", 0.75),
        ("7-8", 0.75),
        ("7 to 8 out of 10", 0.75),
        ("70–80%", 0.75),
        ("10 out of 10", 1.0),
        ("4 out of 5", 0.8),
        ("٨", 0.8),
        ("٨/١٠", 0.8),
        ("٨٠٪", 0.8),
        ("８", 0.8),
        ("९", 0.9),
        ("八", 0.8),
        ("It was 1968, or 1969. Confidence: 9", 0.9),
        ("9, because Apollo 11 landed in 1969", 0.9),
        ("confidence 8/10 because 3 of 4 steps were right", 0.8),
        ("On a scale of 1 to 10, I'd say 8", 0.8),
        ("I'd say 8 on a scale of 1-10", 0.8),
        ("The date is 12/31. Confidence: 7", 0.7),
    ],
)
def test_a_number_is_found(reply: str, share: float) -> None:
    assert verbalised.parse(reply) == pytest.approx(share)
    assert verbalised.score(reply).confidence == pytest.approx(share)


@pytest.mark.parametrize(
    "reply",
    ["", "   ", "high", "No one knows.", "150", "-3", "GPT4", "nan", "2019-2020", "1968", "9" * 10_000],
)
def test_no_number_is_none(reply: str) -> None:
    assert verbalised.parse(reply) is None
    assert verbalised.score(reply) == Unavailable("no number in the reply")


def test_the_scale_of_a_bare_number() -> None:
    assert verbalised.parse("8", scale=100) == 0.08
    assert verbalised.parse("1", scale=1) == 1.0
    assert verbalised.parse("4", scale=5) == 0.8


def test_guesses_with_probabilities() -> None:
    reply = "guess | probability in percent\n1. Paris | 80\n| Lyon | 1 |\nNice | perhaps"
    assert verbalised.guesses(reply, scale=100) == (
        verbalised.Guess("Paris", 0.8),
        verbalised.Guess("Lyon", 0.01),
    )
    published = "G1: Paris\nP1: 0.8\n\nG2: 1984 P2: 0.1\nG3: Rome"
    assert verbalised.guesses(published) == (
        verbalised.Guess("Paris", 0.8),
        verbalised.Guess("1984", 0.1),
    )
    assert verbalised.top_k(verbalised.guesses(published)).confidence == pytest.approx(0.8)
    too_much = verbalised.top_k((verbalised.Guess("a", 0.9), verbalised.Guess("b", 0.9)))
    assert (too_much.value, too_much.confidence) == (0.9, 0.5)
    assert isinstance(verbalised.top_k(verbalised.guesses("I cannot guess.")), Unavailable)


def test_long_replies_take_no_time() -> None:
    for text in ("7 " * 500_000, " " * 1_000_000, "a" * 1_000_000, "g1: " + "p " * 400_000, "1" * 1_000_000):
        verbalised.parse(text)
        verbalised.guesses(text)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("True", True),
        ("**True**, since it was 1968.", True),
        ("Yes.", True),
        ("No, it is true that Paris is large, but Lyon was asked for.", False),
        ("The answer is correct.", True),
        ("The answer is not correct.", False),
        ("It isn't really true", False),
        ("That is not wrong", True),
        ("incorrect", False),
        ("It could be true or false.", None),
        ("I do not know", None),
        ("", None),
        ("nothing", None),
    ],
)
def test_true_or_false(reply: str, verdict: bool | None) -> None:
    assert p_true.parse(reply) is verdict


def test_p_true_adds_up_the_spellings_of_a_word() -> None:
    top = {"True": math.log(0.5), " true": math.log(0.1), "▁False": math.log(0.2), "Maybe": math.log(0.2)}
    reading = p_true.from_logprobs(top)
    assert reading.value == pytest.approx(0.6) and reading.confidence == pytest.approx(0.75)
    lettered = p_true.from_logprobs({"(A)": math.log(0.3), "B": math.log(0.1)}, true=("a",), false=("b",))
    assert lettered.confidence == pytest.approx(0.75)
    assert p_true.from_logprobs({"False": -0.1}).confidence == 0  # said, and beyond the top k
    for none in (None, {}, {"Well": -0.1}, {"True": -INF}, {"True": math.nan}):
        assert isinstance(p_true.from_logprobs(none), Unavailable)
    assert p_true.from_replies(["True", "no", "?"]).confidence == 0.5
    assert isinstance(p_true.from_replies(["?"]), Unavailable)


def test_checked_steps() -> None:
    check = "My check.\n**Step 1**: correct\n2. No error here.\n(3) Incorrect: 3 * 4 is 12\nStep 4 - unclear"
    verdicts = forced_reasoning.parse(check)
    assert verdicts == (1, 1, -1, 0)
    assert forced_reasoning.score(verdicts).confidence == pytest.approx(2 / (1 + math.exp(1.3)))
    assert forced_reasoning.parse("Step 1: incorrect\nStep 1: correct, I misread it") == (1,)
    assert forced_reasoning.parse("All good.") == ()
    assert forced_reasoning.score((1, 1)).confidence == 1
    assert isinstance(forced_reasoning.score(()), Unavailable)
