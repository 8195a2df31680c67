"""impasto: paint a photograph in the style of a painting (neural style transfer, Gatys et al. 2016)."""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

from impasto.errors import CheckpointError, ImageError, ImpastoError, SettingsError, WeightsError
from impasto.settings import Settings, preset

if _typing.TYPE_CHECKING:
    from impasto.painting import Loss, Painter, Progress, paint, paint_steps, texture, texture_steps

    __version__: str

__all__ = [
    "CheckpointError",
    "ImageError",
    "ImpastoError",
    "Loss",
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


def __getattr__(name: str) -> _typing.Any:
    # torch takes a second to import, so it waits until a picture is to be painted
    if name in __all__:
        return getattr(_importlib.import_module("impasto.painting"), name)
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _version() -> str:
    """Of the tag that was installed (`pyproject.toml`); "0+unknown" of a copy that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("impasto")
    except PackageNotFoundError:
        return "0+unknown"
