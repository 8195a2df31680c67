"""Many pictures: names, keys, what is there already, bad files, kills, several processes."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from batch_process import SETTINGS
from conftest import random_image, tiny_weights

from impasto.images.reading import read_settings, write_image
from impasto.painting import Painter
from impasto.runs.batch import Task, claimed, key, labels, paint_all, plan
from impasto.settings import Settings


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three photographs and two paintings."""
    for number in range(3):
        write_image(tmp_path / f"photo{number}.png", random_image(24, 32, number))
    for number in range(2):
        write_image(tmp_path / f"style{number}.png", random_image(32, 24, 10 + number))
    return tmp_path


def tasks_in(folder: Path, settings: Settings = SETTINGS) -> list[Task]:
    return plan(sorted(folder.glob("photo*")), sorted(folder.glob("style*")), settings, folder / "out")


def statuses(painter: Painter, tasks: list[Task]) -> list[str]:
    return [result.status for result in paint_all(painter, tasks)]


def test_every_photograph_is_painted_in_every_style_once(pictures: Path, tiny_painter: Painter) -> None:
    tasks = tasks_in(pictures)
    assert [task.output.name for task in tasks[:3]] == ["photo0-style0.png", "photo0-style1.png", "photo1-style0.png"]
    assert statuses(tiny_painter, tasks) == ["painted"] * 6
    before = {task.output: task.output.stat().st_mtime_ns for task in tasks}
    assert statuses(tiny_painter, tasks) == ["there"] * 6
    assert before == {task.output: task.output.stat().st_mtime_ns for task in tasks}
    assert read_settings(tasks[0].output) == SETTINGS.to_json()
    assert sorted(path.name for path in (pictures / "out").iterdir()) == sorted(t.output.name for t in tasks)


def test_what_has_changed_is_painted_again(pictures: Path, tiny_painter: Painter) -> None:
    assert set(statuses(tiny_painter, tasks_in(pictures))) == {"painted"}
    write_image(pictures / "photo1.png", random_image(24, 32, 99))
    assert Counter(statuses(tiny_painter, tasks_in(pictures))) == {"there": 4, "painted": 2}
    assert set(statuses(tiny_painter, tasks_in(pictures, replace(SETTINGS, strength=60)))) == {"painted"}


def test_a_key_tells_inputs_and_settings_apart(pictures: Path) -> None:
    one, other = tasks_in(pictures)[:2]
    keys = [
        key(one),
        key(other),
        key(replace(one, settings=replace(SETTINGS, seed=1))),
        key(one, pictures / "style0.png"),
    ]
    assert len(set(keys)) == 4
    assert key(replace(one, output=Path("elsewhere.png"), settings=replace(SETTINGS, memory="2GB"))) == key(one)


def test_a_bad_file_does_not_stop_the_others(pictures: Path, tiny_painter: Painter) -> None:
    (pictures / "photo1.png").write_bytes(b"no picture")
    results = list(paint_all(tiny_painter, tasks_in(pictures)))
    assert [r.status for r in results] == ["painted", "painted", "failed", "failed", "painted", "painted"]
    assert "photo1.png" in str(results[2].error)


def test_a_picture_of_somebody_else_is_kept(pictures: Path, tiny_painter: Painter) -> None:
    task = tasks_in(pictures)[0]
    task.output.parent.mkdir()
    write_image(task.output, random_image(16, 16))
    before = task.output.read_bytes()
    (result,) = paint_all(tiny_painter, [task])
    assert result.status == "failed"
    assert "not of a batch" in str(result.error)
    assert task.output.read_bytes() == before


@pytest.mark.parametrize("content", [b"notes, not a picture", b"\x89PNG\r\n\x1a\n cut off", b""])
def test_what_cannot_be_read_is_kept(pictures: Path, tiny_painter: Painter, content: bytes) -> None:
    task = tasks_in(pictures)[0]
    task.output.parent.mkdir()
    task.output.write_bytes(content)
    (result,) = paint_all(tiny_painter, [task])
    assert result.status == "failed"
    assert "is there and cannot be read" in str(result.error)
    assert task.output.read_bytes() == content


