"""Checkpoints whose headers say something else, signed so that their hashes fit: a sentence, or they go on.

A few fields of every kind of checkpoint by default, and IMPASTO_ATTACK_FIELDS (100 unless set) by `pytest -m attack`.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Main, random_image
from hostile import LEFT_OUT, WRONG, header_of, places, replaced, signed
from safetensors.torch import load
from test_film_files import write_clip

from impasto.errors import CheckpointError, ImpastoError
from impasto.images.reading import write_image
from impasto.methods.training import Recipe
from impasto.network.transform import Shape
from impasto.painting import Progress
from impasto.runs.film import film_file
from impasto.runs.reporter import Silent
from impasto.runs.training import KEY, TrainingJob, train_file
from impasto.settings import Settings

COUNT = int(os.environ.get("IMPASTO_ATTACK_FIELDS", "100"))
STOP = 6  # at this evaluation
KINDS = {"lbfgs": "draft", "adam": "draft", "matched": "good", "paper": "reference"}


def some(header: Any, count: int, seed: int) -> list[tuple[tuple[Any, ...], Any]]:
    """Places, and what to write there: so many by chance."""
    every = [(path, value) for path in places(header) for value in [*WRONG, LEFT_OUT] if path or value is not LEFT_OUT]
    return random.Random(seed).sample(every, count)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_image("photo.png", random_image(24, 32, seed=1))
    write_image("wave.png", random_image(24, 32, seed=2))
    return tmp_path


class Stopped:
    """A painter whose pictures have so many steps at most."""

    def steps(self, *arguments: Any, **named: Any) -> Iterator[Progress]:
        return islice(TINY.steps(*arguments, **named), STOP)


def saved(folder: Path, kind: str) -> Path:
    """A picture's checkpoint."""
    options = ["--size", "32", "--quality", KINDS[kind], "--optimizer", "adam" if kind == "adam" else "lbfgs"]
    arguments = ["photo.png", "wave.png", "-o", "out.png", *options, "--checkpoint", "run", "--checkpoint-every", "0"]

    class Killed(Stopped):
        def steps(self, *arguments: Any, **named: Any) -> Iterator[Progress]:
            yield from super().steps(*arguments, **named)
            raise KeyboardInterrupt

    assert Main(Killed())(["paint", *arguments]) == 130
    (folder / "run" / f"{STOP - 1:06d}.safetensors").unlink()
    return folder / "run" / f"{STOP:06d}.safetensors"


