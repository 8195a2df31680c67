"""A picture to be painted from files into a file: all that must be known to paint it, now or after a stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_type_hints

import torch

from impasto import __version__
from impasto.errors import CheckpointError, SettingsError
from impasto.images.areas import is_word
from impasto.images.gallery import style_pictures
from impasto.images.writing import check_numbers
from impasto.network.device import pick_device
from impasto.network.weights import sha256
from impasto.runs.stored import decoded
from impasto.settings import INITS, Settings


@dataclass(frozen=True)
class Job:
    """What is painted, how, and where to; whoever asked for it, and where its state is kept, is not known here.

        Job(Path("photo.jpg"), (style_path("nocturne"),), Settings(size=1024), Path("out.png"))

    A new field is stored in checkpoints as well: its type must be one that `from_json` knows.

    Attributes:
        content: the photograph.
        paintings: files, or folders of pictures that are one painting together.
        settings: how.
        output: the picture to be.
        mask, style_mask, protect: as of `impasto.paint`.
        weights: file of VGG-19's weights; None for the installed ones.
        bits: per channel of the output.
        keep_metadata: keep the photograph's metadata, but its location.
        keep_location: keep the photograph's metadata and its location.
        density: dots per inch of the output; None for the photograph's.
        jpeg_quality: of JPEG, WebP and AVIF, from 1 to 100.
        timelapse: a film of the steps, beside the picture; None for none.
        losses: a table of the losses of every step, beside the picture; None for none.
        preview_every: evaluations between two previews beside the output; 0 for none.

    Raises:
        SettingsError: one of the numbers is out of range.
    """

    content: Path
    paintings: tuple[Path, ...]
    settings: Settings
    output: Path
    mask: str | None = None
    style_mask: tuple[str, ...] = ()
    protect: str | None = None
    weights: Path | None = None
    bits: Literal[8, 16] = 8
    keep_metadata: bool = False
    keep_location: bool = False
    density: float | None = None
    jpeg_quality: int = 95
    timelapse: Path | None = None
    losses: Path | None = None
    preview_every: int = 0

    def __post_init__(self) -> None:
        """What would only be found when the picture is written is refused before it is painted."""
        check_numbers(self.jpeg_quality, self.density, quality_name="jpeg_quality")
        if self.preview_every < 0:
            raise SettingsError(f"preview_every={self.preview_every} is out of range: choose 0 or more evaluations")

    @property
    def has_metadata(self) -> bool:
        """Whether anything of the photograph's is kept."""
        return self.keep_metadata or self.keep_location

    @property
    def guidance(self) -> dict[str, Any]:
        """Where what is painted: arguments of `impasto.paint_steps`."""
        return {"mask": self.mask, "style_mask": list(self.style_mask) or None, "protect": self.protect}

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read."""
        pictures = [picture for painting in self.paintings for picture in style_pictures(painting)]
        first = [] if self.settings.init in INITS else [Path(self.settings.init)]
        others = [self.weights, *map(_file, (self.mask, *self.style_mask, self.protect))]
        return [self.content, *pictures, *first, *dict.fromkeys(path for path in others if path)]

    @property
    def preview(self) -> Path:
        """Where previews are written."""
        return self.output.with_suffix(f".preview{self.output.suffix}")

    def to_json(self) -> dict[str, Any]:
        """All of it in words and numbers, and what tells whether it can still be done the same way."""
        values = {f.name: _absolute(getattr(self, f.name)) for f in fields(self) if f.name != "settings"}
        settings = {name: _listed(value) for name, value in asdict(self.settings).items()}
        if self.settings.init not in INITS:
            settings["init"] = _absolute(Path(self.settings.init))
        hashes = {_absolute(path): _hash(path) for path in self.inputs}
        return {**values, "settings": settings, "hashes": hashes, "machine": machine(self.settings)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Job:
        """Inverse of `to_json`.

        Raises:
            CheckpointError: it is not of this version, or an input is not there any more or has changed.
            SettingsError: its settings are not known to this version.
        """
        try:
            settings = Settings(**Settings.known(decoded(dict[str, Any], found["settings"], "settings")))
            values = {name: decoded(kind, found[name], name) for name, kind in _types().items() if name != "settings"}
            hashes = decoded(dict[str, str | None], found["hashes"], "hashes")
            job = cls(**values, settings=settings)
        except SettingsError:
            raise
        except (LookupError, TypeError, ValueError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else f"{error}"
            raise CheckpointError(
                f"this checkpoint is of another version of impasto, or damaged ({why}); use that, or begin anew"
            ) from error
        for path, before in hashes.items():
            now = _hash(Path(path))
            if now != before:
                what = "has changed" if now else "is not there any more"
                raise CheckpointError(f"{path} {what} since the painting began; put it back, or paint from the start")
        return job


def same_picture(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two jobs, as JSON, paint the same picture, be it into different files."""
    names = ("content", "paintings", "settings", "mask", "style_mask", "protect", "hashes")
    return all(one.get(name) == other.get(name) for name in names)


def machine(settings: Settings) -> dict[str, Any]:
    """What the last bit of a picture depends on, beside inputs and settings."""
    device = pick_device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"impasto": __version__, "torch": torch.__version__, "threads": torch.get_num_threads(), "device": name}


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Job)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _absolute(value: Any) -> Any:
    """A value as JSON, with paths that hold in every folder."""
    if isinstance(value, tuple):
        return [_absolute(one) for one in value]
    if isinstance(value, str) and (path := _file(value)):
        value = path
    return str(value.absolute()) if isinstance(value, Path) else value


def _file(text: str | None) -> Path | None:
    """The file that a guide names; None of a colour's or an area's name, or a box."""
    return Path(text) if text is not None and not is_word(text) and Path(text).is_file() else None


def _hash(path: Path) -> str | None:
    """SHA-256 of a file; None if it cannot be read."""
    try:
        return sha256(path) if path.is_file() else None  # opening a pipe would wait for ever
    except (OSError, ValueError):  # the latter of a null character in the name
        return None
