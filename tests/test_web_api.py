"""The API and the guard in front of it: the words of the command line, nobody else's pictures, nothing from outside."""

from __future__ import annotations

import base64
import gc
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save as save_tensors

pytest.importorskip("fastapi", reason="the extra web is not installed")

import httpx2 as httpx
from starlette.testclient import TestClient
from test_transform import ABOUT, lively
from torch import Tensor
from web_engine import Engine, Served, until

from impasto.cli.commands import main
from impasto.errors import ImpastoError
from impasto.images.gallery import network_facts, network_file, network_names, network_path, style_names
from impasto.images.origin import LONGEST_NAME, Origin
from impasto.images.reading import read_origin, read_settings
from impasto.network.transform import Shape
from impasto.network.transform_file import to_bytes
from impasto.settings import PRESETS, Settings
from impasto.web.form import controls
from impasto.web.opening import has_browser, open_page
from impasto.web.server import create_app, settle
from impasto.web.studio import EXAMPLE, BusyError, Limits, Studio, columns_of

BASE = "http://127.0.0.1:7860"


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def studio(engine: Engine) -> Iterator[Studio]:
    limits = Limits(
        upload_bytes=100_000, upload_pixels=90_000, uploads=3, network_width=10, largest=600, unfinished=2, finished=3
    )
    studio = Studio(limits, painter=engine)
    yield studio
    engine.gate = None if engine.gate is None else _release(engine)
    studio.close()
    assert not studio.folder.exists()


def _release(engine: Engine) -> Any:
    engine.let(10_000)
    return engine.gate


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(create_app(studio), base_url=BASE) as client:
        yield client


def png(width: int = 60, height: int = 40, color: str = "orange") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


def submit(client: TestClient, **fields: Any) -> Any:
    return client.post("/api/jobs", data={"photo": "coffee", "style": "nocturne", "size": "64", **fields})


def done(client: TestClient, id: str, state: str = "done") -> dict[str, Any]:
    def status() -> dict[str, Any] | None:
        answer = client.get(f"/api/jobs/{id}").json()
        return answer if answer["state"] == state else None

    return until(status)


# Submit, status, result


def test_a_picture_from_names_to_a_file_with_its_settings_inside(client: TestClient, tmp_path: Path) -> None:
    answer = submit(client, strength="70")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    status = done(client, answer.json()["id"])
    assert (status["photo"], status["styles"], status["width"], status["height"]) == (
        "coffee.png",
        ["nocturne"],
        64,
        43,
    )
    assert status["curve"][-1][0] == status["step"] == 6
    for format, kind in (("png", "PNG"), ("jpg", "JPEG"), ("tif", "TIFF"), ("webp", "WEBP")):
        picture = client.get(f"/api/jobs/{status['id']}/picture?format={format}")
        assert f"coffee-nocturne.{format}" in picture.headers["content-disposition"]
        with Image.open(io.BytesIO(picture.content)) as image:
            assert (image.format, image.size) == (kind, (64, 43))
        (tmp_path / f"out.{format}").write_bytes(picture.content)
        inside = Settings.from_json(read_settings(tmp_path / f"out.{format}") or "")
        assert inside == Settings(size=64, strength=70)


