"""Asks a studio (`impasto web`) for pictures over its HTTP API; nothing but Python's standard library."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

WAIT = 0.3  # seconds between looks at how far a picture is
TIMEOUT = 60.0  # seconds for one answer; the painting itself takes as long as it takes


class StudioError(Exception):
    """The studio cannot be reached, or says no; the message is for the user."""


class Studio:
    """A studio at an address.

    Args:
        address: as `impasto web` prints it.
        account: "user:password" if it asks for one.
    """

    def __init__(self, address: str = "http://127.0.0.1:7860", account: str = "") -> None:
        self.address = address.rstrip("/") + "/api"
        self.headers = {}
        if account:
            self.headers["Authorization"] = "Basic " + base64.b64encode(account.encode()).decode()
        # a proxy has no business between two programs that pass pictures
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def styles(self) -> dict[str, str]:
        """Names and titles of the paintings that ship."""
        return json.loads(self._ask("GET", "/styles"))

    def paint(
        self,
        photo: bytes,
        styles: Sequence[str | bytes],
        settings: Mapping[str, object],
        go_on: Callable[[float, str], bool],
        protect: bytes | None = None,
    ) -> bytes | None:
        """Have a picture painted.

        Args:
            photo: a PNG or JPEG.
            styles: names of paintings that ship, or files as bytes.
            settings: the command line's words and values.
            go_on: told the share done, in [0, 1], and words for it; False gives up.
            protect: a PNG, white where the photograph stays.

        Returns:
            A PNG; None if it was given up. In either case, and on errors, nothing stays behind in the studio. A program
            that is ended meanwhile, as GIMP ends plug-ins on Cancel, ends the picture as well.

        Raises:
            StudioError: with the studio's own sentence.
        """
        parts: list[tuple[str, str | bytes]] = [("photo", photo), *(("style", one) for one in styles)]
        parts += [(name, str(value)) for name, value in settings.items()]
        parts += [("protect", protect)] if protect is not None else []
        body, kind = _form([*parts, ("attended", "true")])
        with self._present() as cookie:
            job = json.loads(self._ask("POST", "/jobs", body, {"Content-Type": kind, "Cookie": cookie}))["id"]
            try:
                while True:
                    now = json.loads(self._ask("GET", f"/jobs/{job}"))
                    if now["state"] == "failed":
                        raise StudioError(now["error"])
                    if now["state"] in ("done", "stopped"):
                        return self._ask("GET", f"/jobs/{job}/picture")
                    if not go_on(now["step"] / (now["steps"] or 1), _words(now)):
                        return None
                    time.sleep(WAIT)
            finally:
                self._ask("DELETE", f"/jobs/{job}")

    @contextmanager
    def _present(self) -> Iterator[str]:
        """A line to the studio that is open for as long as this program lives; gives the cookie of who holds it."""
        with self._sentences():
            where = urlsplit(self.address)
            kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
            line = kind(where.hostname or "", where.port, timeout=TIMEOUT)
            line.connect()
            wire = line.sock
            line.request("GET", f"{where.path}/visit/events", headers=self.headers)
            answer = line.getresponse()
            if answer.status != http.client.OK:
                raise urllib.error.HTTPError(self.address, answer.status, answer.reason, answer.headers, answer)
            cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
        threading.Thread(target=_hear_out, args=(answer,), daemon=True).start()
        try:
            yield cookie
        finally:
            with suppress(OSError):  # the studio has ended it
                wire.shutdown(socket.SHUT_RDWR)
            line.close()

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> bytes:
        with self._sentences():
            request = urllib.request.Request(self.address + path, body, {**self.headers, **headers}, method=method)
            with self.opener.open(request, timeout=TIMEOUT) as answer:
                return answer.read()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """What goes wrong between here and the studio, in words."""
        try:
            yield
        except urllib.error.HTTPError as error:
            raise StudioError(_sentence(error)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:  # an address that is none is a ValueError
            reason = getattr(error, "reason", error)
            raise StudioError(
                f"no studio answers at {self.address[:-4]} ({reason}); start it with: impasto web"
            ) from None


def _hear_out(answer: http.client.HTTPResponse) -> None:
    """Read to the end, for nothing: who does not read is taken for one who left."""
    with suppress(OSError, ValueError, AttributeError, http.client.HTTPException):  # closed, here or there
        while answer.read1(4096):
            pass


def _sentence(error: urllib.error.HTTPError) -> str:
    """What the studio said."""
    if error.code == 401:
        return "the studio asks for a user and a password; give them as user:password"
    try:
        return json.loads(error.read())["error"]
    except (ValueError, KeyError):
        return f"the studio answered {error.code} {error.reason}"


def _words(status: Mapping[str, object]) -> str:
    if status["state"] == "waiting":
        return f"waiting for {status['position']} other pictures" if status["position"] else "about to begin"
    return f"{status['width']} × {status['height']}"


def _form(parts: Sequence[tuple[str, str | bytes]]) -> tuple[bytes, str]:
    """A form with files as browsers send it (RFC 7578), and its content type."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in parts:
        file = '; filename="picture"\r\nContent-Type: application/octet-stream' if isinstance(value, bytes) else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
