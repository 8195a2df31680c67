"""A film of a painting's steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import Main, random_image
from PIL import Image

from impasto import ImpastoError
from impasto.images.reading import write_image
from impasto.runs import timelapse
from impasto.runs.timelapse import Timelapse, check_timelapse


def grey(level: float, height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.full((1, 3, height, width), level)


def levels(path: Path) -> list[int]:
    """The grey of each frame."""
    if path.suffix in (".gif", ".webp"):
        with Image.open(path) as film:
            found = []
            for number in range(getattr(film, "n_frames", 1)):
                film.seek(number)
                found.append(film.convert("L").getpixel((5, 5)))
            return found
    av = pytest.importorskip("av")
    with av.open(str(path)) as film:
        return [int(frame.to_ndarray(format="gray8")[5, 5]) for frame in film.decode(video=0)]


@pytest.mark.parametrize("extension", [".gif", ".webp", ".mp4", ".mkv"])
def test_the_frames_are_the_steps_in_order_and_the_last_one_stays(tmp_path: Path, extension: str):
    film = Timelapse(tmp_path / f"film{extension}", 40, 61)
    for level in (0.0, 0.3, 0.6, 0.9):
        film.add(grey(level) if level < 0.5 else grey(level, 40, 61))  # a later scale is larger
    film.write()
    found = levels(film.path)
    assert found[0] < 20
    assert found[-1] > 210
    assert found == sorted(found)
    assert len(set(found)) >= 4
    assert (film.height, film.width) == (40, 60)
    assert [path.name for path in tmp_path.iterdir()] == [film.path.name]
    if extension == ".gif":
        with Image.open(film.path) as image:
            image.seek(image.n_frames - 1)
            assert image.info["duration"] >= 2000


def test_long_paintings_keep_a_bounded_number_of_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timelapse, "MOST", 8)
    film = Timelapse(tmp_path / "film.gif", 20, 30)
    for number in range(100):
        film.add(grey(number / 100))
    assert len(film.frames) <= 8
    film.write()
    found = levels(film.path)
    assert found == sorted(found)
    assert found[-1] > 240  # the last step is there


@pytest.mark.parametrize("name", ["film.avi", "film", "nowhere/film.gif"])
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, name: str):
    with pytest.raises(ImpastoError, match="cannot write"):
        check_timelapse(tmp_path / name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_image("photo.jpg", random_image(24, 32))
    write_image("art.png", random_image(32, 24, seed=1))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_command_films_a_painting(main: Main):
    options = ("-o", "out.png", "--timelapse", "film.gif", "--size", "32", "--quality", "draft")
    assert main(["paint", "photo.jpg", "art.png", *options]) == 0
    with Image.open("film.gif") as film:
        assert film.n_frames > 5
        assert film.size == (32, 24)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("film", "words"),
    [
        ("film.avi", "a time-lapse is one of .mp4, .mov, .mkv, .webm, .gif, .webp"),
        ("out.webp", "--timelapse out.webp is the picture as well"),
        ("nowhere/film.gif", "does not exist; create it"),
    ],
)
def test_the_command_refuses_a_film_before_the_work(
    main: Main, film: str, words: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["paint", "photo.jpg", "art.png", "-o", "out.webp", "--timelapse", film]) == 2
    assert words in capsys.readouterr().err
    assert not Path("out.webp").exists()


@pytest.mark.usefixtures("folder")
def test_a_film_that_fails_at_the_end_loses_no_picture(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(film: Timelapse, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Timelapse, "_animate", full)
    options = ("-o", "out.png", "--timelapse", "film.gif", "--size", "32", "--quality", "draft")
    assert main(["paint", "photo.jpg", "art.png", *options]) == 0
    assert "cannot write film.gif: No space left on device" in capsys.readouterr().err
    assert Path("out.png").exists()
