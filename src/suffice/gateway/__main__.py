"""`python -m suffice.gateway`: the gateway, with argparse alone so that it starts quickly and stays small."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from collections.abc import Sequence

from suffice import config as configuration
from suffice.build import build
from suffice.config import Config
from suffice.engine import Engine
from suffice.errors import ConfigError, SufficeError
from suffice.gateway.app import Gateway
from suffice.gateway.auth import is_loopback
from suffice.gateway.board import Board
from suffice.gateway.limits import Limits
from suffice.gateway.workers import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; 0 after a clean stop, 1 if the gateway could not start."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    try:
        config = configuration.load(options.config)
        host = options.host or config.gateway.host
        port = config.gateway.port if options.port is None else options.port
        serve(
            gateway(config, host, options.workers),
            host,
            port,
            workers=options.workers,
            limits=Limits(body_bytes=config.gateway.max_body_bytes),
            on_ready=lambda bound: _announce(config, host, bound),
        )
    except SufficeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def gateway(config: Config, host: str, workers: int = 1) -> Gateway:
    """The application for a configuration, as it will listen on `host`.

    Raises
    ------
    ConfigError
        If it would answer strangers without a key.
    """
    if config.gateway.auth is False and not is_loopback(host):
        raise ConfigError(
            f"auth is off and {host} can be reached by others; leave auth on, or listen on 127.0.0.1",
            key="gateway.auth",
        )

    return Gateway(
        lambda: _built(config),
        demands_key=config.gateway.auth,
        is_loopback=is_loopback(host),
        keep_content=config.gateway.keep_content,
        max_body_bytes=config.gateway.max_body_bytes,
        board=Board(workers) if workers > 1 else None,
    )


def _built(config: Config) -> Engine:
    """The engine; what exists now stays, so the garbage collector need not look at it again and again."""
    engine = build(config)
    gc.collect()
    gc.freeze()
    return engine


def _announce(config: Config, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    names = ", ".join(model.name for model in config.models)
    sys.stdout.write(f"suffice ready on http://{shown}:{port}/v1 with {names}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="suffice up", description="Serve the gateway.")
    parser.add_argument("--config", help="configuration file (suffice.yaml)")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 picks a free one")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
