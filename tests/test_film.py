"""Films: flow, reliability, the temporal loss, and files with sound."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from conftest import random_image
from torch import Tensor

import impasto.methods.film
import impasto.methods.schedule
from impasto.errors import SettingsError
from impasto.methods.film import Memory, paint_film, shots, steadied, with_temporal_loss
from impasto.methods.flow import Flow, chained, optical_flow, reliability
from impasto.methods.matched import bank, columns_of, matched
from impasto.methods.motion import steady_flow
from impasto.methods.scene import Scene
from impasto.methods.schedule import COLUMN_LAYERS, Scale
from impasto.methods.styles import StyleImage
from impasto.objective.optimize import Evaluation
from impasto.painting import Painter
from impasto.settings import Settings

pytest.importorskip("cv2")

SMALL = Settings(size=64, quality="draft")


def panned(count: int, step: int = 2) -> list[Tensor]:
    """Frames of a camera that moves to the right over a still picture."""
    wide = random_image(48, 64 + step * count, seed=3)
    return [wide[..., step * i : step * i + 64].contiguous() for i in range(count)]


def test_flow_of_a_pan_is_the_pan() -> None:
    first, second = panned(2, step=3)
    back, _ = optical_flow(second, first)
    inside = back.vectors[..., 8:-8, 8:-8]
    assert (inside[:, 0] - 3).abs().median() < 0.3
    assert inside[:, 1].abs().median() < 0.3
    gap = (back.carry(first) - second).abs()[..., 8:-8, 8:-8].mean()
    assert gap < 0.25 * (first - second).abs().mean()


def test_reliability_has_both_conditions_and_the_frame() -> None:
    there = torch.zeros(1, 2, 12, 16)
    assert reliability(there, there).min() == 1
    back = there.clone()
    back[:, 0, 4, 5] = 2.0  # 4 > 0.01 * 4 + 0.5
    assert reliability(there, back)[0, 0, 4, 5] == 0
    assert reliability(there, back).sum() == 12 * 16 - 1
    step = there.clone()
    step[:, 0, :, 8:] = 0.5  # a boundary, within the first condition's reach
    assert reliability(step, -step)[0, 0, 6, 7:9].sum() == 0
    out = torch.full((1, 2, 12, 16), 4.0)
    assert reliability(out, -out)[0, 0, :8, :12].min() == 1
    assert reliability(out, -out)[0, 0, :, 12:].max() == 0


def test_links_of_flow_add_up() -> None:
    assert torch.allclose(chained(torch.ones(1, 2, 12, 16), torch.ones(1, 2, 12, 16)), torch.full((1, 2, 12, 16), 2.0))
    ramp = torch.arange(16.0).expand(1, 2, 12, 16)  # at x + 1 it is one more
    assert torch.allclose(chained(torch.ones(1, 2, 12, 16), ramp)[..., :14], ramp[..., :14] + 2, atol=1e-4)


def test_a_flow_too_long_for_a_search_is_found_from_a_guess() -> None:
    wide = random_image(48, 200, seed=5)
    first, second = wide[..., :96], wide[..., 60:156]
    guess = torch.stack([torch.full((48, 96), 60.0), torch.zeros(48, 96)])[None]
    back, _ = optical_flow(second.contiguous(), first.contiguous(), guess, -guess)
    assert (back.vectors[:, 0, 8:-8, 8:28] - 60).abs().median() < 0.3
    assert back.reliable[..., 8:-8, 8:28].mean() > 0.9


def test_what_has_changed_its_light_is_not_reliable() -> None:
    first = random_image(48, 64, seed=3) * 0.7
    second = first.clone()
    second[..., 10:30, 20:40] += 0.25
    back, _ = optical_flow(second, first)
    assert back.reliable[..., 14:26, 24:36].max() == 0
    assert back.reliable[..., :, 50:].mean() > 0.9


def flat_and_noisy(step: int) -> list[Tensor]:
    """Two frames of a camera that moves to the right, past a wall with nothing on it, and a sensor's noise."""
    wide = random_image(80, 120, seed=3)
    wide[..., 16:64, 30:90] = 0.5
    generator = torch.Generator().manual_seed(0)
    frames = [wide[..., step * i : step * i + 112] for i in (0, 1)]
    return [(frame + 0.02 * torch.randn(frame.shape, generator=generator)).clamp(0, 1) for frame in frames]


