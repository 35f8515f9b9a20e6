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
    """By method; HEAD is answered as GET."""

    @property
    def allowed(self) -> str:
        """The Allow header."""
        methods = [*self.handlers, "OPTIONS"]
        if "GET" in self.handlers:
            methods.insert(1, "HEAD")
        return ", ".join(methods)


ROUTES: Final[Mapping[str, Route]] = {
    "/v1/chat/completions": Route("chat", Access.CALLER, {"POST": chat.complete}),
    "/v1/route": Route("route", Access.CALLER, {"POST": chat.decide}),
    "/v1/feedback": Route("feedback", Access.CALLER, {"POST": feedback.give}),
    "/v1/models": Route("models", Access.CALLER, {"GET": probes.models}),
    "/health": Route("health", Access.OPEN, {"GET": probes.health}),
    "/ready": Route("ready", Access.OPEN, {"GET": probes.ready}),
    "/metrics": Route("metrics", Access.OPERATOR, {"GET": probes.metrics}),
}
"""By exact path."""

MODEL: Final = Route("model", Access.CALLER, {"GET": probes.model})
"""The only route with something variable in it: `/v1/models/NAME`."""


def find(path: str) -> Route | None:
    """The route of a path as it came, undecoded."""
    route = ROUTES.get(path)
    if route is None and path.startswith(probes.MODEL_PREFIX) and len(path) > len(probes.MODEL_PREFIX):
        return MODEL
    return route