def test_a_picture_says_from_what_it_was_painted_and_whether_it_was_stopped(
    client: TestClient, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def origin(id: str, format: str = "png") -> Origin | None:
        path = tmp_path / f"out.{format}"
        path.write_bytes(client.get(f"/api/jobs/{id}/picture?format={format}").content)
        return read_origin(path)

    engine.hold()
    files = [("photo", ("my holiday.png", png())), ("style", ("sea <&> \u202e.png", png(50, 30, "navy")))]
    id = client.post("/api/jobs", files=files, data={"size": "32"}).json()["id"]
    until(lambda: client.get(f"/api/jobs/{id}").json()["state"] == "painting")
    client.post(f"/api/jobs/{id}/stop")
    engine.let(1)
    done(client, id, "stopped")
    from_what = ("my holiday.png", ("sea <&> .png",))
    stopped = origin(id)
    assert stopped == origin(id, "jpg")
    # between the preview and the first evaluation, or after it: whichever saw the stop
    assert stopped in (Origin(*from_what, 1, 6, stopped=True), Origin(*from_what, 0, 0, stopped=True))
    assert main(["info", str(tmp_path / "out.jpg")]) == 0
    words = capsys.readouterr().out
    assert "\nmy holiday.png after sea <&> .png\nnot finished: stopped " in words
    engine.let(100)
    client.post(f"/api/jobs/{id}/continue")
    done(client, id)
    for format in ("png", "jpg", "tif", "webp"):
        assert origin(id, format) == Origin(*from_what, 6, 6)


def test_names_of_visitors_are_data(client: TestClient, engine: Engine, tmp_path: Path) -> None:
    """Neither a folder, nor what moves a cursor, nor more than fits comes into a picture."""
    files = [("photo", ("..\\secret/\u202ea\x1b[2J.png", png())), ("style", ("x" * 300 + ".png", png(50, 30, "navy")))]
    id = client.post("/api/jobs", files=files, data={"size": "32"}).json()["id"]
    done(client, id)
    (tmp_path / "out.png").write_bytes(client.get(f"/api/jobs/{id}/picture").content)
    origin = read_origin(tmp_path / "out.png")
    assert origin is not None
    for name in (origin.photograph, *origin.paintings):
        assert name.isprintable()
        assert len(name) <= LONGEST_NAME
        assert "secret" not in name
        assert name.endswith(".png")


def test_files_are_painted_as_they_are(client: TestClient, engine: Engine) -> None:
    files = [
        ("photo", ("holiday.png", png())),
        ("style", ("mine.png", png(50, 30, "navy"))),
        ("style", ("more.png", png(30, 50, "red"))),
    ]
    answer = client.post("/api/jobs", files=files, data={"size": "32"})
    status = done(client, answer.json()["id"])
    assert (status["photo"], status["styles"]) == ("holiday.png", ["mine.png", "more.png"])
    recipe = client.get(f"/api/jobs/{status['id']}/recipe").json()
    assert recipe["command"] == "impasto paint holiday.png mine.png more.png --size 32"
    assert "impasto.paint('holiday.png', ['mine.png', 'more.png'], size=32)" in recipe["python"]


def test_masks_and_protection_reach_the_engine(client: TestClient, engine: Engine) -> None:
    files = [("mask", ("regions.png", png(color="red"))), ("style_mask", ("own.png", png(color="blue")))]
    fields = {"style": ["ink", "wave"], "style_mask": ["red"], "protect": "10%,20%,50%,60%", "style_weight": "70,30"}
    answer = client.post("/api/jobs", files=files, data={"photo": "coffee", "size": "64", **fields})
    id = done(client, answer.json()["id"])["id"]
    guides = engine.guides[-1]
    assert guides["mask"].read_bytes() == png(color="red")
    assert guides["style_mask"][0] == "red"
    assert guides["style_mask"][1].read_bytes() == png(color="blue")
    assert guides["protect"] == "10%,20%,50%,60%"
    assert engine.painted[-1].style_weight == (70.0, 30.0)
    assert client.get(f"/api/jobs/{id}/recipe").json()["command"] == (
        "impasto demo ink wave --photo coffee --size 64 --style-weight 70,30 --mask regions.png "
        "--style-mask red --style-mask own.png --protect 10%,20%,50%,60%"
    )
    python = client.get(f"/api/jobs/{id}/recipe").json()["python"]
    assert "from impasto.images.gallery import sample_path" in python
    assert "impasto.paint(sample_path('coffee'), ['ink', 'wave'], size=64," in python
    compile(python, "recipe", "exec")


def test_areas_that_are_found_reach_the_engine_by_name(client: TestClient, engine: Engine) -> None:
    known = client.get("/api/areas").json()
    if any(area["missing"] for area in known.values()):
        pytest.skip("needs the extra people, and the networks that find areas")
    assert set(known) == {"faces", "subject"}
    assert all({"label", "help", "missing"} == set(each) for each in known.values())
    fields = {"mask": "subject", "style_mask": ["white", "all"], "protect": "faces:80"}
    answer = client.post("/api/jobs", data={"photo": "coffee", "style": ["ink", "wave"], "size": "64", **fields})
    status = done(client, answer.json()["id"])
    assert engine.guides[-1] == {"mask": "subject", "style_mask": ["white", "all"], "protect": "faces:80"}
    assert (status["chosen"]["mask"], status["chosen"]["protect"]) == ("subject", "faces:80")
    command = client.get(f"/api/jobs/{status['id']}/recipe").json()["command"]
    assert command.endswith("--mask subject --style-mask white --style-mask all --protect faces:80")
    assert client.get(f"/api/jobs/{status['id']}/guides/protect").status_code == 404


def test_an_area_that_cannot_be_found_here_is_told_with_what_is_missing_and_not_taken(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("IMPASTO_FACES", "IMPASTO_SUBJECT"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere.onnx"))
    for name, area in client.get("/api/areas").json().items():
        assert area["missing"].startswith(f"To find {area['label']}, install: pip install 'impasto[people]' and ")
        for field in ({"protect": name}, {"mask": name, "style_mask": "all"}):
            answer = submit(client, **field)
            assert answer.status_code == 400
            assert answer.json()["error"] == f"{name} cannot be found here. {area['missing']}"
            assert str(tmp_path) not in answer.text


def test_transparency_is_kept(client: TestClient, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (60, 40), (255, 100, 0, 128)).save(buffer, "PNG")
    answer = client.post("/api/jobs", files=[("photo", ("a.png", buffer.getvalue()))], data={"style": "ink"})
    id = done(client, answer.json()["id"])["id"]
    with Image.open(io.BytesIO(client.get(f"/api/jobs/{id}/picture").content)) as image:
        assert image.mode == "RGBA"
        assert image.getpixel((100, 100))[3] == 128


def test_every_setting_of_visitors_is_a_form_field_of_the_same_name(client: TestClient, engine: Engine) -> None:
    schema = client.get("/api/openapi.json").json()
    body = schema["components"]["schemas"]["Body_submit_api_jobs_post"]["properties"]
    names = {control.name for control in controls()}
    assert names | {"photo", "style", "mask", "style_mask", "protect", "attended"} == set(body)
    assert all(control.allowed in body[control.name]["description"] for control in controls())
    values = {name: str(value) for name, value in asdict(Settings()).items() if name in names}
    answer = submit(client, **values | {"smoothness": "0.5", "size": "100"})
    done(client, answer.json()["id"])
    assert engine.painted == [Settings(smoothness=0.5, size=100)]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("strength", "101", "strength=101.0 is out of range: choose a number from 0 to 100"),
        ("strength", "nan", "strength=nan is out of range: choose a number from 0 to 100"),
        ("strength", "much", "strength='much' is not allowed: choose a number from 0 to 100"),
        ("quality", "fine", "choose from: instant, draft, good, best, reference"),
        ("size", "12.5", "size='12.5' is not allowed"),
        ("size", "1e3", "size='1e3' is not allowed"),
        ("size", "512.0", "size='512.0' is not allowed"),
        ("style_weight", "70,,30", "style_weight='' is not allowed"),
        ("size", "601", "this studio paints up to 600 px"),
        ("size", "70000", "this studio paints up to 600 px"),
        ("evaluations", "501", "evaluations=501 is out of range: this studio takes up to 500"),
        ("size", "8", "size=8 is out of range: choose a whole number from 16 to 600 or full"),
        ("init", "/etc/hostname", "init='/etc/hostname' is not allowed: choose from: content, noise"),
        ("style_mask", "/etc/hostname", "there is no picture '/etc/hostname' here any more"),
        ("mask", "/etc/hostname", "there is no picture '/etc/hostname' here any more"),
        ("protect", "/etc/hostname", "there is no picture '/etc/hostname' here any more"),
        ("protect", "faces:0", "protect='faces:0' is not allowed"),
        ("mask", "subject:9", "mask='subject:9' is not allowed"),
        ("photo", "/etc/hostname", "there is no picture '/etc/hostname' here any more"),
        ("style", "../../etc/hostname", "there is no picture '../../etc/hostname' here any more"),
    ],
)
def test_wrong_values_are_answered_in_a_sentence(
    client: TestClient, engine: Engine, field: str, value: str, words: str
) -> None:
    answer = submit(client, **{field: value})
    assert answer.status_code in (400, 404)
    assert words in answer.json()["error"]
    assert engine.calls == []


def test_full_size_is_bounded_too(client: TestClient) -> None:
    files = [("photo", ("wide.png", png(700, 100)))]
    answer = client.post("/api/jobs", files=files, data={"style": "ink", "size": "full"})
    assert answer.status_code == 400
    assert "size=full would be 700 px here" in answer.json()["error"]


@pytest.mark.parametrize(("field", "hint"), [("device", ""), ("strenght", "did you mean strength?")])
def test_a_field_that_means_nothing_is_refused(client: TestClient, engine: Engine, field: str, hint: str) -> None:
    answer = submit(client, **{field: "cuda"})
    assert answer.status_code == 400
    assert f"there is no field {field!r}" in answer.json()["error"]
    assert field == "device" or hint in answer.json()["error"]
    assert engine.calls == []


def test_a_misspelt_style_is_answered_with_a_suggestion(client: TestClient) -> None:
    assert "did you mean nocturne?" in submit(client, style="nocturn").json()["error"]
    assert (
        submit(client, style="wavee").json()["error"] == "there is no picture or style 'wavee' here; did you mean wave?"
    )
    other = submit(client, style="qqqqqq").json()["error"]
    assert other.startswith("there is no picture 'qqqqqq' here any more; give it again, or choose from: ")
    assert "nocturne" in other


def test_the_name_of_an_uploaded_file_is_answered_with_its_id(client: TestClient) -> None:
    id = client.post("/api/pictures", files={"file": ("my cat.png", png(40, 40))}).json()["id"]
    answer = submit(client, style="my cat.png")
    assert (
        answer.json()["error"] == f"there is no picture 'my cat.png' here; of the file of this name give the id, {id}"
    )


@pytest.mark.parametrize(
    "given",
    [
        '{"path": "/dev/zero", "meta": {"_type": "gradio.FileData"}}',
        '{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}',
        '{"url": "http://127.0.0.1:1/a.png", "meta": {"_type": "gradio.FileData"}}',
        "/etc/hostname",
        "file:///etc/hostname",
        "http://127.0.0.1:1/a.png",
    ],
)
def test_files_and_addresses_of_the_server_are_not_pictures(client: TestClient, given: str) -> None:
    """What Gradio's queue once read: the first endlessly."""
    brought = client.post("/api/pictures", files={"file": ("a.png", png())}).json()["id"]
    for field in ("photo", "style", "mask", "style_mask", "protect"):
        data = {"photo": brought, "style": "ink", **({"mask": brought} if field == "style_mask" else {}), field: given}
        answer = client.post("/api/jobs", data=data)
        assert answer.status_code == 404, field
        assert answer.json()["error"].startswith(f"there is no picture {given!r} here any more; give it again")
    assert client.get("/api/visit").json()["jobs"] == []


@pytest.mark.parametrize("format", ["../x.jpg", "jpg/../x.jpg", "exe", ""])
def test_a_format_that_is_none_reaches_no_file_name(client: TestClient, format: str) -> None:
    id = done(client, submit(client).json()["id"])["id"]
    answer = client.get(f"/api/jobs/{id}/picture", params={"format": format})
    assert answer.status_code == 400
    assert "choose from: png, jpg" in answer.json()["error"]


def test_tiff_of_16_bits_and_avif_are_called_what_they_are(client: TestClient) -> None:
    id = done(client, submit(client).json()["id"])["id"]
    tiff = client.get(f"/api/jobs/{id}/picture?format=tif&bits=16")
    with Image.open(io.BytesIO(tiff.content)) as image:
        assert image.tag_v2[258] == (16, 16, 16)  # bits per sample
    assert tiff.headers["content-type"] == "image/tiff"
    assert client.get(f"/api/jobs/{id}/picture?format=avif").headers["content-type"] == "image/avif"
    assert client.get(f"/api/jobs/{id}/picture?format=jpg&bits=16").status_code == 400


def test_who_sends_no_cookie_is_limited_by_address(engine: Engine) -> None:
    studio = Studio(Limits(unfinished=4, unfinished_by_address=6), painter=engine)
    engine.hold()
    with TestClient(create_app(studio), base_url=BASE) as client:
        codes = []
        for number in range(8):
            client.cookies.clear()
            codes.append(submit(client, strength=str(number)).status_code)
        engine.let(10_000)
    assert codes == [202] * 6 + [429] * 2


def test_pictures_of_one_request_do_not_evict_each_other(client: TestClient, engine: Engine) -> None:
    files = [("photo", ("p.png", png()))] + [("style", (f"{n}.png", png(30 + n, 30))) for n in range(6)]
    status = done(client, client.post("/api/jobs", files=files, data={"size": "32"}).json()["id"])
    assert len(status["styles"]) == 6


def test_who_comes_back_after_being_forgotten_can_bring_pictures(studio: Studio) -> None:
    visitor = studio.visitor()
    visitor.seen = -1e9
    studio.sweep()
    assert not studio.knows(visitor.id)
    studio.keep_upload(visitor, "mine.png", [png()])  # a request that had begun before
    assert studio.knows(visitor.id)


def test_only_so_many_newcomers_of_an_address_are_remembered() -> None:
    """Who sends no cookie is somebody new each time: without end, they would be remembered for minutes each."""
    studio = Studio(Limits(newcomers_by_address=5), painter=Engine())
    other, bringing = studio.visitor(address="b"), studio.visitor(address="a")
    studio.keep_upload(bringing, "mine.png", [png()])
    newcomers = [studio.visitor(address="a") for _ in range(12)]
    assert [studio.knows(one.id) for one in newcomers] == [False] * 7 + [True] * 5
    assert studio.knows(bringing.id)
    assert studio.knows(other.id)
    with studio.present(newcomers[-5]):
        last = [studio.visitor(address="a") for _ in range(6)]
        assert studio.knows(newcomers[-5].id)
    assert studio.knows(last[-1].id)
    studio.close()


def test_what_is_kept_is_counted_until_it_goes() -> None:
    size = len(png())
    studio = Studio(Limits(disk=2 * size, uploads=1), painter=Engine())
    visitor = studio.visitor()
    for _ in range(2):
        studio.keep_upload(visitor, "mine.png", [png()])
    studio.keep_upload(visitor, "mine.png", [png()])  # just full is room
    with pytest.raises(BusyError, match="too many pictures"):
        studio.check_room()
    studio.forget_old_uploads(visitor)
    studio.check_room()
    visitor.seen = -1e9
    studio.keep_upload(studio.visitor(), "mine.png", [png()])
    studio.sweep()
    for _ in range(2):
        studio.keep_upload(studio.visitor(), "mine.png", [png()])
    studio.close()


def test_a_server_does_before_it_is_asked_what_would_hold_it_up() -> None:
    app = create_app(Studio(painter=Engine()))
    before = gc.get_freeze_count()
    try:
        settle(app)
        assert gc.get_freeze_count() > before
        assert app.openapi_schema is not None
    finally:
        gc.unfreeze()


def test_uploads_under_way_count_for_the_disk() -> None:
    studio = Studio(Limits(disk=1000), painter=Engine())
    with TestClient(create_app(studio), base_url=BASE) as client:
        answer = client.post("/api/pictures", files={"file": ("a.png", bytes(5000))})
        assert answer.status_code == 429
        assert "too many pictures are kept" in answer.json()["error"]
        assert studio.arriving == 0


def error_from(connection: socket.socket) -> bytes:
    """An answer whose body, which may come after its head, is an error."""
    answer = b""
    while not answer.endswith(b"}") and (more := connection.recv(4000)):
        answer += more
    return answer


def test_a_body_that_does_not_come_is_answered() -> None:
    studio = Studio(painter=Engine())
    with Served(studio, patience=0.2) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as slow:
            slow.sendall(b"POST /api/pictures HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n")
            slow.sendall(b"Content-Length: 100000\r\n\r\n--b\r\n")
            slow.settimeout(30)
            answer = error_from(slow)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'{"error":"the request came too slowly; send it again"}' in answer
        until(lambda: studio.arriving == 0)  # which it is after the answer


def test_a_fault_is_answered_in_words_without_its_own() -> None:
    class Faulty(Studio):
        def visitor(self, id: str | None = None, address: str = "") -> Any:
            raise RuntimeError("the password is 1234")

    with TestClient(create_app(Faulty(painter=Engine())), base_url=BASE, raise_server_exceptions=False) as client:
        answer = client.get("/api/visit")
    assert (answer.status_code, answer.json()) == (500, {"error": "a fault of impasto; see its log"})


def test_pages_that_are_open_are_limited_by_address(engine: Engine) -> None:
    studio = Studio(Limits(pages_by_address=3), painter=engine)
    with Served(studio) as url:
        address = "127.0.0.1", int(url.rpartition(":")[2])
        open = [socket.create_connection(address) for _ in range(3)]
        for one in open:
            one.sendall(b"GET /api/visit/events HTTP/1.1\r\nHost: a\r\n\r\n")
            assert one.recv(12) == b"HTTP/1.1 200"
        answer = httpx.get(f"{url}/api/visit/events")
        assert answer.status_code == 429
        assert "too many pages are open" in answer.json()["error"]
        open.pop().close()
        until(lambda: studio.listening_from("127.0.0.1") == 2)
        with httpx.stream("GET", f"{url}/api/visit/events", timeout=30) as events:
            assert events.status_code == 200
        for one in open:
            one.close()


def test_connections_without_headers_are_closed_and_no_http_is_answered_as_an_error() -> None:
    with Served(Studio(painter=Engine()), headers_due=0.2) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"GET / HTTP/1.1\r\n")
            silent.settimeout(30)
            assert silent.recv(100) == b""
        with socket.create_connection(("127.0.0.1", port)) as odd:
            odd.sendall(b"what?\r\n\r\n")
            odd.settimeout(30)
            assert b'{"error"' in error_from(odd)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.jpg", b"just a text", "notes.jpg is a text, not a picture that can be read"),
        ("half.png", png()[:60], "half.png"),
        ("small.png", png(8, 8), "at least 16 are needed"),
        ("large.png", png(400, 300), "million"),
        ("heavy.png", png() + bytes(100_001), "heavy.png"),
    ],
)
def test_a_wrong_upload_is_refused_by_its_content_and_leaves_nothing(
    client: TestClient, studio: Studio, name: str, content: bytes, words: str
) -> None:
    answer = client.post("/api/jobs", files=[("photo", (name, content))], data={"style": "ink"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert str(studio.folder) not in answer.text
    assert [path.name for path in studio.folder.rglob("*") if path.is_file()] == ["lock"]


def test_more_bytes_than_allowed_are_not_taken_in(client: TestClient) -> None:
    answer = client.post("/api/jobs", files=[("photo", ("a.png", bytes(500_000)))], data={"style": "ink"})
    assert answer.status_code == 413


def test_what_is_missing_is_named(client: TestClient) -> None:
    answer = client.post("/api/jobs", data={"style": "ink"})
    assert (answer.status_code, answer.json()["error"]) == (400, "photo: Field required")


def test_a_failure_reaches_the_visitor_without_paths(client: TestClient, engine: Engine) -> None:
    engine.error = RuntimeError("/secret/place")
    status = done(client, submit(client).json()["id"], "failed")
    assert status["error"] == "a fault of impasto; see its log"
    assert client.get(f"/api/jobs/{status['id']}/picture").status_code == 404


# Events, stop, continue, cancel


def test_events_tell_every_change_and_end_with_the_picture(client: TestClient, engine: Engine) -> None:
    engine.delay = 0.1
    id = submit(client).json()["id"]
    with client.stream("GET", f"/api/jobs/{id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")]
    assert told[-1]["state"] == "done"
    steps = [status["step"] for status in told if not status["preview"]]
    assert steps == sorted(steps)
    assert len(set(steps)) >= 3


def test_the_preview_comes_first_and_stop_and_continue_keep_the_work(client: TestClient, engine: Engine) -> None:
    engine.hold()
    id = submit(client).json()["id"]
    first = until(lambda: (s := client.get(f"/api/jobs/{id}").json())["preview"] and s)
    assert first["state"] == "painting"
    assert client.get(f"/api/jobs/{id}/preview").headers["content-type"] == "image/jpeg"
    assert client.get(f"/api/jobs/{id}/picture").status_code == 404
    engine.let(2)
    until(lambda: client.get(f"/api/jobs/{id}").json()["step"] == 2)
    client.post(f"/api/jobs/{id}/stop")
    engine.let(1)
    status = done(client, id, "stopped")
    assert (status["step"], status["can_continue"]) == (3, True)
    with Image.open(io.BytesIO(client.get(f"/api/jobs/{id}/picture").content)) as image:
        assert image.size == (64, 43)  # of a coarse scale, enlarged
    engine.let(100)
    client.post(f"/api/jobs/{id}/continue")
    assert [point[0] for point in done(client, id)["curve"]] == [1, 2, 3, 4, 5, 6]  # none twice
    assert len(engine.calls) == 3  # the preview, and the picture in two parts
    assert client.post(f"/api/jobs/{id}/continue").status_code == 400


def test_cancel_ends_the_work_and_removes_the_picture(client: TestClient, engine: Engine, studio: Studio) -> None:
    id = submit(client).json()["id"]
    done(client, id)
    output = studio.job(id).work.output
    assert output.exists()
    assert client.delete(f"/api/jobs/{id}").status_code == 204
    assert client.get(f"/api/jobs/{id}").status_code == 404
    assert not output.exists()


def test_the_same_picture_is_not_painted_twice(client: TestClient, engine: Engine) -> None:
    first = submit(client).json()["id"]
    done(client, first)
    assert submit(client).json()["id"] == first
    assert submit(client, strength="51").json()["id"] != first


def look(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/looks", data={"photo": "coffee", "style": "nocturne", **fields})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_look_is_small_and_instant_with_the_settings_that_it_knows(client: TestClient, engine: Engine) -> None:
    status = done(client, look(client, strength="80", keep_lines="50", quality="best", size="600")["id"])
    assert (status["kind"], max(status["width"], status["height"])) == ("look", 320)
    assert engine.calls[-1][2] == Settings(quality="instant", size=320, strength=80)
    with Image.open(io.BytesIO(client.get(f"/api/jobs/{status['id']}/preview").content)) as image:
        assert max(image.size) == 320


def test_a_newer_look_or_picture_ends_the_last_look(client: TestClient, engine: Engine, studio: Studio) -> None:
    engine.hold()
    busy = submit(client).json()["id"]  # the worker waits within it
    until(lambda: client.get(f"/api/jobs/{busy}").json()["state"] == "painting")
    looks = [look(client, strength=strength)["id"] for strength in ("10", "20", "30", "40", "50")]
    assert [client.get(f"/api/jobs/{id}").status_code for id in looks] == [404, 404, 404, 404, 200]
    picture = submit(client, strength="70").json()["id"]
    assert client.get(f"/api/jobs/{looks[-1]}").status_code == 404
    engine.let(1000)
    done(client, picture)
    assert [settings.strength for _, _, settings in engine.calls if settings.size == 320] == []
    last = look(client, strength="60")["id"]
    done(client, last)
    kept = studio.job(last).work.output
    assert kept.exists()
    look(client, strength="65")
    assert not kept.exists()


def test_qualities_say_how_long_pictures_took_here(client: TestClient, studio: Studio) -> None:
    def seconds() -> dict[str, float]:
        return {one["name"]: one["seconds"] for one in client.get("/api/qualities").json()}

    before = seconds()
    done(client, submit(client, size="600", quality="draft").json()["id"])
    assert studio.pace.measured
    assert seconds() == studio.pace.seconds() != before


def test_a_sheet_shows_every_painting(client: TestClient, engine: Engine) -> None:
    answer = client.post("/api/sheets", data={"photo": "coffee", "strength": "80"})
    status = done(client, answer.json()["id"])
    assert [cell["label"] for cell in status["cells"]] == style_names()
    assert (status["kind"], status["step"]) == ("sheet", len(style_names()))
    assert {settings.strength for _, _, settings in engine.calls} == {80}
    with Image.open(io.BytesIO(client.get(f"/api/jobs/{status['id']}/picture").content)) as image:
        assert image.size == (3 * 272, 4 * 215)


def test_a_network_is_a_style_painted_at_once(client: TestClient, engine: Engine) -> None:
    name = network_names()[0]
    facts = client.get("/api/networks").json()[name]
    assert facts["paintings"] == list(network_facts(name).paintings)
    status = done(client, submit(client, style=name, strength="40").json()["id"])
    assert status["styles"] == [name]
    assert [(style, settings.quality) for _, style, settings in engine.calls] == [([network_path(name)], "good")]
    recipe = client.get(f"/api/jobs/{status['id']}/recipe").json()
    assert recipe["command"] == f"impasto demo {name} --photo coffee --size 64 --strength 40"
    with Image.open(io.BytesIO(client.get(f"/api/pictures/{name}").content)) as image:
        assert image.format == "JPEG"
    sheet = done(client, client.post("/api/sheets", data={"photo": "coffee", "style": name}).json()["id"])
    assert [cell["settings"]["strength"] for cell in sheet["cells"]] == [
        facts["strength"] * k / 4 for k in (1, 2, 3, 4)
    ]


def test_a_network_may_be_brought(client: TestClient, engine: Engine, studio: Studio, tmp_path: Path) -> None:
    content = to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT)
    kept = client.post("/api/pictures", files={"file": ("mine.safetensors", content)}).json()
    assert kept["learnt"] == ABOUT.strength
    with Image.open(io.BytesIO(client.get(f"/api/pictures/{kept['id']}").content)) as image:
        assert max(image.size) == 256
    status = done(client, submit(client, style=kept["id"]).json()["id"])
    assert status["styles"] == ["mine.safetensors"]
    (asked,) = engine.calls[-1][1]
    assert network_file(asked) == (asked, "")
    assert asked.read_bytes() == content
    assert not studio.pace.measured  # its pictures say nothing of a quality
    for _ in range(4):
        client.post("/api/pictures", files={"file": ("photo.png", png())})
    assert not asked.exists()
    assert not list(asked.parent.glob(f"{asked.stem}*"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            save_tensors({"one": torch.zeros(3)}),
            "mine.safetensors holds other tensors (first tensor 'one'), not a style",
        ),
        (to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT)[:-9], "mine.safetensors is damaged"),
        (to_bytes(lively(Shape(2, width=11, blocks=0)), ABOUT), "mine.safetensors is 11 channels wide"),
        (to_bytes(lively(Shape(2, width=8, blocks=5)), ABOUT), "mine.safetensors is larger than"),
    ],
)
def test_what_is_no_network_for_here_is_refused(client: TestClient, studio: Studio, content: bytes, words: str) -> None:
    answer = client.post("/api/pictures", files={"file": ("mine.safetensors", content)})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(words)
    assert str(studio.folder) not in answer.text
    assert not [path for path in studio.folder.rglob("*") if path.is_file() and path.name != "lock"]


