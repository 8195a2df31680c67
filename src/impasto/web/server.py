"""The server of `impasto web`: page and API behind one guard, on one port.

Nobody but this machine is let in unless asked for, and no picture leaves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import ipaddress
import json
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from uvicorn.protocols.http.h11_impl import H11Protocol

from impasto import __version__
from impasto.errors import ImpastoError
from impasto.network.device import pick_device
from impasto.network.weights import cache_folder
from impasto.web import api
from impasto.web.fair import network_of
from impasto.web.guard import PATIENCE, Guard
from impasto.web.pace import Pace
from impasto.web.studio import Studio

STATIC = Path(__file__).parent / "static"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
SWEEP = 5.0  # seconds between looks at who has left
WAITING = 1024  # connections that the system keeps until they are taken in,
AT_ONCE = 16  # and so many are before those that are there have their turn
M_ARENA_MAX, ARENAS = -8, 2  # of malloc.h; and how many parts of memory all threads share
HEADERS_DUE = 15.0  # seconds for a request's headers to come
CONNECTIONS = 256  # that are open at once from one address: a browser has six,
LINGERS = 1.0  # and who is refused has so many seconds to read why


def serve(
    host: str,
    port: int,
    auth: str | None,
    *,
    device: str = "auto",
    networks: Path | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serve the studio until it is interrupted.

    Args:
        host: name or address to listen on.
        port: 0 takes a free one.
        auth: "user:password" that every request must give, or None.
        device: where to compute, as in `Settings.device`.
        networks: folder of networks that are offered to every visitor; None for none.
        ready: told the address of the page once it can be opened.

    Raises:
        ImpastoError: host, port, auth, device or networks cannot be used.
    """
    account = _account(auth)
    chosen = pick_device(device).type
    listener = _listen(host, port)
    local = (*LOOPBACK_NAMES, host) if is_loopback(host) else ()
    with listener:
        if not local:
            _warn(host, account is not None)
        pace = Pace(cache_folder() / f"pace-{chosen}.json")
        paused = cache_folder() / "studio"
        studio = Studio(device=device, workers=_workers(chosen), paused=paused, pace=pace, networks=networks)
        try:
            asyncio.run(_serve(studio, listener, account, local, ready))
        finally:
            studio.close()


async def _serve(
    studio: Studio,
    listener: socket.socket,
    account: tuple[str, str] | None,
    hosts: Sequence[str],
    ready: Callable[[str], None],
) -> None:
    app = create_app(studio, account=account, hosts=hosts)
    settle(app)
    address, number = listener.getsockname()[:2]
    ready(f"http://[{address}]:{number}" if ":" in address else f"http://{address}:{number}")
    await Server(config(app)).serve(sockets=[listener])


