"""Both neighbours of a gateway in one process: the provider behind it and the clients before it.

    python benchmarks/gateway/other_side.py PORT

Serves the provider on PORT; each line of JSON on its input is a load to run (see `clients.load`), whose
result it prints. While a load runs, it never sleeps: waking a sleeping process costs whoever sends to it
some microseconds, and a slow gateway, whose neighbours sleep more, would seem slower than it is.
"""

import asyncio
import json
import sys

import uvloop
from clients import load

from upstream import Upstream


async def stay_awake() -> None:
    """Poll without pause until cancelled."""
    while True:
        await asyncio.sleep(0)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(Upstream, "127.0.0.1", port, backlog=1024)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        awake = loop.create_task(stay_awake())
        result = await load(**json.loads(line))
        awake.cancel()
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
