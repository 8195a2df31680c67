"""A studio in a process of its own, for tests that attack it: prints its address.

python tests/attacked.py SECONDS: the engine takes so long for a step.
"""

import asyncio
import resource
import socket
import sys

import uvicorn
from web_engine import Engine

from impasto.web.server import config, create_app
from impasto.web.studio import Studio


async def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    studio = Studio(painter=Engine(delay=float(sys.argv[1])))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        try:
            await uvicorn.Server(config(create_app(studio))).serve(sockets=[listener])
        finally:
            studio.close()


if __name__ == "__main__":
    asyncio.run(main())
