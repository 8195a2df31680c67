"""What a photographer's catalogue says of a picture: keywords, rating, title, creators, rights, in XMP.

Files are not trusted: what is wanted is read from their packet as it is parsed, within limits, and written anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import escape

LONGEST_PACKET, DEEPEST = 4 * 2**20, 64  # bytes and nested elements of an XMP packet that is searched
MOST_VALUES, LONGEST_VALUE = 200, 1000  # of one property, and characters of one of them
LONGEST = 32_000  # bytes of all of it, written: a JPEG holds 64 KiB of XMP, and our settings are to fit as well
LOWEST, HIGHEST = -1, 5  # of a rating; -1 is rejected

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
}
_PROPERTIES = {
    "title": ("dc:title", "Alt"),
    "description": ("dc:description", "Alt"),
    "creators": ("dc:creator", "Seq"),
    "rights": ("dc:rights", "Alt"),
    "keywords": ("dc:subject", "Bag"),
    "hierarchy": ("lr:hierarchicalSubject", "Bag"),
}
"""By attribute of `Catalogue`: the property of XMP, and the kind of list that it is (XMP specification, part 1, 7)."""
_RATING = "xmp:Rating"


@dataclass(frozen=True)
class Catalogue:
    """What is kept of a photograph's XMP; each text is one line without control characters.

    Attributes:
        title, description, rights: at most one text, in the language that stands first.
        creators, keywords: texts.
        hierarchy: keywords with those above them, as "animals|lion".
        rating: from -1 (rejected) to 5; None for none.
    """

    title: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    creators: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    hierarchy: tuple[str, ...] = ()
    rating: int | None = None

    def elements(self) -> str:
        """As elements of an `rdf:Description`; what does not fit in `LONGEST` bytes is left out, from the end."""
        found, room = "", LONGEST
        if self.rating is not None:
            found += f"<{_RATING}>{self.rating}</{_RATING}>"
        for name, (element, kind) in _PROPERTIES.items():
            language = ' xml:lang="x-default"' if kind == "Alt" else ""
            items = ""
            for text in getattr(self, name):
                item = f"<rdf:li{language}>{escape(text)}</rdf:li>"
                room -= len(item.encode())
                if room < 0:
                    break
                items += item
            if items:
                found += f"<{element}><rdf:{kind}>{items}</rdf:{kind}></{element}>"
        return found


def catalogue_in(packet: bytes | None) -> Catalogue | None:
    """What an XMP packet says; None if that is nothing, or it is no packet."""
    if not packet or len(packet) > LONGEST_PACKET:
        return None
    reader = _Reader()
    try:
        reader.parser.Parse(packet.strip(b"\0 \n"), True)
    except (expat.ExpatError, ValueError, LookupError):  # the latter of encodings that Python cannot read
        return None
    found = reader.catalogue()
    return found if found != Catalogue() else None


def printable(text: str) -> str:
    """XML has no control characters, not even escaped."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def refuse(*_: object) -> None:
    """What has entities of its own, or nests too deeply, is no XMP.

    Raises:
        ValueError: always.
    """
    raise ValueError("not an XMP packet")


class _Reader:
    """Hears a packet as it is parsed; only what is wanted is kept, and no more than is allowed."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.path: list[str] = []
        self.open: str | None = None  # the property whose text is heard
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = refuse
        self.wanted = {_expanded(name): name for name in (_RATING, *(name for name, _ in _PROPERTIES.values()))}

    def catalogue(self) -> Catalogue:
        values = {name: self._values(element, kind) for name, (element, kind) in _PROPERTIES.items()}
        return Catalogue(**values, rating=_rating(next(iter(self.texts.get(_RATING, [])), "")))

    def _values(self, element: str, kind: str) -> tuple[str, ...]:
        texts = tuple(dict.fromkeys(text for text in map(printable, self.texts.get(element, [])) if text))
        return texts[:1] if kind == "Alt" else texts

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.path.append(name)
        if len(self.path) > DEEPEST:
            refuse()
        for key, text in attributes.items():
            if key in self.wanted and self._begin(self.wanted[key]):
                self._text(text)
        self.open = None
        own = self.wanted.get(name) or (name == f"{RDF} li" and self.wanted.get("".join(self.path[-3:-2]))) or None
        if own and self._begin(own):
            self.open = own

    def _begin(self, name: str) -> bool:
        """Whether another value of a property is taken."""
        values = self.texts.setdefault(name, [])
        if values and not values[-1].strip():  # the property itself, before its list
            values.pop()
        if len(values) < MOST_VALUES:
            values.append("")
            self.open = name
            return True
        return False

    def _end(self, name: str) -> None:
        self.path.pop()
        self.open = None

    def _text(self, text: str) -> None:
        if self.open:
            values = self.texts[self.open]
            values[-1] = (values[-1] + text)[:LONGEST_VALUE]


def _expanded(name: str) -> str:
    """As expat names it: "dc:title" with its namespace."""
    prefix, _, local = name.partition(":")
    return f"{NAMESPACES[prefix]} {local}"


def _rating(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if LOWEST <= number <= HIGHEST else None
