"""Hostile files and moments: a sentence or a sound result within 20 s and 1 GB a file, whatever they hold.

The crafted ones that were found so far, which run by default. `pytest -m attack` looks for more, in files
(`test_attack_files.py`), with kills and full disks (`test_attack_kills.py`), with a new seed each run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import av
import pytest
import torch
from bounded import bounded, read_film, read_large, read_or_refuse, read_weights
from conftest import TINY, Main, random_image, tiny_weights
from hostile import (
    chunk,
    film,
    heic,
    iso_media_of,
    jpeg_with,
    png,
    shared_tags,
    split_extents,
    tiff_with_tile,
    webp_with,
)

from impasto.errors import CheckpointError, ImageError, SettingsError, WeightsError
from impasto.images.gallery import style_pictures
from impasto.images.metadata import settings_in
from impasto.images.reading import read_image, read_settings, write_image
from impasto.methods.styles import comparable
from impasto.objective.losses import wasserstein_loss
from impasto.objective.moments import moments
from impasto.painting import Painter, Progress
from impasto.runs.checkpoint import Checkpoint, clean_up, forget, size

HERE = Path(__file__).parent


DEEP = b"<a xmlns:i='urn:impasto:'>" + b"<b>" * 1_300_000 + b"</b>" * 1_300_000 + b"</a>"
BOMBS = {
    "wide, 16 bits": lambda: png(6_200_000, 2, 16),
    "wide": lambda: png(1_000_000, 16),
    "EXIF in a PNG": lambda: png(40, 30, extra=chunk(b"eXIf", shared_tags(60_000, 200_000))),
    "EXIF in a JPEG": lambda: jpeg_with((0xE1, b"Exif\0\0" + shared_tags(700, 57_000))),
    "EXIF after garbage": lambda: jpeg_with((0xE0, bytes(9)), (0xE1, b"Exif\0\0" + shared_tags(700, 57_000))).replace(
        b"\xff\xe1", b"junk\xff\xff\xff\xe1", 1
    ),
    "EXIF in a WebP": lambda: webp_with(b"Exif\0\0" + shared_tags(10_000, 900_000)),
    "EXIF, far too long": lambda: png(40, 30, extra=chunk(b"eXIf", shared_tags(700, 5_000_000))),
    "text in a PNG": lambda: png(40, 30, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8_000_000), 9)) * 100),
    "tiles": lambda: tiff_with_tile(160_000),
    "tags in a TIFF": lambda: shared_tags(60_000, 500_000),
    "scans": lambda: jpeg_with(*[(0xDA, b"\1\1\0\0\x3f\0")] * 200),
    "EXIF in an AVIF": lambda: split_extents(shared_tags(10_000, 900_000), 1),
    "EXIF in pieces": lambda: split_extents(shared_tags(10_000, 900_000), 3),
    "sides of an AVIF": lambda: iso_media_of(split_extents(b"", 1), 2**31 - 1, 16),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(BOMBS[name]())
    outcome = bounded(read_or_refuse, path)
    assert outcome.ended, outcome
    assert "at most" in outcome.words
    assert outcome.bytes < 150e6


def test_a_heic_of_many_pixels_honours_memory(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic((1000, 800)))
    with pytest.raises(ImageError, match=r"needs about 0\.01 GB.*0\.00 GB may be used"):
        read_image(tmp_path / "a.heic", 64, max_memory=1e6)
    assert read_image(tmp_path / "a.heic", 64, max_memory=1e9).full_width == 1000


def test_damaged_exif_of_a_heic_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0"))
    assert read_image(tmp_path / "a.heic").metadata is None


def test_nested_xmp_is_left_out(tmp_path: Path) -> None:
    block = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(DEEP, 9)
    path = tmp_path / "picture"
    path.write_bytes(png(40, 30, extra=chunk(b"iTXt", block)))
    outcome = bounded(read_or_refuse, path)
    assert (outcome.ended, outcome.words) == (True, "read")
    assert settings_in(DEEP[:3_000_000]) is None
    assert settings_in(b"<a xmlns:i='urn:impasto:' i:settings='{}'/>") == "{}"
    assert settings_in(b"<a xmlns:i='urn:impasto:'>" + b"<b>" * 70 + b"<c i:settings='{}'/>") is None


def test_reading_honours_memory(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", random_image(40, 64))
    outcome = bounded(read_large, tmp_path / "photo.png", 14_000, "1GB", memory=None)
    assert "ImageError" in outcome.words
    assert "raise memory" in outcome.words
    assert outcome.bytes < 300e6


def test_a_folder_of_very_many_pictures_is_no_style(tmp_path: Path) -> None:
    (tmp_path / "one.png").touch()
    for number in range(300):
        (tmp_path / f"{number}.png").symlink_to("one.png")
    with pytest.raises(SettingsError, match="301 pictures; at most 200"):
        style_pictures(tmp_path)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_wasserstein_of_a_flat_painting(value: float) -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.full((1, 64, 9, 7), value) * torch.rand(1, 64, 1, 1, generator=generator) * 1e3
    output = (torch.rand(1, 64, 5, 6, generator=generator) * 1e3).requires_grad_()
    loss = wasserstein_loss(moments(output), moments(flat)).sum()
    (gradient,) = torch.autograd.grad(loss, output)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("weights", [1e-308, 5e-324, (1e-308, 1e-308), (1e4, 5e-324)])
def test_the_smallest_weights(tiny_painter: Painter, weights: float | tuple[float, ...]) -> None:
    paintings = [random_image(40, 32, seed=2), torch.zeros(1, 3, 40, 32)][: 1 if isinstance(weights, float) else 2]
    picture = tiny_painter.paint(random_image(32, 48), paintings, size=48, quality="draft", style_weight=weights)
    assert picture.isfinite().all()


def test_weights_are_compared_without_rounding() -> None:
    assert comparable([0.3, 0.0, 0.6]) == [0.3, 0.0, 0.6]
    assert comparable([3e-308, 1e-308]) == pytest.approx([0.675, 0.225], rel=0.1)
    assert comparable([1e4, 5e-324]) == [1e4 / 2**14, 1e-30]


# Films


def test_a_film_of_giant_frames_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 8192, 6000, "yuvj420p"
        target.mux(stream.encode(av.VideoFrame(8192, 6000, "yuvj420p")))
        target.mux(stream.encode())
    assert "frames of 8192 × 6000 pixels; at most 40 million are read" in bounded(read_film, path, memory=None).words


def test_a_film_of_an_unknown_codec_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(film("matroska", "libx264").replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    outcome = bounded(read_film, path, memory=None)
    assert "a.mkv is of a codec that FFmpeg does not know" in outcome.words
    assert outcome.ended


def test_frames_whose_order_is_damaged_are_read(tmp_path: Path) -> None:
    """The number of the first frame is another one, so that its time is no later than that of the next."""
    content = film("mp4", "libx264")
    at = content.index(b"\x65\x88\x84") + 3
    path = tmp_path / "a.mp4x"
    path.write_bytes(content[:at] + b"?" + content[at + 1 :])
    outcome = bounded(read_film, path, memory=None)
    assert outcome.words == "read"
    assert outcome.ended
    assert outcome.words == "read"


# Weights


def test_a_zip_bomb_is_no_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", bytes(2**20))
        archive.getinfo("data").file_size = 2_000_000_000  # as its directory says, which is written now
    outcome = bounded(read_weights, tmp_path / "a.pth", memory=None)
    assert "would take 2,000,000,000 bytes" in outcome.words
    assert outcome.bytes < 100e6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x * 0, "its largest number is 0"),
        (lambda x: x * 1e30, "its largest number is"),
        (lambda x: x.to(torch.complex64), "complex64"),
        (lambda x: x.to_sparse(), "sparse"),
        (lambda x: x.to("meta"), "meta"),
    ],
    ids=["zeros", "huge", "complex", "sparse", "meta"],
)
def test_numbers_that_are_no_networks(tmp_path: Path, change, words: str) -> None:  # type: ignore[no-untyped-def]
    from impasto.network.weights import NORMALISED, _check_numbers

    assert NORMALISED.keys
    tensors = [change(x) for pair in tiny_weights(dtype=torch.float32).convolutions.values() for x in pair]
    with pytest.raises(WeightsError, match=words):
        _check_numbers(tmp_path, tensors)


# Checkpoints


def test_what_a_kill_left_is_counted_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".tmpAbC123").write_bytes(bytes(1000))
    (folder / "000001.part").write_bytes(bytes(10))
    assert size(folder) == 1010
    Checkpoint(folder).close()
    assert not list(folder.glob("*.part"))
    assert not list(folder.glob(".tmp*"))
    (folder / ".tmpAbC123").write_bytes(bytes(1000))
    clean_up(tmp_path)
    assert not folder.exists()


def test_a_removed_lock_is_held_by_nobody_else(tmp_path: Path) -> None:
    """Who opened the lock's file before it was removed must not hold it beside the next one."""
    folder = tmp_path / "run"
    first = Checkpoint(folder)
    with pytest.raises(CheckpointError, match="in use"):
        Checkpoint(folder)
    with pytest.raises(CheckpointError, match="in use"):
        forget(folder)
    first.close()
    assert not folder.exists()
    with Checkpoint(folder), pytest.raises(CheckpointError, match="in use"):
        Checkpoint(folder)


