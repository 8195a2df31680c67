"""impasto: paint a photograph in the style of a painting (neural style transfer, Gatys et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impasto.errors import CheckpointError, ImageError, ImpastoError, SettingsError, WeightsError
from impasto.settings import Settings, preset

if TYPE_CHECKING:
    from impasto.methods.textures import texture, texture_steps
    from impasto.painting import Painter, Progress, paint, paint_steps

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "ImageError",
    "ImpastoError",
    "Painter",
    "Progress",
    "Settings",
    "SettingsError",
    "WeightsError",
    "paint",
    "paint_steps",
    "preset",
    "texture",
    "texture_steps",
]


def __getattr__(name: str) -> Any:
    # torch takes a second to import, so it waits until a picture is to be painted
    if name in ("Painter", "Progress", "paint", "paint_steps"):
        from impasto import painting

        return getattr(painting, name)
    if name in ("texture", "texture_steps"):
        from impasto.methods import textures

        return getattr(textures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
