"""Textures and films in the studio: asked for over the API, painted by a double or by the network itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from web_engine import Engine, clip, until

pytest.importorskip("fastapi", reason="the extra web is not installed")
pytest.importorskip("av", reason="the extra video is not installed")

import av
from starlette.testclient import TestClient

from impasto.images.origin import Origin
from impasto.images.reading import read_origin, read_settings
from impasto.settings import Settings
from impasto.web.server import create_app
from impasto.web.studio import Limits, Studio


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    studio = Studio(Limits(film_seconds=3.0, film_largest=96, upload_bytes=200_000), painter=engine)
    with TestClient(create_app(studio), base_url="http://127.0.0.1:7860") as client:
        yield client
        if engine.gate is not None:
            engine.let(10_000)


def over(client: TestClient, id: str, state: str = "done") -> dict[str, Any]:
    def status() -> dict[str, Any] | None:
        answer = client.get(f"/api/jobs/{id}").json()
        return answer if answer["state"] == state else None

    return until(status)


def bring(client: TestClient, path: Path) -> Any:
    return client.post("/api/pictures", files={"file": (path.name, path.read_bytes())})


def test_a_texture_with_its_recipe(client: TestClient, engine: Engine, tmp_path: Path) -> None:
    answer = client.post("/api/textures", data={"style": "wave", "size": "64", "seamless": "true", "quality": "draft"})
    status = over(client, answer.json()["id"])
    assert (status["kind"], status["photo"], status["seamless"]) == ("texture", "", True)
    assert engine.guides[-1] == {"seamless": True}
    picture = client.get(f"/api/jobs/{status['id']}/picture").content
    (tmp_path / "out.png").write_bytes(picture)
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (64, 64)
    assert Settings.from_json(read_settings(tmp_path / "out.png") or "") == Settings(size=64, quality="draft")
    assert read_origin(tmp_path / "out.png") == Origin("", ("wave",), 6, 6)
    recipe = client.get(f"/api/jobs/{status['id']}/recipe").json()
    assert recipe["command"] == "impasto texture wave --seamless --size 64 --quality draft -o wave-texture.png"
    assert "impasto.texture('wave', seamless=True, size=64, quality='draft')" in recipe["python"]
    assert client.get(f"/api/jobs/{status['id']}/photograph").status_code == 404


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("textures", {"strength": "70"}, "there is no field 'strength'"),
        ("textures", {"quality": "instant"}, "quality='instant' makes no textures; choose from: draft, good, best"),
        ("films", {"film": "coffee", "seed": "3"}, "there is no field 'seed'"),
        ("films", {"film": "coffee"}, "there is no picture 'coffee' here any more"),
    ],
)
def test_wrong_values_are_answered_in_a_sentence(
    client: TestClient, engine: Engine, path: str, fields: dict[str, str], words: str
) -> None:
    answer = client.post(f"/api/{path}", data={"style": "wave", **fields})
    assert answer.status_code in (400, 404)
    assert words in answer.json()["error"]
    assert engine.calls == []


def test_a_film_from_a_clip_to_a_file(client: TestClient, engine: Engine, tmp_path: Path) -> None:
    brought = bring(client, clip(tmp_path / "waves.mp4", frames=6)).json()
    assert (brought["width"], brought["height"], brought["seconds"]) == (160, 120, 0.8)
    answer = client.post(
        "/api/films", data={"film": brought["id"], "style": "wave", "boil": "40", "protect": "10%,10%,40%,50%"}
    )
    status = over(client, answer.json()["id"])
    assert (status["kind"], status["step"], status["steps"]) == ("film", 6, 6)
    assert (engine.guides[-1]["boil"], engine.guides[-1]["protect"]) == (40, "10%,10%,40%,50%")
    assert status["chosen"]["protect"] == "10%,10%,40%,50%"
    assert engine.calls[-1][2] == Settings(size=96)  # as much as this studio paints
    film = client.get(f"/api/jobs/{status['id']}/film")
    assert "waves-wave.mp4" in film.headers["content-disposition"]
    with av.open(io.BytesIO(film.content)) as found:
        assert sum(1 for _ in found.decode(video=0)) == 6
        assert found.streams.video[0].codec_context.width == 96
    part = client.get(f"/api/jobs/{status['id']}/film", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    assert client.get(f"/api/jobs/{status['id']}/preview").headers["content-type"] == "image/jpeg"
    command = client.get(f"/api/jobs/{status['id']}/recipe").json()["command"]
    assert command == "impasto video waves.mp4 wave --boil 40 --size 96 --protect 10%,10%,40%,50% -o waves-wave.mp4"
    for wrong, words in (("fases", "did you mean faces?"), ("waves", "give faces, subject or a box")):
        answer = client.post("/api/films", data={"film": brought["id"], "style": "wave", "protect": wrong})
        assert answer.status_code == 400
        assert words in answer.json()["error"]


def test_the_first_frame_comes_at_once_and_a_stop_keeps_the_film_so_far(
    client: TestClient, engine: Engine, tmp_path: Path
) -> None:
    id = bring(client, clip(tmp_path / "waves.mp4", frames=16)).json()["id"]
    engine.hold()
    job = client.post("/api/films", data={"film": id, "style": "wave"}).json()["id"]
    assert until(lambda: client.get(f"/api/jobs/{job}").json()["preview"])
    engine.let(3)
    assert until(lambda: client.get(f"/api/jobs/{job}").json()["step"] == 3)
    assert client.get(f"/api/jobs/{job}/film").status_code == 404
    client.post(f"/api/jobs/{job}/stop")
    engine.let(1)
    until(lambda: engine.let(1) or client.get(f"/api/jobs/{job}").json()["state"] == "stopped")
    status = client.get(f"/api/jobs/{job}").json()
    assert not status["can_continue"]
    with av.open(io.BytesIO(client.get(f"/api/jobs/{job}/film").content)) as found:
        assert 3 <= sum(1 for _ in found.decode(video=0)) < 16


def test_a_clips_first_frame_is_a_photograph_too(client: TestClient, engine: Engine, tmp_path: Path) -> None:
    id = bring(client, clip(tmp_path / "waves.mp4", frames=2)).json()["id"]
    job = client.post("/api/jobs", data={"photo": id, "style": "wave", "size": "80"}).json()["id"]
    assert over(client, job)["kind"] == "painting"


def test_clips_that_are_too_long_or_none_are_refused(client: TestClient, tmp_path: Path) -> None:
    long = bring(client, clip(tmp_path / "long.mp4", frames=32))
    assert "long.mp4 takes 4 s; this studio paints films of up to 3 s: cut it first" in long.json()["error"]
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"x" * 100)
    assert "cut.mp4 cannot be read as a film" in bring(client, tmp_path / "cut.mp4").json()["error"]
    # A playlist names other files and addresses; FFmpeg would open them.
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    assert "list.mp4 is a text, not a picture" in bring(client, tmp_path / "list.mp4").json()["error"]


@pytest.mark.slow
def test_the_network_itself_paints_a_film_and_a_texture(tmp_path: Path) -> None:
    with TestClient(create_app(Studio(Limits(film_largest=128))), base_url="http://127.0.0.1:7860") as client:
        id = bring(client, clip(tmp_path / "waves.mp4", frames=3)).json()["id"]
        fields = {"style": "wave", "quality": "draft"}
        film = client.post("/api/films", data={"film": id, **fields}).json()["id"]
        texture = client.post("/api/textures", data={"size": "128", **fields}).json()["id"]
        assert over(client, film)["step"] == 3
        assert over(client, texture)["width"] == 128


def test_the_page_offers_for_films_the_qualities_that_paint_them() -> None:
    from impasto.methods.film import EVALUATIONS
    from impasto.web.form import FILM_QUALITIES

    assert set(FILM_QUALITIES) == set(EVALUATIONS)
