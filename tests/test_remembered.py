"""Each painting's statistics are computed once for many pictures, and the pictures stay what they were."""

from __future__ import annotations

import pytest
import torch
from conftest import random_image, tiny_weights
from torch import Tensor

from impasto.network.remembered import Remembered, digest
from impasto.network.vgg import VGG19
from impasto.painting import Painter
from impasto.settings import Settings


def test_the_least_recently_used_go_first() -> None:
    kept = Remembered(most=10)
    made: list[str] = []

    def get(key: str, size: int = 4) -> str:
        return kept.get(key, lambda: made.append(key) or key.upper(), lambda _: size)  # type: ignore[func-returns-value]

    assert [get(key) for key in "abab"] == ["A", "B", "A", "B"]
    assert (made, kept.size) == (["a", "b"], 8)
    get("a")
    get("c")  # b has waited longest
    get("a")
    assert (made, len(kept)) == (["a", "b", "c"], 2)
    get("b")
    assert made[-1] == "b"
    before = len(kept)
    get("large", 11)
    assert (len(kept), kept.size) == (before, 8)  # none had to go for what cannot be kept


def test_a_digest_tells_values_shapes_and_threads_apart() -> None:
    image = random_image(8, 12)
    changed = image.clone()
    changed[0, 2, 7, 11] += 1e-6
    found = {
        digest(image),
        digest(changed),
        digest(image.view(1, 3, 12, 8)),
        digest(image, None),
        digest(image.double()),
    }
    assert len(found) == 5
    assert digest(image) == digest(image.clone(memory_format=torch.channels_last))


@pytest.mark.parametrize("strokes", ["all", ("coarse", "fine")])
@pytest.mark.parametrize("method", ["moments", "matched"])
def test_a_painting_is_encoded_once_for_many_photographs(strokes: str | tuple[str, ...], method: str) -> None:
    settings = Settings(size=48, quality="draft", method=method, memory="8GB", strokes=strokes, device="cpu")
    styles = [random_image(40, 32, 7), random_image(32, 44, 8)]
    photographs = [random_image(36, 48, seed) for seed in range(3)]
    painter = Painter(weights=tiny_weights(dtype=torch.float32))
    encoded = shapes_that_are_encoded(painter.models.vgg())
    pictures, counts = [], []
    for photograph in photographs:
        pictures.append(painter.paint(photograph, styles, settings))
        counts.append(encoded.count((40, 32)) + encoded.count((32, 44)))
    assert 0 < counts[0] == counts[1] == counts[2]
    for photograph, picture in zip(photographs, pictures, strict=True):
        alone = Painter(weights=tiny_weights(dtype=torch.float32)).paint(photograph, styles, settings)
        assert torch.equal(alone, picture)


def shapes_that_are_encoded(network: VGG19) -> list[tuple[int, int]]:
    """Heights and widths of all images that go into a network, or a variant of it, from now on."""
    seen, first = [], network.convolutions["conv1_1"]

    def noted(x: Tensor, padding: int) -> Tensor:
        seen.append((x.shape[-2], x.shape[-1]))
        return first(x, padding)

    network.convolutions["conv1_1"] = noted
    return seen