@pytest.mark.parametrize(
    ("address", "fields", "words"),
    [
        ("jobs", {"style": ["{}", "wave"]}, "{} is a network, which blends only the paintings it has learnt"),
        ("jobs", {"style": "{}", "color": "match"}, "color=match needs a painting"),
        ("jobs", {"style": "{}", "mask": "?"}, "mask needs a painting: a network paints all of a photograph alike"),
        ("textures", {"style": "{}"}, "{} is a network, which paints photographs only; choose a painting"),
    ],
)
def test_what_a_network_cannot_do_is_refused_at_once(
    client: TestClient, engine: Engine, address: str, fields: dict[str, Any], words: str
) -> None:
    name = network_names()[0]
    fields = {
        key: [v.format(name) for v in value] if isinstance(value, list) else value.format(name)
        for key, value in fields.items()
    }
    if "mask" in fields:
        fields["mask"] = client.post("/api/pictures", files={"file": ("regions.png", png())}).json()["id"]
    if address == "jobs":
        fields["photo"] = "coffee"
    answer = client.post(f"/api/{address}", data=fields)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(words.format(name))
    assert engine.calls == []


def test_networks_of_the_operator_are_styles_of_everybody(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "house style.safetensors").write_bytes(to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT))
    (tmp_path / "notes.txt").write_text("of the operator")
    studio = Studio(painter=engine, networks=tmp_path)
    try:
        with TestClient(create_app(studio), base_url=BASE) as client:
            facts = client.get("/api/networks").json()
            assert list(facts) == [*network_names(), "house-style"]
            assert (facts["house-style"]["title"], facts["house-style"]["strength"]) == ("house style", ABOUT.strength)
            with Image.open(io.BytesIO(client.get("/api/pictures/house-style").content)) as image:
                assert max(image.size) == 256
            status = done(client, submit(client, style="house-style").json()["id"])
            assert status["styles"] == ["house style.safetensors"]
            assert engine.calls[-1][1] == [tmp_path / "house style.safetensors"]
            assert "did you mean house-style?" in submit(client, style="house stile").json()["error"]
            answer = client.post("/api/textures", data={"style": "house-style"}).json()
            assert answer["error"].startswith("house style.safetensors is a network, which paints photographs only")
    finally:
        studio.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["house style.safetensors", "notes.txt"]  # untouched


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.txt", b"", "holds 0 networks"),
        ("wave.safetensors", None, "has the name of something else here"),
        ("a.safetensors", b"x" * 100, "a.safetensors"),
        ("a.safetensors", to_bytes(lively(Shape(2, width=40, blocks=0)), ABOUT), "a.safetensors is 40 channels wide"),
    ],
    ids=["none", "taken", "damaged", "wide"],
)
def test_what_an_operator_cannot_offer_is_refused_at_the_start(
    engine: Engine, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    fine = to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT)
    (tmp_path / name).write_bytes(fine if content is None else content)
    with pytest.raises(ImpastoError, match=words):
        Studio(painter=engine, networks=tmp_path)
    with pytest.raises(ImpastoError, match="is no folder"):
        Studio(painter=engine, networks=tmp_path / name)


