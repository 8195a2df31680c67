"""Each artefact answers to the fault that it is named after, and hardly to the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from conftest import random_image
from torch import Tensor

from impasto.images.artefacts import artefacts


def smooth() -> Tensor:
    """(1, 3, 64, 96), without a fault."""
    down, across = torch.linspace(0.3, 0.7, 64)[:, None], torch.linspace(-0.1, 0.1, 96)
    return (down + across).expand(1, 3, 64, 96).clone()


def noisy(image: Tensor) -> Tensor:
    return image + 0.05 * torch.randn(image.shape[-2:], generator=torch.Generator().manual_seed(0))


def speckled(image: Tensor) -> Tensor:
    image[..., 5::16, 5::16] = 1.0
    return image


def framed(image: Tensor) -> Tensor:
    image[..., :8] = 0.0
    return image


def checkered(image: Tensor) -> Tensor:
    rows, columns = torch.arange(64)[:, None], torch.arange(96)
    return image + 0.05 * (1 - 2 * ((rows + columns) % 2))


def blocked(image: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(image, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)


FAULTS = {"grain": noisy, "specks": speckled, "border": framed, "checkers": checkered, "blocks": blocked}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    fault: Callable[[Tensor], Tensor] = FAULTS[name]
    without, with_it = asdict(artefacts(smooth())), asdict(artefacts(fault(smooth())))
    assert with_it[name] > 5 * without[name] + 0.003


def test_the_values_by_hand() -> None:
    flat = torch.full((1, 3, 32, 48), 0.5)
    assert max(asdict(artefacts(flat)).values()) < 1e-6
    found = artefacts(noisy(smooth()))
    assert found.grain == pytest.approx(0.05, rel=0.1)  # the deviation of the noise
    assert artefacts(checkered(smooth())).checkers == pytest.approx(0.05, rel=0.05)
    assert artefacts(framed(flat)).border == pytest.approx(0.5, rel=1e-4)
    assert artefacts(random_image(32, 48)).specks < 0.05
