"""Killed at any moment, on a disk that is full at any byte: the picture is the same in the end, or it is not there.

`pytest -m attack`; IMPASTO_ATTACK_SEED repeats a run, IMPASTO_ATTACK_KILLS sets how many kills (5 unless set).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bounded import FORKS
from conftest import random_image, tiny_weights

from impasto.cli.commands import main
from impasto.images.reading import read_image, write_image
from impasto.painting import Painter

KILLS = int(os.environ.get("IMPASTO_ATTACK_KILLS", "5"))
PAINT = ("paint", "photo0.png", "wave0.png", "--size", "64", "--quality", "good", "-o")
BATCH = ("batch", "photo0.png", "photo1.png", "--style", "wave0.png", "wave1.png", "--size", "64", "--quality", "good")


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(2):
        write_image(tmp_path / f"photo{number}.png", random_image(40, 64, seed=number))
        write_image(tmp_path / f"wave{number}.png", random_image(48, 32, seed=2 + number))
    return tmp_path


def run(folder: Path, arguments: tuple[str, ...], most: int | None = None) -> None:
    """The command line with a tiny random network, in a process that ends with it; files have so many bytes at most."""
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    torch.set_num_threads(1)
    if most is not None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python has it
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    sys.stdout = sys.stderr = (folder / "said").open("a") if most is None else open(os.devnull, "w")  # noqa: SIM115, PTH123
    painter = Painter(weights=tiny_weights(dtype=torch.float32))
    os._exit(main(list(arguments), painter=lambda weights: painter))


def started(*given: Any) -> Any:
    """A process that does `run`, which may be killed."""
    child = FORKS.Process(target=run, args=given)
    child.start()
    return child


def ended(*given: Any) -> int:
    child = started(*given)
    child.join()
    return int(child.exitcode)


def timed(*given: Any) -> float:
    begun = time.monotonic()
    assert ended(*given) == 0
    return time.monotonic() - begun


def killed_within(seconds: float, *given: Any) -> tuple[bool, float]:
    """Whether a process had to be killed after some time; and for how long it lasted.

    What one that ended by itself took is how long they take now: where the machine has become faster since the first
    was timed, kills would come too late for ever.
    """
    begun = time.monotonic()
    child = started(*given)
    child.join(seconds)
    killed = bool(child.is_alive())
    if killed:
        child.kill()
        child.join()
    return killed, time.monotonic() - begun


@pytest.mark.attack
def test_killed_at_any_moment_it_goes_on_to_the_same_picture(folder: Path, chance: random.Random) -> None:
    timed(folder, (*PAINT, "whole.png"))
    seconds = timed(folder, (*PAINT, "whole.png", "--checkpoint", "whole", "--checkpoint-every", "0"))
    whole = (folder / "whole.png").read_bytes()
    kills = pictures = resumed = 0
    while kills < KILLS:
        output, checkpoint = folder / f"out{pictures}.png", folder / f"run{pictures}"
        anew = (*PAINT, output.name, "--checkpoint", checkpoint.name, "--checkpoint-every", "0")
        resume = ("resume", checkpoint.name)
        for _ in range(chance.randrange(1, 4)):
            going_on = bool(list(checkpoint.glob("*.safetensors")))
            killed, lasted = killed_within(chance.uniform(0.1, 1) * seconds, folder, resume if going_on else anew)
            kills += killed
            seconds = seconds if killed or going_on else lasted
            assert not output.exists() or output.read_bytes() == whole
        if list(checkpoint.glob("*.safetensors")):
            resumed += 1
            assert ended(folder, ("resume", checkpoint.name)) == 0
        elif not output.exists():
            assert ended(folder, anew) == 0
        assert output.read_bytes() == whole, f"picture {pictures}"
        left = [path.name for path in checkpoint.glob("*")] if checkpoint.exists() else []
        assert set(left) <= {"lock"}  # of a folder that a killed process made
        pictures += 1
    print(f"{kills} kills, {pictures} pictures, all the same; {resumed} went on from a checkpoint")


@pytest.mark.attack
def test_a_batch_that_is_killed_is_finished_by_the_same_command(folder: Path, chance: random.Random) -> None:
    seconds = timed(folder, (*BATCH, "-o", "whole"))
    names = sorted(path.name for path in (folder / "whole").glob("*.png"))
    assert len(names) == 4
    kills = batches = 0
    while kills < KILLS:
        out = folder / f"out{batches}"
        for _ in range(chance.randrange(1, 5)):
            anew = not out.exists()
            killed, lasted = killed_within(chance.uniform(0.1, 0.8) * seconds, folder, (*BATCH, "-o", out.name))
            kills += killed
            seconds = lasted if anew and not killed else seconds
        assert ended(folder, (*BATCH, "-o", out.name)) == 0
        assert sorted(path.name for path in out.glob("*.png")) == names
        for name in names:
            assert (out / name).read_bytes() == (folder / "whole" / name).read_bytes()
        batches += 1
    print(f"{kills} kills, {batches} batches of {len(names)} pictures, all the same")


@pytest.mark.attack
def test_a_disk_that_is_full_at_any_byte(folder: Path, chance: random.Random) -> None:
    """By a limit on files' sizes: the picture is whole or not there, and goes on when there is room."""
    assert ended(folder, (*PAINT, "whole.png")) == 0
    whole = (folder / "whole.png").read_bytes()
    states = set()
    drawn = [int(2 ** chance.uniform(0, 22)) for _ in range(KILLS - 2)]
    for number, most in enumerate([1, *drawn, 2**24]):  # the first is too small for anything, the last for nothing
        output, checkpoint = folder / f"out{number}.png", folder / f"run{number}"
        anew = (*PAINT, output.name, "--checkpoint", checkpoint.name, "--checkpoint-every", "0")
        status = ended(folder, anew, most)
        assert status in (0, 2), (most, status)
        assert (status == 0) == output.exists()
        states.add(status)
        if not output.exists():
            going_on = bool(list(checkpoint.glob("*.safetensors")))
            assert ended(folder, ("resume", checkpoint.name) if going_on else anew) == 0
        assert output.read_bytes() == whole, most
        assert not list(folder.glob(".impasto-*"))
    assert states == {0, 2}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.attack
def test_a_disk_that_is_full(folder: Path, small_disk: Path) -> None:
    assert ended(folder, (*PAINT, "whole.png")) == 0
    filler = small_disk / "filler"
    filler.write_bytes(bytes(60_000))
    output = small_disk / "out.png"
    run = ("--checkpoint", str(small_disk / "run"), "--checkpoint-every", "0")
    os.chdir(folder)
    assert ended(folder, (*PAINT, str(output), *run)) == 2
    assert not output.exists()
    (elsewhere,) = folder.glob("out-*.png")  # where it is kept instead
    assert torch.equal(read_image(elsewhere).image, read_image(folder / "whole.png").image)
    filler.unlink()
    assert ended(folder, (*PAINT, str(output))) == 0
    assert output.read_bytes() == (folder / "whole.png").read_bytes()