def test_names_are_never_the_same() -> None:
    paths = [Path(name) for name in ("a/x.jpg", "a/X.png", "b/x.jpg", "b/y.jpg", "c/x_jpg.tif")]
    found = labels(paths)
    assert len({label.casefold() for label in found.values()}) == len(paths)
    assert found[Path("b/y.jpg")] == "y"
    tasks = plan([Path("a-b.jpg"), Path("a.jpg")], [Path("c.jpg"), Path("b-c.jpg")], SETTINGS, Path("out"))
    assert len({task.output for task in tasks}) == 4
    assert len(plan([Path("a.jpg"), Path("./a.jpg")], [Path("c.jpg")], SETTINGS, Path("out"))) == 1
    long = plan([Path("ü" * 120 + ".jpg")], [Path("ß" * 120 + ".jpg")], SETTINGS, Path("out"))
    assert len(long[0].output.name.encode()) < 230


def test_what_another_process_paints_is_left_to_it(pictures: Path, tiny_painter: Painter) -> None:
    tasks = tasks_in(pictures)[:2]
    tasks[0].output.parent.mkdir()
    with claimed(tasks[0].output) as ours, claimed(tasks[0].output) as again:
        assert (ours, again) == (True, False)
        results = paint_all(tiny_painter, tasks)
        assert next(results).task == tasks[1]
    assert next(results).task == tasks[0]


def test_steps_are_told_of_one_process_and_of_several(pictures: Path) -> None:
    painter = Painter(weights=tiny_weights(dtype=torch.float32))
    for jobs in (1, 2):
        tasks = plan(sorted(pictures.glob("photo*")), [pictures / "style0.png"], SETTINGS, pictures / f"out{jobs}")
        told: dict[Path, list[float]] = {task.output: [] for task in tasks}
        results = list(paint_all(painter, tasks, jobs=jobs, watch=lambda task, share: told[task.output].append(share)))  # noqa: B023 the list ends first
        assert [result.status for result in results] == ["painted"] * 3
        if jobs == 1:
            assert all(shares == sorted(shares) and len(shares) > 1 for shares in told.values())
            assert {shares[-1] for shares in told.values()} == {1.0}
        else:  # the last steps of a batch may come when it has ended
            assert any(len(shares) > 1 for shares in told.values())


def start(folder: Path, jobs: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("batch_process.py")), str(folder), str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_batch_ends_as_if_it_had_not_been(pictures: Path) -> None:
    whole = pictures / "whole"
    shutil.copytree(pictures, whole, ignore=shutil.ignore_patterns("whole"))
    start(whole).communicate()
    process = start(pictures)
    assert process.stdout is not None
    for _ in range(2):
        assert process.stdout.readline().startswith("painted")
    process.kill()
    process.communicate()
    one, two = start(pictures, jobs=2), start(pictures)  # at once
    said = (one.communicate()[0] + two.communicate()[0]).splitlines()
    assert (one.returncode, two.returncode) == (0, 0)
    counts = Counter(line.split()[0] for line in said)
    assert counts.keys() <= {"painted", "there"}
    assert counts["painted"] <= 4
    painted = {path.name: path.read_bytes() for path in (pictures / "out").glob("*.png")}
    assert painted == {path.name: path.read_bytes() for path in (whole / "out").glob("*.png")}
    assert len(painted) == 6


@pytest.mark.slow
def test_a_batch_killed_ten_times_ends_as_if_it_had_not_been(pictures: Path) -> None:
    for number in range(3, 9):
        write_image(pictures / f"photo{number}.png", random_image(24, 32, number))
    whole = pictures / "whole"
    shutil.copytree(pictures, whole, ignore=shutil.ignore_patterns("whole"))
    process = start(whole)
    assert process.stdout is not None
    begun = 0.0
    for line in process.stdout:  # how long a picture takes here today
        assert line.startswith("painted")
        begun = begun or time.monotonic()
    process.communicate()
    each = (time.monotonic() - begun) / 17
    moments = random.Random(0)
    for _ in range(10):
        process = start(pictures, jobs=moments.choice((1, 2)))
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, 2 * each))
        process.kill()
        process.communicate()
    process = start(pictures)
    said = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert {line.split()[0] for line in said} <= {"painted", "there"}
    painted, intact = ({path.name: path.read_bytes() for path in (f / "out").glob("*.png")} for f in (pictures, whole))
    assert painted == intact
    assert len(painted) == 18
