"""What is kept of a photograph's XMP, what a picture says of its origin, and what neither is believed of a file."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Main, random_image
from PIL import Image

from impasto.images.catalogue import LONGEST, LONGEST_VALUE, MOST_VALUES, RDF, Catalogue, catalogue_in
from impasto.images.metadata import LONGEST_BLOCK, xmp_packet
from impasto.images.origin import Origin
from impasto.images.reading import read_image, read_origin
from impasto.images.writing import write_image
from impasto.settings import Settings

DC = "http://purl.org/dc/elements/1.1/"
LIGHTROOM = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="{DC}"
   xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:own="urn:own" xmp:Rating="4" own:secret="no">
  <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Lion &amp; cub</rdf:li>
   <rdf:li xml:lang="de">L\u00f6we</rdf:li></rdf:Alt></dc:title>
  <dc:creator><rdf:Seq><rdf:li>Ada</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>
  <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">\u00a9 2026 Ada</rdf:li></rdf:Alt></dc:rights>
  <dc:subject><rdf:Bag><rdf:li>lion</rdf:li><rdf:li>zoo&#10;Leipzig</rdf:li><rdf:li>lion</rdf:li></rdf:Bag></dc:subject>
  <lr:hierarchicalSubject><rdf:Bag><rdf:li>animals|lion</rdf:li></rdf:Bag></lr:hierarchicalSubject>
  <own:history><rdf:Seq><rdf:li>saved in /home/ada</rdf:li></rdf:Seq></own:history>
 </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
KEPT = Catalogue(
    title=("Lion & cub",),
    creators=("Ada", "Bo"),
    rights=("\u00a9 2026 Ada",),
    keywords=("lion", "zoo Leipzig"),
    hierarchy=("animals|lion",),
    rating=4,
)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "avif"])
def test_a_catalogue_is_read_and_written_anew(tmp_path: Path, extension: str) -> None:
    photo, out = tmp_path / "photo.jpg", tmp_path / f"out.{extension}"
    Image.new("RGB", (40, 30), "red").save(photo, xmp=LIGHTROOM)
    picture = read_image(photo)
    assert picture.catalogue == KEPT
    write_image(out, picture.image, settings=Settings().to_json(), catalogue=picture.catalogue)
    again = read_image(out)
    assert (again.catalogue, again.settings) == (KEPT, Settings().to_json())
    if extension in ("jpg", "webp", "tif"):  # as another program sees it
        with Image.open(out) as image:
            packet = image.info.get("xmp") or image.tag_v2[700]  # type: ignore[attr-defined]
        assert b"secret" not in packet
        assert b"/home" not in packet
        items = ElementTree.fromstring(packet.decode("utf-8-sig")).findall(
            f".//{{{DC}}}subject/{{{RDF}}}Bag/{{{RDF}}}li"
        )
        assert [item.text for item in items] == ["lion", "zoo Leipzig"]


@pytest.mark.parametrize(
    ("rating", "kept"), [("5", 5), ("3.0", 3), ("-1", -1), ("6", None), ("many", None), ("nan", None), ("inf", None)]
)
def test_a_rating_is_one_of_seven(rating: str, kept: int | None) -> None:
    packet = f"<a xmlns:xmp='http://ns.adobe.com/xap/1.0/'><xmp:Rating>{rating}</xmp:Rating></a>".encode()
    found = catalogue_in(packet)
    assert (found.rating if found else None) == kept


def test_no_more_is_kept_than_fits() -> None:
    items = "".join(f"<r:li>{number}{'&amp;' * 1200}</r:li>" for number in range(300))
    found = catalogue_in(
        f"<a xmlns:r='{RDF}' xmlns:d='{DC}'><d:subject><r:Bag>{items}</r:Bag></d:subject></a>".encode()
    )
    assert found is not None
    assert len(found.keywords) == MOST_VALUES
    assert {len(keyword) for keyword in found.keywords} == {LONGEST_VALUE}
    assert 0 < len(found.elements()) <= LONGEST + 200
    names = [Path('"<&' * 100) for _ in range(300)]
    origin = Origin.of(names[0], names, 1, 2)
    packet = xmp_packet(Settings().to_json(), None, "key", origin.to_json(), found)
    assert packet is not None
    assert len(packet) < LONGEST_BLOCK


@pytest.mark.parametrize(
    "packet",
    [
        None,
        b"",
        b"no packet",
        LIGHTROOM[:-200],
        b"<!DOCTYPE a [<!ENTITY x 'y'>]>" + LIGHTROOM.split(b"?>", 1)[1],
        b"<a>" * 100 + f"<d:title xmlns:d='{DC}'>deep</d:title>".encode() + b"</a>" * 100,
        LIGHTROOM + b" " * 5 * 2**20,
        b'<?xml version="1.0" encoding="no-such"?><a/>',
    ],
    ids=["none", "empty", "text", "torn", "entities", "deep", "long", "encoding"],
)
def test_what_is_no_packet_says_nothing(packet: bytes | None) -> None:
    assert catalogue_in(packet) is None


def test_a_picture_says_from_what_it_was_painted(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").mkdir()
    write_image(tmp_path / "secret" / "my photo.png", random_image(24, 32))
    write_image(tmp_path / "secret" / "its painting.png", random_image(24, 32, 1))
    files = ["secret/my photo.png", "secret/its painting.png"]
    small = ["--size", "32", "--quality", "draft", "-q"]
    assert main(["paint", *files, "-o", "out.png", *small]) == 0
    assert main(["batch", files[0], "--style", files[1], "-o", "many", *small]) == 0
    for picture in ("out.png", "many/my photo-its painting.png"):
        origin = read_origin(picture)
        assert origin == Origin("my photo.png", ("its painting.png",), 18, 18)
        assert b"secret" not in Path(picture).read_bytes()
    capsys.readouterr()
    assert main(["info", "out.png"]) == 0
    assert "\nmy photo.png after its painting.png\n" in capsys.readouterr().out
    assert main(["info", "out.png", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["photograph"], found["evaluations"], found["stopped"]) == ("my photo.png", 18, False)


@pytest.mark.parametrize(
    "text",
    [None, "", "[]", "{}", "null", "[" * 100_000, '{"photograph": 5, "paintings": [], "evaluations": 1, "planned": 1}'],
    ids=["none", "empty", "list", "bare", "null", "deep", "number"],
)
def test_a_nonsensical_origin_is_none(text: str | None) -> None:
    assert Origin.from_json(text) is None


def test_an_origin_names_no_folder_and_moves_no_cursor() -> None:
    names = {"photograph": "/home/ada/\x1b[2Ja.jpg", "paintings": ["..\\b\n.jpg"] * 100}
    origin = Origin.from_json(json.dumps({**names, "evaluations": 3, "planned": 9, "stopped": True}))
    assert origin is not None
    assert (origin.photograph, origin.paintings) == ("[2Ja.jpg", ("b .jpg",) * 20)
    assert (origin.evaluations, origin.planned, origin.stopped) == (3, 9, True)
