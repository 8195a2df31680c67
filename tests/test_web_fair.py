"""What all visitors of a studio share: one who takes as much as may be leaves the rest to the others."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra web is not installed")

import httpx2 as httpx
from conftest import random_image
from starlette.testclient import TestClient
from web_engine import DEADLINE, Engine, Served, until

from impasto.images.reading import read_image, write_image
from impasto.web.fair import FewThreads, network_of
from impasto.web.server import create_app
from impasto.web.studio import Limits, Studio
from impasto.web.taking import KEPT, Conversions

THREADS = 40  # that all other requests share


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("a proxy's word" * 10, ("a proxy's word" * 10)[:60]),
        (None, ""),
    ],
)
def test_whom_an_address_counts_for(host: str | None, network: str) -> None:
    assert network_of(host) == network


def test_one_address_leaves_threads_to_the_others() -> None:
    let, lock = threading.Event(), threading.Lock()
    at_once = most = 0

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        let.wait(DEADLINE)
        with lock:
            at_once -= 1

    async def come() -> str:
        few = FewThreads(3, 2)
        many = [asyncio.create_task(few.run("a", work)) for _ in range(9)]
        other = await asyncio.wait_for(few.run("b", lambda: "painted"), DEADLINE)
        assert not any(task.done() for task in many)
        let.set()
        await asyncio.gather(*many)
        return other

    assert asyncio.run(come()) == "painted"
    assert most <= 2


class Slow(Conversions):
    """Writes a picture when it is allowed to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.let = threading.Semaphore(0), threading.Event()

    def of(self, *given: Any) -> Path:
        self.begun.release()
        self.let.wait(DEADLINE)
        return super().of(*given)


def painted(url: str) -> str:
    """The id of a finished picture."""
    with httpx.Client(base_url=url, timeout=DEADLINE) as client:
        id = client.post("/api/jobs", data={"photo": "coffee", "style": "ink", "size": "64"}).json()["id"]
        until(lambda: client.get(f"/api/jobs/{id}").json()["state"] == "done")
    return str(id)


def asked(url: str, path: str, head: str = "") -> socket.socket:
    """A connection on which something was asked for."""
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), DEADLINE)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n".encode())
    return connection


def answer_on(connection: socket.socket) -> tuple[str, bytes]:
    """Status and body of an answer after which the connection is closed."""
    with connection:
        content = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    return head.split()[1].decode(), body


def test_pages_are_answered_while_many_pictures_are_written_in_other_formats() -> None:
    studio = Studio(painter=Engine())
    studio.conversions = slow = Slow(studio.folder / "taken")
    with Served(studio) as url, ExitStack() as stack:
        id = painted(url)
        formats = ["avif", "webp", "tif&bits=16", "jpg"]
        many = [
            stack.enter_context(asked(url, f"/api/jobs/{id}/picture?format={formats[number % 4]}"))
            for number in range(2 * THREADS)
        ]
        assert slow.begun.acquire(timeout=DEADLINE)
        assert httpx.get(f"{url}/api/styles", timeout=DEADLINE).status_code == 200  # which takes a thread
        assert httpx.get(f"{url}/api/pictures/ink", timeout=DEADLINE).status_code == 200
        slow.let.set()
        assert {answer_on(connection)[0] for connection in many} == {"200"}


