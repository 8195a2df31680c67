"""Files that mean harm: mutated by chance, or crafted to make their reader take far more than they hold.

Everything follows from a seeded generator, so that a run can be repeated.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pillow_heif
import pyvips
import torch
from conftest import random_image
from PIL import Image, ImageCms
from safetensors import safe_open
from safetensors.torch import load_file, save

from impasto.images.reading import write_image
from impasto.network.transform import Shape, Transform
from impasto.network.transform_file import About
from impasto.network.transform_file import to_bytes as network_to_bytes
from impasto.settings import Settings

Random = np.random.Generator
NUMBERS = [0, 1, 255, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1]

# Sound files, of every kind that is read


def pictures(folder: Path) -> list[bytes]:
    """Small pictures in every format and with everything a format can hold."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 31, 4), np.uint8)
    rgb, rgba, grey = Image.fromarray(noise[..., :3]), Image.fromarray(noise), Image.fromarray(noise[..., 0])
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "Leica", "me"
    exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
    exif.get_ifd(0x8825)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    extras = {"exif": exif, "icc_profile": profile}
    rgb.save(folder / "a.jpg", **extras)
    rgb.save(folder / "progressive.jpg", progressive=True, quality=30)
    rgb.convert("CMYK").save(folder / "cmyk.jpg", **extras)
    grey.save(folder / "grey.jpg")
    rgba.save(folder / "a.png", **extras)
    rgb.quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(folder / "sixteen.png")
    pyvips.Image.new_from_array(noise).pngsave(folder / "interlaced.png", interlace=True)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"):
        rgba.save(folder / f"{compression}.tif", compression=compression, **extras)
    pyvips.Image.new_from_array(noise).tiffsave(
        folder / "tiles.tif", tile=True, tile_width=16, tile_height=16, bigtiff=True
    )
    rgb.save(folder / "a.webp", **extras)
    rgba.save(folder / "lossless.webp", lossless=True)
    rgb.save(folder / "film.webp", save_all=True, append_images=[grey.convert("RGB")], duration=100)
    rgba.save(folder / "a.avif", **extras)
    write_image(folder / "ours.png", random_image(24, 31), settings=Settings().to_json())
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def heic(size: tuple[int, int] = (31, 24), **extras: Any) -> bytes:
    """A HEIC picture of one colour."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", size, "teal")).save(buffer, quality=30, **extras)
    return buffer.getvalue()


def film(container: str, codec: str, frames: int = 3) -> bytes:
    """A film of some frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as target:
        stream = target.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(frames):
            pixels = np.full((32, 48, 3), 40 * number, np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        target.mux(stream.encode())
    return buffer.getvalue()


def weights(*, zipped: bool) -> bytes:
    """A small file of tensors, in torch's newer format or its old one."""
    buffer = io.BytesIO()
    state = {"0.weight": torch.ones(3, 3, 1, 1), "0.bias": torch.zeros(3), "2.weight": torch.ones(4, 3, 3, 3)}
    torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def sound(folder: Path) -> dict[str, list[bytes]]:
    """Small files of every kind that is read, by the name of the function of `bounded` that reads them."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Leica", 6
    defaults = b'size = 64\nquality = "draft"\nstyle_weight = [70, 30]\nstrength = 20.5\n'
    lines = b'{"content": "a.png", "style": ["b.png"], "settings": {"size": 64}, "strength": 3}\n'
    table = b"content,style,output,size,strength\na.png,b.png;c.png,d.png,64,20\ne.png,nocturne,,,\n"
    return {
        "read_or_refuse": [*pictures(folder), heic(), heic(exif=exif.tobytes())],
        "read_film": [film("mp4", "libx264"), film("matroska", "libx264"), film("webm", "libvpx-vp9")],
        "read_weights": [weights(zipped=True), weights(zipped=False)],
        "read_texts": [defaults, lines, table],
    }


# Mutated


def damaged(original: bytes, random: Random) -> bytes:
    """As disks, networks and attackers do it: cut, bits turned, numbers enlarged, parts repeated or left out."""
    content = bytearray(original)
    for _ in range(random.integers(1, 9)):
        size = len(content)
        if size < 8:
            break
        at = int(random.integers(0, min(size, 200 if random.random() < 0.5 else size)))
        length = int(random.integers(1, 40))
        kind = random.integers(0, 7)
        if kind == 0:
            content[at] ^= 1 << int(random.integers(0, 8))
        elif kind == 1:
            content[at] = int(random.integers(0, 256))
        elif kind == 2:
            content[at : at + 4] = struct.pack(random.choice([">I", "<I"]), int(random.choice(NUMBERS)))
        elif kind == 3:
            content[at:at] = content[at : at + length]
        elif kind == 4:
            del content[at : at + length]
        elif kind == 5:
            content[at : at + length] = random.bytes(length)
        elif random.random() < 0.3:
            del content[at:]
    return bytes(content)


# Crafted


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, bits: int = 8, extra: bytes = b"", *, kind: int = 2, interlaced: int = 0) -> bytes:
    """A complete PNG of black, compressed without holding it."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    deflate, row = zlib.compressobj(1), bytes(1 + -(-width * channels * bits // 8))
    data = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
    return start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def shared_tags(tags: int, held: int, kind: int = 7, first: int = 0x9000, order: str = "<") -> bytes:
    """EXIF whose tags all point to one block of bytes."""
    entries = b"".join(
        struct.pack(f"{order}HHII", (first + n % 4000) % 65536, kind, held, 8 + 2 + 12 * tags + 4) for n in range(tags)
    )
    head = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[order]
    return head + struct.pack(f"{order}H", tags % 65536) + entries + bytes(4) + bytes(held)


def directories(random: Random) -> bytes:
    """EXIF with directories that point anywhere: to themselves, to each other, beyond the end, or very many of them."""
    count, size = int(random.choice([1, 3, 200, 20_000])), 6 + 12
    blocks = [b"II*\0\x08\0\0\0"]
    for number in range(count):
        there = int(random.choice([8, 8 + size * (number + 1), 8 + size * int(random.integers(count)), 2**31]))
        tag = int(random.choice([0x8769, 0x8825, 0xA005, 0x014A, 0x9000]))
        onward = int(random.choice([0, 8, 8 + size * (number + 1)]))
        blocks.append(struct.pack("<HHHIII", 1, tag, 4, 1, there, onward))
    return b"".join(blocks)


def exif(random: Random) -> bytes:
    if random.random() < 0.3:
        return directories(random)
    return shared_tags(
        _few_or_many(random, 65_535),
        _few_or_many(random, 300_000),
        int(random.integers(0, 20)),
        int(random.choice([0x9000, 0x0100, 0x8769, 0x8825])),
        str(random.choice(["<", ">"])),
    )


def xmp(random: Random) -> bytes:
    """A packet that is deep, long, or holds settings of a kind that nobody writes."""
    depth = _few_or_many(random, 300_000)
    start = b"<a xmlns:i='urn:impasto:'"
    if random.random() < 0.3:
        return start + b">" + b"<b>" * depth + b"</b>" * depth + b"</a>"
    text = odd_json(random).replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")
    return start + f" i:settings='{text}'/>".encode(errors="replace")


def odd_json(random: Random) -> str:
    """JSON as `Settings` does not expect it."""
    names = [*Settings.__dataclass_fields__, "no such", ""]
    values: list[Any] = [0, -1, 1e308, 10**400, "", "x" * 5000, None, True, [], [[]], {}, [1] * 5000, "\0", "\ud800"]
    values += [float("nan"), float("inf"), "9" * 400 + "GB", "/etc/passwd", {"a": {"b": 1}}, "relu1_1=1e999", -0.0]
    given = {str(random.choice(names)): values[int(random.integers(len(values)))] for _ in range(random.integers(1, 4))}
    deep = "[" * _few_or_many(random, 100_000)
    return str(random.choice([json.dumps(given), "5", "null", "{", deep, '"' + "a" * 10_000 + '"', "[1]"]))


def jpeg_with(*segments: tuple[int, bytes], size: tuple[int, int] = (40, 30), **how: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "jpeg", **how)
    extra = b"".join(bytes([0xFF, kind]) + struct.pack(">H", len(block) + 2) + block for kind, block in segments)
    return buffer.getvalue()[:2] + extra + buffer.getvalue()[2:]


def webp_with(exif: bytes) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow reads it
        Image.new("RGB", (40, 30), "teal").save(buffer, "webp", exif=exif)
    return buffer.getvalue()


def tiff_with_tile(side: int) -> bytes:
    tags = [(256, 4, 64), (257, 4, 64), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1), (322, 4, side)]
    return tiff([*tags, (323, 4, side), (324, 4, 8), (325, 4, 8)])