def test_every_preset_has_a_small_picture_on_its_card() -> None:
    """benchmarks/studio_pictures.py paints them: a new preset wants a line there."""
    cards = {path.stem: path for path in EXAMPLE.parent.glob("*.jpg")}
    assert set(cards) == {"example", *PRESETS}
    assert all(path.stat().st_size < 16_000 for name, path in cards.items() if name in PRESETS)
    assert EXAMPLE.stat().st_size < 100_000


def test_lists(client: TestClient) -> None:
    assert list(client.get("/api/styles").json()) == style_names()
    assert list(client.get("/api/networks").json()) == network_names()
    assert "coffee" in client.get("/api/samples").json()
    assert [one["name"] for one in client.get("/api/settings").json()] == [control.name for control in controls()]


# Limits and neighbours


def test_a_visitor_waits_for_few_pictures_at_once_and_keeps_the_last(client: TestClient, engine: Engine) -> None:
    engine.hold()
    for strength in ("1", "2"):
        assert submit(client, strength=strength).status_code == 202
    answer = submit(client, strength="3")
    assert answer.status_code == 429
    assert "wait for one, or stop one" in answer.json()["error"]
    engine.let(1000)
    ids = []
    for strength in ("3", "4", "5", "6"):
        ids.append(until(lambda s=strength: submit(client, strength=s).json().get("id")))
        done(client, ids[-1])
    assert [client.get(f"/api/jobs/{id}").status_code for id in ids] == [404, 200, 200, 200]


