"""What the chunks of a stream have in common: everything but their text.

Most providers send the same bytes with every token: id, model, time. Once one such chunk has been
decoded, the next ones are recognised by what stands before and after the text.
"""

from __future__ import annotations

from typing import Final

from suffice.types import Chunk

_KEY: Final = b'"content"'


class Frame:
    """The bytes around the text of an ordinary chunk, and those to be shown after it."""

    __slots__ = ("_end", "_prefix", "_shown", "_start", "_suffix")

    def __init__(self, prefix: bytes, suffix: bytes, shown: bytes) -> None:
        self._prefix, self._suffix = prefix, suffix
        self._start, self._end = len(prefix), -len(suffix)
        self._shown = None if shown == suffix else shown

    def chunk(self, event: bytes) -> Chunk | None:
        """The chunk that differs from the learnt one in its text alone; None if this may be another.

        What it recognises is one line.
        """
        start, end = self._start, self._end
        if event[:start] != self._prefix or event[end:] != self._suffix:
            return None
        try:
            text = event[start:end].decode()
        except UnicodeDecodeError:
            return None
        # Without quotes, escapes and control characters the text cannot be anything but the string's.
        if not text or '"' in text or "\\" in text or not text.isprintable():
            return None
        if self._shown is not None:
            event = event[:end] + self._shown
        return Chunk(data=event, text=text, has_content=True)


def learn(event: bytes, shown: bytes, text: str) -> Frame | None:
    """The frame of a chunk whose one choice says `text` and nothing else; None where it is not plain.

    Parameters
    ----------
    event : as received
    shown : as the client sees it; the same up to the text's end
    """
    plain = text.encode(errors="replace")
    prefix, key, rest = event.partition(_KEY)
    # A quote inside a JSON string is escaped: this byte sequence can only be a key, and it is the only one.
    if not key or _KEY in rest or not rest.startswith(b':"' + plain + b'"'):
        return None
    n_prefix = len(prefix) + len(key) + 2
    n_before = n_prefix + len(plain)
    if shown[:n_before] != event[:n_before]:
        return None
    return Frame(event[:n_prefix], event[n_before:], shown[n_before:])