def test_where_nothing_can_be_followed_the_flow_is_of_what_lies_around() -> None:
    first, second = flat_and_noisy(step=4)
    wall = (..., slice(18, 62), slice(32, 80))
    searched, _ = optical_flow(second, first)
    back, forth = steady_flow(second, first)
    assert searched.reliable[wall].mean() < 0.9
    assert back.reliable[wall].mean() > 0.98
    assert forth.reliable[wall].mean() > 0.98
    unsure = searched.reliable[wall] == 0
    gaps = [(flow.vectors[wall][:, :1][unsure] - 4).abs().mean() for flow in (searched, back)]
    assert gaps[1] < min(1, 0.75 * gaps[0])
    assert torch.equal(back.vectors[:, :1][searched.reliable > 0], searched.vectors[:, :1][searched.reliable > 0])


def test_what_is_newly_seen_stays_unreliable() -> None:
    """A square that moves over a wall: beside it is what it had covered."""
    frames = []
    for x in (40, 44):
        frame = random_image(80, 120, seed=3)
        frame[..., 30:54, x : x + 24] = random_image(24, 24, seed=4) ** 2
        frames.append(frame)
    back, _ = steady_flow(frames[1], frames[0])
    assert back.reliable[..., 34:50, 40:43].mean() < 0.1
    assert back.reliable[..., 34:50, 48:64].mean() > 0.9
    assert back.reliable[..., :20, :].mean() > 0.95


def test_temporal_loss_has_its_gradient() -> None:
    carried, reliable = random_image(6, 8, 1, torch.float64), torch.rand(1, 1, 6, 8, dtype=torch.float64)

    def nothing(image: Tensor) -> Evaluation:
        return Evaluation(image.new_zeros(()), torch.zeros_like(image), {})

    evaluate = with_temporal_loss(nothing, carried, reliable, 5.0)
    image = random_image(6, 8, 2, torch.float64).requires_grad_()
    loss = 5.0 * (reliable * (image - carried).square()).mean()
    (gradient,) = torch.autograd.grad(loss, image)
    found = evaluate(image.detach())
    assert torch.allclose(found.loss, loss)
    assert torch.allclose(found.gradient, gradient)


@pytest.mark.parametrize("keyframes", [1, 3])
def test_a_film_has_a_picture_for_each_frame_and_holds(tiny_painter: Painter, keyframes: int) -> None:
    frames = panned(6)
    taken = []

    def asked() -> Any:
        for frame in frames:
            taken.append(frame)
            yield frame

    style = random_image(40, 56, seed=7)
    film = tiny_painter.film(asked(), style, SMALL, boil=0, keyframes=keyframes)
    painted = [next(film)]
    assert len(taken) == 1  # streamed
    painted += list(film)
    assert len(painted) == 6
    alone = [tiny_painter.paint(frame, style, SMALL) for frame in frames]

    def flicker(pictures: list[Tensor]) -> float:
        return float(sum((b[..., 8:-10] - a[..., 10:-8]).abs().mean() for a, b in pairwise(pictures)))

    assert flicker(painted) < 0.6 * flicker(alone)


def test_a_cut_begins_anew(tiny_painter: Painter) -> None:
    one, other, style = random_image(48, 64, 1), 1 - random_image(48, 64, 2), random_image(40, 56, seed=7)
    painted = list(tiny_painter.film_steps([one, other, other], style, SMALL))
    alone = list(tiny_painter.film_steps([other], style, SMALL))
    assert torch.equal(painted[1].image, alone[0].image)
    assert [frame.cut for frame in painted] == [True, True, False]


