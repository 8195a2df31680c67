"""Pictures that leave no room for arithmetic, and that the same input gives the same picture."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TINY, random_image
from torch import Tensor

from impasto.settings import QUALITIES, Settings


@pytest.fixture(autouse=True)
def few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("draft", "reference"):
        monkeypatch.setitem(QUALITIES, name, replace(QUALITIES[name], evaluations=(8,)))


PHOTO = random_image(48, 64, seed=1)
QUICK = Settings(size=64, quality="draft")


def flat(*color: float, height: int = 48, width: int = 64) -> Tensor:
    return torch.tensor(color, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, height, width).clone()


def checkers(height: int = 48, width: int = 64) -> Tensor:
    """The harshest pattern there is: black and white by turns."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    return ((rows + columns) % 2).float().expand(1, 3, height, width).clone()


PICTURES = {
    "photograph": PHOTO,
    "black": flat(0, 0, 0),
    "white": flat(1, 1, 1),
    "grey": flat(0.5, 0.5, 0.5),
    "red": flat(1, 0, 0),
    "nearly black": flat(1e-6, 0, 0),
    "noise": torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0)),
    "checkers": checkers(),
    "one white pixel": torch.zeros(1, 3, 48, 64).index_put_(
        (torch.tensor(0), torch.tensor([0, 1, 2]), torch.tensor(20), torch.tensor(30)), torch.tensor(1.0)
    ),
    "a line": torch.zeros(1, 3, 32, 48).index_fill_(2, torch.tensor([9]), 1.0),
    "smallest": random_image(16, 16),
    "banner": random_image(16, 300),
    "tower": random_image(300, 16),
}


@pytest.mark.parametrize("style", PICTURES)
@pytest.mark.parametrize("content", ["photograph", "black", "checkers"])
def test_any_painting(content: str, style: str) -> None:
    sound(PICTURES[content], PICTURES[style], QUICK)


@pytest.mark.parametrize("content", PICTURES)
@pytest.mark.parametrize(
    "settings", [QUICK, replace(QUICK, init="noise", strength=100), replace(QUICK, optimizer="adam")]
)
def test_any_photograph(content: str, settings: Settings) -> None:
    sound(PICTURES[content], PICTURES["noise"], replace(settings, size="full"))


def sound(content: Tensor, style: Tensor, settings: Settings) -> None:
    """Every step is a picture with a loss that is a number, and none is worse than the first."""
    seen = list(TINY.steps(content, style, settings))
    for now in seen:
        assert now.image.isfinite().all()
        assert 0 <= now.image.min() <= now.image.max() <= 1
        assert all(abs(loss) < float("inf") for loss in now.losses.values()), now.losses
        assert not any("the loss was" in note for note in now.notes)  # as it says of one that is no number
    assert seen[-1].losses["total"] <= seen[0].losses["total"]


def test_a_picture_after_itself_stays_itself() -> None:
    painted = TINY.paint(PHOTO, PHOTO, QUICK)
    assert float((painted - PHOTO).abs().mean()) < 0.02


@pytest.mark.parametrize("quality", ["draft", "reference"])
@pytest.mark.parametrize("style", ["photograph", "black", "checkers", "noise"])
def test_bfloat16_gives_sound_pictures(quality: str, style: str) -> None:
    for content in (PHOTO, PICTURES["black"]):
        painted = TINY.paint(content, PICTURES[style], replace(QUICK, quality=quality, precision="bfloat16"))
        assert painted.dtype == torch.float32
        assert painted.isfinite().all()


# The same picture


@pytest.mark.parametrize(
    "changes",
    [{}, {"init": "noise", "seed": 3}, {"optimizer": "adam"}, {"quality": "reference"}, {"precision": "bfloat16"}],
    ids=str,
)
def test_twice_is_the_same(changes: dict[str, object]) -> None:
    torch.manual_seed(1)
    one = TINY.paint(PHOTO, PICTURES["noise"], QUICK, **changes)
    torch.manual_seed(2)  # of no account
    assert TINY.paint(PHOTO, PICTURES["noise"], QUICK, **changes).equal(one)


def test_another_process_paints_the_same() -> None:
    code = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import torch
from conftest import TINY, random_image
torch.set_num_threads(int(sys.argv[2]))
picture = TINY.paint(random_image(48, 64), random_image(40, 40, seed=2), size=64, quality="good")
print(hashlib.sha256(picture.numpy().tobytes()).hexdigest())
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(torch.get_num_threads())]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    here = TINY.paint(random_image(48, 64), random_image(40, 40, seed=2), size=64, quality="good")
    assert hashlib.sha256(here.numpy().tobytes()).hexdigest() == there


def test_nothing_global_is_touched() -> None:
    """Neither random numbers nor flags: the library is a guest in somebody's program."""

    def state() -> list[object]:
        return [
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
        ]

    before = state()
    TINY.paint(PHOTO, PICTURES["noise"], QUICK, init="noise")
    assert state() == before