def test_a_picture_in_a_format_is_written_once(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    conversions, picture = Conversions(tmp_path / "taken"), tmp_path / "out.png"
    write_image(picture, random_image(20, 30), bits=16)
    first, again = conversions.of(picture, "webp", 8), conversions.of(picture, "webp", 8)
    assert first != again
    assert first.samefile(again)
    assert read_image(first).image.shape == (1, 3, 20, 30)
    assert not conversions.of(picture, "png", 8).samefile(conversions.of(picture, "png", 16))
    again.unlink()  # as after each answer
    picture.unlink()
    write_image(picture, random_image(24, 30, seed=1), bits=16)  # it went on
    assert read_image(conversions.of(picture, "webp", 8)).image.shape == (1, 3, 24, 30)
    for extension in ("jpg", "tif", "avif", "png"):
        conversions.of(picture, extension, 8)
    assert len(list((tmp_path / "taken").iterdir())) == KEPT
    picture.unlink()
    conversions.forget_removed()
    assert not list((tmp_path / "taken").iterdir())


def test_what_is_taken_along_leaves_nothing_behind() -> None:
    studio = Studio(painter=Engine())
    with TestClient(create_app(studio), base_url="http://127.0.0.1:7860") as client:
        id = client.post("/api/jobs", data={"photo": "coffee", "style": "ink", "size": "64"}).json()["id"]
        until(lambda: client.get(f"/api/jobs/{id}").json()["state"] == "done")
        one, other = (client.get(f"/api/jobs/{id}/picture?format=webp").content for _ in range(2))
        assert one == other
        (folder,) = {job.work.output.parent for job in studio.jobs.all()}
        assert [path.suffix for path in folder.iterdir()] == [".png"]
        client.delete(f"/api/jobs/{id}")
        studio.sweep()
        assert not list((studio.folder / "taken").iterdir())
        assert client.get(f"/api/jobs/{id}/picture?format=webp").status_code == 404


def test_pictures_that_are_watched_are_limited_by_address(engine: Engine) -> None:
    studio = Studio(Limits(pages_by_address=2), painter=engine)
    engine.hold()
    with Served(studio) as url, ExitStack() as stack:
        data = {"photo": "coffee", "style": "ink", "size": "64"}
        id = httpx.post(f"{url}/api/jobs", data=data, timeout=DEADLINE).json()["id"]
        for path in (f"/api/jobs/{id}/events", "/api/visit/events"):
            connection = stack.enter_context(asked(url, path))
            assert connection.recv(12) == b"HTTP/1.1 200"
        status, body = answer_on(asked(url, f"/api/jobs/{id}/events"))
        assert (status, json.loads(body)) == ("429", {"error": "too many pages are open from your address; close one"})
        # behind a proxy on this machine, whom it speaks for counts
        other = stack.enter_context(asked(url, f"/api/jobs/{id}/events", "X-Forwarded-For: 192.0.2.7\r\n"))
        assert other.recv(12) == b"HTTP/1.1 200"
        assert studio.listening_from("192.0.2.7") == 1
        other.close()
        until(lambda: studio.listening_from("192.0.2.7") == 0)
        engine.let(10_000)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A studio that trusts no proxy, and has five connections for an address."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")
    with Served(Studio(painter=Engine()), connections=5) as url:
        yield url


def test_connections_are_limited_by_address(crowded: str) -> None:
    with ExitStack() as stack:
        open = [stack.enter_context(closing(asked(crowded, "/api/visit/events"))) for _ in range(5)]
        assert {connection.recv(12) for connection in open} == {b"HTTP/1.1 200"}
        status, body = answer_on(asked(crowded, "/"))
        assert status == "429"
        assert json.loads(body) == {"error": "too many connections are open from your address; close some"}
        open[0].close()
        until(lambda: answered(crowded) == "200")


def test_who_is_refused_and_has_left_already_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")
    served, go_on = Served(Studio(painter=Engine()), connections=5), threading.Event()
    with served as url, ExitStack() as stack:
        open = [stack.enter_context(asked(url, "/api/visit/events")) for _ in range(5)]
        assert {connection.recv(12) for connection in open} == {b"HTTP/1.1 200"}
        served.loop.call_soon_threadsafe(go_on.wait, DEADLINE)  # the server does nothing while they come and leave
        for _ in range(3):
            asked(url, "/").close()  # what they are answered then is answered by a reset
        go_on.set()
        open.pop().close()
        until(lambda: answered(url) == "200")  # by when those before have been taken in
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def answered(url: str) -> str:
    """The status of a page; "" if it was closed without a word."""
    with suppress(ConnectionError, IndexError):
        return answer_on(asked(url, "/"))[0]
    return ""


def test_connections_of_a_proxy_that_is_trusted_are_not_counted() -> None:
    with Served(Studio(painter=Engine()), connections=1) as url, ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(asked(url, "/api/visit/events"))
            assert connection.recv(12) == b"HTTP/1.1 200"
