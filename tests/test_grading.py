"""Each check against answers as small models really write them, and against hostile ones."""

import time

import pytest

from suffice.datasets.grading import CHECKS, extract_answer, grade

ADD = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"

CASES = [
    ("number", "42", "42", 1),
    ("number", "The answer is 12.", "12", 1),
    ("number", "x = 12", "12", 1),
    ("number", "x=12", "12", 1),
    ("number", "1,234.50 USD", "1234.5", 1),
    ("number", "$1,234.50", "1234.5", 1),
    ("number", "€ 7", "7", 1),
    ("number", "-$5", "-5", 1),
    ("number", "\u22125", "-5", 1),
    ("number", "10-5=5", "5", 1),
    ("number", "12 apples (2 boxes of 6)", "12", 1),
    ("number", "12 + 5 = 17", "17", 1),
    ("number", "12 divided by 4 is 3", "3", 1),
    ("number", "1. Take 5 * 3 = 15\n2. Add 1: 16", "16", 1),
    ("number", "2, 3, 5", "2", 1),
    ("number", "Step 1: 6 * 7 = 42.\n**Answer:** 42", "42", 1),
    ("number", "**Answer**: 42 kg", "42", 1),
    ("number", "**Answer: 42**", "42", 1),
    ("number", "Answer: 41\nNo, wait. Answer: 42", "42", 1),
    ("number", "60%", "60", 1),
    ("number", "3/4", "0.75", 1),
    ("number", "0.333333333", "1/3", 1),
    ("number", r"\(\frac{3}{4}\)", "0.75", 1),
    ("number", r"\boxed{12}", "12", 1),
    ("number", "5km", "5", 1),
    ("number", "1.5e3", "1500", 1),
    ("number", "H2O", "2", 0),
    ("number", "", "0", 0),
    ("number", "Answer:", "0", 0),
    ("number", "We get 42.\n**Answer:**", "42", 0),
    ("number", "none", "0", 0),
    ("number", "1/0", "1", 0),
    ("number", "42.1", "42", 0),
    ("choice", "B", "B", 1),
    ("choice", "(b)", "B", 1),
    ("choice", "B) Paris", "B", 1),
    ("choice", "**C**", "C", 1),
    ("choice", "The answer is B.", "B", 1),
    ("choice", "Answer: A", "A", 1),
    ("choice", "A dog chose C", "C", 1),
    ("choice", "B or C", "B", 0),
    ("choice", "", "A", 0),
    ("choice", "Because", "B", 0),
    ("exact", "The  Cat!", "cat", 1),
    ("exact", "'Überraschung'", "überraschung", 1),
    ("exact", "```\nhello world\n```", "Hello, world", 1),
    ("exact", "cats", "cat", 0),
    ("exact", "", "cat", 0),
    ("verbatim", "`Hello`", "Hello", 1),
    ("verbatim", "hello", "Hello", 0),
    ("verbatim", "```text\na,b\n```", "a,b", 1),
    ("verbatim", "Answer: **HELLO**", "HELLO", 1),
    ("contains", "It is Paris, France.", "paris", 1),
    ("contains", "a gray cat", "grey|gray", 1),
    ("contains", "red and blue", "red&blue", 1),
    ("contains", "red", "red&blue", 0),
    ("contains", "comparison", "paris", 0),
    ("contains", "in New\nYork", "new york", 1),
    ("contains", "", "paris", 0),
    ("label", "Spam.", "spam//spam,ham", 1),
    ("label", "spam, not ham", "spam//spam,ham", 0),
    ("label", "not spam", "spam//spam,not spam", 0),
    ("label", "Not spam", "not spam//spam,not spam", 1),
    ("label", "hamster", "ham//spam,ham", 0),
    ("label", "", "ham//spam,ham", 0),
    ("json", '{"b": 2.0, "a": 1}', '{"a": 1, "b": 2}', 1),
    ("json", 'Here:\n```json\n{"a": [1, 2]}\n```', '{"a": [1, 2]}', 1),
    ("json", 'Use {braces} so: {"a": true}', '{"a": true}', 1),
    ("json", '{"a": true}', '{"a": 1}', 0),
    ("json", '{"a": "1"}', '{"a": 1}', 0),
    ("json", "[" * 5000, "[]", 0),
    ("json", "", "{}", 0),
    ("regex", "2024-05-06", r"\d{4}-\d\d-\d\d", 1),
    ("regex", "on 2024-05-06", r"\d{4}-\d\d-\d\d", 0),
    ("words", "one two - three", "3", 1),
    ("words", "Answer: one two", "3", 0),
    ("words", "", "3", 0),
    ("python", "```python\ndef add(a, b):\n    return a + b\n```", ADD, 1),
    ("python", "def add(a, b): return a + b", ADD, 1),
    ("python", "Answer: `def add(a, b): return a + b`", ADD, 1),
    ("python", "def add(a, b):\n    return a + b\n\n**Answer:** done", ADD, 1),
    ("python", "add = lambda a, b: a + b", ADD, 1),
    ("python", "Sure!\n\ndef add(a, b):\n    return a + b\n\nThis adds them.", ADD, 1),
    ("python", "Try:\n```\n```python\ndef add(a, b):\n    return a + b\n```\n```", ADD, 1),
    ("python", "1. So:\n```python\ndef add(a, b):\n    import math, re, json\n    return a + b", ADD, 1),
    ("python", "import collections\n\ndef add(a, b):\n    return a + b", ADD, 1),
    ("python", "def add(a, b):\n    return a - b", ADD, 0),
    ("python", "def add(a, b):\n  return a +", ADD, 0),
    ("python", "", ADD, 0),
    ("python", "I cannot.", ADD, 0),
    ("python", "def add(a, b):\n    pass\nraise SystemExit(0)", ADD, 0),
    ("python", "def add(a, b):\n    import os\n    os._exit(0)", ADD, 0),
    (
        "python",
        "def add(a, b):\n    import os, signal\n    os.kill(os.getppid(), 0)\n    return a + b",
        ADD,
        0,
    ),
    ("python", "def add(a, b):\n    open('/etc/passwd').read()\n    return a + b", ADD, 0),
    ("python", "def add(a, b):\n    open('x', 'w')\n    return a + b", ADD, 0),
    ("python", "def add(a, b):\n    import socket; socket.socket()\n    return a + b", ADD, 0),
    ("python", "def add(a, b):\n    import os; os.fork()\n    return a + b", ADD, 0),
    ("python", "def add(a, b):\n    import os; os.system('true')\n    return a + b", ADD, 0),
    ("python", "def add(a, b):\n    x = 'x' * (1 << 30)\n    return a + b", ADD, 0),
    ("python", "def add(a, b):\n    import os; assert 'PATH' not in os.environ\n    return a + b", ADD, 1),
    ("python", "def add(a, b):\n    return a + b\0", ADD, 0),
]


