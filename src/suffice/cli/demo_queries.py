"""The questions of `suffice demo`: live and new, none of them stands in the recorded panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from suffice.outcomes import Runs


class DemoQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A question, and how its answer is graded."""

    task: str
    text: str
    check: str
    """A name of `suffice.datasets.grading.CHECKS`."""
    reference: str


_NOTICE: Final = (
    "The Harbour Swimming Hall opens at 7 a.m. from Monday to Friday and at 9 a.m. at weekends. A single "
    "ticket is 4 euros; ten tickets together are 32 euros. Children under six swim free of charge. On "
    "Thursdays the deep pool is closed to the public after 5 p.m., because the water polo team trains there."
)

QUERIES: Final = (
    DemoQuery(
        task="arithmetic",
        text="What is 23 + 58?",
        check="number",
        reference="81",
    ),
    DemoQuery(
        task="arithmetic",
        text="What is 47 times 86?",
        check="number",
        reference="4042",
    ),
    DemoQuery(
        task="word problem",
        text="A bakery packs 7 rolls in each bag. It fills 18 bags, and 4 rolls are left on the "
        "tray. How many rolls were baked?",
        check="number",
        reference="130",
    ),
    DemoQuery(
        task="extraction",
        text='What is the invoice number? "Dear Ms Okafor, thank you for your payment of 84.20 '
        'euros on invoice RX-20417. Your customer number remains 5531."',
        check="contains",
        reference="RX-20417",
    ),
    DemoQuery(
        task="classification",
        text='Is the sentiment of this review positive, negative or neutral? "The zip broke on the '
        'second day and nobody at the shop wanted to hear about it."',
        check="label",
        reference="negative",
    ),
    DemoQuery(
        task="fact",
        text="What is the capital of Norway?",
        check="contains",
        reference="Oslo",
    ),
    DemoQuery(
        task="fact",
        text="Which chemical element has the atomic number 74?",
        check="contains",
        reference="tungsten",
    ),
    DemoQuery(
        task="code",
        text="What does this Python code print?\nwords = ['kiwi', 'fig', 'plum']\nprint(sum(len(w) "
        "for w in words))",
        check="number",
        reference="11",
    ),
    DemoQuery(
        task="code",
        text="Which Unix command shows the last lines of a file?",
        check="contains",
        reference="tail",
    ),
    DemoQuery(
        task="format",
        text="Sort these words alphabetically and separate them by a comma and a space: walnut, "
        "cherry, maple, ash",
        check="contains",
        reference="ash, cherry, maple, walnut",
    ),
    DemoQuery(
        task="German",
        text="Welcher Tag kommt drei Tage nach Mittwoch?",
        check="contains",
        reference="Samstag",
    ),
    DemoQuery(
        task="French",
        text="Comment dit-on « fenêtre » en anglais ?",
        check="contains",
        reference="window",
    ),
    DemoQuery(
        task="Spanish",
        text="Lucía compra 6 cuadernos a 3 euros cada uno y paga con un billete de 50 euros. "
        "¿Cuántos euros le devuelven?",
        check="number",
        reference="32",
    ),
    DemoQuery(
        task="passage",
        text=f"{_NOTICE}\n\nHow many euros does one swim cost with the ten-ticket offer?",
        check="number",
        reference="3.2",
    ),
    DemoQuery(
        task="word problem",
        text="A tank holds 240 litres. A pump fills 15 litres a minute while a leak loses 3 litres "
        "a minute. After how many minutes is the empty tank full?",
        check="number",
        reference="20",
    ),
    DemoQuery(
        task="format",
        text='Write a JSON object with the keys "city" and "population" for this: Tartu has 97,000 '
        "inhabitants.",
        check="json",
        reference='{"city": "Tartu", "population": 97000}',
    ),
)


def recorded_queries(runs: Runs, n: int) -> tuple[DemoQuery, ...]:
    """Questions of the recorded panel, tasks taking turns: for a demonstration without any model."""
    columns = [runs.column(name) for name in ("task", "query", "check", "reference")]
    by_task: dict[str, dict[str, DemoQuery]] = {}
    for task, text, check, reference in zip(*columns, strict=True):
        query = DemoQuery(task=task, text=text, check=check, reference=reference)
        by_task.setdefault(task, {}).setdefault(text, query)
    turns = [list(queries.values()) for queries in by_task.values()]
    longest = max((len(queries) for queries in turns), default=0)
    ordered = [queries[i] for i in range(longest) for queries in turns if i < len(queries)]
    return tuple(ordered[:n])


def grade(query: DemoQuery, answer: str) -> bool:
    """Whether the answer is right."""
    from suffice.datasets.grading import grade as graded

    return bool(graded(query.check, answer, query.reference))


def first(queries: Sequence[DemoQuery], n: int) -> list[DemoQuery]:
    """So many of them, from the start again where there are not enough."""
    return [queries[i % len(queries)] for i in range(n)]
