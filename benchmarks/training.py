"""A network that has learnt a style against `good`: seconds for a picture of 1024 × 768, and held-out distances.

The first table times, in turns and in one process, a picture by the network and one evaluation of the objective at
the last scale of `good`. What `good` takes in all is more than the evaluations of that scale, so the share that is
printed is an upper bound; with `--whole` the first photograph is painted by `good` as well, at that size. The second
table paints photographs with both and prints `impasto.score`, the network at several strengths; and, between those,
the network's style distance where its content distance is `good`'s. With `--learnt`, the folder of the photographs
that it learnt from, a third table has its losses on pieces of those and on pieces of the photographs given: what lies
between them is all that more photographs could mend.

    python benchmarks/training.py style.safetensors nocturne photo.jpg other.jpg
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch

from impasto.images.gallery import find_style
from impasto.images.reading import read_image, resize, to_image
from impasto.images.writing import write_image
from impasto.methods.crops import HELD_OUT, Crops
from impasto.methods.schedule import schedule
from impasto.methods.styles import at_scale, blended_moments, read_paintings
from impasto.methods.training import ALONE, PADDING, Judge, Recipe, corner, piece_side, views
from impasto.network.models import Models
from impasto.network.streamed import transform
from impasto.network.transform import shares_of
from impasto.objective.objective import Objective
from impasto.painting import Painter
from impasto.runs.training import find_photographs
from impasto.score import score
from impasto.settings import Settings

HEIGHT, WIDTH = 768, 1024
TURNS = 3
PIECES = 64  # of each kind of photographs
STRENGTHS = (10, 20, 30, 40, 50)


def times(models: Models, style: Path, painting: Path) -> None:
    """Seconds of a picture by the network, and of an evaluation of `good`'s last scale."""
    network, about = models.transform(style)
    shares = shares_of([1.0] * len(about.names))
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    settings = Settings(size=WIDTH)
    scale = schedule(HEIGHT, WIDTH, settings, bleeds=True)[-1]
    content = torch.rand(1, 3, scale.height, scale.width, generator=torch.Generator().manual_seed(0))
    vgg = models.vgg()
    styles = [one.beside(content) for one in read_paintings([painting], content, settings)]
    target = blended_moments(vgg, styles, scale.weights.layers)
    objective = Objective(vgg, content, target, scale.weights)
    passes, evaluations = [], []
    for _ in range(TURNS):
        begun = time.process_time()
        transform(network, image, shares)
        passes.append(time.process_time() - begun)
        begun = time.process_time()
        objective(content)
        evaluations.append(time.process_time() - begun)
    print(f"\n{WIDTH} × {HEIGHT} px, {torch.get_num_threads()} threads, the least of {TURNS} turns\n")
    print("| what | processor seconds |\n| --- | --- |")
    print(f"| the network's picture | {min(passes):.2f} |")
    print(f"| one evaluation of good's last scale | {min(evaluations):.2f} |")
    all_of_them = scale.evaluations * min(evaluations)
    print(f"\n`good` makes up to {scale.evaluations} there: the picture is 1/{all_of_them / min(passes):.0f} of those")


def whole(painter: Painter, style: Path, painting: Path, photograph: Path) -> None:
    """Processor seconds of one picture by both, by turns: the network twice, `good` between."""
    network, about = painter.models.transform(style)
    shares = shares_of([1.0] * len(about.names))
    image = resize(read_image(photograph, WIDTH).image, HEIGHT, WIDTH)
    painter.models.vgg()
    transform(network, image, shares)
    seconds = []
    for paint in (
        lambda: transform(network, image, shares),
        lambda: painter.paint(image, painting, Settings(size=WIDTH)),
        lambda: transform(network, image, shares),
    ):
        begun = time.process_time()
        paint()
        seconds.append(time.process_time() - begun)
    passes, good = (seconds[0], seconds[2]), seconds[1]
    print(
        f"\nThe picture whole, processor seconds: network {passes[0]:.2f} and {passes[1]:.2f}, good {good:.1f}: ",
        end="",
    )
    print(f"1/{good / max(passes):.0f}")


