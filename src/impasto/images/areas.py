"""Areas of a photograph that are named by a word instead of drawn: faces, and the subject. What the words mean is here;
`found` finds them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from impasto.errors import SettingsError

AREAS = {"faces": 50, "subject": 100}
"""Names of areas, and how much of the photograph stays there, in percent, where nothing else is said. A face that stays
wholly looks pasted onto the paint around it; of a subject that is what one wants."""

REGION_COLORS = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "cyan": (0.0, 1.0, 1.0),
    "magenta": (1.0, 0.0, 1.0),
}
"""Of the regions of a mask. Black is what was not labelled."""

UNLABELLED = "black"
EVERYWHERE = "all"  # in place of a painting's mask: it counts in every region
GUIDES = ("mask", "style_mask", "protect")


@dataclass(frozen=True)
class Area:
    """An area that is to be found.

    Attributes:
        name: of `AREAS`.
        share: how much of the photograph stays there, 0 to 1.
    """

    name: str
    share: float = 1.0


def protected_area(protect: Any) -> Area | None:
    """The area that `protect` names, as "faces", or "faces:80" for 80 % of the photograph; None if it names none.

    Raises:
        SettingsError: a share that is none, or a word that must be a slip.
    """
    found = _word(protect, "protect")
    if found is None:
        return None
    name, colon, text = found
    try:
        share = float(text) if colon else float(AREAS[name])
    except ValueError:
        share = 0.0
    if not 0 < share <= 100:
        raise SettingsError(
            f"protect={protect!r} is not allowed: after the colon stands how much of the photograph stays, a number "
            f"above 0 and up to 100, as {name}:80"
        )
    return Area(name, share / 100)


def only_area(protect: str) -> Area:
    """The area that `protect` names, where many photographs are painted and nothing else would suit all of them.

    Raises:
        SettingsError: it names none.
    """
    area = protected_area(protect)
    if area is None:
        raise SettingsError(
            f"protect={protect} is not found in photographs by itself; choose from: {', '.join(AREAS)}; "
            "a box or a picture of where it stays is for one photograph, by impasto paint"
        )
    return area


def masked_area(mask: Any) -> Area | None:
    """The area that `mask` names, as "subject"; None if it names none.

    Raises:
        SettingsError: it has a share, or must be a slip.
    """
    found = _word(mask, "mask")
    if found is None:
        return None
    name, colon, _ = found
    if colon:
        raise SettingsError(f"mask={mask!r} is not allowed: a region has no share; write {name}")
    return Area(name)


def _word(given: Any, option: str) -> tuple[str, str, str] | None:
    """Name, colon and what follows, of what names an area; a `Path` is always a file."""
    if not isinstance(given, str):
        return None
    name, colon, text = given.partition(":")
    if name in AREAS:
        return name, colon, text
    close = get_close_matches(name.lower(), AREAS, n=1, cutoff=0.8) if name.isalpha() else []
    if close and not Path(given).exists():
        raise SettingsError(f"{option}={given} is neither a file nor an area that is found; did you mean {close[0]}?")
    return None


def as_words(guidance: Mapping[str, Any]) -> dict[str, Any]:
    """Of what says where what is painted the part that holds for any photograph: words, never files and boxes.

    Args:
        guidance: `mask`, `style_mask` and `protect`, as of `impasto.paint`.
    """
    mask, protect = guidance.get("mask"), guidance.get("protect")
    regions = guidance.get("style_mask") or []
    regions = list(regions) if isinstance(regions, list | tuple) else [regions]
    found: dict[str, Any] = {}
    if isinstance(protect, str) and is_word(protect):
        found["protect"] = protect
    if isinstance(mask, str) and mask in AREAS and all(one in (*REGION_COLORS, EVERYWHERE) for one in regions):
        found |= {"mask": mask, "style_mask": regions}
    return found


def with_words(settings: str, guidance: Mapping[str, Any]) -> str:
    """Settings as JSON, to be kept inside a picture, with the areas that were named."""
    words = as_words(guidance)
    return json.dumps({**json.loads(settings), **words}) if words else settings


def words_in(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `with_words` joined: the settings, and the areas. What is no word is left out: a picture names no files.

    Raises:
        SettingsError: a share that is none.
    """
    settings = {name: value for name, value in found.items() if name not in GUIDES}
    words = as_words({name: found.get(name) for name in GUIDES})
    protected_area(words.get("protect"))
    return settings, words


def is_word(text: str) -> bool:
    """Whether a text that says where something is painted is a word, whatever files there are."""
    return text in (*REGION_COLORS, EVERYWHERE) or text.partition(":")[0] in AREAS
