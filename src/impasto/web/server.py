"""The server of `impasto web`: page and API behind one guard, on one port.

Nobody but this machine is let in unless asked for, no picture leaves it, and what Gradio offers beyond the page's own
needs (uploads into its cache, files, proxies) is not reachable.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from impasto.errors import ImpastoError

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported

import gradio
import torch
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto import __version__
from impasto.network.device import pick_device
from impasto.web import api, page, studio
from impasto.web.workshop import Workshop

SWEEP = 5.0  # seconds between looks at who has left
REALM = 'Basic realm="impasto", charset="UTF-8"'
# What Gradio's own page needs of Gradio's server; nothing else of it can be reached.
PATHS = ("/", "/config", "/theme.css", "/manifest.json", "/favicon.ico", "/robots.txt", "/gradio_api/startup-events")
FOLDERS = ("/assets/", "/static/", "/svelte/", "/gradio_api/queue/", "/gradio_api/heartbeat/", "/api/", "/studio/")
# The browser itself refuses whatever would leave this server. Gradio's page needs inline and evaluated scripts.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def serve(host: str, port: int, auth: str | None, *, device: str = "auto", ready: Callable[[str], None]) -> None:
    """Serve the studio until it is interrupted.

    Args:
        host: name or address to listen on.
        port: 0 takes a free one.
        auth: "user:password" that every request must give, or None.
        device: where to compute, as in `Settings.device`.
        ready: told the address of the page once it can be opened.

    Raises:
        ImpastoError: host, port, auth or device cannot be used.
    """
    account = _account(auth)
    chosen = pick_device(device).type
    listener = _listen(host, port)
    local = (*LOOPBACK_NAMES, host) if _is_loopback(host) else ()
    with listener:
        if not local:
            _warn(host, account is not None)
        workshop = Workshop(device=device, workers=_workers(chosen))
        try:
            asyncio.run(_serve(workshop, listener, account, local, ready))
        finally:
            workshop.close()


async def _serve(
    workshop: Workshop,
    listener: socket.socket,
    account: tuple[str, str] | None,
    hosts: Sequence[str],
    ready: Callable[[str], None],
) -> None:
    app = create_app(workshop, account=account, hosts=hosts)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
    address, number = listener.getsockname()[:2]
    ready(f"http://[{address}]:{number}" if ":" in address else f"http://{address}:{number}")
    await uvicorn.Server(config).serve(sockets=[listener])


def create_app(workshop: Workshop, *, account: tuple[str, str] | None = None, hosts: Sequence[str] = ()) -> FastAPI:
    """The application: the API under /api, the page and what it needs under / and /studio.

    To be called where an event loop runs; Gradio leaves loops of its own behind otherwise.

    Args:
        account: user and password that every request must give.
        hosts: names by which the server may be called, against DNS rebinding; none allows all.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(workshop.folder / "gradio")
    app = create_api(workshop, account=account, hosts=hosts)
    blocks = page.build(workshop)
    gradio.mount_gradio_app(app, blocks, "/", footer_links=[], run_history=False, pwa=False, **page.LOOKS)
    return app


def create_api(workshop: Workshop, *, account: tuple[str, str] | None = None, hosts: Sequence[str] = ()) -> FastAPI:
    """The application without the page."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(workshop))
        yield
        sweeping.cancel()
        await asyncio.to_thread(workshop.close)

    app = FastAPI(
        title="impasto",
        version=__version__,
        description="Paint a photograph in the style of a painting.",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        max_body_size=4 * workshop.limits.upload_bytes,  # a photograph and some paintings
    )
    app.state.workshop = workshop
    app.include_router(api.router)
    app.include_router(studio.router)
    api.answer_errors(app)
    studio.mount_static(app)
    app.add_middleware(Guard, workshop=workshop, account=account, hosts=tuple(hosts))
    return app


class Guard:
    """In front of everything: who may ask, for what, and from where."""

    def __init__(
        self, app: ASGIApp, workshop: Workshop, account: tuple[str, str] | None, hosts: tuple[str, ...]
    ) -> None:
        self.app, self.workshop, self.hosts = app, workshop, hosts
        self.account = None if account is None else ":".join(account).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # nothing here speaks WebSocket
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], scope["path"], headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        newcomer = self._newcomer(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    added[name] = value
                if newcomer is not None:
                    added.append("Set-Cookie", f"{api.COOKIE}={newcomer}; HttpOnly; Path=/; SameSite=strict")
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _refusal(self, method: str, path: str, headers: Headers) -> JSONResponse | None:
        if self.hosts and _host_name(headers.get("host", "")) not in self.hosts:
            return _answer(421, f"this studio is called {' or '.join(self.hosts)}")
        if self.account is not None and not self._is_welcome(headers.get("authorization", "")):
            return _answer(401, "user and password are needed", {"WWW-Authenticate": REALM})
        origin = headers.get("origin")
        if method not in ("GET", "HEAD") and origin and origin.partition("://")[2] != headers.get("host"):
            return _answer(403, "pages of other sites may not ask")
        if path not in PATHS and not path.startswith(FOLDERS):
            return _answer(404, "there is nothing here")
        return None

    def _is_welcome(self, authorization: str) -> bool:
        kind, _, code = authorization.partition(" ")
        try:
            given = base64.b64decode(code, validate=True) if kind.lower() == "basic" else b""
        except ValueError:
            given = b""
        return secrets.compare_digest(given, self.account or b"")

    def _newcomer(self, scope: Scope) -> str | None:
        """The id of somebody new who opens the page."""
        if scope["path"] != "/" or self.workshop.knows(HTTPConnection(scope).cookies.get(api.COOKIE)):
            return None
        return self.workshop.visitor().id


LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def _answer(code: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": words}, code, {**HEADERS, **(headers or {})})


def _host_name(host: str) -> str:
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


async def _sweep(workshop: Workshop) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        await asyncio.to_thread(workshop.sweep)


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
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ImpastoError(
            f"--port {port} on {host} cannot be used ({error.strerror}); choose another, or 0 for a free one"
        ) from None
    return listener


def _is_loopback(host: str) -> bool:
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
