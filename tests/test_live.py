"""`impasto live`: a clip painted by a network on a page of this machine, for few viewers and no others."""

from __future__ import annotations

import http.client
import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from conftest import Main, random_image
from PIL import Image
from test_transform import ABOUT, lively
from web_engine import DEADLINE, clip, until

from impasto.errors import ImageError
from impasto.images.reading import to_image, to_pil
from impasto.network.streamed import transform
from impasto.network.transform import Shape, Transform, shares_of
from impasto.network.transform_file import to_bytes
from impasto.painting import Painter
from impasto.settings import Settings
from impasto.web.live import BOUNDARY, VIEWERS, Screen, frames_of, painted, serving

pytest.importorskip("av", reason="the extra video is not installed")


@pytest.fixture(scope="module")
def network() -> Transform:
    return lively(Shape(2, width=4, blocks=1))


@pytest.fixture
def style(tmp_path: Path, network: Transform) -> Path:
    path = tmp_path / "style.safetensors"
    path.write_bytes(to_bytes(network, ABOUT))
    return path


def jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (30, 20), shade).save(buffer, "JPEG")
    return buffer.getvalue()


def asked(url: str, path: str = "/stream", host: str | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    return connection.getresponse()


def pictures(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Those of a stream, as a browser takes them apart."""
    assert answer.getheader("Content-Type") == f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    assert answer.readline() == f"--{BOUNDARY}\r\n".encode()
    while (line := answer.readline()) == b"Content-Type: image/jpeg\r\n":
        length = int(answer.readline().removeprefix(b"Content-Length: "))
        assert answer.readline() == b"\r\n"
        yield answer.read(length)
        assert answer.readline() + answer.readline() == f"\r\n--{BOUNDARY}\r\n".encode()
    assert line == b""


def test_viewers_are_sent_the_latest_picture_until_the_end():
    screen = Screen()
    screen.put(jpeg(10))
    screen.put(jpeg(20))
    with serving(screen) as url:
        streams = [pictures(asked(url)) for _ in range(2)]
        assert [next(stream) for stream in streams] == [jpeg(20)] * 2
        screen.put(jpeg(30))
        assert [next(stream) for stream in streams] == [jpeg(30)] * 2
        screen.end()
        assert [list(stream) for stream in streams] == [[], []]


def test_few_may_look_and_who_goes_makes_room():
    screen = Screen()
    with serving(screen) as url:
        answers = [asked(url) for _ in range(VIEWERS)]
        refused = asked(url)
        assert (refused.status, refused.read()) == (503, b"too many look already; close a page")
        answers[0].close()

        def welcome() -> bool:
            screen.put(jpeg(1))  # which finds out who has gone
            return asked(url).status == 200

        until(welcome)


@pytest.mark.parametrize("host", ["example.com", "example.com:80", "127.0.0.1.example.com:7861"])
def test_the_page_goes_by_its_own_name_only(host: str):
    with serving(Screen(), title='<"clip">') as url:
        for path in ("/", "/stream"):
            assert asked(url, path, host).status == 421
        page = asked(url, "/", "localhost:1")
        assert page.status == 200
        assert "default-src 'none'" in (page.getheader("Content-Security-Policy") or "")
        assert b'alt="&lt;&quot;clip&quot;&gt;"' in page.read()
        assert asked(url, "/other").status == 404


def test_nothing_is_painted_while_nobody_looks(tiny_painter: Painter, style: Path, network: Transform):
    frames = [to_pil(random_image(40, 60, seed)) for seed in range(3)]
    screen = Screen()
    settings = Settings(size=512, strength=60)
    work = painted(iter(frames), str(style), settings, tiny_painter, screen)
    first = next(work)
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.size == (60, 40)  # not enlarged
        shown = to_image(picture.convert("RGB")).image
    wanted = transform(network, to_image(frames[0]).image, shares_of([1, 1]))
    off = torch.nn.functional.avg_pool2d(shown - wanted, 4).abs().mean()  # JPEG keeps little of noise
    assert off < 0.02 < (to_image(frames[0]).image - wanted).abs().mean()
    rest: list[bytes] = []
    thread = threading.Thread(target=lambda: rest.extend(work))
    thread.start()
    thread.join(0.2)
    assert screen.count == 1
    with screen.watched():
        thread.join(DEADLINE)
    assert screen.count == 1 + len(rest) == 3


def test_a_clip_is_played_over_and_over(tmp_path: Path):
    film = clip(tmp_path / "clip.mp4", 2, rate=50)
    frames = [torch.from_numpy(one.copy()) for one in islice(frames_of(str(film)), 5)]
    assert {tuple(frame.shape) for frame in frames} == {(120, 160, 3)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clip.mp4", "wave"), "wave is no network, and would be painted too slowly; teach one (impasto train)"),
        (("clip.mp4", "{}", "--size", "2048"), "--size 2048 is too large to be live: choose up to 1024"),
        (("clip.mp4", "{}", "--size", "full"), "--size full is too large to be live"),
        (("nothing.mp4", "{}"), "nothing.mp4 is not there; give the path of a film"),
        (("clip.mp4", "{}:three"), "has not learnt 'three'; choose from: one, two"),
        (("clip.mp4", "{}", "--color", "match"), "--color match needs a painting"),
        (("clip.mp4", "{}", "--port", "99999"), "--port 99999 cannot be used"),
    ],
)
def test_what_is_wrong_is_said_before_there_is_a_page(
    main: Main,
    tmp_path: Path,
    style: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
):
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "clip.mp4", 1)
    assert main(["live", *(one.format(style) for one in arguments), "--no-open"]) == 2
    found = capsys.readouterr()
    assert words in found.err
    assert found.out == ""


def test_a_camera_that_is_not_there_is_an_error():
    pytest.importorskip("cv2")
    with pytest.raises(ImageError, match="camera 987 gives no picture; give the number of another, or a film"):
        next(frames_of("987"))


@pytest.mark.slow
def test_the_command_paints_until_ctrl_c(tmp_path: Path, style: Path):
    film = clip(tmp_path / "clip.mp4", 8)
    command = [sys.executable, "-m", "impasto", "live", film, style, "--port", "0", "--strength", "60", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split(" at ")[1].split()[0]
        stream = pictures(asked(url))
        seen = {next(stream) for _ in range(6)}
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert len(seen) > 1
    assert " pictures, " in notes
    for one in seen:
        with Image.open(io.BytesIO(one)) as picture:
            assert picture.size == (160, 120)
