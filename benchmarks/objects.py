"""Whether paint keeps to the objects of a photograph, and how broad its strokes are, of pictures by any tool.

Objects: the photograph is cut into segments (Felzenszwalb and Huttenlocher 2004, by scikit-image). Of the painted
colours, in CIELAB and averaged over about a stroke, the table says the variance within segments as a share of all, and
the strays: pixels whose painted colour is nearer to the mean of a segment of clearly another colour in the photograph
than to that of their own. And what the photograph's colours do not explain: the share of the variance that is left when
painted colours are fitted by a quadratic function of the photograph's. It needs no segments: were all that is alike in
the photograph painted alike, little would be left.

Strokes: their breadth (`impasto.score_pixels.stroke_breadth`) as a ratio to the painting's, which is read at the size
at which its strokes are wanted.

    python benchmarks/objects.py photo.jpg painting.jpg moments.png matched.png ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb
from torch import Tensor

from impasto.images.reading import read_image, resize
from impasto.methods.styles import at_scale
from impasto.score_pixels import stroke_breadth

STROKE = 9  # px over which painted colours are averaged
OTHER = 20.0  # of CIELAB, by which colours of the photograph's segments are clearly others
SEGMENTS = {"scale": 300, "sigma": 1.0}  # of `felzenszwalb`; and the least share of the picture that one has:
SMALLEST = 1 / 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("results", nargs="+", type=Path)
    arguments = parser.parse_args()
    first = read_image(arguments.results[0]).image
    photograph = resize(read_image(arguments.photo).image, *first.shape[-2:])
    painting = at_scale(read_image(arguments.painting).image, photograph, 1.0)
    segments = segments_of(photograph)
    print(f"{arguments.photo.stem} × {arguments.painting.stem}, {len(np.unique(segments))} segments\n")
    print("| picture | variance within segments | strays | unexplained | strokes, of the painting's |")
    print("| --- | --- | --- | --- | --- |")
    pictures = {"the photograph": photograph, **{path.stem: read_image(path).image for path in arguments.results}}
    for name, picture in pictures.items():
        within, strays = objects(picture, photograph, segments)
        strokes = stroke_breadth(picture) / stroke_breadth(painting)
        row = [name, f"{within:.1%}", f"{strays:.1%}", f"{unexplained(picture, photograph):.1%}", f"{strokes:.2f}"]
        print(f"| {' | '.join(row)} |", flush=True)


def segments_of(photograph: Tensor) -> NDArray[np.int64]:
    """(height, width): the number of each pixel's segment."""
    pixels = photograph[0].permute(1, 2, 0).numpy()
    found: NDArray[np.int64] = felzenszwalb(pixels, min_size=int(SMALLEST * pixels[..., 0].size), **SEGMENTS)
    return found


def lab(picture: Tensor) -> NDArray[np.float64]:
    """(height · width, 3): colours about each pixel."""
    smooth = F.avg_pool2d(F.pad(picture, (STROKE // 2,) * 4, "reflect"), STROKE, 1)
    found: NDArray[np.float64] = rgb2lab(smooth[0].permute(1, 2, 0).numpy()).reshape(-1, 3)
    return found


def objects(picture: Tensor, photograph: Tensor, segments: NDArray[np.int64]) -> tuple[float, float]:
    """The share of the variance of painted colours that lies within segments, and that of the strays."""
    own = segments.ravel()
    means, theirs = (_means(lab(image), own) for image in (picture, photograph))
    colors = lab(picture)
    within = np.square(colors - means[own]).sum() / np.square(colors - colors.mean(0)).sum()
    far = np.linalg.norm(theirs[:, None] - theirs[None], axis=-1) > OTHER  # segments × segments
    distances = np.linalg.norm(colors[:, None] - means[None], axis=-1)  # pixels × segments
    to_own = distances[np.arange(len(own)), own]
    to_others = np.where(far[own], distances, np.inf).min(1)
    return float(within), float((to_others < to_own).mean())


def unexplained(picture: Tensor, photograph: Tensor) -> float:
    """The share of the variance of painted colours that no quadratic function of the photograph's colours has."""
    painted, theirs = lab(picture), lab(photograph)
    seen = (theirs - theirs.mean(0)) / theirs.std(0)
    products = [seen[:, i] * seen[:, j] for i in range(3) for j in range(i + 1)]
    terms = np.column_stack([np.ones(len(seen)), seen, *products])
    factors, *_ = np.linalg.lstsq(terms, painted, rcond=None)
    return float(np.square(painted - terms @ factors).sum() / np.square(painted - painted.mean(0)).sum())


def _means(colors: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.bincount(own)
    return np.stack([np.bincount(own, channel) / counts for channel in colors.T], 1)


if __name__ == "__main__":
    main()
