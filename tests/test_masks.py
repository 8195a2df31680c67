"""Masks: which colours are which regions, what pairs with what, and what stays."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import random_image
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from impasto import SettingsError
from impasto.images.masks import REGION_COLORS, over_windows, pair_regions, read_protection, regions_of
from impasto.images.reading import to_image

PHOTO, PAINTING, OTHER = torch.zeros(1, 3, 24, 40), torch.zeros(1, 3, 20, 30), torch.zeros(1, 3, 18, 16)


def stripes(*colors: tuple[float, float, float], height: int = 24, width: int = 10) -> torch.Tensor:
    """(1, 3, height, width times the colours)."""
    return torch.cat(
        [torch.tensor(c, dtype=torch.float32)[None, :, None, None].expand(1, 3, height, width) for c in colors], dim=3
    )


def test_every_colour_is_a_region_by_its_name():
    regions = regions_of("mask", stripes(*REGION_COLORS.values()), 24, 80)
    assert list(regions) == list(REGION_COLORS)
    for i, share in enumerate(regions.values()):
        assert share[:, 10 * i : 10 * i + 10].min() == 1
        assert share.sum() == 24 * 10


def test_grey_is_a_part_white_and_soft_edges_are_parts_of_both():
    grey = stripes((0.0, 0.0, 0.0), (0.25, 0.25, 0.25), (0.7, 0.7, 0.7))
    regions = regions_of("mask", grey, 24, 30)
    assert list(regions) == ["black", "white"]
    torch.testing.assert_close(regions["white"][0, ::10], torch.tensor([0, 0.25, 0.7]))
    purple = stripes((1.0, 0.0, 0.0), (0.4, 0.0, 0.6), (0.0, 0.0, 1.0))
    regions = regions_of("mask", purple, 24, 30)
    torch.testing.assert_close(regions["blue"][0, ::10], torch.tensor([0, 0.6, 1.0]))
    # halfway between yellow and blue lies grey, which is no black and white here
    regions = regions_of("mask", stripes((1, 1, 0), (0.5, 0.5, 0.5), (0, 0, 1), (0, 0, 0), (1, 1, 1)), 24, 50)
    assert regions["yellow"][0, 15] == 0.5


@pytest.mark.parametrize(("height", "width"), [(24, 40), (12, 20), (50, 90), (13, 7)])
def test_a_mask_of_another_size_is_resampled(height: int, width: int):
    regions = regions_of("mask", stripes((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1)), height, width)
    total = torch.stack(list(regions.values())).sum(0)
    assert total.shape == (height, width)
    torch.testing.assert_close(total, torch.ones(height, width))
    assert regions["green"][:, round(0.625 * width)].min() > 0.9


def test_a_jpeg_and_a_transparent_drawing_are_masks_too(tmp_path: Path):
    pixels = (stripes((1, 0, 0), (0, 0, 1), height=32, width=24)[0].permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "mask.jpg", quality=60)
    regions = regions_of("mask", tmp_path / "mask.jpg", 32, 48)
    assert list(regions) == ["red", "blue"]
    drawing = Image.new("RGBA", (40, 24), (255, 255, 255, 0))
    drawing.paste((255, 255, 255, 255), (0, 0, 10, 24))
    regions = regions_of("mask", drawing, 24, 40)
    torch.testing.assert_close(regions["white"].mean(), torch.tensor(0.25), atol=0.02, rtol=0)


def test_a_wrong_colour_is_named():
    with pytest.raises(
        SettingsError, match=r"mask has a part coloured #ff8000, which names no region; use black, white"
    ):
        regions_of("mask", stripes((0, 0, 0), (1, 0.5, 0), (1, 1, 1)), 24, 30)
    with pytest.raises(SettingsError, match="#80bf40"):
        regions_of("mask", stripes((0.5, 0.75, 0.25), (0, 0, 0)), 24, 20)


def test_regions_of_the_same_colour_pair():
    mask, style_mask = stripes((0, 0, 0), (1, 1, 1)), stripes((1, 1, 1), (0, 0, 0), height=20, width=15)
    paired = pair_regions(mask, [style_mask], PHOTO, [PAINTING])
    assert paired is not None
    photo, (painting,) = paired
    assert photo.shape == (2, 24, 40)
    assert painting.shape == (2, 20, 30)
    assert photo[0, :, :19].min() > 0.9  # black is left in the photograph
    assert painting[0, :, 16:].min() > 0.9  # and right in the painting
    torch.testing.assert_close(photo.sum(0), torch.ones(24, 40))


def test_a_colours_name_is_a_whole_painting_and_all_counts_everywhere():
    mask = stripes((0, 0, 0), (1, 0, 0))
    paired = pair_regions(mask, ["red", "black"], PHOTO, [PAINTING, OTHER])
    assert paired is not None
    assert [m.amax((1, 2)).tolist() for m in paired[1]] == [[0, 1], [1, 0]]
    paired = pair_regions(mask, ["all", "black"], PHOTO, [PAINTING, OTHER])
    assert paired is not None
    assert [m.amax((1, 2)).tolist() for m in paired[1]] == [[1, 1], [1, 0]]


def test_what_is_not_labelled_is_painted_with_everything():
    paired = pair_regions(stripes((0, 0, 0), (1, 0, 0)), ["red", "red"], PHOTO, [PAINTING, OTHER])
    assert paired is not None
    assert [m.amin((1, 2)).tolist() for m in paired[1]] == [[1, 1], [1, 1]]


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_a_blank_mask_is_no_mask(value: float):
    blank = torch.full((1, 3, 20, 20), value)
    if value != 0.5:  # half white and half black everywhere is a mask
        assert pair_regions(blank, ["all"], PHOTO, [PAINTING]) is None
    paired = pair_regions(stripes((0, 0, 0), (1, 1, 1)), [torch.zeros(1, 3, 20, 20)], PHOTO, [PAINTING])
    assert paired is not None
    assert paired[1][0].min() == 1


def test_a_region_that_no_painting_has_is_refused():
    with pytest.raises(SettingsError, match="mask has a red region, but no painting has; give a style mask with red"):
        pair_regions(stripes((0, 0, 0), (1, 0, 0)), ["blue"], PHOTO, [PAINTING])


def test_a_protected_area_is_whole_and_fades_outside():
    photograph = to_image(random_image(100, 200))
    mask = torch.zeros(1, 3, 100, 200)
    mask[..., 30:60, 50:90] = 1
    inside = mask[0, 0] > 0
    boxes = ("50,30,90,60", "25%, 30%, 45%, 60%", "50,30%,45%,60", (50, 30, 90, 60), [50.0, 30, 90, 60])
    for protect in (mask, inside, inside.numpy(), inside[None, None], *boxes):
        kept = read_protection(protect, photograph)
        assert kept.shape == (1, 1, 100, 200)
        assert kept[..., 30:60, 50:90].min() > 0.999
        assert kept[..., :20, :].max() == kept[..., :40].max() == 0
        row = kept[0, 0, 45, 90:100]
        assert row.diff().max() <= 0
        assert ((row > 0.1) & (row < 0.9)).sum() >= 2
    assert float(read_protection(torch.full((1, 3, 100, 200), 0.5), photograph).max()) == 0.5


@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 13, 23])
def test_windows_by_doubling_are_those_of_poolings(side: int):
    image = random_image(23, 40)
    torch.testing.assert_close(over_windows(image, side, torch.maximum), F.max_pool2d(image, side, 1), rtol=0, atol=0)
    sums = F.avg_pool2d(image, side, 1) * side**2
    torch.testing.assert_close(over_windows(image, side, torch.add), sums, rtol=1e-5, atol=1e-5)
    black_and_white = image.round()  # sums of whole numbers are exact in any order
    mean = over_windows(black_and_white, side, torch.add) / side**2
    assert torch.equal(mean, F.avg_pool2d(black_and_white, side, 1))


class Work(TorchDispatchMode):
    """Counts the numbers that operations compute; of a pooling, those that it looks at."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, tuple) else result
        if isinstance(first, torch.Tensor):
            self.count += first.numel() * (math.prod(args[1]) if "pool" in str(func) else 1)
        return result


