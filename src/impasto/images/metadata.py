"""What a picture file says beside its pixels: the photograph's EXIF and catalogue, and our settings as XMP."""

from __future__ import annotations

import warnings
from typing import BinaryIO
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from PIL import ExifTags, Image

from impasto.errors import ImageError
from impasto.images.catalogue import (
    DEEPEST,
    LONGEST_PACKET,
    LONGEST_VALUE,
    NAMESPACES,
    RDF,
    Catalogue,
    printable,
    refuse,
)

# A JPEG holds EXIF and XMP in one segment of 64 KiB each; libvips leaves out what is longer without a word.
LONGEST_BLOCK = 65_000

_IMPASTO = "urn:impasto:"

# Of the main directory these are kept: the others describe the old file (orientation, strips, resolution).
_KEPT = {
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
}
# Of the camera's directory these are dropped: untrue of the new pixels, or opaque (a maker note may hold the place).
_DROPPED = {
    ExifTags.Base.MakerNote,
    ExifTags.Base.ColorSpace,
    ExifTags.Base.ExifImageWidth,
    ExifTags.Base.ExifImageHeight,
    ExifTags.Base.ExifInteroperabilityOffset,
    ExifTags.Base.ComponentsConfiguration,
    ExifTags.Base.CompressedBitsPerPixel,
    ExifTags.Base.SubjectLocation,
    0x9214,  # where in the picture the subject is
}
# libvips writes no EXIF into a TIFF, so the essentials are said in XMP as well.
_IN_XMP = {
    ExifTags.Base.Make: "tiff:Make",
    ExifTags.Base.Model: "tiff:Model",
    ExifTags.Base.Artist: "tiff:Artist",
    ExifTags.Base.Copyright: "tiff:Copyright",
}


def clean_exif(block: bytes | Image.Exif | BinaryIO | None, *, keep_location: bool) -> bytes | None:
    """The EXIF that stays true of a painted picture: no orientation, thumbnail, maker note or size.

    Args:
        block: EXIF as a file holds it or as Pillow read it; or an open TIFF file, which is laid out as an EXIF block.
        keep_location: keep where the photograph was taken.

    Returns:
        An EXIF block, or None if nothing is left or `block` cannot be understood.
    """
    if block is None:
        return None
    kept = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = _parsed(block)
            kept.update({tag: value for tag, value in exif.items() if tag in _KEPT})
            camera = exif.get_ifd(ExifTags.IFD.Exif)
            kept.get_ifd(ExifTags.IFD.Exif).update({t: v for t, v in camera.items() if t not in _DROPPED})
            if keep_location:
                kept.get_ifd(ExifTags.IFD.GPSInfo).update(exif.get_ifd(ExifTags.IFD.GPSInfo))
            cleaned = kept.tobytes()
    except Exception:  # Pillow raises a dozen kinds on damaged EXIF, and none of them is worth a painted picture
        return None
    found = any([dict(kept), *(kept.get_ifd(ifd) for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo))])
    return cleaned if found and len(cleaned) <= LONGEST_BLOCK else None


def density_in(block: bytes | Image.Exif | None) -> float | None:
    """Dots per inch that an EXIF block says; None if it says none that can be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = _parsed(block or b"")
            across = float(exif[ExifTags.Base.XResolution])
            unit = exif.get(ExifTags.Base.ResolutionUnit, 2)  # 2 is the inch, 3 the centimetre
    except Exception:  # as above
        return None
    return sane_density(across * 2.54 if unit == 3 else across)


def sane_density(dots: float) -> float | None:
    """Dots per inch, if a picture may have so many: a JPEG holds whole numbers up to 65535."""
    return round(dots, 2) if 1 <= dots <= 65535 else None


def _parsed(block: bytes | Image.Exif | BinaryIO) -> Image.Exif:
    if isinstance(block, Image.Exif):
        return block
    exif = Image.Exif()
    if isinstance(block, bytes):
        exif.load(block)
    else:
        block.seek(0)
        exif.load_from_fp(block)
    return exif


def xmp_packet(
    settings: str | None,
    exif: bytes | None,
    key: str | None = None,
    origin: str | None = None,
    catalogue: Catalogue | None = None,
) -> bytes | None:
    """An XMP packet with our settings, a key, where the picture comes from, and what is kept of the photograph's.

    That is the essentials of a cleaned EXIF block, and its catalogue. None if there is nothing.

    XMP is the one place that PNG, JPEG, TIFF, WebP and AVIF all have.

    Raises:
        ImageError: the settings are too long for a picture file.
    """
    properties = _exif_properties(exif)
    if settings is not None:
        properties["impasto:settings"] = settings
    if key is not None:
        properties["impasto:key"] = key
    if origin is not None:
        properties["impasto:origin"] = origin
    elements = catalogue.elements() if catalogue else ""
    if not properties and not elements:
        return None
    known = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items()) if elements else ""
    attributes = "".join(f" {name}={quoteattr(text)}" for name, text in properties.items())
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" xmlns:impasto="{_IMPASTO}"'
        ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        f"{known}{attributes}{f'>{elements}</rdf:Description>' if elements else '/>'}</rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()
    if len(packet) > LONGEST_BLOCK:
        raise ImageError(f"the settings take {len(packet)} bytes in a picture file; at most {LONGEST_BLOCK} fit")
    return packet


def settings_in(packet: bytes | None, name: str = "settings") -> str | None:
    """The settings that `xmp_packet` wrote, also after another program has rewritten the packet; None without.

    Or, of another name, what it wrote under that: "key", "origin".
    """
    if not packet or len(packet) > LONGEST_PACKET or _IMPASTO.encode() not in packet:
        return None
    search = _Search(f"{_IMPASTO} {name}")  # as expat names it
    try:
        search.parser.Parse(packet.strip(b"\0 \n"), True)
    except (expat.ExpatError, ValueError, LookupError):  # the latter of encodings that Python cannot read
        return None
    return search.found or None


class _Search:
    """Looks for a property of ours as a packet is read; nothing else is kept, and what is odd ends it."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.found = ""
        self.depth = 0
        self.inside = False
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = refuse  # XMP has no entities of its own

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            refuse()
        self.inside = name == self.wanted and not self.found
        self.found = self.found or attributes.get(self.wanted, "")

    def _end(self, name: str) -> None:
        self.depth -= 1
        self.inside = False

    def _text(self, text: str) -> None:
        if self.inside:
            self.found += text


def _exif_properties(exif: bytes | None) -> dict[str, str]:
    if exif is None:
        return {}
    tags = _parsed(exif)
    texts = {name: tags.get(tag) for tag, name in _IN_XMP.items()}
    taken = tags.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    if isinstance(taken, str):
        texts["exif:DateTimeOriginal"] = taken.replace(":", "-", 2).replace(" ", "T")  # ISO 8601, as XMP has it
    return {name: printable(text)[:LONGEST_VALUE] for name, text in texts.items() if isinstance(text, str)}
