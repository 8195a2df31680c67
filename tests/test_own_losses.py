"""Losses of the caller's: what they see, that they pull, and where they are refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from conftest import random_image
from torch import Tensor

from impasto import ImpastoError, Loss, Painter, Settings, SettingsError

PHOTO, STYLE = random_image(32, 48), random_image(40, 32, seed=1)
QUICK = Settings(size=48, quality="draft")


def dark(image: Tensor, features: Mapping[str, Tensor], photograph: Tensor) -> Tensor:
    return image.mean()


def test_a_loss_pulls_where_it_falls(tiny_painter: Painter):
    plain = tiny_painter.paint(PHOTO, STYLE, QUICK)
    pulled = tiny_painter.paint(PHOTO, STYLE, QUICK, losses=[Loss("dark", dark, weight=20.0)])
    assert pulled.mean() < plain.mean() - 0.05
    assert tiny_painter.paint(PHOTO, STYLE, QUICK, losses=[Loss("dark", dark, weight=0)]).equal(plain)


def test_it_sees_image_features_and_photograph_and_is_told_in_progress(tiny_painter: Painter):
    seen: list[tuple[Tensor, Mapping[str, Tensor], Tensor]] = []

    def look(image: Tensor, features: Mapping[str, Tensor], photograph: Tensor) -> Tensor:
        seen.append((image.detach(), {k: f.detach() for k, f in features.items()}, photograph))
        return (features["relu3_1"] ** 2).mean()

    steps = list(tiny_painter.steps(PHOTO, STYLE, QUICK, losses=[Loss("strength", look, 0.5, ("relu3_1",))]))
    image, features, photograph = seen[0]
    assert image.shape == photograph.shape == (1, 3, 40, 56)  # 4 pixels more on each side, which are cut off
    assert list(features) == ["relu3_1"]
    assert features["relu3_1"].shape[-2:] == (10, 14)
    losses = steps[0].losses
    assert losses["strength"] == pytest.approx(0.5 * float((features["relu3_1"] ** 2).mean()), rel=1e-4)
    assert losses["total"] == pytest.approx(sum(v for k, v in losses.items() if k != "total"), rel=1e-4)


def test_the_reference_takes_one_beside_the_papers_own(tiny_painter: Painter):
    settings = Settings(size=48, quality="reference", evaluations=30)
    plain = list(tiny_painter.steps(PHOTO, STYLE, settings))
    pulled = list(tiny_painter.steps(PHOTO, STYLE, settings, losses=[Loss("dark", dark, weight=100.0)]))
    assert pulled[0].losses == pytest.approx(
        {**plain[0].losses, "dark": 100 * float(PHOTO.mean()), "total": pulled[0].losses["total"]}
    )
    assert pulled[-1].losses["dark"] < pulled[0].losses["dark"]
    assert pulled[-1].image.mean() < plain[-1].image.mean()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"quality": "instant"},
            "quality='instant' takes no losses of your own; choose from: draft, good, best, reference",
        ),
        ({"cluster": "local"}, "no machine of a cluster has"),
    ],
)
def test_where_none_can_be_it_is_refused_before_any_step(tiny_painter: Painter, changes: dict[str, str], words: str):
    with pytest.raises(SettingsError, match=words):
        tiny_painter.steps(PHOTO, STYLE, QUICK, losses=[Loss("dark", dark)], **changes)


def test_what_is_no_loss_is_refused(tiny_painter: Painter):
    for wrong in ({"name": "style"}, {"weight": float("nan")}, {"layers": ("relu9_1",)}):
        with pytest.raises(ImpastoError):
            Loss(**{"name": "dark", "function": dark, **wrong})
    with pytest.raises(SettingsError, match="two losses have the name 'dark'"):
        tiny_painter.steps(PHOTO, STYLE, QUICK, losses=[Loss("dark", dark), Loss("dark", dark)])
    for given in (lambda *_: 3.0, lambda image, *_: image):
        with pytest.raises(SettingsError, match=r"the loss 'odd' gives a .*; a tensor with one number is needed"):
            tiny_painter.paint(PHOTO, STYLE, QUICK, losses=[Loss("odd", given)])


def test_a_picture_that_does_not_fit_whole_is_refused(tiny_painter: Painter):
    from impasto.objective.memory import in_use

    memory = f"{in_use(torch.device('cpu')) + 2 * 10**9}B"
    with pytest.raises(SettingsError, match="need the picture whole in memory"):
        tiny_painter.steps(PHOTO, STYLE, Settings(size=2400, memory=memory), losses=[Loss("dark", dark)])


def test_layers_may_be_objects():
    settings = Settings(style_layers={"relu1_1": 2, "relu3_1": 0.25}, content_layers={"relu4_2": 1.0})
    assert settings.style_layers == "relu1_1=2,relu3_1=0.25"
    assert Settings.from_json(settings.to_json()) == settings
    assert settings == Settings(style_layers="relu1_1=2,relu3_1=0.25", content_layers="relu4_2=1.0")
    with pytest.raises(SettingsError, match="no layer 'relu9_1'"):
        Settings(style_layers={"relu9_1": 1})
