"""Every bad file ends in a DataError that names file, row and column."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from suffice.errors import ConfigError, DataError
from suffice.outcomes import Outcomes, Preferences, Runs

HEADER = "query_id,query,model,score\n"
GOOD = {"query_id": "1", "query": "hi", "model": "a", "score": 0.5}
COLUMNS = {"query_id": ["1", "2"], "query": ["x", "y"], "model": ["a", "a"], "score": [0.5, 1.0]}


def lines(*rows: dict | str) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def later(**fields: object) -> dict:
    return {**GOOD, "query_id": "2", **fields}


def without(name: str) -> dict:
    return {key: value for key, value in GOOD.items() if key != name}


BAD_TEXT = [
    ("number.csv", HEADER + "1,hi,a,0.5\n2,ho,a,abc\n", r", row 2, column 'score': 'abc' is not a number"),
    ("high.csv", HEADER + "1,hi,a,0.5\n2,ho,a,1.5\n", r", row 2, column 'score': 1.5 is outside \[0, 1\]"),
    ("low.csv", HEADER + "1,hi,a,-1\n", r", row 1, column 'score': -1.0 is outside"),
    ("inf.csv", HEADER + "1,hi,a,inf\n", r", row 1, column 'score': an infinite value"),
    ("id.csv", HEADER + "1,hi,a,1\n ,hi,a,1\n", r", row 2, column 'query_id': this value is missing"),
    ("model.csv", HEADER + "1,hi,,1\n", r", row 1, column 'model': this value is missing"),
    ("narrow.csv", HEADER + "1,hi,a,1\n2,ho,a\n", r", row 2: expected 4 columns, found 3: '2,ho,a'"),
    ("wide.csv", HEADER + "1,hi,a,1,5\n", r", row 1: expected 4 columns, found 5"),
    ("column.csv", "query_id,query,score\n1,hi,1\n", r"column 'model': this required column is missing"),
    ("alien.csv", "id,prompt,model,score\n1,hi,a,1\n", "the file has: id, prompt, model, score"),
    (
        "twice.csv",
        "query_id,query,model,score,score\n1,x,a,1,1\n",
        "column 'score': this column occurs twice",
    ),
    ("empty.csv", "", "the file is empty"),
    ("header.csv", HEADER, "no rows are left"),
    ("quote.csv", HEADER + '1,"hi,a,0.5\n2,ho,a,1\n', ", row 1: expected 4 columns"),
    ("utf8.csv", HEADER.encode() + b"1,hi,a,1\n2,\xff,a,1\n", r", row 2, column 'query': .*is not UTF-8"),
    ("head.csv", b"query_id,query,model,score,\xff\n1,x,a,1,2\n", "header is not UTF-8"),
    ("huge.csv", HEADER[:-1] + ",turn\n1,x,a,1," + "9" * 30 + "\n", r"column 'turn': '9+\.*.* whole number"),
    ("cost.csv", HEADER[:-1] + ",cost_usd\n1,x,a,1,-2\n", r"column 'cost_usd': -2.0 is negative"),
    ("json.jsonl", lines(GOOD, '{"query_id": 2,'), r", row 2: not JSON: .*one object per line"),
    ("array.jsonl", lines(GOOD, "[1]"), ", row 2: expected one JSON object per line, found list"),
    ("number.jsonl", lines(GOOD, later(score="x")), r", row 2, column 'score': 'x' is not a number"),
    ("list.jsonl", lines(GOOD, later(score=[1])), r", row 2, column 'score': \[1\] is not a number"),
    ("high.jsonl", lines(GOOD, later(score=50)), r", row 2, column 'score': 50.0 is outside"),
    ("huge.jsonl", lines(GOOD, later(prompt_tokens=10**400)), r", row 2, column 'prompt_tokens'"),
    ("digits.jsonl", lines(GOOD, '{"seed": ' + "9" * 5000 + "}"), r"row 2"),
    ("id.jsonl", lines(GOOD, without("query_id")), r", row 2, column 'query_id': this value is missing"),
    ("score.jsonl", lines(without("score")), r"column 'score': this required column is missing"),
    ("utf8.jsonl", lines(GOOD).encode() + b'{"query_id": "\xff"}\n', r", row 2"),
    (
        "half.jsonl",
        lines(GOOD, '{"query_id":"2","query":"\\ud800","model":"a","score":1}'),
        ", row 2, column 'q",
    ),
    ("deep.jsonl", lines(GOOD, '{"extra": ' + "[" * 100_000 + "]" * 100_000 + "}"), ", row 2: not JSON"),
    ("empty.jsonl", "", "this required column is missing"),
    ("plain.csv.gz", HEADER + "1,hi,a,1\n", "cannot be read as csv"),
    ("cut.csv.gz", gzip.compress((HEADER + "1,hi,a,1\n" * 999).encode())[:-9], "cannot be read as csv"),
    ("table.xlsx", "", "unknown format"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_TEXT, ids=[row[0] for row in BAD_TEXT])
def test_bad_text_file(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as caught:
        Outcomes.read(path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": ["0.5", "x"]}, r"row 2, column 'score': 'x' is not a number"),
        ({"score": [0.5, 2.0]}, r"row 2, column 'score': 2.0 is outside"),
        ({"score": [[1.0], [1.0]]}, r"column 'score': expected numbers, found list"),
        ({"query": [b"a", b"\xff"]}, r"column 'query': expected text, found binary"),
        ({"query_id": ["1", None]}, r"row 2, column 'query_id': this value is missing"),
        ({"model": ["a", None]}, r"row 2, column 'model': this value is missing"),
        ({"query_id": ["1", "1"]}, r"2 rows for query '1' and arm 'a'; aggregate="),
        ({"query_id": ["1", "1"], "model": ["a", "b"]}, r"query_id '1' names two different texts"),
    ],
)
def test_bad_parquet_values(change, message, tmp_path):
    pq.write_table(pa.table({**COLUMNS, **change}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=message):
        Outcomes.read(tmp_path / "x.parquet")


def test_bytes_that_are_no_text_in_a_text_column(tmp_path):
    raw = pa.array([b"a", b"\xff"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({**COLUMNS, "query": text}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"row 2, column 'query': .* is not UTF-8"):
        Outcomes.read(tmp_path / "x.parquet")


@pytest.mark.parametrize("keep", [0, 5, 300, -40])
def test_cut_parquet(keep, tmp_path):
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    pq.write_table(pa.table(COLUMNS), whole)
    cut.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(DataError, match="cannot be read as parquet"):
        Runs.read(cut)


def test_missing_file_and_unwritable_target(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        Outcomes.read(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no such file"):
        Outcomes.read(str(tmp_path / "*.csv"))
    with pytest.raises(DataError, match="no file given"):
        Outcomes.read([])
    with pytest.raises(DataError, match="cannot be written"):
        Outcomes.from_arrays(["x"], ["a"], [[1.0]]).write(tmp_path / "no" / "such.csv")


def test_a_score_just_outside_is_moved_and_logged(tmp_path, caplog):
    path = tmp_path / "meteor.csv"
    path.write_text(HEADER + "1,hi,a,-0.033\n2,ho,a,1.0000001\n")
    assert Outcomes.read(path).quality.tolist() == [[0.0], [1.0]]
    assert "row 1, column 'score': -0.033 moved into [0, 1]" in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.csv", b"\xef\xbb\xbf" + HEADER.encode() + b"1,hi,a,0.5\n"),
        ("crlf.csv", HEADER.replace("\n", "\r\n").encode() + b"1,hi,a,0.5\r\n"),
        ("blank.csv", HEADER.encode() + b"\n1,hi,a,0.5\n\n"),
        ("spaces.csv", HEADER.encode() + b"1,hi,a, 0.5 \n"),
        ("blank.jsonl", b"\n" + lines(GOOD).encode() + b"\n"),
        ("bom.jsonl", b"\xef\xbb\xbf" + lines(GOOD).encode()),
        ("number.jsonl", lines({**GOOD, "query_id": 1}).encode()),
        ("text.jsonl", lines({**GOOD, "score": "0.5"}).encode()),
        ("last.jsonl", lines(GOOD).encode().rstrip()),
        ("extra.jsonl", lines({**GOOD, "when": "2026-01-02", "x": [1, {"y": 10**30}]}).encode()),
        ("rows.jsonl.gz", gzip.compress(lines(GOOD).encode())),
    ],
)
def test_harmless_quirks(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    outcomes = Outcomes.read(tmp_path / name)
    assert (outcomes.ids, outcomes.arms, outcomes.quality.tolist()) == (("1",), ("a",), [[0.5]])


def test_unknown_stays_unknown(tmp_path):
    rows = lines(
        GOOD, later(score=None), later(query_id="3", score=float("nan")), later(query_id="4", score="")
    )
    (tmp_path / "x.jsonl").write_text(rows)
    outcomes = Outcomes.read(tmp_path / "x.jsonl")
    assert outcomes.quality[0, 0] == 0.5
    assert np.isnan(outcomes.quality[1:]).all()
    assert np.isnan(outcomes.cost_usd).all()


def test_aggregates(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(HEADER + "1,hi,a,0.2\n1,hi,a,0.6\n1,hi,a,\n")
    assert Outcomes.read(path, aggregate="mean").quality.tolist() == [[pytest.approx(0.4)]]
    assert Outcomes.read(path, aggregate="first").quality.tolist() == [[0.2]]
    with pytest.raises(ConfigError, match="expected one of error, mean, first"):
        Outcomes.read(path, aggregate="median")
    with pytest.raises(DataError, match="column 'strategy': this required column is missing"):
        Outcomes.read(path, arm="strategy")


def test_several_files_and_globs(tmp_path):
    (tmp_path / "1.csv").write_text(HEADER + "1,hi,a,0.25\n")
    (tmp_path / "2.jsonl").write_text(lines({**GOOD, "model": "b", "note": "kept"}))
    outcomes = Outcomes.read([tmp_path / "1.csv", tmp_path / "2.jsonl"])
    assert (outcomes.arms, outcomes.quality.tolist()) == (("a", "b"), [[0.25, 0.5]])
    runs = Runs.read(str(tmp_path / "*.*"))
    assert runs.column("note") == [None, "kept"]


def test_runs_filter_and_write(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(
        "query_id,query,model,score,turn,strategy,flag\n1,x,a,1,1,s,True\n1,x,a,0,2,s,False\n1,x,a,0,2,t,True\n"
    )
    runs = Runs.read(path)
    assert [len(runs.where(turn=2)), len(runs.where(strategy=("s", "t"))), len(runs.where(flag=True))] == [
        2,
        3,
        2,
    ]
    runs.where(turn=1).write(tmp_path / "one.parquet")
    assert Runs.read(tmp_path / "one.parquet").columns == runs.columns
    with pytest.raises(DataError, match="column 'colour': no such column; there are: query_id"):
        runs.where(colour="red")
    with pytest.raises(DataError, match="column 'turn': 'x' cannot be compared with int64"):
        runs.where(turn="x")
    with pytest.raises(DataError, match="no such column"):
        runs.column("colour")
    assert [len(part) for part in Runs.iter_batches(path)] == [3]


def test_every_row_is_read_when_blocks_end_inside_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("suffice.outcomes.jsonlines.BLOCK_BYTES", 100)
    rows = [{**GOOD, "query_id": str(i), "query": "x" * (i % 250)} for i in range(300)]
    (tmp_path / "x.jsonl").write_text(lines(*rows))
    assert Runs.read(tmp_path / "x.jsonl").column("query_id") == [row["query_id"] for row in rows]
    (tmp_path / "x.jsonl").write_text(lines(*rows, "{"))
    with pytest.raises(DataError, match="row 301: not JSON"):
        Runs.read(tmp_path / "x.jsonl")


def test_preferences_name_bad_rows(tmp_path):
    path: Path = tmp_path / "pairs.csv"
    path.write_text("query_id,query,model_a,model_b,pref_b\n1,x,a,b,0.5\n2,y,a,,0.5\n")
    with pytest.raises(DataError, match="row 2, column 'model_b': this value is missing"):
        Preferences.read(path)
    path.write_text("query_id,query,model_a,model_b,pref_b\n1,x,a,b,7\n")
    with pytest.raises(DataError, match=r"row 1, column 'pref_b': 7\.0 is outside"):
        Preferences.read(path)