class Server(uvicorn.Server):
    """Takes in a few connections at a time: hundreds that come at once would hold up those that are there."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(WAITING)  # asyncio lets as many wait as it takes in at once


def settle(app: FastAPI) -> None:
    """Do before the first request what would hold up everybody later.

    FastAPI puts its routes together when the first request comes. And Python, looking for garbage, would go through
    the quarter of a million objects of torch and FastAPI again and again, while nothing else may run.
    """
    if sys.platform == "linux":
        # each thread that reads or paints would keep what it once took: memory grew to twice as much
        with contextlib.suppress(OSError, AttributeError):  # another C library than GNU's
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    app.openapi()
    gc.collect()
    gc.freeze()


def create_app(
    studio: Studio, *, account: tuple[str, str] | None = None, hosts: Sequence[str] = (), patience: float = PATIENCE
) -> FastAPI:
    """The application: the page at /, what it is made of under /static, the API under /api.

    Args:
        account: user and password that every request must give.
        hosts: names by which the server may be called, against DNS rebinding; none allows all.
        patience: seconds for a request's body, before its size counts.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(studio))
        yield
        sweeping.cancel()
        await asyncio.to_thread(studio.close)

    app = FastAPI(
        title="impasto",
        version=__version__,
        description="Paint a photograph in the style of a painting.",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        max_body_size=4 * studio.limits.upload_bytes,  # a photograph and some paintings
    )
    app.state.studio, app.state.threads = studio, api.Threads()
    app.include_router(api.router)
    api.answer_errors(app)
    app.add_api_route("/", page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_middleware(Guard, studio=studio, account=account, hosts=tuple(hosts), patience=patience)
    return app


async def page() -> FileResponse:
    return FileResponse(STATIC / "index.html")


class Protocol(H11Protocol):
    """HTTP that closes connections whose headers do not come, and answers what is no HTTP as the API answers errors.

    Args:
        headers_due: seconds for a request's headers to come.
        most: connections that one address may have open; those of proxies that are trusted are not counted.
        open: how many each has, which all connections of a server share.
    """

    def __init__(self, *arguments: Any, headers_due: float, most: int, open: Counter[str], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.headers_due, self.most, self.open = headers_due, most, open
        self.refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        self.address = "" if peer in getattr(self.app, "trusted_hosts", ()) else network_of(peer)
        self.open[self.address] += 1
        self.refused = bool(self.address) and self.open[self.address] > self.most
        self._headers_due: asyncio.TimerHandle | None = self.loop.call_later(
            LINGERS if self.refused else self.headers_due, self._close
        )
        if self.refused:
            self._refuse()

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return  # what a request says is read all the same: closed with it unread, the answer would be lost
        super().data_received(data)
        waiting = self.cycle is None or self.cycle.response_complete
        if self._headers_due is not None and not waiting:
            self._headers_due.cancel()
            self._headers_due = None
        elif self._headers_due is None and waiting:
            self._headers_due = self.loop.call_later(self.headers_due, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open[self.address] -= 1
        if not self.open[self.address]:
            del self.open[self.address]
        if self._headers_due is not None:
            self._headers_due.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._say("400 Bad Request", "this is no HTTP request")
        self.transport.close()

    def _refuse(self) -> None:
        if self.open[self.address] > 2 * self.most:  # nor may those who are told why be any number
            self.transport.abort()
            return
        self._say("429 Too Many Requests", "too many connections are open from your address; close some")
        try:
            self.transport.write_eof()
        except OSError:  # they have left already
            self.transport.abort()

    def _say(self, status: str, words: str) -> None:
        body = json.dumps({"error": words}).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)

    def _close(self) -> None:
        self._headers_due = None
        if (self.cycle is None or self.cycle.response_complete) and self.transport is not None:
            self.transport.close()


def config(app: Any, headers_due: float = HEADERS_DUE, connections: int = CONNECTIONS) -> uvicorn.Config:
    """How the application is served.

    Args:
        headers_due: seconds for a request's headers to come.
        connections: that one address may have open.
    """
    protocol: Any = partial(Protocol, headers_due=headers_due, most=connections, open=Counter())
    return uvicorn.Config(
        app, log_level="warning", timeout_graceful_shutdown=2, http=protocol, ws="none", backlog=AT_ONCE
    )


async def _sweep(studio: Studio) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        await asyncio.to_thread(studio.sweep)


def _workers(device: str) -> list[Callable[[], None]]:
    """One per device of the kind; a thread's current CUDA device is what "cuda" means in it."""
    if device != "cuda":
        return [lambda: None]
    return [partial(torch.cuda.set_device, number) for number in range(torch.cuda.device_count())]


def _account(auth: str | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        raise ImpastoError("--auth is not of the form user:password; both are needed")
    return user, password


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, or a sentence that says why none can."""
    if not 0 <= port <= 65535:
        raise ImpastoError(f"--port {port} is out of range: choose a whole number from 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ImpastoError(f"--host {host} is no name or address of this machine: {error.strerror}") from None
    listener = socket.socket(found[0], socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(found[4])
        listener.listen(WAITING)
    except OSError as error:
        listener.close()
        raise ImpastoError(
            f"--port {port} on {host} cannot be used ({error.strerror}); choose another, or 0 for a free one"
        ) from None
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _warn(host: str, has_account: bool) -> None:
    words = f"note: --host {host} opens the studio to the network"
    words += "; passwords and pictures travel unencrypted" if has_account else " and to everyone on it; give --auth"
    print(words, file=sys.stderr)
