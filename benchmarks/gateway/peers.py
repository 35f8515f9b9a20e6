"""Other gateways, installed by whoever runs the benchmark; absent ones are left out of the table.

    python -m venv peers/litellm && peers/litellm/bin/pip install 'litellm[proxy]'
    npm install --prefix peers/portkey @portkey-ai/gateway
    BENCH_PEERS=peers python benchmarks/gateway/run.py --gateways nginx,suffice,litellm,portkey

Each as its own documentation starts it, with its defaults and no database, which spares it work that
Suffice does in its rows.
"""

import os
import secrets
import shutil
from pathlib import Path

PEERS = Path(os.environ.get("BENCH_PEERS", "peers"))


class LiteLLM:
    """One worker, no database; it does not start without a master key of some strength."""

    cells = ("chat", "stream")
    key: str | None = "sk-" + secrets.token_hex(32)
    model = "mock"
    headers = ""

    def start(self, folder: Path, port: int, upstream: int) -> list[str]:
        (folder / "litellm.yaml").write_text(f"""
model_list:
  - model_name: mock
    litellm_params: {{model: openai/mock, api_base: "http://127.0.0.1:{upstream}/v1", api_key: unused}}
""")
        os.environ["LITELLM_MASTER_KEY"] = self.key or ""
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its start waits for the network
        command = PEERS / "litellm" / "bin" / "litellm"
        if not command.exists():
            raise FileNotFoundError(f"{command} is not there")
        return [
            str(command),
            "--config",
            str(folder / "litellm.yaml"),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]


class Portkey:
    """The open gateway; it reads no stream here with the server library that npm installs (issue 1389)."""

    cells = ("chat",)
    key: str | None = "unused"
    model = "mock"
    headers = ""

    def start(self, folder: Path, port: int, upstream: int) -> list[str]:
        script = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        node = shutil.which("node")
        if node is None or not script.exists():
            raise FileNotFoundError(f"node or {script} is not there")
        self.headers = (
            f"x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:{upstream}/v1\r\n"
        )
        return [node, str(script), f"--port={port}", "--headless"]
