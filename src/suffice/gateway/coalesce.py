"""Pieces that are ready together leave together.

An asynchronous iterator is driven by hand: as long as its next item is there without waiting, it is only
collected; when the iterator is about to wait, what was collected goes out first. So a slow stream loses no
time, and a fast one costs one write for many pieces.
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")

_MOST: Final = 64
"""Pieces collected before they are sent even though more are ready."""


async def forward(
    items: AsyncIterator[T], piece: Callable[[T], bytes], send: Callable[[bytes], Awaitable[None]]
) -> None:
    """Send the pieces of all items, in order.

    Parameters
    ----------
    items : its `__anext__` must be a coroutine, as that of a class with `async def __anext__` is
    piece : the bytes of an item; empty for one that is not to be sent
    send : called with pieces joined together

    Raises
    ------
    Exception
        Whatever the iterator raises, after what came before it was sent.
    """
    pieces: list[bytes] = []

    async def flush() -> None:
        together = b"".join(pieces)
        pieces.clear()
        await send(together)

    step: Any = None
    try:
        while True:
            step = items.__anext__()
            try:
                waited = step.send(None)
            except StopIteration as done:
                item: T = done.value
            else:
                if pieces:
                    await flush()
                item = await _resumed(step, waited)
            data = piece(item)
            if data:
                pieces.append(data)
                if len(pieces) >= _MOST:
                    await flush()
    except StopAsyncIteration:
        if pieces:
            await flush()
    except Exception:
        if pieces:
            await flush()
        raise
    finally:
        if step is not None:
            step.close()


@types.coroutine
def _resumed(step: Coroutine[Any, Any, T], waited: Any) -> Generator[Any, Any, T]:
    """The rest of a coroutine that was started by hand and waits for something."""
    try:
        while True:
            try:
                sent = yield waited
            except BaseException as error:
                waited = step.throw(error)
            else:
                waited = step.send(sent)
    except StopIteration as done:
        result: T = done.value
        return result
