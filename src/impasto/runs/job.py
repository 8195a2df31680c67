"""A picture to be painted from files into a file: what `impasto resume` must know again, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from impasto import __version__
from impasto.cli.options import Files
from impasto.errors import CheckpointError
from impasto.images.gallery import style_pictures
from impasto.settings import INITS, Settings

NOT_INPUTS = ("output", "checkpoint", "like")  # paths among `Files` that are not read while painting
GUIDES = ("mask", "style_mask", "protect")  # among `Files`, what belongs to the picture


@dataclass(frozen=True)
class Job:
    """What is painted, how, and where to. Everything in it has been checked."""

    content: Path
    paintings: list[Path]
    settings: Settings
    output: Path
    files: Files

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read."""
        pictures = [picture for painting in self.paintings for picture in style_pictures(painting)]
        others = [getattr(self.files, f.name) for f in fields(self.files) if f.name not in NOT_INPUTS]
        first = [] if self.settings.init in INITS else [Path(self.settings.init)]
        paths = [path for path in others if isinstance(path, Path)]
        return [self.content, *pictures, *first, *dict.fromkeys([*paths, *self.files.guide_files])]

    @property
    def preview(self) -> Path:
        """Where `--preview-every` writes."""
        return self.output.with_suffix(f".preview{self.output.suffix}")

    def to_json(self) -> dict[str, Any]:
        """All of it in words and numbers, and what tells whether it can still be done the same way."""
        absolute = {f.name: _absolute(getattr(self.files, f.name)) for f in fields(self.files)}
        settings = asdict(self.settings)
        if self.settings.init not in INITS:
            settings["init"] = _absolute(Path(self.settings.init))
        return {
            "content": _absolute(self.content),
            "paintings": [_absolute(path) for path in self.paintings],
            "settings": settings,
            "output": _absolute(self.output),
            "files": absolute,
            "hashes": {_absolute(path): _hash(path) for path in self.inputs},
            "machine": machine(self.settings),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], **changes: Any) -> Job:
        """Inverse of `to_json`.

        Args:
            found: what `to_json` gave.
            changes: fields of `Files` that are no matter of the picture: `output`, `json`, `quiet`.

        Raises:
            CheckpointError: an input is not there any more or has changed.
            SettingsError: its settings are not known to this version.
        """
        try:
            files = Files(**{name: _from(Files, name, value) for name, value in found["files"].items()})
            settings = Settings(**Settings.known(found["settings"]))
            job = cls(
                Path(found["content"]),
                [Path(path) for path in found["paintings"]],
                settings,
                Path(changes.get("output") or found["output"]),
                replace(files, **changes),
            )
            hashes = dict(found["hashes"])
        except (LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(f"this checkpoint is of another version of impasto ({error!r}); use that") from error
        for path, before in hashes.items():
            now = _hash(Path(path))
            if now != before:
                what = "has changed" if now else "is not there any more"
                raise CheckpointError(f"{path} {what} since the painting began; put it back, or paint from the start")
        return job


def same_picture(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two jobs, as JSON, paint the same picture, be it into different files."""
    guides = [{name: found["files"].get(name) for name in GUIDES} for found in (one, other)]
    return guides[0] == guides[1] and all(
        one.get(key) == other.get(key) for key in ("content", "paintings", "settings", "hashes")
    )


def machine(settings: Settings) -> dict[str, Any]:
    """What the last bit of a picture depends on, beside inputs and settings."""
    import torch

    from impasto.network.device import pick_device

    device = pick_device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"impasto": __version__, "torch": torch.__version__, "threads": torch.get_num_threads(), "device": name}


def _absolute(value: Any) -> Any:
    """A value as JSON, with paths that hold in every folder."""
    if isinstance(value, tuple):
        return [_absolute(one) for one in value]
    if isinstance(value, str) and Path(value).is_file():
        return str(Path(value).absolute())
    return str(value.absolute()) if isinstance(value, Path) else value


def _from(owner: type, name: str, value: Any) -> Any:
    """A field's value from JSON, which knows no paths."""
    kind = next(f.type for f in fields(owner) if f.name == name)
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if isinstance(value, str) and "Path" in str(kind) else value


def _hash(path: Path) -> str | None:
    """SHA-256 of a file; None if it cannot be read."""
    from impasto.network.weights import sha256

    try:
        return sha256(path) if path.is_file() else None  # opening a pipe would wait for ever
    except (OSError, ValueError):  # the latter of a null character in the name
        return None
