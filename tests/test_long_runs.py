"""Long runs and many at once: memory stays flat, and processes that share folders do not harm each other."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from conftest import TINY, random_image
from torch import Tensor

from impasto.images.reading import read_image, write_image
from impasto.objective.optimize import LBFGS, Adam, Evaluation, PaperLBFGS, minimise
from impasto.painting import Position
from impasto.runs.checkpoint import Checkpoint
from impasto.settings import QUALITIES, Settings

KILLABLE = Path(__file__).parent / "killable.py"
PHOTO, WAVE = random_image(48, 64, seed=1), random_image(40, 56, seed=2)
MIB = 2**20


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return psutil.Process().memory_info().rss


def tensors() -> int:
    """How many tensors are alive."""
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("optimizer", [LBFGS, Adam, PaperLBFGS])
def test_a_walk_holds_no_more_tensors_after_long_than_after_short(
    monkeypatch: pytest.MonkeyPatch, optimizer: type
) -> None:
    monkeypatch.setattr("impasto.objective.optimize.PATIENCE", 10**9)
    generator = torch.Generator().manual_seed(0)

    def evaluate(image: Tensor) -> Evaluation:
        loss = torch.rand((), generator=generator) * 0.1 + 1
        return Evaluation(loss, torch.rand(image.shape, generator=generator) - 0.5, {"loss": loss})

    counts = []
    steps = minimise(evaluate, torch.full((1, 3, 5, 7), 0.5), optimizer(), 500, tolerance=-9.0)
    for number, _ in enumerate(steps, start=1):
        if number in (200, 300, 400):
            counts.append(tensors())
    assert len(counts) == 3
    assert max(counts) - min(counts) < 5, counts


@pytest.mark.slow
@pytest.mark.parametrize("quality", ["good", "reference"])
def test_memory_is_flat_over_two_thousand_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quality: str) -> None:
    monkeypatch.setattr("impasto.objective.optimize.PATIENCE", 10**9)
    monkeypatch.setitem(
        QUALITIES,
        quality,
        replace(QUALITIES[quality], evaluations=(2000,), matched_evaluations=(2000,), tolerance=-1.0),
    )
    seen = []
    with Checkpoint(tmp_path / "run", every=0.1) as checkpoint:
        for number, now in enumerate(TINY.steps(PHOTO, WAVE, Settings(size=64, quality=quality)), start=1):
            assert isinstance(now.position, Position)
            if checkpoint.due:
                checkpoint.save(now.position)
            if number % 250 == 0:
                seen.append(resident())
    assert number >= 2000
    assert max(seen[2:]) - seen[1] < 16 * MIB, [size // MIB for size in seen]


@pytest.mark.slow
def test_memory_is_flat_over_two_hundred_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(QUALITIES, "draft", replace(QUALITIES["draft"], evaluations=(3,)))
    seen = []
    for number in range(200):
        photograph = tmp_path / f"{number % 3}.png"
        write_image(photograph, random_image(48 + number % 5, 64, seed=number))
        picture = TINY.paint(photograph, WAVE, size=64, quality="draft")
        picture.save(tmp_path / "out.png")
        if number % 25 == 24:
            seen.append(resident())
    assert max(seen[3:]) - seen[2] < 16 * MIB, [size // MIB for size in seen]


@pytest.mark.slow  # starts six processes
def test_two_processes_share_cache_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same names, same output, same cache, at the same time: each picture is whole, and nothing is left over."""
    write_image(tmp_path / "photo.png", PHOTO)
    write_image(tmp_path / "wave.png", WAVE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ["--size", "64", "--quality", "draft", "-q", "--preview-every", "3"]
    command = [sys.executable, str(KILLABLE), "SIGTERM", "5", "paint", "photo.png", "wave.png", *options]
    outputs = ["same.png", "same.png", "other.png"]
    running = [subprocess.Popen([*command, "-o", name], cwd=tmp_path, stdout=subprocess.PIPE) for name in outputs]
    assert [process.wait(120) for process in running] == [143, 143, 143]
    for process in running:
        assert process.stdout is not None
        process.stdout.close()
    assert len(list((tmp_path / "cache" / "impasto" / "checkpoints").iterdir())) == 3
    resume = [sys.executable, str(KILLABLE), "SIGTERM", "0", "resume", "-q"]
    folders = [str(path) for path in (tmp_path / "cache" / "impasto" / "checkpoints").iterdir()]
    running = [subprocess.Popen([*resume, folder], cwd=tmp_path, stdout=subprocess.DEVNULL) for folder in folders]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    previews = ["other.preview.png", "same.preview.png"]  # which stay
    pictures = ["other.png", "photo.png", "same.png", "wave.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["cache", *previews, *pictures])
    assert list((tmp_path / "cache" / "impasto" / "checkpoints").iterdir()) == []
    assert read_image(tmp_path / "same.png").image.equal(read_image(tmp_path / "other.png").image)
