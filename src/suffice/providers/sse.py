"""Server-sent events, incrementally: bytes in, the data of each event out.

Only `data` fields are kept: model APIs repeat an event's name inside its JSON. Bytes are cut at
line ends alone, so a character split over two reads needs no care.

References
----------
WHATWG HTML, section 9.2.6, "Interpreting an event stream". Departure: an event that the end of the
stream leaves without its blank line is given out by `finish`, not dropped.
"""

from __future__ import annotations

from typing import Final

from suffice.errors import ProviderGarbage

_BOM: Final = b"\xef\xbb\xbf"


class SseParser:
    """Any way of cutting the stream into reads gives the same events.

    Examples
    --------
    >>> parser = SseParser()
    >>> parser.feed(b"data: one\\n\\nda")
    [b'one']
    >>> parser.feed(b"ta: two\\r\\n\\r\\n")
    [b'two']
    """

    __slots__ = (
        "_began",
        "_is_after_cr",
        "_label",
        "_max_event_bytes",
        "_pending",
        "_pending_bytes",
        "is_idle",
    )

    def __init__(self, *, max_event_bytes: int = 8 * 1024 * 1024, label: str = "") -> None:
        self.is_idle = False
        """Whether the last bytes ended an event, so that the next ones begin another."""
        self._label = label
        self._max_event_bytes = max_event_bytes
        self._began = False
        self._is_after_cr = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes complete.

        Raises
        ------
        ProviderGarbage
            If an event grows longer than `max_event_bytes`.
        """
        if not self._began:
            data = self._without_bom(data)
        if not self._pending and not self._is_after_cr:
            events = self._usual(data)
            if events is not None:
                self.is_idle = True
                return events
        self.is_idle = False
        # `find`, not `in`: for bytes, `in` raises and swallows an exception inside.
        if self._is_after_cr or data.find(b"\r") >= 0:
            data = self._with_lf_only(data)
        if self._pending:
            starts_blank = data[:1] == b"\n" and self._pending[-1][-1:] == b"\n"
            if not starts_blank and data.find(b"\n\n") < 0:
                self._keep(data)
                return []
            data = b"".join((*self._pending, data))
            self._pending.clear()
            self._pending_bytes = 0
        *blocks, rest = data.split(b"\n\n")
        if rest:
            self._keep(rest)
        events = []
        for block in blocks:
            if len(block) > self._max_event_bytes:
                raise self._too_long()
            if (event := _event(block)) is not None:
                events.append(event)
        return events

    def finish(self) -> list[bytes]:
        """The event that the end of the stream completes, if there is one."""
        event = _event(b"".join(self._pending)) if self._began else None
        self._pending.clear()
        self._pending_bytes = 0
        return [] if event is None else [event]

    def _usual(self, data: bytes) -> list[bytes] | None:
        """The events of whole `data: ...` and blank lines in turn; None if there is anything else."""
        lines = data.splitlines()
        if data[-1:] != b"\n" or lines[-1] or len(data) > self._max_event_bytes:
            return None
        if len(lines) == 2:
            line = lines[0]
            return [line[6:]] if line[:6] == b"data: " else None
        if any(lines[1::2]):
            return None
        events = [line[6:] for line in lines[::2] if line[:6] == b"data: "]
        return events if len(events) * 2 == len(lines) else None

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._pending.append(data)
        self._pending_bytes += len(data)
        # One more for the first half of a blank line.
        if self._pending_bytes > self._max_event_bytes + 1:
            raise self._too_long()

    def _without_bom(self, data: bytes) -> bytes:
        data = b"".join((*self._pending, data))
        self._pending.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            if data:
                self._pending.append(data)
            return b""
        self._began = True
        return data.removeprefix(_BOM)

    def _with_lf_only(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._is_after_cr:
            data = data.removeprefix(b"\n")  # its CR has already counted as a line end
        self._is_after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _too_long(self) -> ProviderGarbage:
        return ProviderGarbage(
            f"an event of the stream is longer than {self._max_event_bytes:,} bytes", candidate=self._label
        )


def _event(block: bytes) -> bytes | None:
    """The data of one block of lines; None if it has none, as a comment."""
    values = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            values.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            values.append(b"")
    return b"\n".join(values) if values else None