def test_the_oldest_uploads_go_first(client: TestClient, studio: Studio) -> None:
    ids = [
        client.post("/api/pictures", files={"file": ("a.png", png(color=color))}).json()["id"]
        for color in ("red", "green", "blue", "white")
    ]
    assert [client.get(f"/api/pictures/{id}").status_code for id in ids] == [404, 200, 200, 200]
    assert len([path for path in studio.folder.rglob("*.png") if path.is_file()]) == 3


def test_what_a_picture_still_needs_stays_and_errors_have_its_name(studio: Studio, engine: Engine) -> None:
    engine.hold()
    visitor = studio.visitor()
    photograph = studio.keep_upload(visitor, "mine.png", [png()])
    job = studio.paint(visitor, photograph, [studio.painting(visitor, "ink")], {"size": "64"})
    for _ in range(4):
        studio.keep_upload(visitor, "other.png", [png()])
    assert photograph.path.exists()
    photograph.path.unlink()  # as if by somebody else: it is read again at the end
    engine.let(100)
    until(lambda: job.over)
    assert "mine.png" in (job.error or "")
    assert str(studio.folder) not in (job.error or "")


def test_all_uploads_together_have_a_limit() -> None:
    studio = Studio(Limits(disk=3 * len(png())), painter=Engine())
    visitors = [studio.visitor() for _ in range(5)]
    for visitor in visitors[:4]:
        studio.keep_upload(visitor, "mine.png", [png()])
    with pytest.raises(BusyError, match="too many pictures are kept"):
        studio.keep_upload(visitors[4], "mine.png", [png()])
    studio.close()