def distances(
    painter: Painter, style: Path, painting: Path, photographs: list[Path], size: int, kept: Path | None
) -> None:
    """Held-out distances of the network's pictures and of `good`'s."""
    _, about = painter.models.transform(style)
    print(f"\n{size} px; the network after {about.steps} steps\n")
    print("| photograph | painted by | style | content |\n| --- | --- | --- | --- |")
    sums: dict[str, list[tuple[float, float]]] = {}
    for photograph in photographs:
        content = read_image(photograph, size).image
        target = at_scale(to_image(painting).image, content, 1.0)
        pictures = {"good": _good(painter, content, painting, size, kept and kept / f"{photograph.stem}-{size}.png")}
        for strength in STRENGTHS:
            settings = Settings(size=size, strength=min(strength, about.strength))
            pictures[f"network, {strength}"] = painter.paint(content, style, settings)
        for name, picture in pictures.items():
            found = score(painter.models.vgg(), picture, content, target)
            sums.setdefault(name, []).append((found.style, found.content))
            print(f"| {photograph.stem} | {name} | {found.style:.3f} | {found.content:.3f} |", flush=True)
    for name, those in sums.items():
        means = [sum(one[i] for one in those) / len(those) for i in range(2)]
        print(f"| **mean** | {name} | {means[0]:.3f} | {means[1]:.3f} |")
    print("\nStyle distance at good's content distance: the network's, good's, by how much it is larger\n")
    print("| photograph | network | good | more |\n| --- | --- | --- | --- |")
    for photograph, *points in zip(photographs, *sums.values(), strict=True):
        at, good = at_equal_content(points), points[0][0]
        words = f"{at:.3f} | {good:.3f} | {at / good - 1:+.0%}" if at else f"no strength keeps as much | {good:.3f} |"
        if max(content for _, content in points[1:]) < points[0][1]:
            least = min(found for found, _ in points[1:])
            words = f"{least:.3f}, and keeps more | {good:.3f} | at most {least / good - 1:+.0%}"
        print(f"| {photograph.stem} | {words} |")


@torch.no_grad()
def generalisation(models: Models, style: Path, painting: Path, learnt: list[Path], unseen: list[Path]) -> None:
    """The losses that it was taught by, over as many pieces of photographs that it has learnt from and of others.

    Args:
        learnt: all that were given to `impasto train`: each tenth was kept from it.
        unseen: other photographs.
    """
    network, about = models.transform(style)
    recipe = Recipe(Settings(size=about.size, strength=about.strength))
    frame = torch.empty(1, 3, round(0.75 * about.size), about.size)
    target = at_scale(to_image(painting).image, frame, 1.0)
    held = learnt[::HELD_OUT]
    groups = {"learnt": [one for one in learnt if one not in held], "unseen": [*held, *unseen]}
    crops = {name: Crops(those, piece_side(recipe), about.size, seed=0) for name, those in groups.items()}
    numbers = torch.linspace(0, len(crops["learnt"]) - 1, 16).long().tolist()
    sample = views(crops["learnt"].several(numbers), [corner(recipe, number) for number in numbers], recipe)
    judge = Judge(models.vgg(padding=PADDING), recipe, [[target]], sample)
    print(f"\nLosses over {PIECES} pieces each, of {recipe.crop} px\n")
    print("| photographs | content | style | of the mean of the total: standard error |\n| --- | --- | --- | --- |")
    for name, those in crops.items():
        memory, found = judge.memory(), []
        for number in torch.linspace(0, len(those) - 1, PIECES).long().tolist():
            where = [corner(recipe, number)]
            painted = views(network(those[number], shares_of([1.0])), where, recipe)
            kept = judge.features(views(those[number], where, recipe))
            terms = judge.losses(painted, kept, torch.tensor([0]), torch.tensor([1.0]), memory)
            memory.take(ALONE)
            found.append(torch.cat([terms["content"], terms["style"]]))
        content, loss = torch.stack(found).mean(0)
        error = torch.stack(found).sum(1).std() / PIECES**0.5
        print(f"| {len(groups[name])} {name} | {content:.4f} | {loss:.4f} | {error:.4f} |", flush=True)


def at_equal_content(points: list[tuple[float, float]]) -> float | None:
    """The network's style distance where its content distance is that of `good`, between two strengths.

    Args:
        points: (style, content) of `good`, then of the network, the weakest first.

    Returns:
        None where it is that at no strength.
    """
    (_, content), *network = points
    for (style_low, low), (style_high, high) in pairwise(network):
        if min(low, high) <= content <= max(low, high):
            share = (content - low) / (high - low) if high != low else 0.0
            return style_low + share * (style_high - style_low)
    return None


def _good(painter: Painter, content: torch.Tensor, painting: Path, size: int, kept: Path | None) -> torch.Tensor:
    """What `good` paints, from where it was kept by an earlier run."""
    if kept is not None and kept.exists():
        return read_image(kept).image
    picture = painter.paint(content, painting, replace(Settings(), size=size))
    if kept is not None:
        kept.parent.mkdir(exist_ok=True)
        write_image(kept, picture)
    return picture


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("style", type=Path)
    parser.add_argument("painting")
    parser.add_argument("photographs", type=Path, nargs="*")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--keep-good", type=Path, help="folder of good's pictures, which are painted once")
    parser.add_argument("--whole", action="store_true", help="time the first photograph by good too")
    parser.add_argument("--learnt", type=Path, help="folder of the photographs that it learnt from")
    given = parser.parse_args()
    worker = Painter()
    times(worker.models, given.style, find_style(given.painting))
    if given.whole and given.photographs:
        whole(worker, given.style, find_style(given.painting), given.photographs[0])
    if given.photographs:
        distances(worker, given.style, find_style(given.painting), given.photographs, given.size, given.keep_good)
    if given.learnt:
        pictures = find_photographs(given.learnt)
        generalisation(worker.models, given.style, find_style(given.painting), pictures, given.photographs)
