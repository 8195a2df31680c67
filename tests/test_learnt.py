"""A network that has learnt a style, as a style: in Python, on the command line, of films, in grids."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from conftest import Main, random_image
from test_transform import ABOUT, lively

from impasto.errors import SettingsError, WeightsError
from impasto.images.gallery import find_style, network_file, network_names, network_path, style_pictures
from impasto.images.reading import read_image, read_settings, to_pil
from impasto.network.streamed import transform
from impasto.network.transform import Shape, Transform, shares_of
from impasto.network.transform_file import load_transform, to_bytes
from impasto.painting import Painter

SIZE = 60


@pytest.fixture(scope="module")
def network() -> Transform:
    return lively(Shape(2, width=4, blocks=1))


@pytest.fixture
def style(tmp_path: Path, network: Transform) -> Path:
    path = tmp_path / "style.safetensors"
    path.write_bytes(to_bytes(network, ABOUT))
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    to_pil(random_image(40, SIZE)).save(path)
    return path


def test_it_paints_with_its_network(tiny_painter: Painter, style: Path, network: Transform):
    image = random_image(40, SIZE)
    for asked, shares in (("", [1, 1]), (":one", [1, 0]), (":two=1,one=3", [3, 1]), (":two=0.5", [0, 1])):
        painted = tiny_painter.paint(image, f"{style}{asked}", size=SIZE, strength=60).cpu()
        wanted = transform(network, image, shares_of(shares))
        torch.testing.assert_close(painted, wanted, atol=5e-3, rtol=0)  # the file has half precision


def test_strength_goes_to_the_photograph(tiny_painter: Painter, style: Path, network: Transform):
    """The network has learnt strength 60: half of it is half of the way from the photograph's own scales and shifts."""
    image = random_image(40, SIZE)
    half = tiny_painter.paint(image, style, size=SIZE, strength=30).cpu()
    torch.testing.assert_close(half, transform(network, image, shares_of([1, 1], 0.5)), atol=5e-3, rtol=0)
    assert torch.equal(tiny_painter.paint(image, style, size=SIZE, strength=0).cpu(), image)
    (full,) = tiny_painter.steps(image, style, size=SIZE, strength=60)
    (more,) = tiny_painter.steps(image, style, size=SIZE, strength=90)
    assert torch.equal(more.image, full.image)
    assert "the network has learnt strength 60, and paints no stronger" in more.notes
    assert not any("stronger" in note for note in full.notes)


def test_what_has_no_part_is_said(tiny_painter: Painter, style: Path):
    (step,) = tiny_painter.steps(random_image(40, SIZE), style, size=SIZE, quality="best", keep_lines=10)
    assert "a network leaves out: quality, keep_lines" in step.notes
    assert "the network has learnt on pictures of 256 px: its strokes are as broad as there" in step.notes


