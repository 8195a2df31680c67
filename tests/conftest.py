"""What several tests need: seeded images, the real network, and a tiny random one."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from impasto.cli import commands
from impasto.network.layers import BLOCKS
from impasto.network.vgg import VGG19
from impasto.network.weights import VGGWeights, load_vgg
from impasto.painting import Painter

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # of tests that import onnxruntime themselves

settings.register_profile(
    "impasto", deadline=None, derandomize=True
)  # no test asserts a time, or is another one each run
settings.load_profile("impasto")


def random_image(height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """(1, 3, height, width) in [0, 1], smooth enough to look like something."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4 + 2, width // 4 + 2, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return image.to(dtype)


def tiny_weights(channels: int = 4, dtype: torch.dtype = torch.float64) -> VGGWeights:
    """VGG-19's shape with few channels and random filters."""
    generator = torch.Generator().manual_seed(1)
    convolutions, before = {}, 3
    for block, (_, count) in enumerate(BLOCKS, start=1):
        for number in range(1, count + 1):
            weight = torch.randn(channels + block, before, 3, 3, generator=generator, dtype=dtype)
            bias = 0.1 * torch.randn(channels + block, generator=generator, dtype=dtype)
            convolutions[f"conv{block}_{number}"] = (weight * (2 / (9 * before)) ** 0.5, bias)
            before = channels + block
    matrix, bias = torch.eye(3, dtype=dtype).flip(0), torch.full((3,), -0.5, dtype=dtype)
    return VGGWeights(convolutions, matrix, bias, Path("random"), "a tiny random network")


@pytest.fixture
def seed() -> int:
    """Of an attack: another one each run, unless it is given; printed, so that a run can be repeated."""
    seed = int(os.environ.get("IMPASTO_ATTACK_SEED") or random.randrange(2**32))
    print(f"IMPASTO_ATTACK_SEED={seed}")
    return seed


@pytest.fixture(scope="session")
def tiny_network() -> VGG19:
    """In float64, for exact comparisons and gradcheck."""
    return VGG19(tiny_weights(), dtype=torch.float64)


def walk_at(image: Tensor) -> dict[str, Any]:
    """The state of an optimisation (`impasto.objective.optimize`) that has just begun at an image."""
    number = torch.tensor(1.5)
    now = {"image": image, "loss": number, "gradient": image, "terms": {"style": number}}
    memory = {"first_step": 0.02, "pairs": [], "scale": number, "last": [image, image]}
    counts = {"count": 1, "since_best": 0, "retreats": 0}
    return {"now": now, "best": None, "optimizer": memory, "proposal": image, "losses": [1.5], **counts}


TINY = Painter(weights=tiny_weights(dtype=torch.float32))
"""Paints with a tiny random network: a picture in a fraction of a second."""


@pytest.fixture(scope="session")
def tiny_painter() -> Painter:
    return TINY


@dataclass
class Main:
    """The command line with a painter of the test's own: `main(["paint", ...])` is its exit status.

    Attributes:
        painter: `impasto.Painter`, or what stands in its place.
        weights: which file was asked for, each time.
    """

    painter: Any

    def __post_init__(self) -> None:
        self.weights: list[Path | None] = []

    def __call__(self, arguments: Sequence[str]) -> int:
        return commands.main(arguments, painter=self.painting)

    def painting(self, weights: Path | None = None) -> Any:
        self.weights.append(weights)
        return self.painter


@pytest.fixture
def main(tiny_painter: Painter) -> Main:
    """The command line with the tiny random network."""
    return Main(tiny_painter)


@pytest.fixture(scope="session")
def vgg() -> VGG19:
    """The real VGG-19, as the paper has it."""
    return VGG19(load_vgg())


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard() -> None:
    """As at a terminal: what starts tests in the background may have them ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGTERM"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_DFL)