def test_nobody_sees_what_another_brought(client: TestClient, studio: Studio) -> None:
    id = client.post("/api/pictures", files={"file": ("mine.png", png())}).json()["id"]
    assert client.get(f"/api/pictures/{id}").status_code == 200
    stranger = TestClient(client.app, base_url=BASE)  # without the cookie
    assert stranger.get(f"/api/pictures/{id}").status_code == 404
    assert submit(stranger, photo=id).status_code == 404
    assert submit(client, photo=id).status_code == 202


def test_who_has_left_is_stopped_and_later_forgotten(studio: Studio, engine: Engine) -> None:
    engine.hold()
    visitor = studio.visitor()
    photograph, painting = studio.photograph(visitor, "coffee"), studio.painting(visitor, "ink")
    job = studio.paint(visitor, photograph, [painting], {"size": "64"}, attended=True)
    with studio.present(visitor):
        visitor.seen = job.touched = -1e9
        studio.sweep()
        assert not job.stop_asked  # the page is open
    visitor.seen = job.touched = -1e9
    studio.sweep()
    assert job.stop_asked or job.over
    engine.let(100)
    until(lambda: job.over)
    job.touched = visitor.seen = -1e9
    studio.sweep()
    assert not studio.knows(visitor.id)
    assert not visitor.folder.exists()


