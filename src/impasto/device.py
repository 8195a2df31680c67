"""Where to compute."""

from __future__ import annotations

import torch

from impasto.errors import SettingsError


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
    present = present_devices()
    if name == "auto":
        return torch.device(present[0])
    if name not in present:
        raise SettingsError(f"device={name!r} is not present on this machine; choose from: auto, {', '.join(present)}")
    return torch.device(name)