def test_colours_and_protection(tiny_painter: Painter, style: Path):
    image = random_image(40, SIZE)
    kept = tiny_painter.paint(image, style, size=SIZE, protect="0,0,50%,100%").cpu()
    torch.testing.assert_close(kept[..., : SIZE // 4], image[..., : SIZE // 4])
    assert (kept - image)[..., SIZE * 3 // 4 :].abs().mean() > 0.02
    grey = image.mean(1, keepdim=True).expand_as(image)
    light = tiny_painter.paint(grey, style, size=SIZE, color="photo")
    assert (light.amax(1) - light.amin(1)).max() < 1e-2


@pytest.mark.parametrize(
    ("asked", "changes", "words"),
    [
        (":three", {}, "has not learnt 'three'; choose from: one, two"),
        (":one=x", {}, "the share 'x' of one is not from 0"),
        (":one=0", {}, "leaves no painting"),
        ("", {"color": "match"}, "color=match needs a painting"),
        ("", {"mask": random_image(40, SIZE), "style_mask": ["all"]}, "mask needs a painting"),
        ("", {"cluster": "local"}, "cannot be spread over a cluster"),
    ],
)
def test_what_it_cannot_do(tiny_painter: Painter, style: Path, asked: str, changes: dict[str, object], words: str):
    with pytest.raises(SettingsError, match=words):
        tiny_painter.steps(random_image(40, SIZE), f"{style}{asked}", size=SIZE, **changes)


def test_a_network_is_not_blended_with_paintings(tiny_painter: Painter, style: Path):
    with pytest.raises(SettingsError, match="is a network, which blends only the paintings it has learnt"):
        tiny_painter.steps(random_image(40, SIZE), [style, random_image(40, SIZE)], size=SIZE)


def test_a_changed_file_is_read_again(tiny_painter: Painter, style: Path):
    image = random_image(40, SIZE)
    before = tiny_painter.paint(image, style, size=SIZE)
    style.write_bytes(to_bytes(lively(Shape(2, width=4, blocks=1), seed=1), ABOUT))
    os.utime(style, (1, 1))
    assert not torch.equal(tiny_painter.paint(image, style, size=SIZE), before)
    style.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        tiny_painter.paint(image, style, size=SIZE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/style.safetensors", ("a/style.safetensors", "")),
        ("style.SAFETENSORS:wave=1", ("style.SAFETENSORS", "wave=1")),
        ("style.safetensors.jpg", None),
        ("wave", None),
    ],
)
def test_names_of_networks(text: str, found: tuple[str, str] | None):
    assert network_file(text) == (None if found is None else (Path(found[0]), found[1]))


def test_a_networks_style_is_its_file(style: Path):
    assert find_style(f"{style}:one") == Path(f"{style}:one")
    assert style_pictures(f"{style}:one") == [style]
    with pytest.raises(SettingsError, match="neither a file nor a style"):
        find_style("nowhere.safetensors:one")


def test_the_command_line_takes_it(
    main: Main, style: Path, photo: Path, network: Transform, capsys: pytest.CaptureFixture[str]
):
    output = photo.with_name("out.png")
    arguments = ["paint", str(photo), f"{style}:two", "--strength", "60", "--size", str(SIZE), "-o", str(output)]
    assert main(arguments) == 0
    wanted = transform(network, read_image(photo).image, shares_of([0, 1]))
    torch.testing.assert_close(read_image(output).image, wanted, atol=8e-3, rtol=0)
    assert json.loads(read_settings(output) or "")["strength"] == 60
    capsys.readouterr()
    assert main([*arguments, "--dry-run"]) == 0
    assert main(["paint", str(photo), f"{style}:three", "-o", str(output)]) == 2
    assert "choose from: one, two" in capsys.readouterr().err


def test_a_batch_takes_it(main: Main, style: Path, photo: Path):
    folder = photo.with_name("painted")
    assert main(["batch", str(photo), "--style", str(style), "-o", str(folder), "--size", str(SIZE)]) == 0
    assert [path.suffix for path in folder.glob("*.png")] == [".png"]


def test_a_film_takes_it(tiny_painter: Painter, style: Path, network: Transform):
    pytest.importorskip("cv2")
    frames = [random_image(40, SIZE), random_image(40, SIZE).roll(2, 3)]
    painted = list(tiny_painter.film(frames, style, size=SIZE, strength=60, boil=100))
    for frame, picture in zip(frames, painted, strict=True):
        torch.testing.assert_close(picture.cpu(), transform(network, frame, shares_of([1, 1])), atol=5e-3, rtol=0)


def test_training_wants_paintings(main: Main, style: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", str(style), "-o", str(style.with_name("other.safetensors"))]) == 2
    assert "is a network, not a painting; begin with it by --from" in capsys.readouterr().err


def test_a_network_that_ships_paints_by_its_name(tiny_painter: Painter):
    name, image = network_names()[0], random_image(40, SIZE)
    known, about = load_transform(network_path(name))
    painted = tiny_painter.paint(image, name, size=SIZE, strength=about.strength).cpu()
    torch.testing.assert_close(painted, transform(known, image, shares_of([1])))


def test_a_texture_wants_a_painting(tiny_painter: Painter):
    with pytest.raises(SettingsError, match="is a network, not a painting"):
        tiny_painter.texture(network_names()[0], size=SIZE)


def test_a_training_begins_with_a_network_that_ships(
    main: Main, tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        to_pil(random_image(110, 140, number)).save(folder / f"{number}.png")
    output = tmp_path / "other.safetensors"
    arguments = ["train", str(photo), "--photos", str(folder), "-o", str(output), "--size", "128", "--crop", "64"]
    assert main([*arguments, "--steps", "1", "--batch", "1", "--from", network_names()[0]]) == 0
    learnt, start = load_transform(output)[0], load_transform(network_path(network_names()[0]))[0]
    assert learnt.shape.width == start.shape.width
    torch.testing.assert_close(
        learnt.state_dict()["to_full.filters.0.weight"],
        start.state_dict()["to_full.filters.0.weight"],
        atol=0.01,
        rtol=0,
    )
    assert main([*arguments, "--from", "nothing"]) == 2
    assert "from=nothing is neither a file nor a network that ships; choose from: " in capsys.readouterr().err