def tiff(tags: list[tuple[int, int, int]], data: bytes = b"") -> bytes:
    """One directory of single values, and what follows it."""
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + data


def split_extents(block: bytes, parts: int) -> bytes:
    """An AVIF whose EXIF lies in so many pieces, the last one first, as its table of items allows."""
    buffer, sound = io.BytesIO(), Image.Exif()
    sound[0x010F] = "Leica"
    Image.new("RGB", (40, 30), "teal").save(buffer, "avif", exif=sound)
    content = buffer.getvalue()
    at, meta = content.index(b"iloc") - 4, content.index(b"meta") - 4
    length = int.from_bytes(content[at : at + 4])
    # Pillow's table has two items of one extent each, with offsets and lengths of four bytes: picture and EXIF
    start, size = struct.unpack(">II", content[at + 22 : at + 30])
    pieces = _pieces(struct.pack(">I", 0) + block, parts)
    grown = 8 * (len(pieces) - 1)
    places, where = [], len(content) + grown
    for piece in reversed(pieces):
        places.insert(0, (where, len(piece)))
        where += len(piece)
    table = b"iloc\0\0\0\0\x44\0\0\2" + struct.pack(">HHHII", 1, 0, 1, start + grown, size)
    table += struct.pack(">HHH", 2, 0, len(places)) + b"".join(struct.pack(">II", *place) for place in places)
    table = struct.pack(">I", len(table) + 4) + table
    assert len(table) == length + grown
    larger = struct.pack(">I", int.from_bytes(content[meta : meta + 4]) + grown)
    content = content[:meta] + larger + content[meta + 4 : at] + table + content[at + length :]
    last = content.index(b"mdat") - 4
    return content[:last] + bytes(4) + content[last + 4 :] + b"".join(reversed(pieces))  # to the end of the file


