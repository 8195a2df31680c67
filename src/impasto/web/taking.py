"""Pictures to take along, in the format that is asked for."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from impasto.images.reading import read_image, write_image

KEPT = 4  # of the last ones that were written, to be given again

Key: TypeAlias = tuple[Path, int, str, int]


class Conversions:
    """Painted pictures in other formats; the last few are kept.

    Args:
        folder: where; it is there, and on one disk with the pictures.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Key, Path] = {}  # the oldest first
        self._lock = threading.Lock()

    def of(self, painted: Path, extension: str, bits: int) -> Path:
        """A painted picture in a format, as a new file beside it: the caller removes it.

        Args:
            painted: the picture's file.
            extension: of the format, without a dot.
            bits: per sample.

        Raises:
            FileNotFoundError, ImageError: it is not there any more.
        """
        key = painted, painted.stat().st_mtime_ns, extension, bits
        own = painted.with_name(f"{secrets.token_hex(12)}.{extension}")
        if self._again(key, own):
            return own
        picture = read_image(painted)
        try:
            write_image(
                own,
                picture.image,
                alpha=picture.alpha,
                settings=picture.settings,
                origin=picture.origin.to_json() if picture.origin else None,
                bits=bits,
                density=picture.density,
            )
        except BaseException:
            own.unlink(missing_ok=True)
            raise
        self._keep(key, own)
        return own

    def forget_removed(self) -> None:
        """Remove what was made of pictures that are not there any more."""
        with self._lock:
            for key in [key for key in self._known if not key[0].exists()]:
                with suppress(OSError):  # Windows removes no file that somebody is being sent; it goes with the folder
                    self._known.pop(key).unlink(missing_ok=True)

    def _again(self, key: Key, own: Path) -> bool:
        """Whether it was there, and is now under a name of its own as well: the bytes are those of one file."""
        with self._lock, suppress(OSError):  # a disk without links
            if key in self._known:
                os.link(self._known[key], own)
                return True
        return False

    def _keep(self, key: Key, own: Path) -> None:
        kept = self._folder / own.name
        with self._lock, suppress(OSError):
            os.link(own, kept)
            if key in self._known:  # another thread made it meanwhile
                self._known.pop(key).unlink(missing_ok=True)
            self._known[key] = kept
            while len(self._known) > KEPT:
                self._known.pop(next(iter(self._known))).unlink(missing_ok=True)
