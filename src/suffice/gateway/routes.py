"""Every route, its handlers, and what it asks of its caller."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from suffice.gateway import chat, feedback, probes
from suffice.gateway.auth import Access
from suffice.gateway.call import Call

if TYPE_CHECKING:
    from suffice.gateway.app import Gateway

Handler = Callable[["Gateway", Call], Coroutine[Any, Any, None]]


class Route(msgspec.Struct, frozen=True):
    """One path; it cannot be declared without saying who may use it."""

    name: str
    """For metrics."""
    access: Access
    handlers: Mapping[str, Handler]
    """By method."""

    @property
    def allowed(self) -> str:
        """The Allow header."""
        return ", ".join(self.handlers)


async def _options(gateway: Gateway, call: Call) -> None:
    """Which methods there are; says nothing that a browser of another site could use."""
    route = find(call.path)
    assert route is not None
    await call.reply(200, b"", [(b"allow", route.allowed.encode())])


def _get(handler: Handler) -> Mapping[str, Handler]:
    return {"GET": handler, "HEAD": handler, "OPTIONS": _options}


def _post(handler: Handler) -> Mapping[str, Handler]:
    return {"POST": handler, "OPTIONS": _options}


ROUTES: Final[Mapping[str, Route]] = {
    "/v1/chat/completions": Route("chat", Access.CALLER, _post(chat.complete)),
    "/v1/route": Route("route", Access.CALLER, _post(chat.decide)),
    "/v1/feedback": Route("feedback", Access.CALLER, _post(feedback.give)),
    "/v1/models": Route("models", Access.CALLER, _get(probes.models)),
    "/health": Route("health", Access.OPEN, _get(probes.health)),
    "/ready": Route("ready", Access.OPEN, _get(probes.ready)),
    "/metrics": Route("metrics", Access.OPERATOR, _get(probes.metrics)),
}
"""By exact path."""

MODEL: Final = Route("model", Access.CALLER, _get(probes.model))
"""The only route with something variable in it: `/v1/models/NAME`."""


def find(path: str) -> Route | None:
    """The route of a path as it came, undecoded."""
    route = ROUTES.get(path)
    if route is None and path.startswith(probes.MODEL_PREFIX) and len(path) > len(probes.MODEL_PREFIX):
        return MODEL
    return route
