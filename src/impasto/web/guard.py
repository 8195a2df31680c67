"""In front of everything: who may ask, for what, from where, and how slowly."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.errors import ImpastoError
from impasto.web import api
from impasto.web.studio import Studio

REALM = 'Basic realm="impasto", charset="UTF-8"'
# The browser itself refuses whatever would leave this server, and every script that is not a file of it.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
PATIENCE = 30.0  # seconds for a request's body,
PACE = 32 * 1024  # and a second more for every so many bytes that have come


class Guard:
    """Refuses who may not ask, and follows what comes in; adds the headers that keep the browser in.

    Args:
        account: user and password that every request must give.
        hosts: names by which the server may be called, against DNS rebinding; none allows all.
        patience: seconds for a request's body, before its size counts.
    """

    def __init__(
        self,
        app: ASGIApp,
        studio: Studio,
        account: tuple[str, str] | None,
        hosts: Sequence[str],
        patience: float = PATIENCE,
    ) -> None:
        self.app, self.studio, self.hosts, self.patience = app, studio, tuple(hosts), patience
        self.account = None if account is None else ":".join(account).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # nothing here speaks WebSocket
        refusal = self._refusal(scope["method"], Headers(scope=scope))
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
                    added.append(
                        "Set-Cookie", f"{api.COOKIE}={newcomer}; HttpOnly; Max-Age={api.STAY}; Path=/; SameSite=strict"
                    )
            await send(message)

        body = Body(receive, self.studio, self.patience)
        try:
            await self.app(scope, body.receive, send_with_headers)
        finally:
            body.end()

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        if self.hosts and _host_name(headers.get("host", "")) not in self.hosts:
            return answer(421, f"this studio is called {' or '.join(self.hosts)}")
        if self.account is not None and not self._is_welcome(headers.get("authorization", "")):
            return answer(401, "user and password are needed", {"WWW-Authenticate": REALM})
        origin = headers.get("origin")
        if method not in ("GET", "HEAD") and origin and origin.partition("://")[2] != headers.get("host"):
            return answer(403, "pages of other sites may not ask")
        return None

    def _is_welcome(self, authorization: str) -> bool:
        kind, _, code = authorization.partition(" ")
        try:
            given = base64.b64decode(code, validate=True) if kind.lower() == "basic" else b""
        except ValueError:
            given = b""
        return self.account is not None and secrets.compare_digest(given, self.account)

    def _newcomer(self, scope: Scope) -> str | None:
        """The id of a new visitor who opens the page; None for anyone else."""
        if scope["path"] != "/" or scope["method"] != "GET":
            return None
        if self.studio.knows(HTTPConnection(scope).cookies.get(api.COOKIE)):
            return None
        return self.studio.visitor(None, api.address_of(HTTPConnection(scope))).id


class Body:
    """A request's body on its way: it must come with some speed, and counts for the limit of the disk meanwhile."""

    def __init__(self, receive: Receive, studio: Studio, patience: float) -> None:
        self._receive, self._studio = receive, studio
        self._due = time.monotonic() + patience
        self._bytes = 0
        self._whole = False

    async def receive(self) -> Message:
        """As ASGI has it.

        Raises:
            HTTPException: it comes too slowly, or there is no room.
        """
        if self._whole:
            return await self._receive()  # waits for the end of the connection
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._due - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the request came too slowly; send it again") from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._bytes += size
            self._studio.arriving += size
            self._due += size / PACE
            self._whole = not message.get("more_body", False)
            if size:
                try:
                    self._studio.check_room()
                except ImpastoError as error:
                    raise HTTPException(429, str(error)) from None
        return message

    def end(self) -> None:
        self._studio.arriving -= self._bytes


def answer(code: int, words: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": words}, code, {**HEADERS, **(headers or {})})


def _host_name(host: str) -> str:
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
