"""Benchmark sets in their published formats, from the hub (a fake one), and from files in the long format."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from suffice import datasets
from suffice.datasets import hub, metrics
from suffice.datasets.base import choice_texts
from suffice.datasets.building import build, is_long
from suffice.datasets.items import Item, read_items, sample, write_items
from suffice.errors import ConfigError, DataError, UnknownName

METAL = "Which is a metal?"
SUM = {"question": "2 + 3?", "answer": "<<2+3=5>>\n#### 5"}
HALF = "It is $\\boxed{\\frac12}$."
CHOICES = {"text": ["iron", "glass", "wood", "wool"], "label": ["A", "B", "C", "D"]}
PAIRS = [{"label": label, "text": text} for text, label in zip(*CHOICES.values(), strict=True)]
NUMBERED = [{**one, "label": str(number)} for number, one in enumerate(PAIRS, 1)]
STEM = {"stem": METAL, "choices": PAIRS}
HUMAN_EVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def twice(x):\n    """Double x."""\n',
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(f):\n    assert f(2) == 4\n",
    "entry_point": "twice",
}
MBPP = {
    "task_id": 11,
    "text": "Write a function to double a number.",
    "code": "def twice(x): return 2 * x",
    "test_list": ["assert twice(2) == 4", "assert twice(0) == 0"],
    "test_setup_code": "",
}
GPQA = {
    "Question": "Which is a metal?",
    "Correct Answer": "iron\n",
    "Incorrect Answer 1": "glass",
    "Incorrect Answer 2": "wood",
    "Incorrect Answer 3": "wool",
    "Record ID": "rec1",
}


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def table(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


PUBLISHED = {
    "gsm8k": ("grade_school_math/data/test.jsonl", jsonl(SUM)),
    "mmlu": ("data/test/anatomy_test.csv", table([[METAL, "iron", "glass", "wood", "wool", "A"]])),
    "arc_challenge": (
        "ARC-Challenge/ARC-Challenge-Test.jsonl",
        jsonl({"id": "x", "question": {**STEM, "choices": NUMBERED}, "answerKey": "1"}),
    ),
    "human_eval": ("data/HumanEval.jsonl.gz", gzip.compress(jsonl(HUMAN_EVAL))),
    "mbpp": ("mbpp.jsonl", jsonl({**MBPP, "task_id": 2}, MBPP, {**MBPP, "task_id": 601})),
    "math": (
        "test/algebra/7.json",
        json.dumps({"problem": "Half of one?", "level": "Level 1", "type": "Algebra",
                    "solution": HALF}).encode(),
    ),
    "commonsense_qa": ("dev_rand_split.jsonl", jsonl({"id": "c", "question": STEM, "answerKey": "A"})),
    "openbook_qa": ("Data/Main/test.jsonl", jsonl({"id": "o", "question": STEM, "answerKey": "A"})),
    "gpqa": ("gpqa_main.csv", table([list(GPQA), list(GPQA.values())])),
    "trivia_qa": (
        "triviaqa-unfiltered/unfiltered-web-dev.json",
        json.dumps({"Version": 1.0, "Data": [{"Question": "Capital of France?", "QuestionId": "tc_1",
                    "Answer": {"Value": "Paris", "Aliases": ["Paris", "Paris, France"]}}]}).encode(),
    ),
    "natural_qa": ("NQ-open.dev.jsonl", jsonl({"question": "the capital", "answer": ["Paris", "paris"]})),
}  # fmt: skip
ON_THE_HUB: dict[str, list[dict[str, Any]]] = {
    "gsm8k": [SUM],
    "mmlu": [{"question": METAL, "subject": "anatomy", "choices": CHOICES["text"], "answer": 0}],
    "arc_challenge": [{"id": "x", "question": METAL, "choices": CHOICES, "answerKey": "A"}],
    "human_eval": [HUMAN_EVAL],
    "mbpp": [{**MBPP, "challenge_test_list": []}],
    "math": [{"problem": "Half of one?", "level": "1", "type": "x", "solution": HALF}],
    "commonsense_qa": [{"id": "c", "question": METAL, "choices": CHOICES, "answerKey": "A"}],
    "openbook_qa": [{"id": "o", "question_stem": METAL, "choices": CHOICES, "answerKey": "A"}],
    "gpqa": [GPQA],
    "trivia_qa": [{"question": "Capital of France?", "question_id": "tc_1",
                   "answer": {"aliases": ["Paris, France"], "value": "Paris"}}],
    "natural_qa": [{"question": "capital of france", "answer": ["Paris"]}],
}  # fmt: skip
RIGHT = {
    "gsm8k": "2 + 3 = 5\n#### 5",
    "mmlu": "Answer: A",
    "arc_challenge": "Answer: A",
    "human_eval": "```python\ndef twice(x):\n    return x + x\n```",
    "mbpp": "```python\ndef twice(x):\n    return x + x\n```",
    "math": "\\boxed{0.5}",
    "commonsense_qa": "A",
    "openbook_qa": "(A)",
    "trivia_qa": "Paris, France",
    "natural_qa": "Paris",
}


def right_answer(item: Item) -> str:
    """GPQA's choices are shuffled: the letter in front of the right text."""
    if item.task != "gpqa":
        return RIGHT[item.task]
    return next(line[0] for line in item.query.splitlines() if line.endswith(") iron"))


