"""Defaults of one's own: `impasto.toml` in the working directory, and in the platform's folder for settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from impasto.errors import SettingsError
from impasto.settings import PRESETS, Settings

NAME = "impasto.toml"
MOST_BYTES = 2**14  # of such a file: what one name of many dots takes grows with its square


def config_files() -> list[Path]:
    """Where defaults are read from, whether the files exist or not; what a later one says counts."""
    return [user_config_path("impasto", appauthor=False) / NAME, Path.cwd() / NAME]


def defaults() -> dict[str, Any]:
    """The settings in the files of defaults, by name.

    Raises:
        SettingsError: a file cannot be read or holds what is no setting; the message names it.
    """
    own, here = config_files()
    near = _settings_in(here)
    if "cluster" in near:  # a folder from elsewhere must not make anybody connect
        raise SettingsError(f"{here} sets cluster, which only your own file may: move it to {own}, or give --cluster")
    return {**_settings_in(own), **near}


def with_defaults(
    given: Mapping[str, Any], *, preset: str | None = None, like: Path | None = None, names: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Settings that were given, and the files' for those that were not (None).

    What a preset says comes before the files, and `like` asks for the settings of a picture, so files have no say.

    Args:
        given: settings by name.
        preset, like: as of `Files`.
        names: those that the command knows; none for all.
    """
    if like is not None:
        return dict(given)
    of_preset = PRESETS[preset].settings if preset in PRESETS else {}
    spare = {k: v for k, v in defaults().items() if k not in of_preset and (not names or k in names)}
    return {**given, **{name: value for name, value in spare.items() if given.get(name) is None}}


def report() -> dict[str, Any]:
    """What `impasto config --json` prints."""
    return {"files": [{"path": str(path), "exists": path.is_file()} for path in config_files()], "settings": defaults()}


def _settings_in(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"it has {size:,} bytes, and {MOST_BYTES:,} at most are read")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read: {error}; mend it or remove it") from None
    known = {f.name for f in fields(Settings)}
    renamed = {name.replace("-", "_"): value for name, value in values.items()}
    for name in renamed:
        if name not in known:
            raise SettingsError(f"{path} sets {name!r}, which is no setting; choose from: {', '.join(sorted(known))}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in renamed.items()}
    try:
        Settings(**values)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return values