# Processes


def killable(folder: Path, *arguments: str, **named: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(HERE / "killable.py"), *arguments]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, **named)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", random_image(40, 64, seed=1))
    write_image(tmp_path / "wave.png", random_image(48, 32, seed=2))
    return tmp_path


PAINT = ("NONE", "0", "paint", "photo.png", "wave.png", "--size", "64", "--quality", "draft", "-o", "out.png")


def unwritable(stream: str) -> IO[str] | None:
    """What cannot be written: its disk is full, its reader gone, or it was closed by who started us."""
    if stream == "closed":
        return None
    if stream == "full":
        return Path("/dev/full").open("w", encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w", encoding="utf-8")  # noqa: PTH123 of a descriptor


@pytest.mark.parametrize("stream", ["full", "gone", "closed"])
def test_progress_that_cannot_be_shown_is_dropped(
    main: Main, pictures: Path, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.chdir(pictures)
    errors = unwritable(stream)
    monkeypatch.setattr(sys, "stderr", errors)
    assert main(PAINT[2:]) == 0
    assert read_image("out.png").image.shape[-1] == 64
    if errors:
        errors.close()


def test_full_standard_output_is_said_and_the_picture_is_written(
    main: Main, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pictures)
    output = unwritable("full")
    monkeypatch.setattr(sys, "stdout", output)
    assert main(PAINT[2:]) == 1
    assert "standard output: No space left" in capsys.readouterr().err
    assert Path("out.png").exists()
    assert output is not None
    output.close()


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["full", "gone", "closed"])
def test_a_process_whose_progress_cannot_be_shown_ends_well(pictures: Path, stream: str) -> None:
    if stream == "closed":
        code = "import os, sys; os.close(2); os.execv(sys.argv[1], sys.argv[1:])"
        command = [sys.executable, "-c", code, sys.executable, str(HERE / "killable.py"), *PAINT]
        assert subprocess.run(command, cwd=pictures, stdout=subprocess.DEVNULL).returncode == 0
    elif stream == "full":
        with Path("/dev/full").open("wb") as full:
            assert killable(pictures, *PAINT, stdout=subprocess.DEVNULL, stderr=full).wait() == 0
    else:
        process = killable(pictures, *PAINT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        process.stderr.close()
        assert process.wait() == 0
    assert read_image(pictures / "out.png").image.shape[-1] == 64


@pytest.mark.slow
def test_a_process_whose_output_cannot_be_written_says_so(pictures: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = killable(pictures, *PAINT, stdout=full, stderr=subprocess.PIPE)
        _, errors = process.communicate()
    assert process.returncode == 1
    assert b"standard output: No space left" in errors
    assert b"fault of impasto" not in errors
    assert (pictures / "out.png").exists()


def test_a_picture_decides_nothing_about_the_machine(
    main: Main, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pictures)
    text = '{"cluster": "10.9.9.9:6379", "device": "cuda", "memory": "1B", "init": "/etc/passwd", "strength": 60}'
    write_image("painted.png", random_image(40, 64), settings=text)
    assert main([*PAINT[2:], "--like", "painted.png"]) == 0
    assert "ignored its device, memory, cluster, init" in capsys.readouterr().err
    assert '"strength": 60' in (read_settings("out.png") or "")


@pytest.mark.parametrize("text", ["5", "null", "[]", "{"])
def test_settings_that_are_none(
    main: Main, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.chdir(pictures)
    write_image("painted.png", random_image(40, 64), settings=text)
    assert main([*PAINT[2:], "--like", "painted.png"]) == 2
    assert "holds settings that this version cannot use" in capsys.readouterr().err


def test_a_picture_is_on_the_disk_before_its_checkpoint_goes(
    main: Main, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut between the two would lose both."""
    monkeypatch.chdir(pictures)
    synced: list[str] = []
    at_removal: list[str] = []
    sync, remove = os.fsync, Checkpoint.remove

    def noted(descriptor: int) -> None:
        sync(descriptor)
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115, PTH119

    def removing(checkpoint: Checkpoint) -> None:
        at_removal.extend(synced)
        remove(checkpoint)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Checkpoint, "remove", removing)
    assert main([*PAINT[2:], "--checkpoint", "run"]) == 0
    *_, picture, folder = at_removal
    assert picture.startswith(".impasto-")
    assert folder == pictures.name


def test_inputs_are_known_from_the_start(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A photograph that changes while it is painted is another one when the painting is to go on."""
    monkeypatch.chdir(pictures)

    class Changing:
        def steps(self, *arguments: object, **named: object) -> Iterator[Progress]:
            for now in TINY.steps(*arguments, **named):  # type: ignore[arg-type]
                if now.step == 4:
                    write_image("photo.png", random_image(40, 64, seed=3))
                if now.step == 9:
                    signal.raise_signal(signal.SIGTERM)
                yield now

    main = Main(Changing())
    assert main([*PAINT[2:], "--checkpoint", "run", "--checkpoint-every", "0"]) == 143
    assert main(["resume", "run"]) == 2
    assert "has changed since the painting began" in capsys.readouterr().err