def check(item: Item) -> None:
    metric = metrics.create(item.metric)
    assert metric.score(right_answer(item), item.reference) == 1
    assert metric.score("I do not know, Z", item.reference) == 0
    assert item.prompt.startswith(item.query) and len(item.prompt) > len(item.query)
    assert item.reference not in item.prompt or len(item.reference) < 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder per set, each as its makers publish it."""
    for name, (path, data) in PUBLISHED.items():
        file = tmp_path / "sets" / name / path
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
    return tmp_path / "sets"


def test_every_set_is_covered() -> None:
    assert set(PUBLISHED) == set(ON_THE_HUB) == set(datasets.available())
    assert len(datasets.available()) == 11


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files(folder: Path, name: str) -> None:
    for source in (folder, folder / name, folder / name / PUBLISHED[name][0]):
        (built,) = build([name], source)
        (item,) = built.items
        assert (item.task, item.metric) == (name, datasets.create(name).info.metric)
        check(item)


def test_all_sets_of_a_folder(folder: Path) -> None:
    built = build(["all"], folder)
    assert [one.name for one in built] == list(datasets.available())
    assert next(one.n_left_out for one in built if one.name == "mbpp") == 2
    assert sum(len(one.items) for one in built) == 11


class _Hub:
    """The dataset server and its files, on the loopback."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.files: dict[str, bytes] = {}
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.cut = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append((self.path, self.headers["Authorization"]))
                path, _, query = self.path.partition("?")
                data = fake.files.get(path)
                if path == "/parquet":
                    listed = fake.lists.get(query)
                    data = None if listed is None else json.dumps({"parquet_files": listed}).encode()
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write((data or b"")[: len(data or b"") - fake.cut])

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def put(self, name: str) -> None:
        info = datasets.create(name).info
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(ON_THE_HUB[name]), sink)
        path = f"/{name}/0000.parquet"
        self.files[path] = sink.getvalue()
        one = {
            "dataset": info.hub, "config": info.hub_config or "algebra", "split": info.split,
            "url": self.url + path, "filename": "0000.parquet", "size": len(sink.getvalue()),
        }  # fmt: skip
        other = {**one, "split": "other", "url": self.url + "/none"}
        self.lists["dataset=" + info.hub.replace("/", "%2F")] = [one, other]


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Hub]:
    made = _Hub()
    fetch = hub.fetch
    monkeypatch.setattr(hub, "fetch", lambda *args, **fields: fetch(*args, server=made.url, **fields))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_hub(online: _Hub, tmp_path: Path) -> None:
    for name in ON_THE_HUB:
        online.put(name)
    built = build(["all"], "hub", cache=tmp_path)
    assert [one.name for one in built] == list(ON_THE_HUB) or len(built) == 11
    for one in built:
        check(one.items[0])
    n_asked = len(online.asked)
    build(["gsm8k"], "hub", cache=tmp_path)
    assert len(online.asked) == n_asked + 1  # the listing alone: the file is here
    assert all(token is None for _, token in online.asked)  # a token is for the hub's own hosts


