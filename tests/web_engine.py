"""What the studio's tests share: an engine that paints at once or step by step, and a studio that uses it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from conftest import walk_at

from impasto.images.reading import resize, to_image
from impasto.painting import Position, Progress
from impasto.settings import Settings

if TYPE_CHECKING:
    from impasto.web.studio import Studio

DEADLINE = 240.0  # seconds: a test that waits longer has failed; none takes that long, on a busy machine either


@dataclass
class Engine:
    """A painter for tests: `evaluations` steps over two scales, each of which waits for `gate` if it is closed."""

    evaluations: int = 6
    delay: float = 0.0
    calls: list[tuple[Any, Any, Settings]] = field(default_factory=list)
    guides: list[dict[str, Any]] = field(default_factory=list)
    gate: threading.Semaphore | None = None
    error: BaseException | None = None

    def hold(self) -> None:
        """From now on, wait before every step until `let` allows it."""
        self.gate = threading.Semaphore(0)

    def forget(self) -> None:
        """Drop what the calls so far were given: it holds pictures."""
        self.calls.clear()
        self.guides.clear()

    def let(self, steps: int) -> None:
        assert self.gate is not None
        self.gate.release(steps)

    def steps(
        self,
        content: Any,
        style: Any,
        settings: Settings | None = None,
        *,
        resume: Position | None = None,
        **others: Any,
    ) -> Iterator[Progress]:
        assert settings is not None
        self.calls.append((content, style, settings))
        self.guides.append(others)
        photograph = to_image(content, settings.longer_side).image
        if settings.quality == "instant":
            if self.gate is not None and settings.size == 256:  # a cell of a sheet
                self.gate.acquire()
            return iter([Progress(1, 1, 1, 1, {}, 1 - photograph)])
        return self._steps(photograph, resume.step if resume else 1)

    def _steps(self, photograph: torch.Tensor, first: int = 1) -> Iterator[Progress]:
        height, width = photograph.shape[-2:]
        for step in range(first, self.evaluations + 1):
            if self.gate is not None:
                self.gate.acquire()
            time.sleep(self.delay)
            if self.error is not None:
                raise self.error
            scale = 1 if step <= self.evaluations // 2 else 2
            share = step / self.evaluations
            image = (photograph.lerp(1 - photograph, share)).clamp(0, 1)
            image = resize(image, max(16, height * scale // 2), max(16, width * scale // 2))
            losses = {"style": 1 / step, "content": 0.1, "total": 0.1 + 1 / step}
            position = Position(scale, step, 10**9, walk_at(image))
            yield Progress(
                scale, 2, step, self.evaluations, losses, image, float(self.evaluations - step), position=position
            )

    def texture_steps(self, style: Any, settings: Settings, *, seamless: bool = False) -> Iterator[Progress]:
        self.calls.append((None, style, settings))
        self.guides.append({"seamless": seamless})
        side = settings.longer_side or 512
        return self._steps(to_image(style[0], side).image[..., : side // 2, : side // 2])

    def film(self, frames: Any, style: Any, settings: Settings, **others: Any) -> Iterator[torch.Tensor]:
        self.calls.append((None, style, settings))
        self.guides.append(others)
        for frame in frames:
            if self.gate is not None:
                self.gate.acquire()
            time.sleep(self.delay)
            yield 1 - to_image(frame, settings.longer_side).image

    @property
    def painted(self) -> list[Settings]:
        """Of the calls, those that were not previews."""
        return [settings for _, _, settings in self.calls if settings.quality != "instant"]


class Served:
    """A studio's page and API on a free port of this machine, in a thread: `with Served(studio) as url`."""

    def __init__(
        self,
        studio: Studio,
        port: int = 0,
        *,
        patience: float = 30.0,
        headers_due: float = 15.0,
        connections: int = 256,
    ) -> None:
        self.studio, self.port = studio, port
        self.patience, self.headers_due = patience, headers_due  # seconds, of the server
        self.connections = connections  # of one address
        self.server: Any = None

    def __enter__(self) -> str:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        until(lambda: self.server and self.server.started)
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __exit__(self, *error: object) -> None:
        self.server.should_exit = True
        self.thread.join(DEADLINE)
        self.listener.close()

    async def _serve(self) -> None:
        from impasto.web.server import Server, config, create_app

        self.loop = asyncio.get_running_loop()
        app = create_app(self.studio, patience=self.patience)
        self.server = Server(config(app, self.headers_due, self.connections))
        await self.server.serve(sockets=[self.listener])


def clip(path: Path, frames: int, rate: int = 8) -> Path:
    """A film of 160 x 120 px in which a patch moves."""
    import av

    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(frames):
            pixels = np.zeros((120, 160, 3), np.uint8)
            pixels[..., 0] = np.linspace(0, 255, 160)
            pixels[40:80, 4 * number : 4 * number + 40] = (20, 200, 90)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    return path


def until(true: Callable[[], Any]) -> Any:
    """Wait for something that another thread does."""
    end = time.monotonic() + DEADLINE
    while not (value := true()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value
