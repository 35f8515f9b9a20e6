"""Sums and number facts; every reference is computed."""

import math
from collections.abc import Callable
from fractions import Fraction

from scripts.panel.template import Case, Template


def _cases(answer: Callable[..., object], *slots: dict[str, object]) -> tuple[Case, ...]:
    return tuple(Case(slots=one, reference=str(answer(*one.values()))) for one in slots)


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def _next_prime(n: int) -> int:
    return next(p for p in range(n + 1, 2 * n + 3) if _is_prime(p))


def _half_up(x: str, places: int) -> Fraction:
    unit = Fraction(10) ** -places
    return math.floor(Fraction(x) / unit + Fraction(1, 2)) * unit


TEMPLATES: tuple[Template, ...] = (
    Template(
        name="add_integers",
        task="arithmetic",
        check="number",
        wording="What is {a} + {b}?",
        paraphrases=(
            "Add {a} and {b}.",
            "Compute the sum of {a} and {b}.",
            "If you put {a} and {b} together, what total do you get?",
            "{a} plus {b} equals what?",
            "Work out the total: {a} + {b}.",
        ),
        cases=_cases(
            lambda a, b: a + b,
            {"a": 47, "b": 38},
            {"a": 1250, "b": 775},
            {"a": 68419, "b": 7593},
            {"a": 7, "b": 9},
        ),
    ),
    Template(
        name="subtract_integers",
        task="arithmetic",
        check="number",
        wording="What is {a} - {b}?",
        paraphrases=(
            "Subtract {b} from {a}.",
            "Compute {a} minus {b}.",
            "Starting with {a}, take away {b}. What is left?",
            "Find the difference when {b} is removed from {a}.",
            "How much remains of {a} once {b} has been deducted?",
        ),
        cases=_cases(
            lambda a, b: a - b,
            {"a": 503, "b": 168},
            {"a": 90, "b": 35},
            {"a": 24, "b": 61},
            {"a": 70002, "b": 4385},
        ),
    ),
    Template(
        name="multiply_integers",
        task="arithmetic",
        check="number",
        wording="What is {a} times {b}?",
        paraphrases=(
            "Multiply {a} by {b}.",
            "Compute the product of {a} and {b}.",
            "Work out {a} * {b}.",
            "What do you get when {b} copies of {a} are added up?",
            "Find the value of {a} x {b}.",
        ),
        cases=_cases(
            lambda a, b: a * b,
            {"a": 34, "b": 27},
            {"a": 12, "b": 8},
            {"a": 416, "b": 93},
            {"a": 125, "b": 16},
        ),
    ),
    Template(
        name="remainder",
        task="arithmetic",
        check="number",
        wording="What is the remainder when {a} is divided by {b}?",
        paraphrases=(
            "Compute {a} mod {b}.",
            "Divide {a} by {b}: which whole number is left over?",
            "After taking out as many whole {b}s as possible from {a}, how much is left?",
            "Find the remainder of the integer division {a} / {b}.",
            "What does {a} leave behind on division by {b}?",
        ),
        cases=_cases(
            lambda a, b: a % b,
            {"a": 100, "b": 7},
            {"a": 45, "b": 10},
            {"a": 1239, "b": 11},
            {"a": 389, "b": 24},
        ),
    ),
    Template(
        name="order_of_operations",
        task="arithmetic",
        check="number",
        wording="Evaluate {expression}.",
        paraphrases=(
            "What is the value of {expression}?",
            "Compute {expression}, respecting the order of operations.",
            "Work out this expression: {expression}",
            "Using the usual precedence rules, what does {expression} come to?",
            "Calculate the result of {expression}.",
        ),
        cases=tuple(
            Case(slots={"expression": text}, reference=str(value))
            for text, value in (
                ("8 + 6 * 5 - 4", 8 + 6 * 5 - 4),
                ("(9 - 3) * 4", (9 - 3) * 4),
                ("50 - 2 * (7 + 3 * 4)", 50 - 2 * (7 + 3 * 4)),
                ("36 / 4 + 5 * (11 - 8) * 2", 36 // 4 + 5 * (11 - 8) * 2),
            )
        ),
    ),
    Template(
        name="percent_of",
        task="arithmetic",
        check="number",
        wording="What is {p}% of {n}?",
        paraphrases=(
            "Compute {p} percent of {n}.",
            "Take {n}. How much is {p}% of it?",
            "How many is {p} per cent out of {n}?",
            "Find the number that makes up {p}% of {n}.",
            "If {n} is the whole, what is {p}% of that whole?",
        ),
        cases=_cases(
            lambda p, n: float(Fraction(p * n, 100)),
            {"p": 15, "n": 240},
            {"p": 50, "n": 86},
            {"p": 35, "n": 620},
            {"p": 12, "n": 37},
        ),
    ),
    Template(
        name="percent_change",
        task="arithmetic",
        check="number",
        wording="A value goes from {a} to {b}. By how many percent did it {way}?",
        paraphrases=(
            "What is the percentage {way} when {a} becomes {b}?",
            "Something was {a} and is now {b}. State the {way} in percent.",
            "Relative to the starting value {a}, how large in percent is the {way} to {b}?",
            "Compute the percent {way} from {a} to {b}.",
            "Going from {a} to {b} is a {way} of how many per cent?",
        ),
        cases=_cases(
            lambda a, b, way: float(Fraction(abs(b - a) * 100, a)),
            {"a": 80, "b": 100, "way": "increase"},
            {"a": 200, "b": 150, "way": "decrease"},
            {"a": 64, "b": 72, "way": "increase"},
            {"a": 250, "b": 205, "way": "decrease"},
        ),
    ),
    Template(
        name="add_fractions",
        task="arithmetic",
        check="number",
        wording="What is {a} + {b}? Give a fraction in lowest terms.",
        paraphrases=(
            "Add the fractions {a} and {b} and reduce the result to a single fraction.",
            "Compute the sum {a} + {b} as one fully simplified fraction.",
            "Write {a} plus {b} as a fraction that cannot be reduced further.",
            "Which irreducible fraction equals {a} + {b}?",
            "Combine {a} and {b} into one fraction in its simplest form.",
        ),
        cases=_cases(
            lambda a, b: Fraction(a) + Fraction(b),
            {"a": "1/3", "b": "1/4"},
            {"a": "1/2", "b": "1/4"},
            {"a": "2/5", "b": "3/8"},
            {"a": "5/6", "b": "7/9"},
        ),
    ),
    Template(
        name="add_decimals",
        task="arithmetic",
        check="number",
        wording="Compute {a} {op} {b}.",
        paraphrases=(
            "What is {a} {op} {b}?",
            "Work out the decimal result of {a} {op} {b}.",
            "Find the exact value of {a} {op} {b}.",
            "How much does {a} {op} {b} make?",
            "Evaluate the following: {a} {op} {b}",
        ),
        cases=_cases(
            lambda a, op, b: float(Fraction(a) + Fraction(b) if op == "+" else Fraction(a) * Fraction(b)),
            {"a": "3.75", "op": "+", "b": "0.8"},
            {"a": "12.5", "op": "+", "b": "7.5"},
            {"a": "0.6", "op": "*", "b": "0.07"},
            {"a": "2.4", "op": "*", "b": "3.15"},
        ),
    ),
    Template(
        name="power",
        task="arithmetic",
        check="number",
        wording="What is {base} to the power of {exponent}?",
        paraphrases=(
            "Compute {base}^{exponent}.",
            "Raise {base} to the exponent {exponent}. What is the result?",
            "Multiply together {exponent} factors that are all {base}. What do you get?",
            "Evaluate {base}**{exponent}.",
            "Give the value of the power with base {base} and exponent {exponent}.",
        ),
        cases=_cases(
            lambda base, exponent: base**exponent,
            {"base": 3, "exponent": 5},
            {"base": 2, "exponent": 10},
            {"base": 7, "exponent": 4},
            {"base": 10, "exponent": 3},
        ),
    ),
    Template(
        name="gcd",
        task="arithmetic",
        check="number",
        wording="What is the greatest common divisor of {a} and {b}?",
        paraphrases=(
            "Find gcd({a}, {b}).",
            "Which is the largest whole number that divides both {a} and {b}?",
            "Compute the highest common factor of {a} and {b}.",
            "{a} and {b} share several divisors; name the biggest one.",
            "By which greatest integer can both {a} and {b} be divided exactly?",
        ),
        cases=_cases(
            math.gcd,
            {"a": 48, "b": 36},
            {"a": 10, "b": 15},
            {"a": 126, "b": 90},
            {"a": 221, "b": 143},
        ),
    ),
    Template(
        name="lcm",
        task="arithmetic",
        check="number",
        wording="What is the least common multiple of {a} and {b}?",
        paraphrases=(
            "Find lcm({a}, {b}).",
            "Which is the smallest positive number that both {a} and {b} divide?",
            "Compute the lowest common multiple of {a} and {b}.",
            "Name the smallest positive whole number that is a multiple of {a} as well as of {b}.",
            "What is the first number that appears in both the {a} and the {b} times table?",
        ),
        cases=_cases(
            math.lcm,
            {"a": 12, "b": 18},
            {"a": 4, "b": 6},
            {"a": 21, "b": 35},
            {"a": 16, "b": 28},
        ),
    ),
    Template(
        name="to_base",
        task="arithmetic",
        check="contains",
        wording="Write the decimal number {n} in {base}, without any prefix.",
        paraphrases=(
            "Convert {n} from decimal to {base}; leave out any prefix.",
            "What does the decimal number {n} look like in {base} notation (no prefix)?",
            "Give the {base} form of {n} (base ten), digits only and without a prefix.",
            "Express {n} in {base}. Do not add a prefix.",
            "How is decimal {n} written in the {base} system when no prefix is used?",
        ),
        cases=_cases(
            lambda n, base: format(n, {"binary": "b", "hexadecimal": "X", "octal": "o"}[base]),
            {"n": 22, "base": "binary"},
            {"n": 255, "base": "hexadecimal"},
            {"n": 5, "base": "binary"},
            {"n": 83, "base": "octal"},
        ),
    ),
    Template(
        name="next_in_sequence",
        task="arithmetic",
        check="number",
        wording="Which number comes next: {terms}, ...?",
        paraphrases=(
            "Continue the sequence {terms} with one more number.",
            "What is the next term after {terms}?",
            "The numbers {terms} follow a rule. Find the one that follows.",
            "Given the pattern {terms}, what should the next number be?",
            "Extend this series by a single term: {terms}",
        ),
        cases=(
            Case(slots={"terms": "4, 7, 12, 19, 28"}, reference=str(6**2 + 3)),
            Case(slots={"terms": "5, 10, 15, 20"}, reference=str(20 + 5)),
            Case(slots={"terms": "3, 6, 12, 24, 48"}, reference=str(48 * 2)),
            Case(slots={"terms": "2, 3, 5, 8, 13, 21"}, reference=str(13 + 21)),
        ),
    ),
    Template(
        name="largest_number",
        task="arithmetic",
        check="number",
        wording="Which of these numbers is the largest: {numbers}?",
        paraphrases=(
            "Pick the greatest number from this list: {numbers}.",
            "What is the maximum of {numbers}?",
            "Among {numbers}, which one has the highest value?",
            "Name the biggest of the following: {numbers}.",
            "If {numbers} were sorted upwards, which would stand at the end?",
        ),
        cases=_cases(
            lambda numbers: max(numbers.split(", "), key=Fraction),
            {"numbers": "3.9, 3.11, 3.09, 3.1"},
            {"numbers": "17, 71, 27, 70"},
            {"numbers": "5/8, 2/3, 3/5, 1/2"},
            {"numbers": "-0.5, -12, -0.45, -3"},
        ),
    ),
    Template(
        name="round_to",
        task="arithmetic",
        check="number",
        wording="Round {x} to {target}.",
        paraphrases=(
            "What is {x} rounded to {target}?",
            "Give {x}, rounded to {target}.",
            "If you round {x} to {target}, what do you get?",
            "Express {x} with rounding to {target}.",
            "The value is {x}; state it rounded to {target}.",
        ),
        cases=tuple(
            Case(slots={"x": x, "target": target}, reference=str(float(_half_up(x, places))))
            for x, target, places in (
                ("3.14659", "two decimal places", 2),
                ("78.6", "the nearest whole number", 0),
                ("48372", "the nearest thousand", -3),
                ("0.09961", "three decimal places", 3),
            )
        ),
    ),
    Template(
        name="next_prime",
        task="arithmetic",
        check="number",
        wording="What is the smallest prime number greater than {n}?",
        paraphrases=(
            "Find the first prime after {n}.",
            "Which prime number comes next above {n}?",
            "Counting up from {n}, not including it, which prime do you meet first?",
            "Name the next prime that is larger than {n}.",
            "What is the least prime strictly bigger than {n}?",
        ),
        cases=_cases(_next_prime, {"n": 24}, {"n": 10}, {"n": 89}, {"n": 113}),
    ),
    Template(
        name="solve_linear",
        task="arithmetic",
        check="number",
        wording="Solve for x: {a}x + {b} = {c}",
        paraphrases=(
            "For which x does {a}x + {b} = {c} hold?",
            "Find x if {a} * x + {b} equals {c}.",
            "I multiply a number by {a} and add {b}; the result is {c}. What was the number?",
            "Determine the value of x in the equation {a}x + {b} = {c}.",
            "What must x be so that {a}x plus {b} gives {c}?",
        ),
        cases=_cases(
            lambda a, b, c: float(Fraction(c - b, a)),
            {"a": 3, "b": 8, "c": 35},
            {"a": 2, "b": 4, "c": 10},
            {"a": 7, "b": 15, "c": -6},
            {"a": 8, "b": 13, "c": 31},
        ),
    ),
)