def test_what_the_hub_can_do_wrong(online: _Hub, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"answered 404.*gated set wants"):
        build(["gpqa"], "hub", cache=tmp_path)
    online.put("gsm8k")
    online.cut = 10
    with pytest.raises(DataError, match=r"not JSON|broke off|lists no Parquet|bytes came"):
        build(["gsm8k"], "hub", cache=tmp_path)
    online.cut = 0
    listed = online.lists["dataset=openai%2Fgsm8k"]
    listed[0]["size"] += 1
    with pytest.raises(DataError, match="bytes came"):
        build(["gsm8k"], "hub", cache=tmp_path)
    listed[0]["split"] = "train"
    with pytest.raises(DataError, match="has no split 'test'"):
        build(["gsm8k"], "hub", cache=tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = datasets.create("gsm8k").info
    with pytest.raises(DataError, match=r"no connection to 127\.0\.0\.1 .*--from PATH"):
        hub.fetch(info, tmp_path, server="http://127.0.0.1:9")
    assert not hub.is_reachable("http://127.0.0.1:9")


LONG = [
    {"query_id": "m/1", "task": "mmlu/anatomy", "query": METAL, "reference": "A",
     "choices": json.dumps(CHOICES["text"]), "model": "x", "score": 1.0},
    {"query_id": "m/1", "task": "mmlu/anatomy", "query": METAL, "reference": "A",
     "choices": json.dumps(CHOICES["text"]), "model": "y", "score": 0.0},
    {"query_id": "a/1", "task": "ARC-Challenge", "query": METAL, "reference": "A",
     "choices": json.dumps(str(CHOICES)), "model": "x", "score": 1.0},
    {"query_id": "q/1", "task": "commonsense_qa", "query": "Which?\nA) iron\nB) glass", "reference": "A",
     "model": "x", "score": 1.0},
    {"query_id": "g/1", "task": "gsm", "query": "2 + 3?", "reference": "#### 5", "model": "x", "score": 1.0},
    {"query_id": "g/2", "task": "gsm", "query": "2 + 4?", "reference": None, "model": "x", "score": 1.0},
    {"query_id": "h/1", "task": "human_eval", "query": HUMAN_EVAL["prompt"], "reference": HUMAN_EVAL["test"],
     "model": "x", "score": 1.0},
    {"query_id": "b/1", "task": "mbpp", "query": MBPP["text"], "reference": str(MBPP["test_list"]),
     "choices": json.dumps(str(MBPP["test_list"])), "model": "x", "score": 1.0},
    {"query_id": "n/1", "task": "natural_qa", "query": "capital?", "reference": "Paris",
     "model": "x", "score": 1.0},
    {"query_id": "l/1", "task": "math-l5", "query": "Half?", "reference": "\\frac12",
     "model": "x", "score": 1.0},
    {"query_id": "o/1", "task": "mine", "query": "Count to 3", "reference": "3", "model": "x", "score": 1.0},
]  # fmt: skip


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    path = tmp_path / "long.jsonl"
    path.write_bytes(jsonl(*LONG))
    return path


def test_a_file_in_the_long_format(long_file: Path) -> None:
    assert is_long(long_file)
    built = {one.name: one for one in build(["all"], long_file)}
    assert set(built) == {
        "mmlu",
        "arc_challenge",
        "commonsense_qa",
        "gsm8k",
        "human_eval",
        "mbpp",
        "natural_qa",
        "math",
    }
    assert (built["gsm8k"].n_rows, built["gsm8k"].n_left_out) == (2, 1)
    for one in built.values():
        check(one.items[0])


def test_tasks_that_are_no_known_set(long_file: Path) -> None:
    (built,) = build(["mine"], long_file, metric="number")
    assert (built.items[0].metric, built.items[0].prompt) == ("number", "")
    with pytest.raises(DataError, match="no known set: say how it is scored with --metric"):
        build(["mine"], long_file)
    with pytest.raises(DataError, match="holds no task 'gpqa'; it has ARC-Challenge"):
        build(["gpqa"], long_file)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("test.jsonl", b'{"question": "x"}\n', r"row 1: is no row of gsm8k: lacks 'answer'"),
        ("test.jsonl", b'{"question": "x", "answer": "1"}\n{"question', r"row 2: not JSON"),
        ("test.jsonl", b"[1]\n", "expected an object, found list"),
        ("test.jsonl", b"\xff\xfe\n", "cannot be read"),
        ("test.jsonl", b"", "0 rows, none of them a query of gsm8k"),
        ("test.jsonl.gz", b"no gzip", "cannot be read"),
        ("test.txt", b"x", "holds none of"),
        ("x.parquet", b"PAR1 no", "cannot be read"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    source = tmp_path / name if name.endswith(".gz") else tmp_path
    with pytest.raises(DataError, match=message):
        build(["gsm8k"], source)


def test_a_wrong_letter_is_named(tmp_path: Path) -> None:
    (tmp_path / "x_test.csv").write_bytes(table([["Q?", "a", "b", "c", "d", "E"], ["Q?", "a", "b"]]))
    with pytest.raises(DataError, match="'E' is none of 4 choices"):
        build(["mmlu"], tmp_path)


def test_gpqa_does_not_put_the_right_choice_first(tmp_path: Path) -> None:
    rows = [[f"Question {i}?", "right", f"a{i}", f"b{i}", f"c{i}", f"r{i}"] for i in range(60)]
    (tmp_path / "gpqa_main.csv").write_bytes(table([list(GPQA), *rows]))
    (built,) = build(["gpqa"], tmp_path)
    letters = [item.reference for item in built.items]
    assert {letters.count(letter) > 5 for letter in "ABCD"} == {True}
    assert [item.reference for item in build(["gpqa"], tmp_path)[0].items] == letters


def test_limits_nest_and_do_not_depend_on_order() -> None:
    items = [Item(query_id=str(i), query="q", task="t", metric="em") for i in range(200)]
    small, large = sample(items, 20, seed=1), sample(items, 50, seed=1)
    ids = {item.query_id for item in small}
    assert len(small) == 20
    assert ids < {item.query_id for item in large}
    assert ids == {item.query_id for item in sample(items[::-1], 20, seed=1)}
    assert ids != {item.query_id for item in sample(items, 20, seed=2)}
    assert sample(items, None, 0) == items


def test_items_to_a_file_and_back(folder: Path, tmp_path: Path) -> None:
    items = [item for one in build(["all"], folder) for item in one.items]
    assert write_items(items, tmp_path / "queries.jsonl") == 11
    assert read_items(tmp_path / "queries.jsonl") == items


def test_files_of_items_that_cannot_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(jsonl({"query_id": "1", "query": "x"}))
    with pytest.raises(DataError, match="row 1, column 'metric': names no metric"):
        read_items(path)
    assert read_items(path, metric="em")[0].metric == "em"
    path.write_bytes(jsonl({"query": "x"}))
    with pytest.raises(DataError, match="query_id"):
        read_items(path, metric="em")


def test_choices_however_they_are_written() -> None:
    for written in (
        CHOICES,
        PAIRS,
        CHOICES["text"],
        json.dumps(CHOICES),
        str(CHOICES),
        json.dumps(str(CHOICES)),
    ):
        assert choice_texts(written) == (CHOICES["text"], CHOICES["label"])
    for broken in ("[", "import os", "__import__('os')", "1 +"):
        with pytest.raises((ValueError, TypeError)):
            choice_texts(broken)


PLUGIN = """
from suffice.datasets import Info, TaskSet

class Capitals(TaskSet):
    info = Info(name="capitals", title="Capitals", kind="short answer", metric="em", license="CC0",
                homepage="", n_queries=2, patterns=("*.csv",))

    def item(self, row, number):
        return self.make(f"capitals/{number}", row["question"], reference=row["answer"])
"""


def test_a_set_from_a_file(tmp_path: Path) -> None:
    plugin = tmp_path / "capitals.py"
    plugin.write_text(PLUGIN)
    (tmp_path / "data.csv").write_bytes(table([["question", "answer"], ["Capital of France?", "Paris"]]))
    (built,) = build([f"{plugin}:Capitals"], tmp_path)
    assert built.items[0].reference == "Paris"
    plugin.write_text("class Capitals:\n    pass\n")
    with pytest.raises(ConfigError, match="lacks `info`"):
        build([f"{plugin}:Capitals"], tmp_path)
    with pytest.raises(UnknownName, match="no dataset is called 'squad'"):
        build(["squad"], tmp_path)
