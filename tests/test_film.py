"""Films: flow, reliability, the temporal loss, and files with sound."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_image
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.methods.film import Memory, with_temporal_loss
from impasto.methods.flow import chained, optical_flow, reliability
from impasto.objective.optimize import Evaluation
from impasto.painting import Painter
from impasto.runs.film import film_file
from impasto.settings import Settings

av: Any = pytest.importorskip("av")
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
        pytest.param("best", 1, False, marks=pytest.mark.slow),
        ("draft", 2, True),
    ],
)
def test_it_goes_on_from_what_is_remembered(tiny_painter: Painter, quality: str, keyframes: int, loop: bool) -> None:
    there = [frame[..., :24, :32] for frame in panned(4)]
    frames = [*there, *(1 - frame for frame in there), *there[::-1]]  # with two cuts
    style, settings = random_image(40, 56, seed=7), Settings(size=32, quality=quality)
    how: dict[str, Any] = {"keyframes": keyframes, "loop": loop}
    whole = list(tiny_painter.film_steps(frames, style, settings, **how))
    assert len(whole) == len(frames)
    points = [i for i, frame in enumerate(whole) if frame.memory is not None]
    number = points[1]
    memory = whole[number].memory
    assert memory is not None
    rest = tiny_painter.film_steps(frames[number + 1 :], style, settings, **how, resume=Memory.of(vars(memory)))
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


@pytest.mark.parametrize("wrong", [{"boil": 101}, {"keyframes": 0}, {"quality": "reference"}])
def test_what_cannot_be_is_said(tiny_painter: Painter, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        tiny_painter.film([], random_image(40, 56), **wrong)


def write_clip(path: Path, count: int = 4) -> None:
    """A film 63 × 47 px large in another codec, with sound."""
    with av.open(str(path), "w") as target:
        video = target.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = 63, 47, "yuv444p"
        sound = target.add_stream("pcm_s16le", rate=8000)
        for frame in panned(count):
            pixels = np.ascontiguousarray((frame[0, :, :47, :63] * 255).byte().permute(1, 2, 0).numpy())
            target.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 3200), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        target.mux(sound.encode(samples))
        for stream in (video, sound):
            target.mux(stream.encode())


def test_a_file_keeps_its_frames_times_and_sound(tiny_painter: Painter, tmp_path: Path) -> None:
    clip, output, style = tmp_path / "clip.mkv", tmp_path / "out.mkv", tmp_path / "style.png"
    write_clip(clip)
    from impasto.images.writing import write_image

    write_image(style, random_image(40, 56, seed=7))
    done = film_file(clip, [str(style)], output, SMALL, tiny_painter)
    with av.open(str(output)) as film:
        frames = list(film.decode(video=0))
        assert [round(frame.time * 10) for frame in frames] == [0, 1, 2, 3]
        assert done == len(frames)
        assert (frames[0].width, frames[0].height) == (64, 48)
    with av.open(str(output)) as film:
        assert sum(frame.samples for frame in film.decode(audio=0)) == 3200
    assert sorted(tmp_path.iterdir()) == sorted([clip, output, style])


def test_a_truncated_film_is_painted_as_far_as_it_goes(tiny_painter: Painter, tmp_path: Path) -> None:
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    write_clip(clip, 12)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    done = film_file(clip, ["nocturne"], output, SMALL, tiny_painter)
    with av.open(str(output)) as film:
        assert 0 < len(list(film.decode(video=0))) == done < 12


def test_an_error_in_the_middle_keeps_the_film_so_far(tiny_painter: Painter, tmp_path: Path) -> None:
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    write_clip(clip, 6)

    def break_at_three(number: int, frames: int) -> bool:
        if number == 3:
            raise RuntimeError("out of memory")
        return True

    with pytest.raises(RuntimeError, match="memory") as caught:
        film_file(clip, ["nocturne"], output, SMALL, tiny_painter, every=break_at_three)
    assert caught.value.__notes__ == [f"the film up to frame 3 is kept in {output}"]
    with av.open(str(output)) as film:
        assert len(list(film.decode(video=0))) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "out.mkv"]


def test_what_is_no_film_is_said(tiny_painter: Painter, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with pytest.raises(ImageError, match="not there"):
        film_file(clip, ["nocturne"], tmp_path / "out.mp4", SMALL, tiny_painter)
    clip.write_bytes(b"no film")
    with pytest.raises(ImageError, match="cannot be read"):
        film_file(clip, ["nocturne"], tmp_path / "out.mp4", SMALL, tiny_painter)
    with pytest.raises(ImageError, match=r"choose \.mp4"):
        film_file(clip, ["nocturne"], tmp_path / "out.avi", SMALL, tiny_painter)
    assert list(tmp_path.iterdir()) == [clip]