def test_a_control_that_the_preview_does_not_know_paints_it_once(studio: Studio, engine: Engine) -> None:
    visitor = studio.visitor()
    photograph, painting = studio.photograph(visitor, "coffee"), studio.painting(visitor, "ink")

    def previews(**values: str) -> int:
        """How many there were after painting with these settings."""
        job = studio.paint(visitor, photograph, [painting], values, attended=True)
        until(lambda: job.over)
        return len(engine.calls) - len(engine.painted)

    assert previews(size="560") == 1
    assert previews(size="600", quality="draft", keep_lines="20", seed="3") == 1
    assert previews(size="600", strength="70") == 2
    assert previews(size="300", strength="70") == 3  # smaller than previews are


def test_a_server_that_was_killed_leaves_nothing_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = "from impasto.web.studio import Studio; w = Studio(); w.visitor(); print(w.folder); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=-1, stdout=-1, text=True
    ) as server:
        assert server.stdout is not None
        folder = Path(server.stdout.readline().strip())
        Studio().close()
        assert folder.exists()  # it runs
        server.kill()
    Studio().close()
    assert not folder.exists()


def test_a_job_of_the_api_is_not_stopped_when_nobody_looks(studio: Studio, engine: Engine) -> None:
    engine.hold()
    visitor = studio.visitor()
    paintings = [studio.painting(visitor, "ink")]
    job = studio.paint(visitor, studio.photograph(visitor, "coffee"), paintings, {"size": "64"})
    visitor.seen = job.touched = -1e9
    studio.sweep()
    assert not job.stop_asked
    assert studio.knows(visitor.id)


# The guard


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/hostname",
        "/gradio_api/file/etc/hostname",
        "/file=/etc/hostname",
        "/gradio_api/upload",
        "/gradio_api/proxy=https://example.hf.space/",
        "/gradio_api/info",
        "/gradio_api/call/submit",
        "/gradio_api/run/predict",
        "/gradio_api/component_server",
        "/monitoring",
        "/docs",
        "/redoc",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/api/pictures/..%2f..%2fetc%2fhostname",
        "/gradio_api/queue/../file=/etc/hostname",
        "/gradio_api/queue/%2e%2e/upload",
        "/static/../../../../etc/hostname",
        "/assets/%2e%2e/%2e%2e/%2e%2e/etc/hostname",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    for method in ("GET", "POST"):
        answer = client.request(method, path)
        assert answer.status_code in (403, 404, 405, 422), (method, path, answer.status_code)


def test_the_page_is_served_with_a_policy_that_lets_nothing_out(client: TestClient) -> None:
    client.cookies.clear()
    answer = client.get("/")
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "set-cookie" not in client.get("/").headers  # known by now
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


def test_pages_of_other_sites_may_not_ask(client: TestClient) -> None:
    headers = {"Origin": "https://evil.example"}
    assert client.post("/api/jobs", data={"photo": "coffee", "style": "ink"}, headers=headers).status_code == 403
    assert client.post("/gradio_api/queue/join", json={}, headers=headers).status_code == 403
    assert client.delete("/api/jobs/x", headers={"Origin": "null"}).status_code == 403
    assert submit(client).status_code == 202
    own = client.post("/api/sheets", data={"photo": "coffee"}, headers={"Origin": BASE})
    assert own.status_code == 202


def test_on_loopback_only_its_own_names_are_answered(studio: Studio) -> None:
    app = create_app(studio, hosts=("127.0.0.1", "localhost", "[::1]"))
    for base, code in ((BASE, 200), ("http://localhost:1", 200), ("http://[::1]:1", 200), ("http://evil.example", 421)):
        assert TestClient(app, base_url=base).get("/api/styles").status_code == code


