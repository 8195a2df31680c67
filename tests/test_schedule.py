import itertools
import math
from dataclasses import replace

import pytest
from conftest import random_image

from impasto.errors import SettingsError
from impasto.methods import reference
from impasto.methods.qualities import METHODS
from impasto.methods.reference import PAPER
from impasto.methods.schedule import pyramid, schedule, shared_out
from impasto.painting import Painter
from impasto.settings import Settings


def test_a_pyramid_by_hand():
    assert pyramid(384, 512) == [(96, 128), (192, 256), (384, 512)]


@pytest.mark.parametrize(("height", "width"), [(64, 48), (101, 700), (4096, 3001), (180, 181), (16, 1000)])
def test_pyramids_end_at_the_size_and_keep_its_shape(height: int, width: int):
    sizes = pyramid(height, width)
    assert sizes[-1] == (height, width)
    assert max(sizes[0]) < 128 * 2**0.5 or min(sizes[0]) < 32
    for (h, w), (h2, w2) in itertools.pairwise(sizes):
        assert abs(2 * h - h2) <= 2
        assert abs(2 * w - w2) <= 2


def test_the_reference_is_the_papers_procedure():
    (scale,) = reference.scales(384, 512, Settings(quality="reference"), math.inf)
    assert (scale.height, scale.width, scale.evaluations, scale.weights) == (384, 512, 500, PAPER)
    assert set(PAPER.style_layers.values()) == {1.0}
    chosen = Settings(quality="reference", style_layers="relu1_1=2,relu3_1", content_layers="relu2_2")
    (scale,) = reference.scales(384, 512, chosen, math.inf)
    assert scale.weights.style_layers == {"relu1_1": 2.0, "relu3_1": 1.0}
    assert scale.weights.content_layers == {"relu2_2": 1.0}
    assert METHODS["reference"].ignored(chosen) == []


@pytest.mark.parametrize("quality", ["draft", "good", "best"])
def test_weights_add_up_and_the_strength_sets_their_ratio(quality: str):
    ratios = []
    for strength in (10, 50, 90, 100):
        weights = schedule(300, 400, Settings(quality=quality, strength=strength))[-1].weights
        assert math.isclose(weights.content + weights.style, 1)
        ratios.append(weights.style / weights.content if weights.content else math.inf)
    assert ratios == sorted(ratios)
    assert ratios[-1] == math.inf


def test_large_scales_see_only_the_first_layers():
    small, large = schedule(768, 1024, Settings())[1:4:2]
    assert max(small.weights.layers) == "relu5_1"
    assert (max(large.weights.style_layers), list(large.weights.content_layers)) == ("relu4_1", ["relu3_1"])


def test_where_pieces_are_matched_only_the_coarsest_scale_sees_the_deep_layers():
    coarsest, *others = schedule(768, 1024, Settings(method="matched"), bleeds=True)
    assert max(coarsest.weights.style_layers) == "relu5_1"
    assert {max(scale.weights.style_layers) for scale in others} == {"relu4_1"}
    middle = schedule(768, 1024, Settings(method="moments"), bleeds=True)[1]
    assert max(middle.weights.style_layers) == "relu5_1"


def test_beside_pieces_of_fine_scales_the_photograph_weighs_more():
    scales = schedule(768, 1024, Settings(method="matched"), bleeds=True)
    assert [scale.weights.matched_content > 1 for scale in scales] == [max(s.height, s.width) > 400 for s in scales]


