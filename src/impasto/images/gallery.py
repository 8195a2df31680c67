"""The styles that ship, paintings and networks: their names, files and facts. And photographs to try them on."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import ImpastoError, SettingsError

if TYPE_CHECKING:
    from PIL.Image import Image

# Photographs inside the scikit-image wheel (public domain or CC0). The first (SpaceX, public domain) ships with
# impasto as well, so that the demo needs nothing else.
SAMPLES = {"rocket": "rocket.jpg", "chelsea": "chelsea.png", "astronaut": "astronaut.png", "coffee": "coffee.png"}

SAMPLE_PHOTOGRAPHS = (*SAMPLES.values(), "motorcycle_left.png", "camera.png", "brick.png", "hubble_deep_field.jpg")
"""Those that something can be learnt from."""

NETWORK = ".safetensors"  # how the files of networks end that have learnt a style
MOST_PICTURES = 200  # of a folder that is one style


@dataclass(frozen=True)
class StyleFacts:
    """What is known about a style image that ships; `styles.json` beside the images holds it."""

    title: str
    description: str
    licence: str  # SPDX identifier
    seed: int  # from which `impasto.styles.generate` paints it
    height: int  # pixels
    width: int


@dataclass(frozen=True)
class NetworkFacts:
    """What is known about a network that ships; `networks.json` beside the paintings holds it."""

    title: str
    description: str
    licence: str  # SPDX identifier
    strength: float  # that it has learnt, and paints no stronger
    paintings: tuple[str, ...]  # those that ship, which it has learnt


def style_names() -> list[str]:
    """Names of the style images that ship, in the order of the gallery."""
    return list(_catalogue())


def style_facts(name: str) -> StyleFacts:
    """Title, description, licence and size of a style image that ships.

    Raises:
        SettingsError: there is no style of this name.
    """
    if name not in _catalogue():
        raise SettingsError(f"there is no style {name!r}{_suggestion(name)}")
    return _catalogue()[name]


def network_names() -> list[str]:
    """Names of the networks that ship: styles that are painted in one pass (`impasto train`)."""
    return list(_networks())


def network_facts(name: str) -> NetworkFacts:
    """Title, description, licence and paintings of a network that ships.

    Raises:
        SettingsError: there is none of this name.
    """
    if name not in _networks():
        raise SettingsError(f"there is no network {name!r}; choose from: {', '.join(network_names())}")
    return _networks()[name]


def network_path(name: str) -> Path:
    """The file of a network that ships.

    Raises:
        SettingsError: there is none of this name.
    """
    network_facts(name)
    return _folder() / f"{name}{NETWORK}"


def style_path(name: str) -> Path:
    """The file of a style image that ships.

    Raises:
        SettingsError: there is no style of this name.
    """
    style_facts(name)
    return _folder() / f"{name}.jpg"


def find_style(text: str | Path) -> Path:
    """The style that a user means: the path of a file or folder, otherwise the name of a style that ships.

    Raises:
        SettingsError: it is none of them.
    """
    with contextlib.suppress(OSError):  # a name that is too long
        if Path(text).is_file():
            return Path(text)
    network = network_file(text)
    if network is not None and network[0].is_file():
        file, asked = network
        return Path(f"{file}:{asked}" if asked else file)
    if str(text) in _catalogue():
        return style_path(str(text))
    with contextlib.suppress(OSError):
        if Path(text).is_dir():
            return Path(text)
    raise SettingsError(
        f"{str(text)!r} is neither a file nor a style that ships{_suggestion(str(text))}, or give the path of a picture"
    )


def network_file(text: str | Path) -> tuple[Path, str] | None:
    """The file of a network that has learnt a style, and what of it is asked for.

    Args:
        text: "style.safetensors", or "style.safetensors:nocturne=70,wave=30" for some of its paintings; or the name of
            one that ships in place of the file.

    Returns:
        None if by its name it is none; whether the file is one, `impasto.network.transform_file` says.
    """
    words = str(text)
    name, _, asked = words.partition(":")
    if name in _networks():
        return None if Path(words).is_file() else (network_path(name), asked)
    end = words.lower().rfind(NETWORK)
    if end < 0:
        return None
    file, rest = words[: end + len(NETWORK)], words[end + len(NETWORK) :]
    return (Path(file), rest[1:]) if rest[:1] in ("", ":") else None


def style_pictures(text: str | Path) -> list[Path]:
    """The pictures that are one style: `find_style`, or all the pictures in that folder, in the order of their names.

    Raises:
        SettingsError: it is neither a file nor a folder with pictures nor a name.
    """
    path = find_style(text)
    if network := network_file(path):
        return [network[0]]  # that has learnt a style: what counts is its file
    if not path.is_dir():
        return [path]
    from impasto.images.formats import EXTENSIONS

    pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in {*EXTENSIONS, ".heic"} and p.name[0] != ".")
    if len(pictures) > MOST_PICTURES:
        raise SettingsError(
            f"the folder {path} holds {len(pictures):,} pictures; at most {MOST_PICTURES} are one style: choose some"
        )
    if not pictures:
        raise SettingsError(f"the folder {path} holds no pictures; those in folders within it do not count")
    return pictures


def sample_path(name: str) -> Path:
    """A sample photograph; the package that holds it is not imported.

    Raises:
        ImpastoError: there is none of this name, or it needs the extra `samples`, which is not installed.
    """
    if name not in SAMPLES:
        raise ImpastoError(f"--photo {name} is unknown; choose from: {', '.join(SAMPLES)}")
    package = find_spec("skimage")
    for folder in (Path(__file__).parent, *([Path(package.origin or "").parent / "data"] if package else [])):
        if (folder / SAMPLES[name]).exists():
            return folder / SAMPLES[name]
    raise ImpastoError("all sample photographs but rocket come with scikit-image: pip install 'impasto[samples]'")


def sample_names() -> list[str]:
    """Those sample photographs that are there."""
    found = []
    for name in SAMPLES:
        with contextlib.suppress(ImpastoError):
            sample_path(name)
            found.append(name)
    return found


def sample_photographs() -> list[Path]:
    """All sample photographs that something can be learnt from.

    Raises:
        ImpastoError: the extra `samples` is not installed.
    """
    folder = sample_path("chelsea").parent
    return [folder / name for name in SAMPLE_PHOTOGRAPHS if (folder / name).is_file()]


def contact_sheet(columns: int = 5, thumbnail: int = 240) -> Image:
    """All styles that ship as one picture: square details of `thumbnail` pixels, each above its name."""
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    margin, label = thumbnail // 15, thumbnail // 7
    names = style_names()
    rows = -(-len(names) // columns)
    step_x, step_y = thumbnail + margin, thumbnail + label + margin // 2
    sheet = Image.new("RGB", (columns * step_x + margin, rows * step_y + margin), "#f4f1ea")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=thumbnail / 14)
    for i, name in enumerate(names):
        left, top = margin + i % columns * step_x, margin + i // columns * step_y
        with Image.open(style_path(name)) as picture:
            sheet.paste(ImageOps.fit(picture, (thumbnail, thumbnail)), (left, top))
        draw.text((left + thumbnail / 2, top + thumbnail + label / 2), name, "#2b2a28", font, anchor="mm")
    return sheet


def _folder() -> Path:
    # installed from a wheel or in place, the package's data are plain files
    return Path(str(files("impasto.styles")))


@cache
def _catalogue() -> dict[str, StyleFacts]:
    facts = json.loads((_folder() / "styles.json").read_text(encoding="utf-8"))
    return {name: StyleFacts(**values) for name, values in facts.items()}


@cache
def _networks() -> dict[str, NetworkFacts]:
    facts = json.loads((_folder() / "networks.json").read_text(encoding="utf-8"))
    return {name: NetworkFacts(**{**values, "paintings": tuple(values["paintings"])}) for name, values in facts.items()}


def _suggestion(name: str) -> str:
    """The end of an error about a name: '; did you mean nocturne? Choose from: ...'."""
    names = [*style_names(), *network_names()]
    close = get_close_matches(Path(name).stem.lower(), names, n=1)
    question = f"; did you mean {close[0]}? Choose from: " if close else "; choose from: "
    return question + ", ".join(names)