@pytest.mark.parametrize("path", ["/", "/api/styles", "/api/visit/events", "/static/studio.css"])
def test_with_auth_everything_asks_for_the_password(studio: Studio, path: str) -> None:
    app = create_app(studio, account=("anna", "sésame:1"))
    client = TestClient(app, base_url=BASE)
    for auth in (None, ("anna", "wrong"), ("wrong", "sésame:1"), ("", "")):
        answer = client.get(path, auth=auth)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    for header in ("Basic", "Basic ###", "Bearer x"):
        assert client.get(path, headers={"Authorization": header}).status_code == 401
    if path in ("/api/styles", "/static/studio.css"):
        code = base64.b64encode("anna:sésame:1".encode()).decode()
        assert client.get(path, headers={"Authorization": f"Basic {code}"}).status_code == 200


@pytest.mark.parametrize(
    ("cells", "shape", "columns"), [(10, 1.5, 3), (10, 0.67, 4), (11, 1.5, 3), (2, 1.5, 1), (1, 1.0, 1)]
)
def test_a_sheet_of_several_fills_the_canvas(cells: int, shape: float, columns: int) -> None:
    assert columns_of(cells, shape) == columns


# The documentation


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not installed")
def test_the_commands_of_the_documentation_run_in_order(tmp_path: Path, engine: Engine) -> None:
    text = (Path(__file__).parent.parent / "docs/studio.md").read_text(encoding="utf-8")
    commands = text.split("```sh\n")[1].split("```")[0]
    (tmp_path / "photo.jpg").write_bytes(png())
    studio = Studio(painter=engine)
    with Served(studio) as url:
        script = "set -eo pipefail\n" + commands.replace("http://127.0.0.1:7860", url)
        subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, timeout=60)
    with Image.open(tmp_path / "painting.png") as painting, Image.open(tmp_path / "preview.jpg") as preview:
        assert painting.size == preview.size == (512, 341)


# The command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port 70000 is out of range"),
        (["--port", "many"], "--port"),
        (["--auth", "anna"], "--auth is not of the form user:password"),
        (["--host", "no.such.name.invalid"], "--host no.such.name.invalid is no name or address of this machine"),
        (["--host", "192.0.2.1"], "on 192.0.2.1 cannot be used"),
        (["--device", "abacus"], "--device 'abacus' is not present"),
    ],
)
def test_wrong_uses_of_the_command(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["web", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["web", "--port", str(port)]) == 2
    assert f"--port {port} on 127.0.0.1 cannot be used" in capsys.readouterr().err


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("impasto.cli.commands.find_spec", lambda name: None)
    assert main(["web"]) == 2
    assert "pip install 'impasto[web]'" in capsys.readouterr().err


# Opening the browser

DESKTOP = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("environment", "platform", "opened"),
    [
        (DESKTOP, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({**DESKTOP, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", False),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
        ({**DESKTOP, "CI": "true"}, "linux", False),
        ({**DESKTOP, "container": "podman"}, "linux", False),
    ],
)
def test_a_browser_is_opened_only_where_somebody_sees_it(
    environment: dict[str, str], platform: str, opened: bool, tmp_path: Path
) -> None:
    look = partial(has_browser, environment, platform=platform)
    assert look(terminal=True, containers=()) is opened
    assert not look(terminal=False, containers=())
    assert not look(terminal=True, containers=[tmp_path])


def test_a_browser_that_cannot_be_opened_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(url: str) -> None:
        raise OSError("no desktop")

    open_page("http://127.0.0.1:7860", broken)
    said: list[str] = []
    until(lambda: said.append(capsys.readouterr().err) or "".join(said).endswith("yourself\n"))
    assert "".join(said) == "note: no browser could be opened (no desktop); open http://127.0.0.1:7860 yourself\n"


# Many visitors


@pytest.mark.slow
def test_twenty_visitors_lose_nothing_and_memory_stays_flat(engine: Engine, tmp_path: Path) -> None:
    """Over loopback, each with an upload of their own: everyone gets their own picture, round after round."""
    rounds, visitors = 8, 20
    used = []
    tracemalloc.start()
    studio = Studio(Limits(finished=2, uploads=2, unfinished_by_address=100), painter=engine)
    with Served(studio) as url:
        for number in range(rounds):
            with ThreadPoolExecutor(visitors) as pool:
                colors = list(pool.map(partial(one_visit, url, number), range(visitors)))
            assert colors == [color_of(number, visitor) for visitor in range(visitors)]
            engine.forget()
            used.append(memory_in_use())
        jobs = studio.jobs.all()
        assert len(jobs) == rounds * visitors
        assert all(job.state == "done" and job.image is None for job in jobs)
    tracemalloc.stop()
    # Of each job its settings remain, and its line in the list; a picture kept of each would be 10 MiB a round.
    assert used[-1] - used[1] < (rounds - 2) * 2, used
    assert not studio.folder.exists()


def memory_in_use() -> float:
    """MiB that Python's objects and all tensors take. (What the system says depends on what allocators keep back.)"""
    gc.collect()
    tensors = sum(one.nbytes for one in gc.get_objects() if type(one) is Tensor)
    return (tracemalloc.get_traced_memory()[0] + tensors) / 2**20


def color_of(number: int, visitor: int) -> tuple[int, int, int]:
    return 255 - 10 * visitor, 30 * number, 128


def one_visit(url: str, number: int, visitor: int) -> tuple[int, ...]:
    """Upload a picture of one colour, have it painted (the engine turns it negative), and look at it."""
    color = color_of(number, visitor)
    with httpx.Client(base_url=url, timeout=300) as client:
        files = {"photo": ("mine.png", png(color=f"rgb{color}"))}
        id = client.post("/api/jobs", files=files, data={"style": "ink", "size": "256"}).json()["id"]
        with client.stream("GET", f"/api/jobs/{id}/events") as events:
            last = [json.loads(line[5:]) for line in events.iter_lines() if line.startswith("data:")][-1]
        assert last["state"] == "done", last
        with Image.open(io.BytesIO(client.get(f"/api/jobs/{id}/picture").content)) as image:
            assert image.size == (256, 171)
            return tuple(255 - value for value in image.convert("RGB").getpixel((100, 100)))
