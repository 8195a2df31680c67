"""Nothing is lost: pictures that were stopped by a signal, a crash, a full disk or a lack of memory."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Main, random_image
from PIL import Image

import impasto.runs.checkpoint
import impasto.runs.paint_file
from impasto.errors import ImageError
from impasto.images.origin import Origin
from impasto.images.reading import read_image, read_origin, write_image
from impasto.painting import Painter, Progress
from impasto.runs.checkpoint import checkpoints, default_folder, load
from impasto.settings import QUALITIES

KILLABLE = Path(__file__).parent / "killable.py"
PAINT = ["paint", "photo.png", "wave.png", "--size", "192", "--quality", "draft"]
COARSE, FINE = QUALITIES["draft"].evaluations[:2]  # evaluations of the two scales
ALL = COARSE + FINE
HOW = "go on with: impasto resume "


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two pictures, a cache of its own, and an engine that is quick."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_image("photo.png", random_image(48, 192, seed=1))
    write_image("wave.png", random_image(56, 40, seed=2))
    return tmp_path / "here"


class Eventful:
    """A painter to whom things happen just before a step is seen."""

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self.at_step: dict[int, Callable[[], object]] = {}
        self.seconds_left: float | None = None  # in place of the estimate

    def steps(self, *arguments: Any, **named: Any) -> Iterator[Progress]:
        for progress in self.painter.steps(*arguments, **named):
            self.at_step.get(progress.step, lambda: None)()
            yield progress if self.seconds_left is None else replace(progress, seconds_left=self.seconds_left)


@pytest.fixture
def painter(tiny_painter: Painter) -> Eventful:
    return Eventful(tiny_painter)


@pytest.fixture
def main(painter: Eventful) -> Main:
    return Main(painter)


@pytest.fixture
def whole(folder: Path, main: Main) -> bytes:
    """What an uninterrupted run writes."""
    assert main([*PAINT, "-o", "whole.png"]) == 0
    return Path("whole.png").read_bytes()


def killed(name: str, step: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that sends itself a signal at a step."""
    command = [sys.executable, str(KILLABLE), name, str(step), *PAINT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def stop(main: Main, painter: Eventful, step: int, *arguments: str) -> None:
    """The same in this process, by a signal that can be heard."""
    painter.at_step[step] = lambda: signal.raise_signal(signal.SIGTERM)
    assert main([*PAINT, *arguments]) == 143
    painter.at_step.clear()


# Killed, and resumed


@pytest.mark.parametrize("step", [pytest.param(9, marks=pytest.mark.slow), COARSE + 3])
def test_killed_and_resumed_is_the_same_picture(main: Main, whole: bytes, step: int) -> None:
    done = killed("SIGKILL", step, "-o", "out.png", "--checkpoint", "run", "--checkpoint-every", "0")
    assert done.returncode == -signal.SIGKILL
    assert not Path("out.png").exists()
    assert main(["resume", "run"]) == 0
    assert Path("out.png").read_bytes() == whole
    assert not Path("run").exists()


def test_stopped_with_a_damaged_checkpoint_is_the_same_picture(
    painter: Eventful, main: Main, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    stop(main, painter, ALL - 2, "-o", "out.png", "--checkpoint", "run", "--checkpoint-every", "0")
    newest = load("run").path
    os.truncate(newest, 1000)
    assert main(["resume", "run"]) == 0
    assert f"note: {newest} is damaged; went back to the checkpoint before it" in capsys.readouterr().err
    assert Path("out.png").read_bytes() == whole


def test_sigterm_saves_and_ends(
    painter: Eventful, main: Main, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    stop(main, painter, COARSE - 3, "-o", "out.png")
    out, err = capsys.readouterr()
    assert not Path("out.png").exists()
    assert re.search(rf"^stopped at evaluation {COARSE - 3} of {ALL}, about [^;]+ before its end; ", err, re.MULTILINE)
    assert f"before its end; {HOW}{checkpoints()[0]}\n" in err
    assert out.strip() == str(checkpoints()[0])
    assert main(["resume"]) == 0
    assert Path("out.png").read_bytes() == whole
    assert checkpoints() == []


def test_ctrl_c_keeps_the_picture_and_the_way_on(
    painter: Eventful, main: Main, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    painter.at_step[5] = lambda: signal.raise_signal(signal.SIGINT)
    assert main([*PAINT, "-o", "out.png", "--json"]) == 130
    out, err = capsys.readouterr()
    assert f"stopped at evaluation 5 of {ALL}, about " in err
    assert f" before its end; the picture so far is kept; {HOW}{checkpoints()[0]}\n" in err
    report = json.loads(out.splitlines()[-1])
    assert (report["signal"], report["evaluations"], report["output"]) == ("SIGINT", [5], "out.png")
    assert report["checkpoint"] == str(checkpoints()[0])
    assert read_image("out.png").image.shape == (1, 3, 48, 192)
    assert read_origin("out.png") == Origin("photo.png", ("wave.png",), 5, ALL, stopped=True)
    assert main(["info", "out.png"]) == 0
    assert f"photo.png after wave.png\nnot finished: stopped at evaluation 5 of {ALL}\n" in capsys.readouterr().out
    painter.at_step.clear()
    assert main(["resume", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["evaluations"] == [COARSE, FINE]
    assert Path(report["output"]).read_bytes() == whole


def test_a_hangup_is_heard_unless_it_is_ignored(painter: Eventful, main: Main) -> None:
    painter.at_step[5] = lambda: signal.raise_signal(signal.SIGHUP)
    assert main([*PAINT, "-o", "out.png", "-q"]) == 128 + signal.SIGHUP
    assert not Path("out.png").exists()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        assert main([*PAINT, "-o", "out.png", "-q"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_while_the_picture_is_written_do_not_lose_it(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    write = impasto.runs.paint_file.write_image

    def pressed(*arguments: Any, **named: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        write(*arguments, **named)

    monkeypatch.setattr(impasto.runs.paint_file, "write_image", pressed)
    assert main([*PAINT, "-o", "out.png", "-q"]) == 0
    assert Path("out.png").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_sigterm_before_the_first_step_ends_at_once(painter: Eventful, main: Main, name: str) -> None:
    painter.at_step[1] = lambda: signal.raise_signal(getattr(signal, name))
    assert main([*PAINT, "-o", "out.png"]) == 128 + getattr(signal, name)
    assert not Path("out.png").exists()


def test_where_no_checkpoint_can_be_sigterm_keeps_the_picture(painter: Eventful, main: Main) -> None:
    painter.at_step[5] = lambda: signal.raise_signal(signal.SIGTERM)
    assert main([*PAINT, "-o", "out.png", "--checkpoint", "none"]) == 143
    assert read_image("out.png").image.shape == (1, 3, 48, 192)
    assert checkpoints() == []


# When there is a checkpoint


def test_short_runs_leave_none_and_long_ones_are_kept(painter: Eventful, main: Main) -> None:
    seen: list[int] = []
    painter.at_step[COARSE + 1] = lambda: seen.append(len(checkpoints()))
    assert main([*PAINT, "-o", "out.png"]) == 0
    painter.seconds_left = 301.0
    assert main([*PAINT, "-o", "out.png"]) == 0
    assert main([*PAINT, "-o", "out.png", "--checkpoint", "none"]) == 0
    assert seen == [0, 1, 0]
    assert checkpoints() == []


def test_the_same_command_goes_on(
    painter: Eventful, main: Main, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    stop(main, painter, 12, "-o", "out.png", "--checkpoint", "run", "--checkpoint-every", "0")
    assert main([*PAINT, "-o", "other.png", "--checkpoint", "run", "--seed", "1"]) == 2
    assert "--checkpoint run holds another picture that is not done; go on with it (impasto resume run)" in (
        capsys.readouterr().err
    )
    assert main([*PAINT, "-o", "other.png", "--checkpoint", "run"]) == 0
    assert "note: goes on from evaluation " in capsys.readouterr().err
    assert Path("other.png").read_bytes() == whole


def test_resume_works_from_anywhere_and_writes_where_asked(
    painter: Eventful, main: Main, whole: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stop(main, painter, 12)
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "-o", "there.png"]) == 0
    assert Path("there.png").read_bytes() == whole


def test_list_and_forget(painter: Eventful, main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    painter.at_step[5] = lambda: signal.raise_signal(signal.SIGTERM)
    for _ in range(2):
        assert main([*PAINT, "-q", "-o", "a b.png"]) == 143
    capsys.readouterr()
    assert main(["resume", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == [str(path) for path in checkpoints()]
    assert lines[1].startswith(f"  {Path('a b.png').absolute()}, 5 of {ALL} evaluations, 20")
    assert main(["resume", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoints"][0]["evaluations"] == [5, ALL]
    one, other = checkpoints()
    assert main(["resume", str(one), "--forget"]) == 0
    assert checkpoints() == [other]
    assert main(["resume", "--forget"]) == 0
    assert checkpoints() == []
    assert main(["resume"]) == 2
    assert f"there is nothing to go on with in {default_folder()}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda: Path("photo.png").unlink(), "photo.png is not there any more since the painting began; put it back"),
        (lambda: Image.new("RGB", (60, 40)).save("wave.png"), "wave.png has changed since the painting began"),
        (lambda: Path("start.png").unlink(), "start.png is not there any more"),
        (lambda: Path("out").rmdir(), "out does not exist; create it"),
    ],
)
def test_inputs_that_changed_meanwhile(
    painter: Eventful, main: Main, capsys: pytest.CaptureFixture[str], happens: Callable[[], object], words: str
) -> None:
    Path("out").mkdir()
    Image.new("RGB", (60, 40), "red").save("start.png")
    painter.at_step[5] = lambda: signal.raise_signal(signal.SIGTERM)
    assert main([*PAINT, "-o", "out/out.png", "--init", "start.png"]) == 143
    happens()
    painter.at_step.clear()
    before = sorted(Path().rglob("*"))
    assert main(["resume"]) == 2
    assert words in capsys.readouterr().err
    assert sorted(Path().rglob("*")) == before
    assert len(checkpoints()) == 1


def test_another_number_of_threads_is_said(painter: Eventful, main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    painter.at_step[5] = lambda: signal.raise_signal(signal.SIGTERM)
    assert main([*PAINT, "-o", "out.png"]) == 143
    painter.at_step.clear()
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert main(["resume"]) == 0
    finally:
        torch.set_num_threads(before)
    assert f"note: threads {before + 1}, not {before}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ü" * 120 + ".png", os.fsdecode(b"caf\xe9.png"), "-photo.png", "a [b] *.png"])
def test_any_name_is_painted_stopped_and_resumed(
    painter: Eventful, main: Main, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Long, not UTF-8, like an option, with brackets that rich would take for markup."""
    Path("photo.png").rename(name)
    given = f"./{name}" if name.startswith("-") else name
    painter.at_step[5] = lambda: signal.raise_signal(signal.SIGTERM)
    assert main(["paint", given, *PAINT[2:]]) == 143
    painter.at_step.clear()
    assert main(["resume", "--list"]) == 0
    assert main(["resume", "--list", "--json"]) == 0
    assert main(["resume", "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out.splitlines()[-1])["output"]).exists()


# Disks


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Callable[[Path], bool]) -> None:
    """Writing some pictures fails as on a full disk."""
    write = impasto.runs.paint_file.write_image

    def full(path: Path, *arguments: Any, **named: Any) -> None:
        if refused(Path(path)):
            raise ImageError(f"cannot write {path}: {os.strerror(errno.ENOSPC)}")
        write(path, *arguments, **named)

    monkeypatch.setattr(impasto.runs.paint_file, "write_image", full)


@pytest.mark.parametrize("full", ["out", "out and here", "everywhere"])
def test_a_picture_that_cannot_be_written_is_kept_elsewhere(
    main: Main,
    whole: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    full: str,
) -> None:
    for name in ("out", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    places = {"out": ["out"], "out and here": ["out", "here"], "everywhere": ["out", "here", "temporary"]}[full]
    with monkeypatch.context() as patch:
        refuse(patch, lambda path: path.absolute().parent.name in places)
        assert main([*PAINT, "-o", "../out/out.png"]) == 2
    error = capsys.readouterr().err
    assert "cannot write ../out/out.png: No space left on device" in error
    assert f"{HOW}{checkpoints()[0]}" in error
    if full == "everywhere":
        assert "kept in" not in error
    else:
        kept = Path(error.split("the picture is kept in ")[1].splitlines()[0])
        assert kept.read_bytes() == whole
        assert kept.absolute().parent.name == {"out": "here", "out and here": "temporary"}[full]
    assert main(["resume"]) == 0  # once there is room again
    assert Path("../out/out.png").read_bytes() == whole


def test_a_read_only_target_keeps_the_picture_beside(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, lambda path: path.name == "out.png")
    assert main([*PAINT, "-o", "out.png", "--json"]) == 2
    out, _ = capsys.readouterr()
    report = json.loads(out)
    assert report["status"] == 2
    kept = Path(report["error"].split("the picture is kept in ")[1].splitlines()[0])
    assert kept.name.startswith("out-")
    assert read_image(kept).image.shape == (1, 3, 48, 192)


def test_a_preview_that_cannot_be_written_stops_nothing(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, lambda path: "preview" in path.name)
    assert main([*PAINT, "-o", "out.png", "--preview-every", "5"]) == 0
    assert capsys.readouterr().err.count("cannot write out.preview.png: No space left on device") == 1


def test_a_checkpoint_that_cannot_be_written_stops_nothing(
    main: Main, whole: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(impasto.runs.checkpoint, "save_file", full)
    assert main([*PAINT, "-o", "out.png", "--checkpoint", "run", "--checkpoint-every", "0"]) == 0
    assert capsys.readouterr().err.count("note: cannot keep a checkpoint in run: No space left on device") == 1
    assert Path("out.png").read_bytes() == whole


def test_a_cache_that_cannot_be_written_stops_nothing(
    painter: Eventful, main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    painter.seconds_left = 301.0
    assert main([*PAINT, "-o", "out.png"]) == 0
    assert capsys.readouterr().err.count("note: cannot keep a checkpoint in ") == 1


# Errors in the middle


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), 1, "error: out of memory; give a smaller --"),
        (MemoryError(), 1, "error: out of memory; give a smaller --"),
        (RuntimeError("the graphics card is lost"), 1, "error: RuntimeError: the graphics card is lost"),
    ],
)
def test_what_breaks_the_last_scale_keeps_the_coarser_picture(
    painter: Eventful,
    main: Main,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    words: str,
) -> None:
    def fail() -> None:
        raise error

    painter.at_step[COARSE + 1] = fail  # the first at full size
    assert main([*PAINT, "-o", "out.png"]) == status
    err = capsys.readouterr().err
    assert words in err
    assert f"the picture at evaluation {COARSE} of {ALL} is kept in out.png\n{HOW}{checkpoints()[0]}\n" in err
    assert read_image("out.png").image.shape == (1, 3, 48, 192)
    painter.at_step.clear()
    assert main(["resume"]) == 0
