"""Where to compute."""

from __future__ import annotations

import re

import torch

from impasto.errors import ImpastoError, SettingsError

OLDEST_TORCH = (2, 4)  # as pyproject.toml says


def present_devices() -> list[str]:
    """The devices of this machine that torch can use, fastest first; "cpu" is always among them."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, here in present.items() if here]


def pick_device(name: str) -> torch.device:
    """The device to compute on.

    Args:
        name: "auto" takes the fastest present; else "cuda", "mps" or "cpu".

    Raises:
        SettingsError: the device is not present; lists those that are.
    """
    _check_torch()
    present = present_devices()
    if name == "auto":
        return torch.device(present[0])
    if name not in present:
        raise SettingsError(f"device={name!r} is not present on this machine; choose from: auto, {', '.join(present)}")
    return torch.device(name)


def _check_torch() -> None:
    """pip warns of a torch that is too old, but does not prevent it."""
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise ImpastoError(f"torch {torch.__version__} is installed; {oldest} or newer is needed: pip install -U torch")
