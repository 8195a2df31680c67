"""A job as a checkpoint keeps it, and runs that no command line knows of."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import random_image

from impasto.errors import CheckpointError
from impasto.images.reading import read_image, write_image
from impasto.painting import Painter, Progress
from impasto.runs.autosave import Saving
from impasto.runs.checkpoint import Checkpoint, checkpoints, forget, job_in, load
from impasto.runs.job import Job, same_picture
from impasto.runs.paint_file import paint_file, resume_file
from impasto.runs.reporter import Next, Silent
from impasto.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_image("photo.png", random_image(40, 64, seed=1))
    write_image("wave.png", random_image(48, 32, seed=2))
    return tmp_path


def job(**changes: Any) -> Job:
    given: dict[str, Any] = {"settings": Settings(size=64, quality="draft"), "output": Path("out.png"), **changes}
    return Job(Path("photo.png"), (Path("wave.png"),), **given)


def test_a_job_comes_back_from_json_with_paths_that_hold_everywhere(folder: Path) -> None:
    settings = Settings(size=64, style_weight=(70, 30), init="wave.png")
    given = job(settings=settings, style_mask=("white", "photo.png"), protect="1%,2%,3%,4%", bits=16, preview_every=3)
    found = Job.from_json(json.loads(json.dumps(given.to_json())))
    assert found.content == folder / "photo.png"
    assert found.paintings == (folder / "wave.png",)
    assert found.style_mask == ("white", str(folder / "photo.png"))
    assert found.settings.style_weight == (70, 30)
    assert Path(found.settings.init) == folder / "wave.png"
    assert (found.protect, found.bits, found.preview_every, found.mask) == ("1%,2%,3%,4%", 16, 3, None)
    assert same_picture(json.loads(json.dumps(given.to_json())), given.to_json())
    assert not same_picture(given.to_json(), job().to_json())


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": 3},
        {"paintings": "wave.png"},
        {"paintings": [None]},
        {"bits": 12},
        {"preview_every": "often"},
        {"keep_metadata": 1},
        {"settings": 5},
        {"hashes": 5},
        {"mask": ["a"]},
    ],
    ids=str,
)
def test_values_of_a_wrong_type_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="is of another version"):
        Job.from_json({**job().to_json(), **wrong})


class StopsAt(Silent):
    """Stops a run at a step, and remembers what it was told."""

    def __init__(self, step: int, then: Next) -> None:
        self.at, self.then = step, then
        self.notes: list[str] = []

    def step(self, now: Progress) -> Next:
        return self.then if now.step == self.at else Next.STEP

    def note(self, words: str) -> None:
        self.notes.append(words)


@pytest.mark.parametrize(("then", "written"), [(Next.STOP, True), (Next.SUSPEND, False)])
def test_a_run_is_stopped_and_goes_on_to_the_same_picture(tiny_painter: Painter, then: Next, written: bool) -> None:
    whole = paint_file(job(output=Path("whole.png")), lambda weights: tiny_painter, Silent(), Saving(enabled=False))
    assert (whole.stopped, whole.checkpoint, whole.height, whole.width) == (False, None, 40, 64)
    outcome = paint_file(job(), lambda weights: tiny_painter, StopsAt(5, then), Saving(Path("run")))
    assert (outcome.stopped, outcome.step, outcome.checkpoint) == (True, 5, Path("run"))
    assert (Path("out.png").exists(), outcome.output is not None) == (written, written)
    reporter = StopsAt(0, then)
    rest = resume_file(Path("run"), lambda weights: tiny_painter, reporter)
    assert rest.evaluations == whole.evaluations
    assert f"goes on from evaluation 5 of {whole.steps}" in reporter.notes
    assert read_image("out.png").image.equal(read_image("whole.png").image)
    assert not Path("run").exists()


def test_a_loop_of_ones_own_keeps_jobs_by_the_same_files(tiny_painter: Painter, folder: Path) -> None:
    """As the studio does: what is saved is listed, looked at, gone on with and removed by another process."""
    saved = job()
    *_, last = itertools.islice(tiny_painter.steps("photo.png", "wave.png", saved.settings), 5)
    with Checkpoint(folder / "kept" / "a") as checkpoint:
        checkpoint.save(last.position, {**saved.to_json(), "visitor": "me"})
    (kept,) = checkpoints(folder / "kept")
    assert job_in(kept)["visitor"] == "me"
    found = Job.from_json(job_in(kept))
    rest = list(tiny_painter.steps(found.content, list(found.paintings), found.settings, resume=load(kept).position))
    whole = list(tiny_painter.steps("photo.png", "wave.png", saved.settings))
    assert [now.step for now in rest] == [now.step for now in whole[4:]]
    assert rest[-1].image.equal(whole[-1].image)
    forget(kept)
    assert checkpoints(folder / "kept") == []
