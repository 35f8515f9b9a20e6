"""Server-sent events: a plain reading of the standard as oracle, and any cutting gives the same."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffice.errors import ProviderGarbage
from suffice.providers.sse import SseParser

CASES = {
    "usual": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "cr": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed ends": (b"data: a\r\n\ndata: b\n\rdata: c\r\r\n", [b"a", b"b", b"c"]),
    "bom": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "bom only at the start": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
    "comments": (b": hi\n\n:\ndata: a\n: more\n\n", [b"a"]),
    "several lines": (b"data: a\ndata: b\n\n", [b"a\nb"]),
    "no space": (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
    "other fields": (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
    "fields that only begin alike": (b"database: x\n\ndata2: y\n\n", []),
    "bare field": (b"data\n\ndata\ndata\n\n", [b"", b"\n"]),
    "empty": (b"data:\n\ndata: \n\n", [b"", b""]),
    "many blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [b"a", b"b"]),
    "no last blank line": (b"data: a\n\ndata: b\n", [b"a", b"b"]),
    "no last line end": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "no events": (b"", []),
    "only a piece of the bom": (b"\xef\xbb", []),
    "utf-8": ("data: grün €\n\n".encode(), ["grün €".encode()]),
}


def parse(pieces: list[bytes], **arguments: int) -> list[bytes]:
    parser = SseParser(**arguments)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.finish()


def oracle(data: bytes) -> list[bytes]:
    """The standard, read line by line."""
    events, values = [], None
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in [*text.split(b"\n"), b""]:
        if not line:
            if values is not None:
                events.append(b"\n".join(values))
            values = None
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            values = [*(values or []), value.removeprefix(b" ")]
    return events


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_events(name: str) -> None:
    data, events = CASES[name]
    assert parse([data]) == events
    assert parse([data[i : i + 1] for i in range(len(data))]) == events
    for i in range(len(data)):
        assert parse([data[:i], b"", data[i:]]) == events


# fmt: off
TOKENS = [
    b"data: ", b"data:", b"data", b"event: x", b": ", b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"{}",
    b"\xef\xbb\xbf", "€".encode(), b"[DONE]", b" ", b"id", b"\x00",
]
# fmt: on
tokens = st.sampled_from(TOKENS)
streams = st.one_of(st.lists(tokens, max_size=30).map(b"".join), st.binary(max_size=200))


@settings(max_examples=1_000, deadline=None)
@given(streams, st.lists(st.integers(0, 250), max_size=12))
def test_any_cutting_gives_the_same_events(data: bytes, places: list[int]) -> None:
    whole = parse([data])
    assert parse(cut(data, places)) == whole
    if data not in (b"\xef", b"\xef\xbb"):
        assert whole == oracle(data)


def test_ten_thousand_random_streams() -> None:
    rng = random.Random(4)
    for _ in range(10_000):
        data = b"".join(rng.choices(TOKENS, k=rng.randint(0, 25)))
        places = [rng.randint(0, len(data)) for _ in range(rng.randint(0, 8))]
        assert parse(cut(data, places)) == oracle(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=12), st.integers(1, 50))
def test_the_limit_holds_however_the_stream_is_cut(data: bytes, places: list[int], limit: int) -> None:
    def is_refused(pieces: list[bytes]) -> bool:
        try:
            assert all(len(event) <= limit for event in parse(pieces, max_event_bytes=limit))
        except ProviderGarbage:
            return True
        return False

    blocks = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    if max(map(len, blocks)) > limit + 1:
        assert is_refused([data])
        assert is_refused(cut(data, places))


def test_an_endless_event_is_refused_early() -> None:
    parser = SseParser(max_event_bytes=1_000_000, label="small")
    for _ in range(15):
        parser.feed(b"x" * 65_536)
    with pytest.raises(ProviderGarbage, match="small: an event of the stream is longer"):
        parser.feed(b"x" * 65_536)


def test_a_long_event_in_small_pieces_takes_linear_time() -> None:
    parser = SseParser()
    started_s = time.process_time()
    parser.feed(b"data: ")
    for _ in range(200_000):
        parser.feed(b"0123456789")
    (event,) = parser.feed(b"\n\n")
    assert len(event) == 2_000_000
    assert time.process_time() - started_s < 2.0
