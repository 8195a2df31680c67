"""A camera or a clip, painted by a network while one looks on: the page of `impasto live`, for this machine only.

One thread paints and holds the latest picture; each viewer is sent that one when it changes (Motion JPEG, which every
browser shows as a picture), so a slow viewer misses pictures and holds up nobody. Nothing is painted while nobody
looks.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.images.gallery import network_file, network_names
from impasto.images.reading import to_image, to_pil
from impasto.painting import Painter
from impasto.runs.clip import open_source
from impasto.settings import Settings

LARGEST = 1024  # px, of the longer side
VIEWERS = 4  # who are sent pictures at once
CONNECTIONS = 16  # at once, of all kinds
PATIENCE = 10.0  # seconds for a request, and for a picture to be taken
LATE = 0.1  # seconds after which a frame is left out
QUALITY = 85  # of JPEG
BOUNDARY = "impasto-frame"
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>impasto live</title><link rel="icon" href="data:,">
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #181613; color: #f5f1e9;
  font: 15px/1.4 system-ui, sans-serif }}
img {{ max-width: 100vw; max-height: 100vh; min-width: min(100vw, 60vh); object-fit: contain }}
</style>
<img src="/stream" alt="{alt}">
</html>"""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Screen:
    """The latest picture, for whoever looks.

    Attributes:
        count: pictures so far,
        seconds: and how long painting them took.
    """

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._jpeg = b""
        self._viewers = 0
        self._ended = False
        self._changed = threading.Condition()

    def put(self, jpeg: bytes) -> None:
        with self._changed:
            self._jpeg, self.count = jpeg, self.count + 1
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def await_viewer(self) -> None:
        """Return when somebody looks."""
        with self._changed:
            while not self._viewers:
                self._changed.wait(1.0)  # or Windows would not hear Ctrl-C

    @contextlib.contextmanager
    def watched(self) -> Iterator[Iterator[bytes]]:
        """The pictures for one viewer, while the block runs.

        Raises:
            BlockingIOError: too many look already.
        """
        with self._changed:
            if self._viewers >= VIEWERS:
                raise BlockingIOError
            self._viewers += 1
            self._changed.notify_all()
        try:
            yield self._pictures()
        finally:
            with self._changed:
                self._viewers -= 1

    def _pictures(self) -> Iterator[bytes]:
        """JPEGs, each once; those that come too fast are left out."""
        seen = 0
        while True:
            with self._changed:
                while not self._ended and self.count == seen:
                    self._changed.wait()
                if self._ended:
                    return
                seen, jpeg = self.count, self._jpeg
            yield jpeg


def frames_of(source: str) -> Iterator[Any]:
    """Pictures of a camera, by its number, or of a clip when they are due, over and over.

    Raises:
        ImpastoError: by the first picture: it is neither, or cannot be read.
    """
    return _camera(int(source)) if source.isdecimal() and not Path(source).exists() else _looped(Path(source))


def _looped(path: Path) -> Iterator[Any]:
    while True:
        begun = None
        with contextlib.closing(open_source(path)) as source:
            for still in source.stills():
                now, at = time.monotonic(), float(still.at)
                begun = now - at if begun is None else begun
                if now - begun - at > LATE:
                    continue
                time.sleep(max(0.0, begun + at - now))
                yield still.picture
        if begun is None:
            raise ImageError(f"{path} has no frame that can be read; give a film")


def _camera(number: int) -> Iterator[Any]:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        raise ImpastoError("a camera needs OpenCV: pip install 'impasto[video]'") from None
    camera = cv2.VideoCapture(number)
    try:
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is old is not worth painting
        while True:
            there, pixels = camera.read()
            if not there:
                raise ImageError(f"camera {number} gives no picture; give the number of another, or a film")
            yield cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    finally:
        camera.release()


def checked(style: str, settings: Settings) -> None:
    """Refuse what cannot be painted live.

    Raises:
        ImpastoError: the style is no network, or the size is too large.
    """
    if network_file(style) is None:
        raise ImpastoError(
            f"{style} is no network, and would be painted too slowly; teach one (impasto train), or choose from: "
            f"{', '.join(network_names())}"
        )
    if settings.longer_side is None or settings.longer_side > LARGEST:
        raise SettingsError(f"size={settings.size} is too large to be live: choose up to {LARGEST}")


def painted(frames: Iterator[Any], style: str, settings: Settings, painter: Painter, screen: Screen) -> Iterator[bytes]:
    """Paint frames while somebody looks; each is yielded, and put on the screen.

    Raises:
        ImpastoError: something the user can mend.
    """
    for frame in frames:
        begun = time.monotonic()
        picture = to_image(frame)
        longer = min(settings.longer_side or LARGEST, max(picture.image.shape[-2:]))
        *_, last = painter.steps(picture, style, replace(settings, size=longer))
        buffer = io.BytesIO()
        to_pil(last.image).save(buffer, "JPEG", quality=QUALITY)
        screen.put(buffer.getvalue())
        screen.seconds += time.monotonic() - begun
        yield buffer.getvalue()
        screen.await_viewer()


@contextlib.contextmanager
def serving(screen: Screen, port: int = 0, title: str = "painted live") -> Iterator[str]:
    """The page, while the block runs; its address.

    Args:
        port: 0 takes a free one.

    Raises:
        ImpastoError: the port cannot be used.
    """
    try:
        server = _Server(("127.0.0.1", port), _Viewer)
    except (OSError, OverflowError) as error:
        words = getattr(error, "strerror", None) or error
        raise ImpastoError(f"--port {port} cannot be used ({words}); give another, or 0 for a free one") from None
    server.screen, server.page = screen, PAGE.format(alt=html.escape(title)).encode()
    with server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            screen.end()
            server.shutdown()


class _Server(ThreadingHTTPServer):
    screen: Screen
    page: bytes
    daemon_threads = True
    block_on_close = False

    def __init__(self, *given: Any) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a viewer who has gone


class _Viewer(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    names: ClassVar = ("127.0.0.1", "localhost")

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in self.names:  # DNS rebinding
            self._answer(421, "text/plain", b"this page is called 127.0.0.1")
        elif self.path == "/":
            self._answer(200, "text/html; charset=utf-8", self.server.page)
        elif self.path == "/stream":
            self._stream()
        else:
            self._answer(404, "text/plain", b"there is / and /stream")

    def _stream(self) -> None:
        try:
            with self.server.screen.watched() as pictures:
                self._head(200, f"multipart/x-mixed-replace; boundary={BOUNDARY}")
                self.wfile.write(f"--{BOUNDARY}\r\n".encode())
                for jpeg in pictures:  # with the boundary after it: browsers show what is complete
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + f"\r\n--{BOUNDARY}\r\n".encode())
        except BlockingIOError:
            self._answer(503, "text/plain", b"too many look already; close a page")

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self._head(code, kind, {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, code: int, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, **HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *words: Any) -> None:
        pass  # standard error is for notes
