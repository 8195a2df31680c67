"""What a picture file may make its reader take, found in its structure before any codec sees it.

A small file can ask for very much: by a side of millions of pixels, by thousands of tags that share one block of bytes
(readers copy it for each), by text that was compressed a thousandfold. Such files are refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from impasto.errors import ImageError

LONGEST_SIDE = 65_536  # libvips holds hundreds of rows for each of its threads
MOST_METADATA = 64 * 2**20  # bytes of a file that are no pixels; a JPEG's are kept in memory
MOST_EXIF = 2**20  # bytes of a block
MOST_TAGS = 20_000  # of all its directories; cameras write a few hundred
MOST_INFLATED = 16 * 2**20  # bytes of a PNG's compressed texts and profile
MOST_SCANS = 100  # of a progressive JPEG, which usually has ten: each goes over the whole picture
MOST_PAGES = 10_000  # of a TIFF: libvips reads all their directories

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_DIRECTORIES = (0x8769, 0x8825, 0xA005)  # tags that point to another: camera, location, interoperability
_STRIP = {257: "height", 278: "rows", 256: "width", 258: "bits", 277: "samples", 322: "tile width", 323: "tile height"}
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_SIDES = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)  # of an AVIF or HEIC: width and height
_CHUNK = 2**16

Read = Callable[[int, int], bytes]  # (offset, length) to at most so many bytes


def check_structure(name: str, file: BinaryIO, kind: str, size: int) -> None:
    """Refuse a file whose metadata would take a reader far more than they hold. The file is at its start afterwards.

    Args:
        name: of the file, for errors.
        file: open, of `kind`, as `formats.sniff` calls it.
        size: of the file in bytes.

    Raises:
        ImageError: says what there is too much of. A structure that is damaged is no matter of this function.
    """

    def at(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    if kind == "TIFF":
        _check_tags(name, at, size, most=size + 2**16)
    else:
        walks = {"JPEG": _jpeg, "PNG": _png, "WebP": _webp, "AVIF": _iso_media, "HEIC": _iso_media}
        for block in walks[kind](name, file):  # a new format needs one
            check_exif(name, block)
    file.seek(0)


def check_exif(name: str, block: bytes) -> None:
    """Refuse a block of EXIF whose tags hold far more than the block does.

    Raises:
        ImageError: it does, or has very many tags, or is very long.
    """
    block = block.removeprefix(b"Exif\0\0")
    if len(block) > MOST_EXIF:
        raise _refusal(name, f"a block of {len(block):,} bytes of EXIF", f"{MOST_EXIF:,}")
    _check_tags(name, lambda offset, length: block[offset : offset + length], len(block), most=2 * len(block) + 2**16)


def _check_tags(name: str, at: Read, size: int, *, most: int) -> None:
    """The directories of a TIFF file or an EXIF block, as their readers walk them: each tag's bytes are copied."""
    head = at(0, 16)
    order = {b"II": "little", b"MM": "big"}.get(head[:2])
    if order is None or len(head) < 8:
        return

    def number(data: bytes) -> int:
        return int.from_bytes(data, order)  # type: ignore[arg-type]

    big = number(head[2:4]) == 43
    long, short, entry = (8, 8, 20) if big else (4, 2, 12)
    waiting = [number(head[8:16]) if big else number(head[4:8])]
    seen: set[int] = set()
    tags = total = 0
    while waiting:
        offset = waiting.pop()
        if not 0 < offset < size or offset in seen:
            continue
        seen.add(offset)
        if len(seen) > MOST_PAGES:
            raise _refusal(name, f"over {MOST_PAGES:,} directories", f"{MOST_PAGES:,}")
        count = number(at(offset, short))
        data = at(offset + short, min(count, MOST_TAGS + 1) * entry + long)
        first = len(seen) == 1
        found: dict[str, int] = {}
        for start in range(0, min(count * entry, len(data)) - entry + 1, entry):
            tag, kind = number(data[start : start + 2]), number(data[start + 2 : start + 4])
            values = number(data[start + 4 : start + 4 + long])
            held = values * _TYPE_BYTES.get(kind, 0)
            tags += 1
            if held <= size:  # what points beyond the end is left out by readers
                total += held if held > long else 0
            inline = data[start + 4 + long : start + entry]
            if tag in _DIRECTORIES:
                waiting.append(number(inline))
            if first and tag in _STRIP:
                found[_STRIP[tag]] = number(inline[: _TYPE_BYTES.get(kind, long)]) if values == 1 else 0
        if tags > MOST_TAGS * (1 if size <= MOST_EXIF else MOST_PAGES // 100):
            raise _refusal(name, f"over {tags - 1:,} tags", f"{MOST_TAGS:,}")
        if total > most or total > 4 * MOST_METADATA:
            raise _refusal(name, f"tags that hold {total:,} bytes in {size:,}", f"{min(most, 4 * MOST_METADATA):,}")
        if first and found:
            _check_strip(name, found)
        after = count * entry
        waiting.append(number(data[after : after + long]) if after + long <= len(data) else 0)


def _check_strip(name: str, found: dict[str, int]) -> None:
    """A TIFF's strips or tiles are decoded whole, and may be larger than the picture."""
    for width, height in (("width", "rows"), ("tile width", "tile height")):
        across, down = found.get(width, 0), min(found.get(height, 0), LONGEST_SIDE * 2 if width == "width" else 2**32)
        down = min(down, found.get("height", down)) if width == "width" else down
        held = across * down * max(1, found.get("samples", 1)) * max(8, found.get("bits", 8)) // 8
        if held > 2**32:
            raise _refusal(name, f"strips or tiles of {held:,} bytes", f"{2**32:,}")


def _jpeg(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Its blocks of EXIF; what lies between markers is skipped, as libjpeg does."""
    file.seek(2)
    held = scans = 0
    while (marker := _next_marker(file)) is not None and marker != 0xD9:
        if marker in (0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            continue
        length = int.from_bytes(file.read(2))
        if length < 2:
            return
        block = file.read(length - 2)
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            held += length
            if held > MOST_METADATA:
                raise _refusal(name, f"over {MOST_METADATA:,} bytes of metadata", f"{MOST_METADATA:,}")
        if marker == 0xE1 and block.startswith(b"Exif\0"):
            yield block
        if marker == 0xDA:
            scans += 1
            if scans > MOST_SCANS:
                raise _refusal(name, f"over {MOST_SCANS} scans", str(MOST_SCANS))


def _next_marker(file: BinaryIO) -> int | None:
    """The next marker of a JPEG, after which the file then stands; None at its end."""
    start = file.tell()
    while chunk := file.read(_CHUNK):
        if found := _MARKER.search(chunk):
            file.seek(start + found.end())
            return found[1][0]
        step = max(1, len(chunk) - 1)  # the marker's first byte may be the chunk's last
        if len(chunk) == 1:
            return None
        start += step
        file.seek(start)
    return None


def _png(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Its blocks of EXIF."""
    file.seek(8)
    held = inflated = 0
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length, kind = int.from_bytes(head[:4]), head[4:]
        after = file.tell() + length + 4
        if kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt", b"iCCP"):
            held += length
            if held > MOST_METADATA:
                raise _refusal(name, f"{held:,} bytes of metadata", f"{MOST_METADATA:,}")
            block = file.read(length)
            if kind == b"eXIf":
                yield block
            elif kind != b"tEXt":
                inflated += _inflated(kind, block, MOST_INFLATED + 1 - inflated)
                if inflated > MOST_INFLATED:
                    raise _refusal(name, f"over {MOST_INFLATED:,} bytes of compressed text", f"{MOST_INFLATED:,}")
        file.seek(after)


def _inflated(kind: bytes, block: bytes, most: int) -> int:
    """How long the text or profile of a PNG's chunk is, counted up to `most`."""
    _, _, data = block.partition(b"\0")
    if kind == b"iTXt":
        if data[:1] != b"\1":
            return 0
        data = data[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        data = data[1:]
    try:
        return len(zlib.decompressobj().decompress(data, max(1, most)))
    except zlib.error:
        return 0


def _webp(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Its blocks of EXIF."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        after = file.tell() + length + length % 2
        if head[:4] in (b"EXIF", b"XMP "):
            if length > MOST_METADATA:
                raise _refusal(name, f"{length:,} bytes of metadata", f"{MOST_METADATA:,}")
            if head[:4] == b"EXIF":
                yield file.read(length)
        file.seek(after)


def _iso_media(name: str, file: BinaryIO) -> Iterator[bytes]:
    """What looks like a block of EXIF in an AVIF or HEIC, wherever its tables say that it lies.

    One in several pieces is checked when its reader has put it together.

    Raises:
        ImageError: a side is too long; libvips would complain of it on standard error.
    """
    start = 0
    while True:
        file.seek(start)
        data = file.read(2 * MOST_EXIF)
        for sides in _SIDES.finditer(data):
            longer = max(int.from_bytes(side) for side in sides.groups())
            if longer > LONGEST_SIDE:
                raise _refusal(name, f"{longer:,} pixels on its longer side", f"{LONGEST_SIDE:,}")
        for found in re.finditer(rb"II\*\0|MM\0\*", data[: MOST_EXIF + 3] if len(data) == 2 * MOST_EXIF else data):
            yield data[found.start() : found.start() + MOST_EXIF]
        if len(data) < 2 * MOST_EXIF:
            return
        start += MOST_EXIF


def _refusal(name: str, what: str, most: str) -> ImageError:
    return ImageError(f"{name} has {what}; at most {most} are read: save it anew, without metadata")
