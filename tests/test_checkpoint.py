"""Checkpoints: what is saved is found again, whatever happens to the disk meanwhile."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, random_image, walk_at
from torch import Tensor

import impasto.runs.checkpoint
from impasto.errors import CheckpointError, SettingsError
from impasto.painting import Position, Progress
from impasto.runs.checkpoint import Checkpoint, Saved, checkpoints, clean_up, forget, load
from impasto.settings import Settings

CONTENT, STYLE = random_image(48, 192, seed=1), random_image(56, 40, seed=2)
STEPS = 40  # at most: the reference has 500


def steps(settings: Settings, resume: Position | None = None, count: int = STEPS) -> Iterator[Progress]:
    return itertools.islice(TINY.steps(CONTENT, STYLE, settings, resume=resume), count)


def position(value: float = 0.5) -> Position:
    return Position(2, 7, 10**9, walk_at(torch.full((1, 3, 4, 5), value)))


def shown(saved: Saved) -> float:
    return float(saved.position.state["now"]["image"].mean())


def contiguous(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype


# Going on


@pytest.mark.parametrize(
    ("quality", "optimizer"), [("draft", "lbfgs"), ("draft", "adam"), ("good", "lbfgs"), ("reference", "lbfgs")]
)
def test_every_place_to_stop_leads_to_the_same_picture(tmp_path: Path, quality: str, optimizer: str) -> None:
    """First, within, last of a scale, first of the next one: bit for bit."""
    settings = Settings(size=192, quality=quality, optimizer=optimizer, init="noise", seed=3)
    whole = list(steps(settings))
    border = next((i for i, now in enumerate(whole, 1) if now.scale == 2), 10)
    for stop in {1, border - 1, border, len(whole)}:
        with Checkpoint(tmp_path / f"{stop}") as checkpoint:
            *_, now = steps(settings, count=stop)
            checkpoint.save(now.position)
        rest = list(steps(settings, load(tmp_path / f"{stop}").position, STEPS + 1 - stop))
        assert len(rest) == len(whole) + 1 - stop
        for one, other in zip(whole[stop - 1 :], rest, strict=True):
            assert (one.step, one.scale, one.losses, one.notes) == (other.step, other.scale, other.losses, other.notes)
            assert one.image.equal(other.image)


def test_a_walk_that_steps_back_goes_on_the_same(tmp_path: Path) -> None:
    """A loss that jumps: the state holds retreats, the best image and an optimiser that starts again."""
    from impasto.objective.optimize import LBFGS, Evaluation, minimise

    generator = torch.Generator().manual_seed(0)
    hills = torch.rand(40, generator=generator).tolist()

    def evaluate(image: Tensor) -> Evaluation:
        hill = 1 + 3 * hills[int(image.mean() * 1e7) % 40]  # rough, so that steps of any length may fail
        return Evaluation(image.square().sum() * hill, 2 * image, {})

    whole = list(minimise(evaluate, CONTENT, LBFGS(), 60))
    assert any(step.note for step in whole)
    for stop, step in list(enumerate(whole))[::4]:
        with Checkpoint(tmp_path / f"{stop}") as checkpoint:
            checkpoint.save(Position(1, 1, 10**9, step.state))
            state = load(checkpoint.folder).position.state
        rest = list(minimise(evaluate, CONTENT, LBFGS(), 60, state=state))
        assert [s.note for s in rest[1:]] == [s.note for s in whole[stop + 1 :]]
        assert all(one.image.equal(other.image) for one, other in zip(rest, whole[stop:], strict=True))


def test_a_position_of_another_picture_is_refused() -> None:
    now = next(steps(Settings(size=192, quality="draft")))
    with pytest.raises(SettingsError, match=r"at scale 1, is not one of this.*same photograph"):
        steps(Settings(size=160, quality="draft"), now.position)


# What is saved is found again


def test_everything_comes_back(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 4, 5)
    last_channels = torch.rand(1, 3, 4, 5).to(memory_format=torch.channels_last)
    walk = {
        "twice": [image, image, None, {"again": image}],
        "last": last_channels,
        "part": torch.arange(12.0).view(3, 4)[1],
        "number": torch.tensor(0.25, dtype=torch.float64),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "words": "ünïcode",
        "inf": float("inf"),
    }
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.save(Position(3, 14, 10**9, walk), {"output": "a.png"})
        saved = load(tmp_path / "c", check=lambda position: position)
    assert (saved.position.scale, saved.position.step, saved.job) == (3, 14, {"output": "a.png"})
    found = saved.position.state
    assert found["twice"][0] is not None
    assert found["twice"][2] is None
    assert found["twice"][3]["again"].equal(image)
    for name in ("last", "part", "number", "half"):
        assert found[name].equal(walk[name])
        assert contiguous(found[name]) == contiguous(walk[name])
    assert (found["words"], found["inf"]) == ("ünïcode", float("inf"))
    # what occurs three times is there once
    assert saved.path.stat().st_size < 2 * image.nbytes + 2500


def test_two_generations_are_kept(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "c") as checkpoint:
        for value in (0.1, 0.2, 0.3):
            checkpoint.save(position(value))
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [
        "000002.safetensors",
        "000003.safetensors",
        "lock",
    ]
    assert shown(load(tmp_path / "c")) == pytest.approx(0.3)


def damage_truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage_empty(path: Path) -> None:
    os.truncate(path, 0)


def damage_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def damage_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"losses", b"lasses"))


def damage_other_file(path: Path) -> None:
    path.write_bytes(b"not a checkpoint" * 100)


DAMAGES = [damage_truncated, damage_empty, damage_one_bit, damage_header, damage_other_file]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path: Path, damage: Any) -> None:
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.save(position(0.1))
        checkpoint.save(position(0.2))
    damage(load(tmp_path / "c").path)
    saved = load(tmp_path / "c")
    assert shown(saved) == pytest.approx(0.1)
    assert [path.name for path in saved.damaged] == ["000002.safetensors"]
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.save(position(0.3))
    assert shown(load(tmp_path / "c")) == pytest.approx(0.3)


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_but_damage_is_an_error(tmp_path: Path, damage: Any) -> None:
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.save(position())
    damage(load(tmp_path / "c").path)
    for use in (load, Checkpoint):
        with pytest.raises(CheckpointError, match=r"000001\.safetensors is damaged"):
            use(tmp_path / "c")
    forget(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_one_of_another_version_says_so_and_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, Checkpoint(tmp_path / "c") as checkpoint:
        patch.setattr(impasto.runs.checkpoint, "FORMAT", 1)
        checkpoint.save(position())
    with pytest.raises(CheckpointError, match=r"000001.safetensors is of another version of impasto .* use that"):
        load(tmp_path / "c")
    forget(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.save(position(0.1))

        def full(*_: object, **__: object) -> None:
            Path(tmp_path / "c" / "000002.part").write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(impasto.runs.checkpoint, "save_file", full)
        with pytest.raises(CheckpointError, match="No space left on device; choose another folder"):
            checkpoint.save(position(0.2))
    assert shown(load(tmp_path / "c")) == pytest.approx(0.1)
    assert not list((tmp_path / "c").glob("*.part"))


def test_what_a_crash_left_half_written_is_not_looked_at(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.save(position(0.1))
    (tmp_path / "c" / "000002.part").write_bytes(b"half")
    assert load(tmp_path / "c").damaged == ()
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.remove()
    assert not (tmp_path / "c").exists()


# Folders


def test_a_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "c") as checkpoint:
        checkpoint.save(position())
        with pytest.raises(CheckpointError, match="in use by another run"):
            Checkpoint(tmp_path / "c")
        with pytest.raises(CheckpointError, match="in use by another run"):
            forget(tmp_path / "c")
    Checkpoint(tmp_path / "c").close()


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot keep a checkpoint in .*file: "):
        Checkpoint(tmp_path / "file")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load(tmp_path / "absent")


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "weights.safetensors").write_text("mine")
    with Checkpoint(tmp_path) as checkpoint:
        checkpoint.save(position())
        checkpoint.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "weights.safetensors"]


def test_nothing_saved_leaves_nothing(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "new").close()
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    Checkpoint(tmp_path / "old").close()
    assert list((tmp_path / "old").iterdir()) == []


def test_the_oldest_are_cleaned_up_but_none_in_use(tmp_path: Path) -> None:
    for number in range(6):
        with Checkpoint(tmp_path / f"{number}") as checkpoint:
            checkpoint.save(position())
        os.utime(load(tmp_path / f"{number}").path, (number, number))
    one = load(tmp_path / "5").path.stat().st_size
    with Checkpoint(tmp_path / "0"):
        clean_up(tmp_path, keep=4)
        assert [path.name for path in checkpoints(tmp_path)] == ["5", "4", "3", "2", "0"]
    clean_up(tmp_path, keep_bytes=2 * one)
    assert [path.name for path in checkpoints(tmp_path)] == ["5", "4"]


def test_saves_take_a_small_share_of_the_time(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "c", every=1000) as checkpoint:
        assert checkpoint.due
        checkpoint.save(position())
        assert not checkpoint.due


def test_a_state_is_flushed_as_windows_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There only what may be written can be flushed to the disk."""
    fcntl = pytest.importorskip("fcntl")
    flush, flushed = os.fsync, []

    def fsync(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise OSError(errno.EBADF, "Bad file descriptor")
            flushed.append(descriptor)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with Checkpoint(tmp_path / "run", every=0) as checkpoint:
        checkpoint.save(position(0.25))
    assert flushed
    assert shown(load(tmp_path / "run")) == 0.25


def test_a_lock_that_cannot_be_removed_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows removes no file that is open."""
    folder, unlink = tmp_path / "run", Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.name == "lock":
            raise PermissionError(errno.EACCES, "in use", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    with Checkpoint(folder, every=0) as checkpoint:
        checkpoint.save(position(0.25))
    forget(folder)
    assert checkpoints(tmp_path) == []
    Checkpoint(folder, every=0).close()  # nobody holds it
    Checkpoint(folder, every=0).close()
