"""What the field's benchmark reckons: frontiers, gaps at equal content with intervals over pairs, votes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Point = tuple[float, float]  # content distance, style distance
ROUNDS = 1000  # of the bootstrap
LEVELS = 33  # of content at which two frontiers are compared
PRIOR = 0.5  # of a win and of a loss against every other tool: whoever never lost is not infinitely good


@dataclass(frozen=True)
class Estimate:
    """A value, and the middle 95 % of what it is when pairs are drawn anew; NaN where there are not two."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f}" + ("" if math.isnan(self.low) else f" ({self.low:.2f} to {self.high:.2f})")


def bootstrapped(items: Sequence[Any], measure: Callable[[Sequence[Any]], Any], seed: int = 0) -> list[Estimate]:
    """The numbers that a measure makes of a list, with percentile intervals over items drawn anew (Efron 1979)."""
    values = np.atleast_1d(measure(items))
    if len(items) < 2:
        return [Estimate(float(value), math.nan, math.nan) for value in values]
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(items), size=(ROUNDS, len(items)))
    found = np.array([measure([items[i] for i in draw]) for draw in draws]).reshape(ROUNDS, -1)
    lows, highs = np.percentile(found, [2.5, 97.5], axis=0)
    return [Estimate(float(v), float(low), float(high)) for v, low, high in zip(values, lows, highs, strict=True)]


def frontier(points: Sequence[Point]) -> list[Point]:
    """Those points that no other beats in both distances, by content."""
    best: list[Point] = []
    for content, style in sorted(points):
        if not best or style < best[-1][1]:
            best.append((content, style))
    return best


@dataclass(frozen=True)
class Gap:
    """Two frontiers of one pair at equal content, over the range that both reach.

    Attributes:
        ratio: of the first one's style distance to the other's, geometric mean.
        everywhere: whether the first one's is smaller throughout.
    """

    ratio: float
    everywhere: bool


def gap(ours: Sequence[Point], theirs: Sequence[Point]) -> Gap | None:
    """How two tools compare on one pair; None where no content distance is reached by both."""
    a, b = np.array(frontier(ours)), np.array(frontier(theirs))
    low, high = max(a[0, 0], b[0, 0]), min(a[-1, 0], b[-1, 0])
    if low > high:
        return None
    levels = np.linspace(low, high, LEVELS)
    ratios = np.interp(levels, a[:, 0], a[:, 1]) / np.interp(levels, b[:, 0], b[:, 1])
    return Gap(float(np.exp(np.log(ratios).mean())), bool((ratios < 1).all()))


@dataclass(frozen=True)
class Comparison:
    """Two tools over all pairs.

    Attributes:
        pairs: on how many both reach a content distance.
        everywhere: on how many of them the first one is nearer to the painting throughout.
        ratio: geometric mean over pairs of the ratio of style distances, with its interval.
    """

    pairs: int
    everywhere: int
    ratio: Estimate


def compared(ours: Mapping[str, Sequence[Point]], theirs: Mapping[str, Sequence[Point]]) -> Comparison:
    """Two tools' points by pair; a pair is the unit that is drawn."""
    gaps = [found for pair in ours if pair in theirs and (found := gap(ours[pair], theirs[pair]))]
    nothing = Estimate(math.nan, math.nan, math.nan)
    logs = [math.log(g.ratio) for g in gaps]
    ratio = bootstrapped(logs, lambda drawn: np.exp(np.mean(drawn)))[0] if gaps else nothing
    return Comparison(len(gaps), sum(g.everywhere for g in gaps), ratio)


@dataclass(frozen=True)
class Vote:
    """Which of two tools' pictures of a pair somebody preferred: 1 the first, 0 the second, 0.5 neither."""

    pair: str
    first: str
    second: str
    share: float


def preferences(votes: Sequence[Vote]) -> dict[str, Estimate]:
    """How likely each tool's picture is preferred to that of another one at random (Bradley and Terry 1952).

    Intervals are those of drawing pairs, with all their votes: people who look at one pair see the same two pictures.
    """
    tools = sorted({tool for vote in votes for tool in (vote.first, vote.second)})
    by_pair: dict[str, list[Vote]] = {}
    for vote in votes:
        by_pair.setdefault(vote.pair, []).append(vote)
    found = bootstrapped(list(by_pair.values()), lambda drawn: _chances(tools, [v for votes in drawn for v in votes]))
    return dict(zip(tools, found, strict=True))


def _chances(tools: Sequence[str], votes: Sequence[Vote]) -> Any:
    wins = np.full((len(tools), len(tools)), PRIOR)
    np.fill_diagonal(wins, 0)
    for vote in votes:
        i, j = tools.index(vote.first), tools.index(vote.second)
        wins[i, j] += vote.share
        wins[j, i] += 1 - vote.share
    strengths = _strengths(wins)
    chances = strengths[:, None] / (strengths[:, None] + strengths)
    return (chances.sum(1) - 0.5) / (len(tools) - 1)  # without the one against itself


def _strengths(wins: Any) -> Any:
    """Bradley and Terry's strengths by Hunter's (2004, eq. 3) minorisation; wins[i, j] is how often i beat j."""
    games = wins + wins.T
    strengths = np.ones(len(wins))
    for _ in range(100):
        pulls = games / (strengths[:, None] + strengths)
        strengths = wins.sum(1) / pulls.sum(1)
        strengths = strengths / np.exp(np.log(strengths).mean())
    return strengths