def goes_on(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether a command does; if not, it says why."""
    capsys.readouterr()
    status = Main(Stopped())(arguments)
    said = capsys.readouterr().err
    assert status in (0, 2), said
    assert "fault of impasto" not in said
    assert status == 0 or "error: " in said
    return status == 0


def attack_pictures(folder: Path, kind: str, wrong: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(folder, kind)
    original = shutil.copy(path, folder / "original")
    whole = header_of(original, "checkpoint")
    assert "optimizer" in whole["position"]["state"]
    went_on = refused = 0
    for place, value in some(whole, *wrong):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(signed(original, "checkpoint", replaced(whole, place, value)))
        try:
            assert goes_on(["resume", "--list", "."], capsys) is not None
            if goes_on(["resume", "run"], capsys):
                went_on += 1
            else:
                refused += 1
                assert path.exists(), "one that is refused is kept"
        except BaseException as error:
            error.add_note(f"{place}: {value!r}")
            raise
    print(f"{kind}: {went_on} went on, {refused} were refused")
    assert refused > went_on


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_with_a_mistyped_field(folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    attack_pictures(folder, kind, (12, 1), capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_another_size_is_refused(folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(folder, kind)
    whole = header_of(path, "checkpoint")
    path.write_bytes(signed(path, "checkpoint", replaced(whole, ("job", "settings", "size"), 64)))
    capsys.readouterr()
    assert Main(Stopped())(["resume", "run"]) == 2
    assert "at scale 1, is not one of this picture" in capsys.readouterr().err
    assert path.exists()


@pytest.mark.parametrize(("field", "value"), [("jpeg_quality", -1), ("density", 1e9), ("preview_every", -1)])
def test_what_no_file_can_be_written_with_is_refused_before_it_is_painted(
    folder: Path, field: str, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(folder, "lbfgs")
    path.write_bytes(signed(path, "checkpoint", replaced(header_of(path, "checkpoint"), ("job", field), value)))
    capsys.readouterr()
    assert Main(Stopped())(["resume", "run"]) == 2
    assert "is out of range: choose" in capsys.readouterr().err
    assert [one.name for one in path.parent.glob("*.safetensors")] == [path.name]


@pytest.mark.attack
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_with_many_mistyped_fields(
    folder: Path, kind: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    attack_pictures(folder, kind, (COUNT, seed), capsys)


def attack_films(folder: Path, wrong: tuple[int, int]) -> None:
    clip, output = folder / "clip.mkv", folder / "out.mkv"
    write_clip(clip, 3, size=(16, 24), sound=False)
    how: dict[str, Any] = {"keep": True, "keep_every": 0}

    def paint(most: int) -> int:
        settings = Settings(quality="draft", size=24)
        return film_file(clip, ["wave.png"], output, settings, TINY, every=lambda number, _: number < most, **how)

    assert paint(2) == 2
    kept = folder / "out.mkv.impasto"
    (path,) = kept.glob("*2.safetensors")
    shutil.copytree(kept, folder / "whole")
    original = folder / "whole" / path.name
    whole = header_of(original, "checkpoint")
    went_on = refused = 0
    for place, value in some(whole, *wrong):
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder / "whole", kept)
        for older in kept.glob("*.safetensors"):
            older.unlink()
        path.write_bytes(signed(original, "checkpoint", replaced(whole, place, value)))
        try:
            assert paint(9) in (2, 3)
            went_on += 1
        except ImpastoError:
            refused += 1
            assert path.exists(), "one that is refused is kept"
        except BaseException as error:
            error.add_note(f"{place}: {value!r}")
            raise
    print(f"films: {went_on} went on, {refused} were refused")
    assert refused > went_on


def test_films_with_a_mistyped_field(folder: Path) -> None:
    attack_films(folder, (12, 1))


@pytest.mark.attack
def test_films_with_many_mistyped_fields(folder: Path, seed: int) -> None:
    attack_films(folder, (COUNT, seed))


def training(folder: Path) -> TrainingJob:
    """Of the smallest network there is, after two steps."""
    for number in range(4):
        write_image(f"photo{number}.png", random_image(90, 110, seed=number))
    photographs = tuple(folder / f"photo{number}.png" for number in range(4))
    recipe = Recipe(Settings(size=128), crop=64, batch=1, validations=2, patience=0)
    shape = Shape(1, width=4, blocks=0)
    job = TrainingJob((folder / "wave.png",), photographs, folder / "style.safetensors", recipe, shape, steps=2)
    assert train_file(job, TINY.models, Silent()).step == 2
    return job


def attack_trainings(folder: Path, wrong: tuple[int, int]) -> None:
    job = training(folder)
    path = job.folder / "state.safetensors"
    original = shutil.copy(path, folder / "original")
    whole = header_of(original, KEY)
    went_on = refused = 0
    for place, value in some(whole, *wrong):
        content = signed(original, KEY, replaced(whole, place, value))
        path.write_bytes(content)
        try:
            train_file(job, TINY.models, Silent())
            went_on += 1
        except CheckpointError:
            refused += 1
            assert path.read_bytes() == content, "one that is refused is kept"
        except BaseException as error:
            error.add_note(f"{place}: {value!r}")
            raise
    print(f"trainings: {went_on} went on, {refused} were refused")
    assert refused > went_on


def test_trainings_with_a_mistyped_field(folder: Path) -> None:
    attack_trainings(folder, (10, 1))


@pytest.mark.attack
def test_trainings_with_many_mistyped_fields(folder: Path, seed: int) -> None:
    attack_trainings(folder, (COUNT, seed))


def test_a_training_whose_numbers_are_of_another_shape_type_or_order_is_refused(folder: Path) -> None:
    job = training(folder)
    path = job.folder / "state.safetensors"
    whole, tensors = header_of(path, KEY), load(path.read_bytes())
    name = "network.enter.filters.0.weight"
    changed = {
        "another shape": {name: tensors[name][:1]},
        "another type": {name: tensors[name].double()},
        "another name": {"network.x": tensors[name].clone()},
        "memory of another shape": {"adam.0.exp_avg": tensors["adam.0.exp_avg"][:, :1]},
        "memory of a step that is many": {"adam.0.step": tensors["adam.0.exp_avg"].clone()},
    }
    for what, other in changed.items():
        path.write_bytes(signed(path, KEY, whole, {**tensors, **other}))
        with pytest.raises(CheckpointError, match=r"is damaged .*begin anew"):
            train_file(job, TINY.models, Silent())
        assert path.exists(), what
    deep = "[" * 100_000
    for odd in ({**whole, "step": 1, "best_step": 2}, {**whole, "rows": whole["rows"] * 2}, deep):
        path.write_bytes(signed(path, KEY, odd, tensors))
        with pytest.raises(CheckpointError, match=r"is damaged .*begin anew"):
            train_file(job, TINY.models, Silent())


def test_a_curve_of_losses_that_are_no_numbers_any_more(folder: Path) -> None:
    """A training that went astray is kept as any other."""
    job = training(folder)
    path = job.folder / "state.safetensors"
    whole = header_of(path, KEY)
    (row,) = whole["rows"]
    lost = {name: float("nan") for name in ("total", "validation")}
    whole["rows"] = [{**row, **lost, "step": 1}, {**row, "total": float("inf"), "validation": None}]
    path.write_bytes(signed(path, KEY, whole))
    assert train_file(job, TINY.models, Silent()).step == 2
    assert (job.folder / "curve.png").exists()