@pytest.mark.parametrize(("check", "response", "reference", "wanted"), CASES)
def test_check(check: str, response: str, reference: str, wanted: int) -> None:
    assert grade(check, response[:6000], reference) == wanted


@pytest.mark.parametrize("check", ["number", "choice", "exact", "verbatim", "contains", "label", "python"])
@pytest.mark.parametrize(
    "response", ["", " \n", "Answer:", "```", "**", "\ud83d\ude00".encode(errors="replace").decode()]
)
def test_nothing_said_is_wrong(check: str, response: str) -> None:
    assert grade(check, response, {"number": "1", "choice": "A", "python": ADD}.get(check, "one")) == 0


def test_endless_loop_is_stopped() -> None:
    start = time.monotonic()
    assert grade("python", "def add(a, b):\n    while True:\n        print(a)", ADD) == 0
    assert time.monotonic() - start < 8


def test_unknown_check_lists_the_names() -> None:
    with pytest.raises(ValueError, match=r"choice.*contains.*number"):
        grade("vibes", "yes", "yes")


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("  42 ", "42"),
        ("ANSWER: 1\nanswer: 2", "2"),
        ("**Final Answer:** **7**", "7"),
        ("So **Answer: 7**", "7"),
        ("Answer: 3 * 4 * 5", "3 * 4 * 5"),
        ("Answer: __init__", "__init__"),
        ("Answer: 2**3 + 4**5", "2**3 + 4**5"),
        ("Answer:\n42", "42"),
        ('{"answer": 5}', '{"answer": 5}'),
        ("", ""),
    ],
)
def test_extract_answer(response: str, answer: str) -> None:
    assert extract_answer(response) == answer


def test_every_check_has_a_right_and_a_wrong_case() -> None:
    assert {(case[0], case[3]) for case in CASES} == {(check, right) for check in CHECKS for right in (0, 1)}