def _pieces(block: bytes, parts: int) -> list[bytes]:
    step = -(-len(block) // parts)
    return [block[start : start + step] for start in range(0, len(block), step)]


def crafted(random: Random) -> tuple[str, bytes]:
    """A file that asks for much, and the name of the function of `bounded` that reads it."""
    kinds = list(CRAFTED)
    kind = kinds[int(random.integers(len(kinds)))]
    return kind.partition(" ")[0], CRAFTED[kind](random)


def _few_or_many(random: Random, most: int) -> int:
    return int(np.exp(random.uniform(0, np.log(most))))


def _sides(random: Random, most: int = 20_000_000) -> tuple[int, int]:
    """A width and a height of at most so many pixels: those are compressed here."""
    width = _few_or_many(random, 5_000_000)
    sides = width, max(1, min(_few_or_many(random, 100_000), most // width))
    return sides if random.random() < 0.5 else sides[::-1]


def _png(random: Random) -> bytes:
    bits = int(random.choice([8, 16]))
    kind, interlaced = int(random.choice([0, 2, 4, 6])), int(random.random() < 0.2)
    content = png(*_sides(random), bits, kind=kind, interlaced=interlaced)
    if random.random() < 0.5:  # the header says another size than the data have
        width, height = (_few_or_many(random, 2**31 - 1) for _ in range(2))
        header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
        content = content[:8] + chunk(b"IHDR", header) + content[33:]
    return content


def _png_text(random: Random) -> bytes:
    block = zlib.compress(bytes(_few_or_many(random, 20_000_000)), 9)
    kind, head = [(b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")][int(random.integers(3))]
    return png(40, 30, extra=chunk(kind, head + block) * int(random.integers(1, 30)))


def _png_xmp(random: Random) -> bytes:
    block = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(random), 9)
    return png(40, 30, extra=chunk(b"iTXt", block))


def _jpeg(random: Random) -> bytes:
    content = jpeg_with(size=(48, 32), progressive=bool(random.random() < 0.5))
    marker = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    sides = struct.pack(">HH", _few_or_many(random, 65_535), _few_or_many(random, 65_535))
    return content[: marker + 5] + sides + content[marker + 9 :]


def _jpeg_segments(random: Random) -> bytes:
    kinds = {0xE1: b"Exif\0\0" + exif(random)[:65_000], 0xE2: b"ICC_PROFILE\0\1\1" + bytes(200), 0xFE: bytes(65_000)}
    kinds |= {0xDA: b"\1\1\0\0\x3f\0", 0xC4: bytes(17), 0xDB: bytes(65), 0xE0: bytes(9)}
    chosen = [int(random.choice(list(kinds))) for _ in range(_few_or_many(random, 300))]
    return jpeg_with(*[(kind, kinds[kind]) for kind in chosen])


def _tiff(random: Random) -> bytes:
    """Any size in any strips and tiles, compressed in any way."""
    width, height = (_few_or_many(random, 200_000) for _ in range(2))
    data = zlib.compress(bytes(_few_or_many(random, 30_000_000)), 9)
    bits, kind = int(random.choice([1, 8, 16, 32])), int(random.choice([1, 2, 5, 7, 8, 32773, 34712, 50000, 50001]))
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, kind), (262, 3, int(random.integers(0, 9)))]
    samples = int(random.choice([1, 3, 4, 5, 65_535]))
    if random.random() < 0.5:
        rows = _few_or_many(random, 2**32 - 1)
        tags += [(273, 4, 8 + 2 + 12 * 9 + 4), (277, 3, samples), (278, 4, rows), (279, 4, len(data))]
    else:
        across, down = (16 * _few_or_many(random, 10_000) for _ in range(2))
        tags += [
            (277, 3, samples),
            (322, 4, across),
            (323, 4, down),
            (324, 4, 8 + 2 + 12 * 10 + 4),
            (325, 4, len(data)),
        ]
    return tiff(tags, data)


def _webp(random: Random) -> bytes:
    """A canvas of any size, with or without frames."""
    width, height = (_few_or_many(random, 2**24) - 1 for _ in range(2))
    flags = int(random.choice([0x02, 0x10, 0x08, 0x04, 0x20, 0xFF]))
    head = struct.pack("<I", flags) + width.to_bytes(3, "little") + height.to_bytes(3, "little")
    buffer = io.BytesIO()
    Image.new("RGBA", (int(random.integers(1, 200)), 20), "teal").save(buffer, "webp", lossless=True)
    blocks = b"VP8X" + struct.pack("<I", len(head)) + head + buffer.getvalue()[12:] * int(random.integers(1, 4))
    return b"RIFF" + struct.pack("<I", len(blocks) + 4) + b"WEBP" + blocks


def iso_media_of(content: bytes, width: int, height: int) -> bytes:
    """An AVIF or HEIC whose table says another size than its picture has."""
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", width, height) + content[at + 8 :]


def _iso_sides(content: bytes, random: Random) -> bytes:
    return iso_media_of(content, _few_or_many(random, 2**31), _few_or_many(random, 2**31))


def _avif(random: Random) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "avif")
    return _iso_sides(buffer.getvalue(), random)


def _film_sides(random: Random) -> bytes:
    """A film whose header says any size, length and rate."""
    content = bytearray(FILMS[int(random.integers(len(FILMS)))])
    for name in (b"tkhd", b"avc1", b"mvhd", b"mdhd", b"stsz", b"stts", b"stsc", b"stco"):
        if (at := content.find(name)) > 0 and random.random() < 0.4:
            place = at + 4 + 4 * int(random.integers(0, 24))
            content[place : place + 4] = struct.pack(">I", int(random.choice([*NUMBERS, 16_384, 32_768])))
    return bytes(content)


def _pickle(random: Random) -> bytes:
    """A file of weights that asks for much: tensors of any size, code, depth."""
    kind = int(random.integers(5))
    if kind == 0:
        return pickle.dumps({"a": [[]] * _few_or_many(random, 100_000)})
    if kind == 1:
        return b"\x80\x02" + b"(" * _few_or_many(random, 1_000_000) + b"."
    if kind == 2:
        return b"\x80\x02cos\nsystem\n(X\x04\0\0\0trueatR."
    if kind == 3:
        name = struct.pack("<I", _few_or_many(random, 2**31))
        return b"\x80\x02X" + name + b"a" * 100 + b"."
    buffer = io.BytesIO()
    torch.save({"0.weight": torch.ones(1).expand(_few_or_many(random, 2**40))}, buffer)
    return buffer.getvalue()


def _toml(random: Random) -> bytes:
    depth = _few_or_many(random, 100_000)
    texts = [b"size = " + b"[" * depth, b"size = " + b"9" * depth, b"a." * depth + b"b = 1", b"\xff\xfe", b"size = nan"]
    texts += [b"[a]\nsize = 1", b'strength = "x"', b"memory = 5", b"size = 1979-05-27", b"x = {" * depth]
    return texts[int(random.integers(len(texts)))]


def _manifest(random: Random) -> bytes:
    line = {"content": "a.png", "style": "nocturne", "settings": json.loads("{}")}
    odd = odd_json(random)
    texts = [odd.encode(errors="replace"), json.dumps({**line, "output": "../../../x.png"}).encode()]
    texts += [b'{"content": ' + odd.encode(errors="replace") + b"}", b"content,style\n" + b"," * 100_000]
    texts += [b'{"content": "a.png", "style": "ink", "settings": ' + odd.encode(errors="replace") + b"}"]
    return texts[int(random.integers(len(texts)))]


def gif(width: int, height: int, frames: int, sides: tuple[int, int] = (1, 1), delay: int = 0) -> bytes:
    """An animation of black frames on a canvas of any size."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    control = b"\x21\xf9\x04\0" + struct.pack("<H", delay) + b"\0\0"
    frame = control + b"\x2c" + struct.pack("<HHHHB", 0, 0, *sides, 0) + b"\x02\x02\x44\x01\0"
    return head + frame * frames + b"\x3b"


def apng(width: int, height: int, frames: int, said: int, sides: tuple[int, int]) -> bytes:
    """An animated PNG that says it has some frames of some sides, and has others."""
    data = zlib.compress(bytes((1 + 3 * sides[0]) * sides[1] if sides[0] * sides[1] < 10_000_000 else 100))
    content = bytearray(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
    content += chunk(b"acTL", struct.pack(">II", said, 0))
    number = 0
    for frame in range(frames):
        content += chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *sides, 0, 0, 0, 0, 0, 0))
        number += 1 if frame == 0 else 2
        content += chunk(b"IDAT", data) if frame == 0 else chunk(b"fdAT", struct.pack(">I", number - 1) + data)
    return bytes(content + chunk(b"IEND", b""))


def animated_webp(width: int, height: int, frames: int, duration: int = 0) -> bytes:
    """Frames of 16 px on a canvas of any size."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(buffer, "webp", lossless=True)
    sides = (15).to_bytes(3, "little") * 2
    frame = bytes(6) + sides + duration.to_bytes(3, "little") + b"\0" + buffer.getvalue()[12:]
    canvas = struct.pack("<I", 2) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    blocks = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    blocks += (b"ANMF" + struct.pack("<I", len(frame)) + frame) * frames
    return b"RIFF" + struct.pack("<I", len(blocks)) + blocks


def _animation(random: Random) -> bytes:
    width, height = (_few_or_many(random, 65_535) for _ in range(2))
    frames, few = _few_or_many(random, 200_000), _few_or_many(random, 5000)
    kind = int(random.integers(3))
    if kind == 0:
        sides = (1, 1) if random.random() < 0.5 else (width, height)
        content = gif(width, height, frames, sides, int(random.choice([0, 1, 65_535])))
    elif kind == 1:
        content = apng(width, height, few, int(random.choice([0, few, 2**31 - 1, 2**32 - 1])), (min(width, 99), 1))
    else:
        content = animated_webp(width, height, few, int(random.choice([0, 1, 2**24 - 1])))
    return content[: _few_or_many(random, len(content))] if random.random() < 0.3 else content


def _frames(random: Random) -> bytes:
    """A folder of numbered frames, whose names and contents are odd."""
    digits = ["1", "0001", "9" * 200, "0", "\u0663", "-1", "1.5"]
    contents = [png(40, 30), png(40, 30)[:50], b"", b"text", png(9000, 9), gif(40, 30, 3), png(20, 20), png(8000, 6000)]
    files = []
    for number in range(_few_or_many(random, 300)):
        name = str(random.choice(digits)) if random.random() < 0.2 else f"{number}"
        content = contents[0] if random.random() < 0.7 else contents[int(random.integers(len(contents)))]
        files.append((f"{random.choice(['', 'a', '..'])}{name}.png", content.decode("latin-1")))
    return json.dumps(files).encode()


def network_file(header: Any, tensors: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with any header, which says that it has any length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + tensors


def _network(random: Random) -> bytes:
    """A network whose header, shapes or numbers are odd."""
    shape = Shape(1, width=4, blocks=1)
    content = network_to_bytes(Transform(shape), About(("ink",)))
    length = struct.unpack("<Q", content[:8])[0]
    header, tensors = json.loads(content[8 : 8 + length]), content[8 + length :]
    kind = int(random.integers(6))
    if kind == 0:
        lengths = [0, 1, 10**8, 2**31, 2**63, 2**64 - 1]
        return network_file(header, tensors, lengths[int(random.integers(len(lengths)))])
    if kind == 1:
        return network_file(b"[" * _few_or_many(random, 10**6), tensors)
    if kind == 2:
        values = np.frombuffer(tensors, np.float16).copy()
        values[random.integers(0, len(values), 9)] = random.choice([np.nan, np.inf, -np.inf, 65_504, 9999])
        return network_file(header, values.tobytes())
    if kind == 3:
        about = json.loads(header["__metadata__"]["impasto-style"])
        every = list(places(about))
        odd = [*WRONG, "\x1b[2J\n", 10**400, "x" * 10**5, "[" * 10**5]
        about = replaced(about, every[int(random.integers(len(every)))], odd[int(random.integers(len(odd)))])
        return network_file({**header, "__metadata__": {"impasto-style": json.dumps(about)}}, tensors)
    names = [name for name in header if name != "__metadata__"]
    chosen = names[int(random.integers(len(names)))]
    odd = [{"shape": [2**62, 4]}, {"shape": [-1]}, {"shape": []}, {"dtype": "F64"}, {"dtype": "I8"}, {"dtype": "F99"}]
    odd += [{"data_offsets": [0, 8]}, {"data_offsets": [8, 0]}, {"data_offsets": [-1, 2**63]}, {"data_offsets": []}]
    header[chosen] = {**header[chosen], **odd[int(random.integers(len(odd)))]}
    return network_file(header, tensors)


def _list(random: Random) -> bytes:
    """What `impasto batch` is to paint, of the files a.png and w.png."""
    odd: list[Any] = [
        "\0",
        "a\0.png",
        "\ud800.png",
        "../../evil.png",
        "/evil.png",
        "x" * 5000,
        "",
        ".",
        "\x1b[2J\n.png",
    ]
    odd += ["/dev/zero", "/", "..", 5, -1, True, [["a.png"]], {}, ["w.png"] * 2000, "w.png;" * 500, 10**400, math.nan]
    whole = {"content": "a.png", "style": "w.png", "output": "o.png", "settings": {"size": 32}}
    rows = []
    for number in range(int(random.integers(1, 5))):
        changed = {str(random.choice([*whole, "size", "seed"])): odd[int(random.integers(len(odd)))]}
        rows.append({**whole, "output": f"{number}.png", **changed})
    if random.random() < 0.5:
        return "\n".join(json.dumps(row) for row in rows).encode()
    lines = ["content,style,output"]
    lines += [",".join(str(row.get(name)) for name in ("content", "style", "output")) for row in rows]
    return "\n".join(lines).encode(errors="surrogatepass")


# Checkpoints whose headers say something else, and are signed anew


WRONG: list[Any] = [None, True, -1, 0, 0.5, 10**30, math.nan, math.inf, "", "x", "../../../etc/passwd"]
WRONG += [[], {}, [None], {"x": 1}, [[[]]], {"tensor": "0000", "axes": [7]}, {"tensor": "none", "axes": []}]
WRONG += [{"tensor": 5, "axes": "x"}, {"tensor": "0001", "axes": [0, 0]}]
LEFT_OUT = object()


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of everything in a JSON document: the keys that lead there."""
    yield path
    if isinstance(document, dict | list):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield from places(document[key], (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a JSON document with another value at a place, or none."""
    if not path:
        return value
    copy = list(document) if isinstance(document, list) else dict(document)
    if len(path) == 1 and value is LEFT_OUT:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def header_of(path: Path, key: str) -> Any:
    """What the header of a file that impasto goes on from says."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()[key])


def signed(path: Path, key: str, header: Any, tensors: dict[str, torch.Tensor] | None = None) -> bytes:
    """Such a file with another header, or with other tensors as well, and a hash that fits.

    Args:
        header: a text is taken as JSON.
    """
    tensors = load_file(path) if tensors is None else tensors
    text = header if isinstance(header, str) else json.dumps(header)
    sha256 = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        sha256.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={key: text, "sha256": sha256.hexdigest()},
    )


FILMS = [film("mp4", "libx264"), film("mov", "libx264"), film("matroska", "libx264")]
CRAFTED: dict[str, Callable[[Random], bytes]] = {
    "read_or_refuse png": _png,
    "read_or_refuse png text": _png_text,
    "read_or_refuse png xmp": _png_xmp,
    "read_or_refuse png exif": lambda random: png(40, 30, extra=chunk(b"eXIf", exif(random))),
    "read_or_refuse jpeg": _jpeg,
    "read_or_refuse jpeg segments": _jpeg_segments,
    "read_or_refuse tiff": _tiff,
    "read_or_refuse tiff directories": directories,
    "read_or_refuse tiff tags": exif,
    "read_or_refuse webp": _webp,
    "read_or_refuse webp exif": lambda random: webp_with(b"Exif\0\0" + exif(random)),
    "read_or_refuse avif": _avif,
    "read_or_refuse avif exif": lambda random: split_extents(exif(random)[:900_000], int(random.integers(1, 300))),
    "read_or_refuse heic": lambda random: _iso_sides(heic(), random),
    "read_film": _film_sides,
    "read_weights": _pickle,
    "read_film animation": _animation,
    "read_frames": _frames,
    "read_network": _network,
    "read_list": _list,
    "read_texts toml": _toml,
    "read_texts manifest": _manifest,
}


def hostile(folder: Path, random: Random) -> Iterator[tuple[str, bytes]]:
    """Without end: which function of `bounded` reads a file, and the file; two mutated ones, then a crafted one."""
    originals = [(name, original) for name, files in sound(folder).items() for original in files]
    while True:
        for number, (name, original) in enumerate(originals):
            yield name, damaged(original, random)
            if number % 2:
                yield crafted(random)
