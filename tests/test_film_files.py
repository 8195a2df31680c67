"""Films from files to files: times, rotation, sizes, transparency, sound; stopped, killed, damaged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import random_image
from PIL import Image
from test_film import panned

from impasto.cli.commands import main
from impasto.errors import CheckpointError, ImageError, ImpastoError
from impasto.images.writing import write_image
from impasto.painting import Painter
from impasto.runs.clip import Part, open_source, seconds
from impasto.runs.film import film_file
from impasto.runs.hdr import to_sdr
from impasto.runs.reel import SEGMENT
from impasto.settings import Settings

av: Any = pytest.importorskip("av")
pytest.importorskip("cv2")

TINY = Settings(size=32, quality="draft")


def write_clip(
    path: Path,
    count: int = 4,
    *,
    sound: bool = True,
    codec: str = "ffv1",
    form: str = "yuv444p",
    size: tuple[int, int] = (47, 63),
    times: Callable[[int], int] = lambda i: 100 * i,
    **colors: int,
) -> None:
    """A film, of times in milliseconds."""
    height, width = size
    with av.open(str(path), "w") as target:
        video = target.add_stream(codec, rate=10)
        video.width, video.height, video.pix_fmt = width, height, form
        video.codec_context.time_base = Fraction(1, 1000)
        for name, value in colors.items():
            setattr(video.codec_context, name, value)
        heard = target.add_stream("pcm_s16le", rate=8000) if sound else None
        for number, frame in enumerate(panned(count)):
            pixels = (frame[0, :, :height, :width] * 255).byte().permute(1, 2, 0).numpy()
            if form in ("bgra", "yuva420p"):
                alpha = np.full((height, width, 1), 255, np.uint8)
                alpha[:, : width // 2] = 0
                pixels = np.concatenate([pixels, alpha], axis=2)
            channels = "rgba" if pixels.shape[2] == 4 else "rgb24"
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=channels).reformat(format=form)
            made.pts, made.time_base = times(number), Fraction(1, 1000)
            target.mux(video.encode(made))
        if heard:
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 800 * count), np.int16), format="s16", layout="mono")
            samples.sample_rate = 8000
            target.mux(heard.encode(samples))
        for stream in (video, heard) if heard else (video,):
            target.mux(stream.encode())


def painted(path: Path) -> list[Any]:
    with av.open(str(path)) as film:
        return list(film.decode(video=0))


@pytest.fixture
def style(tmp_path: Path) -> str:
    write_image(tmp_path / "style.png", random_image(40, 56, seed=7))
    return str(tmp_path / "style.png")


def test_a_file_keeps_its_times_and_sound(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    times = (0, 100, 130, 400)  # of a variable rate
    write_clip(clip, times=lambda i: times[i])
    before = sorted(tmp_path.iterdir())
    assert film_file(clip, [style], output, TINY, tiny_painter) == 4
    frames = painted(output)
    assert [round(frame.time * 1000) for frame in frames] == list(times)
    assert (frames[0].width, frames[0].height) == (32, 24)
    with av.open(str(output)) as film:
        assert sum(frame.samples for frame in film.decode(audio=0)) == 3200
    assert sorted(tmp_path.iterdir()) == sorted([*before, output])


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm"])
def test_odd_sizes_and_other_containers(tiny_painter: Painter, tmp_path: Path, style: str, name: str) -> None:
    write_clip(tmp_path / "clip.mkv", 2, sound=False)
    film_file(tmp_path / "clip.mkv", [style], tmp_path / name, Settings(size="full", quality="draft"), tiny_painter)
    frames = painted(tmp_path / name)
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 2  # of 63 × 47
    assert [round(frame.time * 10) for frame in frames] == [0, 1]


def test_a_turned_film_is_upright(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    write_clip(tmp_path / "clip.mp4", 2, sound=False, codec="mpeg4", form="yuv420p", size=(32, 48))
    content = bytearray((tmp_path / "clip.mp4").read_bytes())
    at = content.index(b"tkhd") + 4 + 4 + 8 + 4 + 4 + 4 + 8 + 8  # the matrix, in fixed point
    matrix = (0, 0x10000, 0, -0x10000 & 0xFFFFFFFF, 0, 0, 0, 0, 0x40000000)  # a quarter to the right
    content[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in matrix)
    (tmp_path / "clip.mp4").write_bytes(content)
    source = open_source(tmp_path / "clip.mp4")
    still = next(source.stills()).picture
    assert still.shape[:2] == (48, 32)
    flat = (panned(2)[0][0, :, :32, :48].permute(1, 2, 0).numpy() * 255).astype(np.int16)
    assert np.abs(np.rot90(flat, -1) - still.astype(np.int16)).mean() < 25
    source.close()
    film_file(tmp_path / "clip.mp4", [style], tmp_path / "out.mp4", TINY, tiny_painter)
    assert (painted(tmp_path / "out.mp4")[0].width, painted(tmp_path / "out.mp4")[0].height) == (22, 32)


def test_white_of_hdr_is_the_same_by_both_standards() -> None:
    """203 cd/m² are 58 % of PQ and 75 % of HLG (ITU-R BT.2408, table 1), 26 cd/m² 38 % of both."""

    def shown(transfer: int, *share: float) -> Any:
        value = np.round(np.array(share) * 65535).astype(np.uint16)
        return to_sdr(np.broadcast_to(value, (2, 3, 3)).copy(), transfer)[1, 2].astype(int)

    assert np.abs(shown(16, 0.58) - shown(18, 0.75)).max() <= 1
    assert np.abs(shown(16, 0.38) - shown(18, 0.38)).max() <= 1
    for transfer in (16, 18):
        assert shown(transfer, 0).tolist() == [0, 0, 0]
        assert shown(transfer, 1).tolist() == [255, 255, 255]
        greys = [shown(transfer, x / 50)[0] for x in range(51)]
        assert greys == sorted(greys)
    assert 220 < shown(16, 0.58)[0] < 240  # white, and room above it
    assert shown(16, 0.38)[0] == round((26 / 203) ** (1 / 2.4) * 255)  # shadows as they are
    red = (0.6274, 0.0691, 0.0164)  # BT.709's red in BT.2020's primaries (BT.2087), at 203 cd/m²
    r, g, b = shown(18, *((3 * x * 0.265) ** 0.5 for x in red))
    assert r > 180
    assert max(g, b) < 12


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_mapped(tiny_painter: Painter, tmp_path: Path, style: str, transfer: int, name: str) -> None:
    clip, said = tmp_path / "clip.mkv", list[str]()
    write_clip(clip, 1, sound=False, form="yuv444p10le", color_trc=transfer, color_primaries=9, colorspace=9)
    film_file(clip, [style], tmp_path / "out.mp4", TINY, tiny_painter, note=said.append)
    assert said == [f"{clip} is in HDR ({name}): its light is mapped to an ordinary screen's"]
    with contextlib.closing(open_source(clip)) as source:
        pixels = next(source.stills()).picture
    plain = painted(clip)[0].to_ndarray(format="rgb48le")
    assert pixels.dtype == np.uint8
    assert (pixels == to_sdr(plain, transfer)).all()


def test_a_large_film_that_does_not_say_its_matrix_is_of_bt709(tmp_path: Path) -> None:
    """As players take it; a small one is of BT.601."""
    for size, matrix in (((720, 64), 1), ((64, 64), 5)):
        write_clip(tmp_path / "clip.mkv", 1, sound=False, size=size, colorspace=2)
        with contextlib.closing(open_source(tmp_path / "clip.mkv")) as source:
            pixels = next(source.stills()).picture
        frame = painted(tmp_path / "clip.mkv")[0]
        assert (pixels == frame.to_ndarray(format="rgb24", src_colorspace=matrix)).all()
        other = frame.to_ndarray(format="rgb24", src_colorspace=6 - matrix)
        assert (pixels != other).any()


@pytest.mark.parametrize("name", ["out.webm", "out.mov", "out.webp", "out.gif", "out"])
def test_transparency_is_kept(tiny_painter: Painter, tmp_path: Path, style: str, name: str) -> None:
    write_clip(tmp_path / "clip.mkv", 3, sound=False, form="bgra", size=(48, 64))
    output = tmp_path / name
    film_file(tmp_path / "clip.mkv", [style], output, TINY, tiny_painter)
    source = open_source(output)
    stills = list(source.stills())
    assert len(stills) == 3
    assert source.alpha
    assert [still.at for still in stills] == [Fraction(n, 25 if name == "out" else 10) for n in range(3)]
    from impasto.images.reading import to_image

    alpha = to_image(stills[1].picture).alpha
    assert alpha is not None
    assert alpha[..., :12].mean() < 0.1
    assert alpha[..., 20:].mean() > 0.9
    source.close()


def test_sound_that_a_container_cannot_hold_is_told(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    write_clip(tmp_path / "clip.mkv", 2)
    said: list[str] = []
    film_file(tmp_path / "clip.mkv", [style], tmp_path / "out.mp4", TINY, tiny_painter, note=said.append)
    assert said == [".mp4 cannot hold the film's audio (pcm_s16le); .mkv would"]
    assert len(painted(tmp_path / "out.mp4")) == 2


def test_where_there_is_no_transparency_it_is_said(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    write_clip(tmp_path / "clip.mkv", 1, sound=False, form="bgra", size=(48, 64))
    said: list[str] = []
    film_file(tmp_path / "clip.mkv", [style], tmp_path / "out.mp4", TINY, tiny_painter, note=said.append)
    assert said == [".mp4 keeps no transparency here; .webm, .mov, .webp, .gif or a folder of frames would"]


@pytest.mark.parametrize("name", ["in.gif", "in.webp", "in.png", "frames"])
def test_animations_and_folders_are_read(tiny_painter: Painter, tmp_path: Path, style: str, name: str) -> None:
    frames = [Image.fromarray((f[0].permute(1, 2, 0) * 255).byte().numpy()) for f in panned(3)]
    if name == "frames":
        (tmp_path / name).mkdir()
        for number, frame in zip((8, 9, 10), frames, strict=True):  # by number, not by name
            frame.save(tmp_path / name / f"frame{number}.png")
        (tmp_path / name / "notes.txt").touch()
    else:
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=80)
    rate = Fraction(25, 2) if name == "frames" else None
    source = open_source(tmp_path / name, rate)
    stills = list(source.stills())
    assert [still.at for still in stills] == [0, Fraction(80, 1000), Fraction(160, 1000)]
    from impasto.images.reading import to_image

    for still, frame in zip(stills, panned(3), strict=True):
        assert (to_image(still.picture).image - frame).abs().mean() < 0.06
    source.close()
    assert film_file(tmp_path / name, [style], tmp_path / "out.mkv", TINY, tiny_painter, rate=rate) == 3
    assert [round(frame.time * 1000) for frame in painted(tmp_path / "out.mkv")] == [0, 80, 160]


def test_a_part_with_its_sound(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    write_clip(tmp_path / "clip.mkv", 10)
    part = Part(Fraction(3, 10), Fraction(8, 10), 2)
    assert film_file(tmp_path / "clip.mkv", [style], tmp_path / "out.mkv", TINY, tiny_painter, part=part) == 3
    assert [round(frame.time * 10) for frame in painted(tmp_path / "out.mkv")] == [0, 2, 4]
    with av.open(str(tmp_path / "out.mkv")) as film:
        heard = list(film.decode(audio=0))
    assert all(0 <= frame.time < 0.6 for frame in heard)


@pytest.mark.parametrize(("text", "value"), [("12.5", Fraction(25, 2)), ("1:30", 90), ("1:02:03", 3723)])
def test_times_are_written_as_people_do(text: str, value: Fraction) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "-1", "nan", "1:2:3:4", "1e3", "x"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ImpastoError, match="is not a time"):
        seconds(text)


# Damage


def test_a_truncated_film_is_painted_as_far_as_it_goes(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    clip, output, said = tmp_path / "clip.mkv", tmp_path / "out.mkv", list[str]()
    write_clip(clip, 12)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    done = film_file(clip, [style], output, TINY, tiny_painter, note=said.append)
    assert 0 < len(painted(output)) == done < 12
    assert any("cut short" in words or "damaged" in words for words in said)


def test_a_broken_frame_is_left_out(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    clip, output, said = tmp_path / "clip.avi", tmp_path / "out.mkv", list[str]()
    write_clip(clip, 6, sound=False, codec="png", form="rgb24", size=(48, 64))
    content = bytearray(clip.read_bytes())
    third = [i for i in range(len(content)) if content[i : i + 4] == b"IHDR"][2]
    content[third : third + 8] = bytes(8)
    clip.write_bytes(content)
    assert film_file(clip, [style], output, TINY, tiny_painter, note=said.append) == 5
    assert [round(frame.time * 10) for frame in painted(output)] == [0, 1, 3, 4, 5]
    assert said == [f"{clip}: 1 frame is damaged, and left out"]


def test_an_error_in_the_middle_keeps_the_film_so_far(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    write_clip(clip, 6)

    def break_at_three(number: int, frames: int) -> bool:
        if number == 3:
            raise RuntimeError("out of memory")
        return True

    with pytest.raises(RuntimeError, match="memory") as caught:
        film_file(clip, [style], output, TINY, tiny_painter, every=break_at_three)
    assert caught.value.__notes__ == [f"the film up to frame 3 is kept in {output}"]
    assert len(painted(output)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "out.mkv", "style.png"]


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#\0\n#EXTINF:10,\nother.ts\n",
        "ffconcat version 1.0\nfile other.ts\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    ],
    ids=["HLS", "HLS with a null", "concat", "DASH", "SDP"],
)
def test_a_list_of_other_files_is_no_film(tiny_painter: Painter, tmp_path: Path, style: str, text: str) -> None:
    """FFmpeg would read the files that it names."""
    write_clip(tmp_path / "other.ts", 3, sound=False)
    (tmp_path / "clip.mp4").write_text(text)
    with pytest.raises(ImageError, match="is a text, as lists of other files are"):
        film_file(tmp_path / "clip.mp4", [style], tmp_path / "out.mkv", TINY, tiny_painter)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_no_film(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(ImageError, match="is no file; give the path"):
        film_file(tmp_path / "clip.mp4", [style], tmp_path / "out.mkv", TINY, tiny_painter)


def test_what_is_no_film_is_said(tiny_painter: Painter, tmp_path: Path) -> None:
    clip, output = tmp_path / "clip.mp4", tmp_path / "out.mp4"

    def refused(words: str, **how: Any) -> None:
        with pytest.raises(ImpastoError, match=words):
            film_file(how.pop("clip", clip), ["nocturne"], how.pop("output", output), TINY, tiny_painter, **how)

    refused("not there")
    clip.write_bytes(b"no film\0")
    refused("cannot be read")
    refused(r"choose \.mp4", output=tmp_path / "out.avi")
    refused("its folder does not exist", output=tmp_path / "no" / "out.mp4")
    refused("--codec nonsense", codec="nonsense")
    refused("--crf 99", crf=99)
    refused("--rate is for folders", rate=Fraction(3))
    (tmp_path / "empty").mkdir()
    refused("holds no numbered pictures", clip=tmp_path / "empty")
    Image.new("RGB", (40, 30)).save(tmp_path / "in.gif")
    (tmp_path / "cut.gif").write_bytes((tmp_path / "in.gif").read_bytes()[:20])
    refused("cut.gif", clip=tmp_path / "cut.gif")
    with av.open(str(tmp_path / "sound.mkv"), "w") as target:
        heard = target.add_stream("pcm_s16le", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        target.mux(heard.encode(samples))
    refused("has no video stream", clip=tmp_path / "sound.mkv")
    write_clip(tmp_path / "none.avi", 1, sound=False, codec="png", form="rgb24", size=(48, 64))
    content = (tmp_path / "none.avi").read_bytes()
    (tmp_path / "none.avi").write_bytes(content.replace(b"IHDR", b"XXXX"))
    refused("none.avi has no frame that can be read", clip=tmp_path / "none.avi")
    write_clip(tmp_path / "few.mkv", 2, sound=False)
    refused("no frame", clip=tmp_path / "few.mkv", part=Part(Fraction(9)))
    assert not output.exists()
    assert not list(tmp_path.glob("*impasto*"))


# Going on


@pytest.mark.parametrize("name", ["out.mkv", "out.webp", "out"])
def test_stopped_and_gone_on_with_it_is_the_same_film(
    tiny_painter: Painter, tmp_path: Path, style: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.runs.reel.SEGMENT", 3)
    monkeypatch.setattr("impasto.runs.film.SEGMENT", 3)
    clip = tmp_path / "clip.mkv"
    write_clip(clip, 8)

    def paint(folder: str, stop: int = 0) -> Path:
        output = tmp_path / folder / name
        output.parent.mkdir(exist_ok=True)
        goes_on: Callable[[int, int], bool] = lambda number, frames: number != stop  # noqa: E731
        film_file(clip, [style], output, TINY, tiny_painter, keyframes=2, keep=True, keep_every=0, every=goes_on)
        return output

    whole = paint("whole")
    for stop in (1, 4, 7):
        stopped = paint("stopped", stop)
        assert (tmp_path / "stopped" / f"{name}.impasto").is_dir()
        if name != "out":
            assert len(list(open_source(stopped).stills())) == stop  # the film so far plays
    finished = paint("stopped")
    assert not (tmp_path / "stopped" / f"{name}.impasto").exists()
    for one, other in zip(files(whole), files(finished), strict=True):
        assert one.read_bytes() == other.read_bytes()


def files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def test_another_film_is_not_gone_on_with(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    write_clip(clip, 3)
    how: dict[str, Any] = {"keep": True, "every": lambda number, frames: False}
    film_file(clip, [style], output, TINY, tiny_painter, **how)
    with pytest.raises(CheckpointError, match="begun with other settings"):
        film_file(clip, [style], output, TINY, tiny_painter, boil=50, **how)


def test_segments_are_joined_in_order(tiny_painter: Painter, tmp_path: Path, style: str) -> None:
    """More frames than one segment has, at times that vary, with sound between them."""
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.mp4"
    count = SEGMENT + 5
    write_clip(clip, count, size=(24, 32), times=lambda i: 100 * i + 37 * (i % 3))
    settings = Settings(size=32, quality="draft")
    assert film_file(clip, [style], output, settings, tiny_painter, keyframes=50) == count
    times = [frame.time for frame in painted(output)]
    assert times == pytest.approx([(100 * i + 37 * (i % 3)) / 1000 for i in range(count)], abs=1e-3)
    assert all(one < other for one, other in pairwise(times))


def test_the_command(tmp_path: Path, tiny_painter: Painter, style: str, capsys: pytest.CaptureFixture[str]) -> None:
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.gif"
    write_clip(clip, 6)
    options = ["--size", "32", "--quality", "draft", "--start", "0.1", "--end", "0:00.5", "--every", "2", "--loop"]
    status = main(["video", str(clip), style, "-o", str(output), *options], painter=lambda weights: tiny_painter)
    out, _ = capsys.readouterr()
    assert (status, out) == (0, f"{output}\n")
    with Image.open(output) as film:
        assert film.n_frames == 2
    status = main(["video", str(clip), style, "-o", str(output), "--start", "x"], painter=lambda weights: tiny_painter)
    assert status == 2
    assert "'x' is not a time" in capsys.readouterr().err
    for wrong, words in (("face", "did you mean faces?"), ("no.png", "no.png"), ("9,9,5,5", "9,9,5,5")):
        options = ["-o", str(tmp_path / "other.gif"), "--size", "32", "--protect", wrong]
        assert main(["video", str(clip), style, *options], painter=lambda weights: tiny_painter) == 2
        assert words in capsys.readouterr().err
        assert not list(tmp_path.glob("other*"))


def test_another_picture_of_what_is_protected_is_another_film(
    tiny_painter: Painter, tmp_path: Path, style: str
) -> None:
    clip, output, mask = tmp_path / "clip.mkv", tmp_path / "out.mkv", tmp_path / "mask.png"
    write_clip(clip, 3)
    Image.new("L", (63, 47)).save(mask)
    how: dict[str, Any] = {"keep": True, "every": lambda number, frames: False, "protect": str(mask)}
    film_file(clip, [style], output, TINY, tiny_painter, **how)
    Image.linear_gradient("L").save(mask)
    with pytest.raises(CheckpointError, match="begun with other settings"):
        film_file(clip, [style], output, TINY, tiny_painter, **how)


def killed(folder: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    video = ["video", "clip.mkv", "style.png", "-o", "out.mkv", "--size", "32", "--quality", "draft", *options]
    command = [sys.executable, str(Path(__file__).parent / "killable.py"), name, "0" if name == "NONE" else "3", *video]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_killed_five_times_it_is_the_same_film(tmp_path: Path, style: str) -> None:
    write_clip(tmp_path / "clip.mkv", 20)
    assert killed(tmp_path, "NONE").wait() == 0
    whole = (tmp_path / "out.mkv").read_bytes()
    (tmp_path / "out.mkv").unlink()
    for _ in range(5):  # each comes two frames further
        assert killed(tmp_path, "SIGKILL", "--keep-every", "0").wait() == -signal.SIGKILL
        assert not (tmp_path / "out.mkv").exists()
    assert killed(tmp_path, "NONE").wait() == 0
    assert (tmp_path / "out.mkv").read_bytes() == whole
