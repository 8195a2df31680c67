"""What each quality paints, as it was painted when this test was written: no refactoring may change a picture.

`python tests/test_golden.py` paints the pictures anew; look at them before they are committed. On another processor,
sums are rounded otherwise and many evaluations amplify that, so pictures are compared by their mean difference.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from torch import Tensor

from impasto import Settings, paint_steps, texture_steps
from impasto.images.gallery import sample_path, style_path
from impasto.images.reading import read_image, to_image
from impasto.images.writing import write_image

FOLDER = Path(__file__).parent / "golden"
SIZE, STEPS = 80, 30  # px; evaluations of the reference, whose five hundred would take minutes
PICTURES = {
    "instant": Settings(size=SIZE, quality="instant"),
    "draft": Settings(size=SIZE, quality="draft"),
    "good": Settings(size=SIZE, quality="good", method="moments"),
    "best": Settings(size=SIZE, quality="best", method="moments"),
    "matched": Settings(size=SIZE, quality="good"),
    "reference": Settings(size=SIZE, quality="reference"),
    "bold": Settings(size=192, quality="draft", strength=80, color="lab", keep_lines=20),
    "texture": Settings(size=64, quality="draft"),
}
GREY_LEVELS = {"instant": 1.0, "draft": 2.0, "texture": 4.0}  # of 255, on average; others have more evaluations
OTHERS = 5.0


def painted(name: str) -> Tensor:
    settings = PICTURES[name]
    if name == "texture":
        return list(texture_steps(style_path("nocturne"), settings, seamless=True))[-1].image
    photo = to_image(sample_path("astronaut"), settings.longer_side)
    steps = itertools.islice(
        paint_steps(photo, style_path("nocturne"), settings), STEPS if name == "reference" else None
    )
    return list(steps)[-1].image


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in GREY_LEVELS)) for n in PICTURES])
def test_pictures_stay_as_they_are(name: str):
    before = read_image(FOLDER / f"{name}.png").image
    difference = float((painted(name).cpu() - before).abs().mean()) * 255
    assert difference < GREY_LEVELS.get(name, OTHERS)


if __name__ == "__main__":
    for name in PICTURES:
        write_image(FOLDER / f"{name}.png", painted(name))
