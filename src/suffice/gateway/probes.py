"""What clients and operators look at: the models, liveness, readiness, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from suffice.errors import Overloaded, UnknownModel
from suffice.gateway.call import Call

if TYPE_CHECKING:
    from suffice.gateway.app import Gateway

MODEL_PREFIX: Final = "/v1/models/"


async def models(gateway: Gateway, call: Call) -> None:
    """OpenAI's list of models: the candidates, and the names that route."""
    data = [_model(gateway, name) for name in gateway.engine.names]
    await call.json({"object": "list", "data": data})


async def model(gateway: Gateway, call: Call) -> None:
    """One of them."""
    from urllib.parse import unquote

    name = unquote(call.path.removeprefix(MODEL_PREFIX))
    if name not in gateway.engine.names:
        raise UnknownModel(name, gateway.engine.names)
    await call.json(_model(gateway, name))


def _model(gateway: Gateway, name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": gateway.started_at, "owned_by": "suffice"}


async def health(gateway: Gateway, call: Call) -> None:
    """The process answers."""
    await call.json({"status": "ok"})


async def ready(gateway: Gateway, call: Call) -> None:
    """Requests can be answered and recorded."""
    stats = await gateway.store_stats()
    if not stats or stats.get("fault"):
        raise Overloaded("the store takes no records; see the log and `suffice doctor`")
    if not gateway.engine.names:
        raise Overloaded("there are no models; list some under `models:`")
    await call.json({"status": "ready"})


async def metrics(gateway: Gateway, call: Call) -> None:
    """Prometheus' text format."""
    text = gateway.metrics.text(await gateway.store_stats())
    await call.reply(200, text.encode(), [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")])
