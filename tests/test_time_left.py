"""Time left, by a clock that does not depend on the machine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import Main, random_image

from impasto.images.writing import write_image
from impasto.methods.progress import Progress
from impasto.methods.schedule import Scale, schedule
from impasto.methods.time_left import WINDOW, expected, expected_work, with_time_left
from impasto.settings import Settings

IMAGE = torch.zeros(1, 3, 16, 16)
PREPARED = 3.0  # evaluations that the start of a scale takes besides


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def falling(count: int, tolerance: float) -> list[float]:
    """Losses whose last five gain the tolerance, and all before more, as they were seen to."""
    losses = [1.0]
    for n in range(2, count + 1):
        losses.append(losses[-1] * (1 - min(0.4, tolerance / WINDOW * (count / n) ** 2)))
    return losses


def walk(scales: Sequence[Scale], counts: Sequence[int], clock: Clock, pace: float) -> Iterator[Progress]:
    """Scales that end after some evaluations, each of which takes `pace` seconds for a pixel."""
    planned = sum(scale.evaluations for scale in scales)
    for number, (scale, count) in enumerate(zip(scales, counts, strict=True), start=1):
        clock.now += PREPARED * pace * scale.cost
        before = sum(s.evaluations for s in scales[: number - 1])
        for step, loss in enumerate(falling(count, scale.tolerance or 0.01), start=1):
            clock.now += pace * scale.cost
            yield Progress(number, len(scales), before + step, planned, {"total": loss}, IMAGE)


def run(settings: Settings, counts: Sequence[int], pace: float = 1e-5) -> list[tuple[float, float, Progress]]:
    """Seconds gone, seconds that were left in truth, and what was said."""
    clock = Clock()
    scales = schedule(384, 512, settings)
    seen = [(clock.now, p) for p in with_time_left(walk(scales, counts, clock, pace), scales, clock)]
    return [(now - 100, clock.now - now, progress) for now, progress in seen]


@pytest.mark.parametrize(
    ("quality", "counts"),
    [("good", (23, 22, 12)), ("good", (21, 35, 12)), ("best", (60, 45, 50)), ("draft", (18, 8, 2))],
)
def test_the_time_left_is_within_a_factor_of_one_and_a_half_after_ten_seconds(quality: str, counts: tuple[int, ...]):
    for gone, left, progress in run(Settings(quality=quality), counts):
        if gone >= 10 and left > 3:
            assert left / 1.5 <= progress.seconds_left <= 1.5 * left, (gone, left, progress.seconds_left)


def test_the_share_never_falls_and_leaps_nowhere():
    shares = [progress.share for _, _, progress in run(Settings(quality="good"), (23, 22, 12))]
    assert shares[0] < 0.05
    assert shares[-1] == 1
    steps = [after - before for before, after in itertools.pairwise(shares)]
    assert min(steps) >= 0
    assert max(steps) < 0.12


def test_a_stricter_tolerance_takes_more_evaluations_but_no_more_than_planned():
    scales = schedule(384, 512, Settings(quality="good"))
    one = scales[0]
    assert expected(one) == 25
    assert 40 < expected(replace(one, tolerance=0.01)) < 60
    assert expected(replace(one, tolerance=1e-4)) == one.evaluations
    assert expected(replace(one, tolerance=0)) == one.evaluations
    assert expected_work(scales) < sum(scale.cost * scale.evaluations for scale in scales)


def test_what_is_gone_on_with_counts_as_done():
    clock = Clock()
    scales = schedule(384, 512, Settings(quality="good"))
    steps = list(walk(scales, (23, 22, 12), clock, 1e-5))
    later = [p for p in steps if p.scale == 3][4:]
    first = next(with_time_left(iter(later), scales, clock))
    assert first.share > 0.6


def test_losses_that_are_no_numbers_do_no_harm():
    scales = schedule(384, 512, Settings(quality="good"))
    steps = [Progress(1, 3, n, 132, {"total": float("nan")}, IMAGE) for n in range(1, 20)]
    assert all(p.seconds_left >= 0 for p in with_time_left(iter(steps), scales, Clock()))
    assert [p.seconds_left for p in with_time_left(iter(steps[:2]), [])] == [None, None]


def test_without_a_terminal_each_scale_says_what_is_left(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("photo", 0), ("style", 1)):
        write_image(tmp_path / f"{name}.png", random_image(48, 192, seed))
    files = [str(tmp_path / name) for name in ("photo.png", "style.png")]
    out = str(tmp_path / "out.png")
    assert main(["paint", *files, "-o", out, "--size", "192", "--quality", "draft"]) == 0
    first, second = [line for line in capsys.readouterr().err.splitlines() if line.startswith("scale ")]
    assert first == "scale 1 of 2, 96×24"
    assert re.fullmatch("scale 2 of 2, 192×48, about .+ left", second)