def test_a_protected_area_of_a_print_takes_few_operations():
    large = replace(to_image(random_image(20, 30)), image=torch.zeros(1, 3, 600, 900))
    with Work() as work:
        read_protection("10%,10%,50%,50%", large)
    assert work.count < 120 * 600 * 900  # the two poolings, of 19 x 19, would look at 722 times the pixels


def test_a_box_in_pixels_is_one_of_the_file_not_of_the_output():
    half = to_image(random_image(100, 200), 100)
    kept = read_protection("100,0,200,100", half)
    assert kept[..., 51:].min() > 0.999
    assert kept[..., :45].max() == 0


@pytest.mark.parametrize(
    "box",
    [
        *("5,4,3,2", "1,2,3", "1,2,3,4,5", "0,0,300,10", "-1,0,5,5", "a,b", "0%,0%,120%,5%", "1,,2,3"),
        *((5, 4, 3, 2), (1, 2, 3), (), ("a", "b", "c", "d"), (0, 0, float("nan"), 5)),
    ],
)
def test_a_box_that_is_none_is_refused(box: object):
    photograph = to_image(random_image(100, 200))
    with pytest.raises(Exception, match=r"is not a box in the photograph of 200 × 100 pixels|a,b does not exist"):
        read_protection(box, photograph)


def test_something_must_be_left_to_paint():
    with pytest.raises(SettingsError, match="protects the whole photograph"):
        read_protection("0%,0%,100%,100%", to_image(random_image(100, 200)))
