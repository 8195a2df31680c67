"""A studio in a process of its own, for tests that attack it: prints its address.

python tests/attacked.py SECONDS: the engine takes so long for a step.
"""

import asyncio
import resource
import socket
import sys
from collections.abc import Iterator
from typing import Any

from web_engine import Engine

from impasto.painting import Progress
from impasto.web.server import Server, config, create_app, settle
from impasto.web.studio import Studio


class Forgetful(Engine):
    """Keeps nothing of the pictures that it was given: the server's memory is looked at."""

    def steps(self, *given: Any, **named: Any) -> Iterator[Progress]:
        self.forget()
        return super().steps(*given, **named)


async def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    studio = Studio(painter=Forgetful(delay=float(sys.argv[1])))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        app = create_app(studio)
        settle(app)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        try:
            await Server(config(app)).serve(sockets=[listener])
        finally:
            studio.close()


if __name__ == "__main__":
    asyncio.run(main())
