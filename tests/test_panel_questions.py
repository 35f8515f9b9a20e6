"""The recorded panel's questions: complete, unambiguous to format, and right by their own check."""

import ast
import importlib
import itertools
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suffice.datasets.grading import CHECKS, grade

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path.stem for path in (ROOT / "scripts/panel/questions").glob("*.py") if not path.stem.startswith("_")
)

sys.path.insert(0, str(ROOT))
from scripts.panel.template import TASKS, Case, Template  # noqa: E402  (the root must be on the path)

TEMPLATES: list[Template] = [
    template
    for name in FILES
    for template in importlib.import_module(f"scripts.panel.questions.{name}").TEMPLATES
]
each_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)


def wordings(template: Template) -> tuple[str, ...]:
    return (template.wording, *template.paraphrases)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def right_responses(template: Template, case: Case) -> Iterator[str]:
    """Responses that are right by construction; none for a check whose reference describes, not answers."""
    reference = case.reference
    match template.check:
        case "python":
            if "_solution" in case.slots:
                yield f"```python\n{case.slots['_solution']}\n```"
        case "regex":
            return
        case "label":
            yield reference.partition("//")[0]
        case "contains":
            yield " and ".join(part.split("|")[0] for part in reference.split("&"))
            # Every alternative is itself an answer.
            for index, part in enumerate(reference.split("&")):
                for choice in part.split("|"):
                    parts = [other.split("|")[0] for other in reference.split("&")]
                    yield " and ".join([*parts[:index], choice, *parts[index + 1 :]])
        case "words":
            yield " ".join(["word"] * int(reference))
        case _:
            yield reference


def test_names_are_unique_and_snake_case() -> None:
    names = [template.name for template in TEMPLATES]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_wordings_are_unique_across_the_panel() -> None:
    asked = [
        (template.passage, template.wording, str(dict(case.slots)))
        for template in TEMPLATES
        for case in template.cases
    ]
    assert len(asked) == len(set(asked))


@each_template
def test_template_is_complete(template: Template) -> None:
    assert template.task in TASKS
    assert template.check in CHECKS
    assert len(template.cases) == 4
    assert len(template.paraphrases) == 5


@each_template
def test_wordings_format_and_differ(template: Template) -> None:
    wanted = fields(template.wording) | (fields(template.passage) if template.passage else set())
    visible = {slot for slot in template.cases[0].slots if not slot.startswith("_")}
    assert wanted == visible
    for text in template.paraphrases:
        assert fields(text) == fields(template.wording)
    for case in template.cases:
        assert set(case.slots) == set(template.cases[0].slots)
        texts = [text.format(**case.slots) for text in wordings(template)]
        assert all(text.strip() for text in texts)
        for one, other in itertools.combinations(texts, 2):
            assert one.casefold().split() != other.casefold().split()
        if template.passage is not None:
            assert template.passage.format(**case.slots).strip()


@each_template
def test_cases_differ(template: Template) -> None:
    texts = [
        (template.wording.format(**case.slots), (template.passage or "").format(**case.slots))
        for case in template.cases
    ]
    assert len(set(texts)) == len(texts)


@each_template
def test_reference_is_right_by_its_own_check(template: Template) -> None:
    for case in template.cases:
        assert case.reference.strip()
        if template.check == "regex":
            re.compile(case.reference)
        if template.check == "python":
            ast.parse(case.reference)
        assert grade(template.check, "", case.reference) == 0
        for response in right_responses(template, case):
            assert grade(template.check, response, case.reference) == 1, response
            if template.check not in ("python", "json"):
                assert grade(template.check, f"Step 1.\n**Answer:** {response}", case.reference) == 1