def test_shots_painted_apart_are_the_film(tiny_painter: Painter) -> None:
    """Also where the painting takes the colours of the film's first frame."""
    first, second = (frame[..., :24, :32] for frame in panned(2))
    frames, counts = [first, second, 1 - first, 1 - second, first], [2, 2, 1]
    style, settings = random_image(40, 56, seed=7), Settings(size=32, quality="draft", color="match")
    assert list(shots(frames, settings)) == counts
    assert list(shots([first, second, first[..., :20, :]], settings)) == [2, 1]
    whole = [frame.image for frame in tiny_painter.film_steps(frames, style, settings)]
    begin, apart = 0, []
    for count in counts:
        shot = frames[begin : begin + count]
        begin += count
        steps = list(paint_film(shot, style, tiny_painter.models, settings, first=frames[0]))
        apart += [frame.image for frame in steps]
        memory = steps[-1].memory
        assert memory is not None
        assert torch.equal(memory.opening.cpu(), first)
    assert all(torch.equal(one, other) for one, other in zip(whole, apart, strict=True))
    assert not torch.equal(whole[2], next(tiny_painter.film(frames[2:], style, settings)))


def test_with_matched_painting_later_frames_keep_pieces_of_the_painting_too(tiny_painter: Painter) -> None:
    """A second frame, gone on with by statistics and by pieces from the same first one."""
    frame, style, network = random_image(96, 128, seed=3), random_image(80, 112, seed=8), tiny_painter.models.vgg()
    settings = Settings(size=128, quality="draft", method="moments", device="cpu")
    memory = next(tiny_painter.film_steps([frame], style, settings)).memory
    assert memory is not None
    pieces = bank(network, [StyleImage(style).beside(frame)], COLUMN_LAYERS, whole=True)
    assert pieces.columns is not None
    wanted = pieces.columns[matched(network, pieces, memory.canvas, [1.0]).indices.flatten()].float()

    def fit(method: str) -> float:
        steps = tiny_painter.film_steps([frame], style, replace(settings, method=method), boil=90, resume=memory)
        columns = columns_of(network, next(steps).image, COLUMN_LAYERS)
        sizes = [torch.full((network.channels(layer),), pieces.sizes[layer]) for layer in COLUMN_LAYERS]
        return float(torch.cosine_similarity(columns / torch.cat(sizes), wanted).mean())

    assert fit("matched") > fit("moments") + 0.001


def test_frames_go_on_at_two_sizes_though_the_last_one_comes_in_rounds(
    tiny_painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impasto.methods.schedule, "ROUND", 1)
    begun = []

    class Noted(impasto.methods.film._Pass):
        def __init__(self, network: Any, scene: Scene, scale: Scale, settings: Settings) -> None:
            begun.append(scale.picture)
            super().__init__(network, scene, scale, settings)

    monkeypatch.setattr(impasto.methods.film, "_Pass", Noted)
    settings = Settings(size=208, quality="best", method="matched", evaluations=9, device="cpu")
    next(tiny_painter.film_steps([random_image(156, 208, seed=3)], random_image(80, 112, seed=8), settings))
    assert begun == [(78, 104), (156, 208)]


def test_boil_100_paints_every_frame_by_itself(tiny_painter: Painter) -> None:
    frames, style = panned(3), random_image(40, 56, seed=7)
    painted = list(tiny_painter.film(frames, style, SMALL, boil=100))
    assert all(
        torch.equal(image, tiny_painter.paint(frame, style, SMALL))
        for image, frame in zip(painted, frames, strict=True)
    )


@pytest.mark.parametrize("keyframes", [pytest.param(1, marks=pytest.mark.slow), 11])
def test_a_still_camera_keeps_mean_contrast_and_saturation(tiny_painter: Painter, keyframes: int) -> None:
    """For a hundred frames, with the noise of a sensor, within 2 %."""
    generator = torch.Generator().manual_seed(0)
    scene = 0.1 + 0.8 * random_image(24, 32, seed=3)
    frames = (scene + 0.01 * torch.randn(scene.shape, generator=generator) for _ in range(100))
    settings = Settings(size=32, quality="draft")

    def looks(image: Tensor) -> Tensor:
        return torch.stack([image.mean(), image.mean(1).std(), (image.amax(1) - image.amin(1)).mean()])

    film = tiny_painter.film(frames, random_image(40, 56, seed=7), settings, keyframes=keyframes)
    first, *later = (looks(image) for image in film)
    assert len(later) == 99
    assert max(float(((one - first) / first).abs().max()) for one in later) < 0.02


