"""Stopped pictures outlive the server: the studio finds its checkpoints again, with visitors and what they brought."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import header_of, replaced, signed
from PIL import Image
from web_engine import DEADLINE, Engine, until

pytest.importorskip("fastapi", reason="the extra web is not installed")

from starlette.testclient import TestClient

from impasto.images.reading import read_image
from impasto.runs.checkpoint import checkpoints
from impasto.settings import Settings
from impasto.web.api import COOKIE
from impasto.web.server import create_app
from impasto.web.studio import Limits, Studio

BASE = "http://127.0.0.1:7860"
Begin = Callable[..., TestClient]


@pytest.fixture
def engine() -> Engine:
    return Engine(evaluations=12)


@pytest.fixture
def begin(engine: Engine, tmp_path: Path) -> Iterator[Begin]:
    """Servers that know the same folder of stopped pictures, one after the other."""
    clients: list[TestClient] = []

    def end() -> None:
        if clients:
            ended = threading.Event()
            # an evaluation now and then, so that what is being painted sees that it is to stop before it is done
            letting = threading.Thread(target=lambda: [engine.let(1) for _ in iter(lambda: ended.wait(0.5), True)])
            if engine.gate is not None:
                letting.start()
            clients.pop().__exit__(None, None, None)
            ended.set()
            if engine.gate is not None:
                letting.join()
            engine.gate = None

    def begin(cookie: str | None = None, limits: Limits | None = None, painter: Any = None) -> TestClient:
        end()
        studio = Studio(limits, painter=painter or engine, paused=tmp_path / "paused")
        client = TestClient(create_app(studio), base_url=BASE)
        client.__enter__()
        clients.append(client)
        if cookie:
            client.cookies.set(COOKIE, cookie)
        return client

    yield begin
    end()


def png(color: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (60, 40), color).save(buffer, "PNG")
    return buffer.getvalue()


def state_of(client: TestClient, id: str) -> dict[str, Any]:
    return dict(client.get(f"/api/jobs/{id}").json())


def stopped(client: TestClient, engine: Engine, after: int = 5, **fields: Any) -> str:
    """A job of what a visitor brought, stopped after some evaluations."""
    files = [("photo", ("mine.png", png("orange"))), ("style", ("own.png", png("navy")))]
    files += [("protect", ("protect.png", png("white", "L")))]
    engine.hold()
    id = client.post("/api/jobs", files=files, data={"size": "64", "strength": "70", **fields}).json()["id"]
    engine.let(after)
    until(lambda: state_of(client, id)["step"] == after and not state_of(client, id)["preview"])
    client.post(f"/api/jobs/{id}/stop")
    until(lambda: engine.let(1) or state_of(client, id)["state"] == "stopped")
    engine.gate = None
    return str(id)


def test_a_stopped_picture_is_found_by_its_visitor_after_a_restart_and_goes_on(begin: Begin, engine: Engine) -> None:
    client = begin()
    id = stopped(client, engine)
    before, cookie = state_of(client, id), client.cookies[COOKIE]
    look = client.get(f"/api/jobs/{id}/preview").content
    client = begin(cookie)
    visit = client.get("/api/visit").json()
    assert sorted(one["name"] for one in visit["pictures"]) == ["mine.png", "own.png", "protect.png"]
    assert [job["id"] for job in visit["jobs"]] == [id]
    after = state_of(client, id)
    assert after["can_continue"]
    same = ("photo", "styles", "settings", "step", "steps", "width", "height", "curve", "notes", "chosen", "losses")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert client.get(f"/api/jobs/{id}/preview").content == look
    calls = len(engine.calls)
    client.post(f"/api/jobs/{id}/continue")
    until(lambda: state_of(client, id)["state"] == "done")
    assert len(engine.calls) == calls + 1  # no preview again
    assert engine.calls[-1][2] == Settings(size=64, strength=70)
    assert engine.guides[-1]["protect"].read_bytes() == png("white", "L")
    steps = [point[0] for point in state_of(client, id)["curve"]]
    assert steps == list(range(1, 13))
    client = begin(cookie)
    assert client.get("/api/visit").json()["jobs"] == []  # done: nothing to go on with


def test_what_was_being_painted_when_the_server_ends_is_a_stopped_picture(begin: Begin, engine: Engine) -> None:
    client = begin()
    engine.hold()
    id = client.post("/api/jobs", data={"photo": "coffee", "style": "wave", "size": "64"}).json()["id"]
    engine.let(3)
    until(lambda: state_of(client, id)["step"] == 3)
    client = begin(client.cookies[COOKIE])
    assert state_of(client, id)["can_continue"]
    client.post(f"/api/jobs/{id}/continue")
    until(lambda: state_of(client, id)["state"] == "done")


def test_a_removed_picture_leaves_nothing_on_disk(begin: Begin, engine: Engine, tmp_path: Path) -> None:
    client = begin()
    id = stopped(client, engine)
    folder = checkpoints(tmp_path / "paused")[0]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    client.delete(f"/api/jobs/{id}")
    assert list((tmp_path / "paused").iterdir()) == []


def test_nobody_else_finds_it(begin: Begin, engine: Engine) -> None:
    client = begin()
    stopped(client, engine)
    client = begin()
    assert client.get("/api/visit").json() == {"pictures": [], "jobs": []}


def test_a_server_leaves_those_of_another_that_runs(begin: Begin, engine: Engine, tmp_path: Path) -> None:
    client = begin()
    id = stopped(client, engine)
    other = Studio(painter=engine, paused=tmp_path / "paused")
    assert other.jobs.all() == []
    other.close()
    assert state_of(client, id)["can_continue"]


def test_old_and_damaged_ones_are_passed_over(begin: Begin, engine: Engine, tmp_path: Path) -> None:
    client = begin()
    third = [stopped(client, engine, strength=str(strength)) for strength in (10, 20, 30)][-1]
    cookie = client.cookies[COOKIE]
    newest, middle, oldest = checkpoints(tmp_path / "paused")
    begin()
    for path in oldest.glob("*.safetensors"):
        os.utime(path, (1, 1))
    for path in middle.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-9])
    client = begin(cookie)
    assert [job["id"] for job in client.get("/api/visit").json()["jobs"]] == [third]
    assert not oldest.exists()
    assert newest.exists()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("photograph", "path"), "{elsewhere}"),
        (("photograph", "path"), "../elsewhere.png"),
        (("photograph", "path"), 5),
        (("curve",), [[1, 2]]),
        (("visitor",), None),
        (("progress", "step"), "x"),
    ],
)
def test_what_a_checkpoint_says_is_not_believed(
    begin: Begin,
    engine: Engine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    place: tuple[str, ...],
    value: Any,
) -> None:
    client = begin()
    stopped(client, engine)
    cookie = client.cookies[COOKIE]
    (kept,) = checkpoints(tmp_path / "paused")
    begin()
    elsewhere = tmp_path / "paused" / "elsewhere.png"
    elsewhere.write_bytes(png("red"))
    if value == "{elsewhere}":
        value = str(elsewhere)
    for path in kept.glob("*.safetensors"):
        header = header_of(path, "checkpoint")
        path.write_bytes(signed(path, "checkpoint", replaced(header, ("job", "studio", *place), value)))
    client = begin(cookie)
    assert client.get("/api/visit").json()["jobs"] == []
    assert elsewhere.read_bytes() == png("red")
    said = [record.getMessage() for record in caplog.records if record.name == "impasto.web.paused"]
    assert len(said) == 1  # calmly, whatever was wrong
    assert said[0].startswith(f"1 stopped picture in {tmp_path / 'paused'} cannot go on with this version")


def test_only_so_many_are_kept(begin: Begin, engine: Engine) -> None:
    client = begin()
    client.app.state.studio._paused.keep = 2  # type: ignore[attr-defined]
    ids = [stopped(client, engine, strength=str(strength)) for strength in (10, 20, 30)]
    assert [state_of(client, id)["can_continue"] for id in ids] == [False, True, True]


def test_who_left_a_stopped_picture_is_remembered_longer(engine: Engine, tmp_path: Path, begin: Begin) -> None:
    client = begin(limits=Limits(stay=60.0, stay_paused=600.0))
    studio = client.app.state.studio  # type: ignore[attr-defined]
    id = stopped(client, engine)
    visitor = studio.visitor(client.cookies[COOKIE])
    for away, known in ((120.0, True), (700.0, False)):
        visitor.seen = studio.job(id).touched = time.monotonic() - away
        studio.sweep()
        assert studio.knows(visitor.id) is known
    assert checkpoints(tmp_path / "paused") == []


@pytest.mark.slow
def test_the_network_goes_on_after_a_restart_to_the_same_picture(begin: Begin, tmp_path: Path) -> None:
    from impasto.painting import Painter

    painter = Painter()
    fields = {"photo": "coffee", "style": "wave", "size": "96", "quality": "draft"}

    def picture(client: TestClient, id: str, name: str) -> torch.Tensor:
        until(lambda: state_of(client, id)["state"] == "done")
        (tmp_path / name).write_bytes(client.get(f"/api/jobs/{id}/picture?bits=16").content)
        return read_image(tmp_path / name).image

    client = begin(painter=painter)
    id = client.post("/api/jobs", data=fields).json()["id"]
    until(lambda: state_of(client, id)["step"] > 5 and not state_of(client, id)["preview"])
    client.post(f"/api/jobs/{id}/stop")
    until(lambda: state_of(client, id)["state"] == "stopped")
    client = begin(client.cookies[COOKIE], painter=painter)
    client.post(f"/api/jobs/{id}/continue")
    continued = picture(client, id, "continued.png")
    client = begin(painter=painter)
    whole = picture(client, client.post("/api/jobs", data=fields).json()["id"], "whole.png")
    assert torch.equal(continued, whole)


KILLED = """
import os, sys, time
from pathlib import Path
from web_engine import Engine, until
from impasto.web import paused
from impasto.web.studio import Studio
paused.EVERY = 0.0
studio = Studio(painter=Engine(evaluations=500, delay=0.02), paused=Path(sys.argv[1]))
visitor = studio.visitor()
job = studio.paint(visitor, studio.photograph(visitor, "coffee"), [studio.painting(visitor, "wave")], {"size": 64})
until(lambda: studio._paused._held)
until(lambda: list(Path(sys.argv[1]).glob("*/*.safetensors")))
print(visitor.id, job.id, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills otherwise")
def test_a_killed_server_loses_at_most_what_came_after_the_last_save(begin: Begin, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    server = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "paused")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert server.stdout is not None
    visitor, id = server.stdout.readline().split()
    server.kill()
    server.wait(DEADLINE)
    server.stdout.close()
    client = begin(visitor)
    found = state_of(client, id)
    assert found["can_continue"]
    assert found["step"] >= 1
    assert client.get(f"/api/jobs/{id}/preview").status_code == 200