def test_scales_come_in_rounds_where_pieces_are_laid():
    best = Settings(quality="best")
    scales = schedule(768, 1024, best, bleeds=True)
    assert [(max(scale.picture), scale.evaluations) for scale in scales] == [
        *[(64, 60), (128, 60)],
        *[(256, 14)] * 3,
        *[(512, 11)] * 2,
        *[(1024, 11)] * 2,
    ]
    assert scales[-1] == scales[-2]
    good = schedule(768, 1024, Settings(), bleeds=True)
    assert [max(scale.picture) for scale in good] == [64, 128, 256, 512, 512, 1024, 1024]
    for others in (
        schedule(96, 128, best, bleeds=True),
        schedule(768, 1024, Settings(quality="draft", method="matched"), bleeds=True),
        schedule(768, 1024, replace(best, method="moments"), bleeds=True),
    ):
        sizes = [scale.picture for scale in others]
        assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize(
    ("evaluations", "shared"),
    [(4, [[1], [1]]), (100, [[12, 11], [12]]), (110, [[9, 8, 8], [13]]), (160, [[13, 12, 12], [10, 9]])],
)
def test_few_evaluations_come_in_fewer_rounds(evaluations: int, shared: list[list[int]]):
    scales = schedule(384, 512, Settings(quality="best", evaluations=evaluations), bleeds=True)
    assert sum(scale.evaluations for scale in scales) == evaluations
    assert [[scale.evaluations for scale in scales if max(scale.picture) == side] for side in (256, 512)] == shared


def test_layers_of_ones_own_are_used_where_they_can():
    large = schedule(768, 1024, Settings(style_layers="relu5_1=2", content_layers="relu1_2,relu2_2=3"))[-1].weights
    assert large.style_layers == {"relu4_1": 1.0}
    assert large.content_layers == {"relu1_2": 1.0, "relu2_2": 3.0}


@pytest.mark.parametrize("size", [100, 600])
def test_a_layer_that_does_not_exist_is_refused_at_every_size(size: int):
    with pytest.raises(SettingsError, match=r"relu9_1.*choose from.*relu4_2"):
        schedule(size, size, Settings(style_layers="relu9_1"))


def test_pictures_bleed_but_not_the_papers():
    plain = schedule(300, 400, Settings(method="moments"))
    bled = schedule(300, 400, Settings(method="moments"), bleeds=True)
    assert [scale.picture for scale in bled] == [(scale.height, scale.width) for scale in plain]
    assert [(scale.width - scale.picture[1]) / 2 for scale in bled] == [scale.bleed for scale in bled] == [4, 8, 16]
    assert [scale.weights for scale in bled] == [scale.weights for scale in plain]
    assert reference.scales(300, 400, Settings(quality="reference"), math.inf)[0].bleed == 0


@pytest.mark.parametrize(
    ("evaluations", "usual", "shares"),
    [
        (132, (80, 40, 12), [80, 40, 12]),
        (264, (80, 40, 12), [160, 80, 24]),
        (10, (80, 40, 12), [6, 3, 1]),
        (3, (80, 40, 12), [1, 1, 1]),
        (7, (500,), [7]),
    ],
)
def test_evaluations_are_shared_in_the_usual_proportions(evaluations: int, usual: tuple[int, ...], shares: list[int]):
    assert shared_out(evaluations, usual) == shares
    assert sum(shares) == evaluations


def test_no_scale_goes_without_an_evaluation():
    scales = schedule(384, 512, Settings(quality="draft", evaluations=3))
    assert [scale.evaluations for scale in scales] == [1, 1, 1]
    with pytest.raises(SettingsError, match="evaluations=2 is too few: a picture of this size is painted at 3 sizes"):
        schedule(384, 512, Settings(quality="draft", evaluations=2))


@pytest.mark.parametrize("quality", ["draft", "good", "reference"])
def test_as_many_evaluations_as_are_asked_for(tiny_painter: Painter, quality: str):
    photograph, style = random_image(96, 192), random_image(64, 64, 1)
    steps = list(tiny_painter.steps(photograph, style, Settings(size=192, quality=quality, evaluations=7)))
    # the last may be the best one, shown again; scales of "good" may end earlier
    assert {step.steps for step in steps} == {7}
    assert steps[-1].step == 7
    assert len(steps) <= 7 + steps[-1].scales