@pytest.mark.parametrize(
    ("quality", "keyframes", "loop"),
    [
        ("draft", 1, False),
        ("draft", 3, False),
        pytest.param("matched draft", 1, False, marks=pytest.mark.slow),
        pytest.param("best", 1, False, marks=pytest.mark.slow),
        ("draft", 2, True),
    ],
)
def test_it_goes_on_from_what_is_remembered(tiny_painter: Painter, quality: str, keyframes: int, loop: bool) -> None:
    there = [frame[..., :24, :32] for frame in panned(4)]
    frames = [*there, *(1 - frame for frame in there), *there[::-1]]  # with two cuts
    method, _, quality = quality.rpartition(" ")
    style, settings = random_image(40, 56, seed=7), Settings(size=32, quality=quality, method=method or "auto")
    how: dict[str, Any] = {"keyframes": keyframes, "loop": loop}
    whole = list(tiny_painter.film_steps(frames, style, settings, **how))
    assert len(whole) == len(frames)
    points = [i for i, frame in enumerate(whole) if frame.memory is not None]
    number = points[1]
    memory = whole[number].memory
    assert memory is not None
    rest = tiny_painter.film_steps(
        frames[number + 1 :], style, settings, **how, resume=Memory.of(memory.tensors, memory.budget)
    )
    for one, other in zip(whole[number + 1 :], rest, strict=True):
        assert torch.equal(one.image, other.image)


def test_a_loop_comes_back_to_its_first_frame(tiny_painter: Painter) -> None:
    round_it = torch.cat([random_image(24, 64, seed=3)] * 2, dim=-1)  # a camera that turns once around
    frames = [round_it[..., 2 * i : 2 * i + 32].contiguous() for i in range(32)]
    back, _ = optical_flow(frames[0], frames[-1])

    def gap(loop: bool) -> float:
        settings = Settings(size=32, quality="draft")
        painted = list(tiny_painter.film(frames, random_image(40, 56, seed=7), settings, keyframes=4, loop=loop))
        assert len(painted) == len(frames)
        return float((back.carry(painted[-1]) - painted[0])[..., 4:-4].square().mean())

    assert gap(loop=True) < 0.5 * gap(loop=False)


@pytest.mark.parametrize(
    ("quality", "keyframes"), [("draft", 1), ("draft", 3), pytest.param("best", 1, marks=pytest.mark.slow)]
)
def test_what_is_protected_stays_in_every_frame_and_the_rest_is_painted_as_without(
    tiny_painter: Painter, quality: str, keyframes: int
) -> None:
    frames, style = panned(5), random_image(40, 56, seed=7)
    settings = Settings(size=64, quality=quality, device="cpu")  # the same bits twice
    with_box = list(tiny_painter.film_steps(frames, style, settings, keyframes=keyframes, protect="10,8,40,30"))
    without = list(tiny_painter.film_steps(frames, style, settings, keyframes=keyframes))
    for frame, kept, plain in zip(frames, with_box, without, strict=True):
        assert torch.allclose(kept.image[..., 10:28, 12:38], frame[..., 10:28, 12:38], atol=1e-6)
        assert torch.equal(kept.image[..., 36:, :], plain.image[..., 36:, :])
        assert 0.2 < kept.kept < 0.5
        assert plain.kept == 0


def test_an_area_moves_along_and_is_neither_lost_nor_found_in_one_frame() -> None:
    first, second = panned(2, step=3)
    back, _ = optical_flow(second, first)
    area, none = torch.zeros(1, 1, 48, 64), torch.zeros(1, 1, 48, 64)
    area[..., 10:30, 23:43] = 1
    lost = steadied(none, area, back)
    assert lost[..., 14:26, 23:37].mean() > 0.6  # where it has moved to
    assert lost[..., :, 48:58].max() < 0.05
    assert steadied(area, none, back)[..., 14:26, 24:40].mean() < 0.4
    hidden = Flow(back.vectors, torch.zeros_like(back.reliable))
    assert torch.equal(steadied(none, area, hidden), none)


@pytest.mark.parametrize(
    "wrong", [{"boil": 101}, {"keyframes": 0}, {"quality": "reference"}, {"protect": "faces:0"}, {"cluster": "auto"}]
)
def test_what_cannot_be_is_said(tiny_painter: Painter, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        tiny_painter.film([], random_image(40, 56), **wrong)
