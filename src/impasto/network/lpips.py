"""LPIPS, a distance that was taught people's judgements (Zhang et al. 2018, arXiv 1801.03924), with one's own weights.

None come with impasto: the trunk is torchvision's AlexNet or VGG-16, the heads lie in the wheel `lpips` (BSD-2), whose
files are read and whose code is not, since it needs torchvision.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.weights import MOST_BYTES

WHEEL = "lpips"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
TRUNK_KEY = re.compile(r"(?:features|net\.slice\d)\.(\d+)\.(weight|bias)")  # torchvision's, or of a saved LPIPS
REMEDY = "give torchvision's AlexNet or VGG-16 (alexnet-owt-7be5be79.pth, vgg16-397923af.pth)"


@dataclass(frozen=True)
class Trunk:
    """A network for recognition, as far as its features are compared.

    Attributes:
        name: of the heads' file.
        convolutions: number in torchvision's `features`, stride and padding of each.
        pools: after which of them there is a maximum over a window, whose side is `window`, by twos.
        taps: after which of them features are compared.
        channels: of the taps.
    """

    name: str
    convolutions: Mapping[int, tuple[int, int]]
    pools: tuple[int, ...]
    window: int
    taps: tuple[int, ...]
    channels: tuple[int, ...]


ALEX = Trunk(
    "alex",
    {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)},
    (0, 3),
    3,
    (0, 3, 6, 8, 10),
    (64, 192, 384, 256, 256),
)
VGG16 = Trunk(
    "vgg",
    dict.fromkeys((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), (1, 1)),
    (2, 7, 14, 21),
    2,
    (2, 7, 14, 21, 28),
    (64, 128, 256, 512, 512),
)


class LPIPS:
    """The distance between two pictures.

    Args:
        trunk: which network.
        convolutions: weight and bias of each, by number.
        heads: weights of the channels, (channels,) for each tap.
    """

    def __init__(
        self, trunk: Trunk, convolutions: Mapping[int, tuple[Tensor, Tensor]], heads: Sequence[Tensor]
    ) -> None:
        self.trunk = trunk
        self.convolutions = convolutions
        self.heads = heads

    @torch.no_grad()
    def __call__(self, image: Tensor, other: Tensor) -> float:
        """Zhang et al. (2018), eq. 1: unit vectors of features, squared differences weighed, averaged over positions.

        Args:
            image, other: (1, 3, height, width) in [0, 1], of the same size.
        """
        total = 0.0
        for head, ours, theirs in zip(self.heads, self._features(image), self._features(other), strict=True):
            squares = (_unit(ours) - _unit(theirs)).square()
            total += float((squares * head[:, None, None].to(squares)).sum(1).mean())
        return total

    def _features(self, image: Tensor) -> list[Tensor]:
        x = (image - image.new_tensor(MEAN)[:, None, None]) / image.new_tensor(DEVIATION)[:, None, None]
        found = []
        for number, (stride, padding) in self.trunk.convolutions.items():
            weight, bias = self.convolutions[number]
            x = F.relu(F.conv2d(x, weight.to(x), bias.to(x), stride=stride, padding=padding))
            if number in self.trunk.taps:
                found.append(x)
            if number in self.trunk.pools:
                x = F.max_pool2d(x, self.trunk.window, stride=2)
        return found


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


def load_lpips(path: Path) -> LPIPS:
    """LPIPS version 0.1 from a file of its trunk, with heads from the file itself, or else from the wheel `lpips`.

    Raises:
        WeightsError: a file cannot be read, or is another network's, or there are no heads.
    """
    state = _read(path)
    found = {(int(match[1]), match[2]): value for key, value in state.items() if (match := TRUNK_KEY.fullmatch(key))}
    trunk = ALEX if found.get((0, "weight"), torch.empty(0)).shape[-1:] == (11,) else VGG16
    convolutions: dict[int, tuple[Tensor, Tensor]] = {}
    before = 3
    for number in trunk.convolutions:
        weight, bias = found.get((number, "weight")), found.get((number, "bias"))
        if weight is None or bias is None or weight.ndim != 4 or weight.shape[1] != before:
            raise WeightsError(f"--lpips {path} is neither AlexNet nor VGG-16 of torchvision; {REMEDY}")
        convolutions[number], before = (weight.float(), bias.float()), weight.shape[0]
    widths = tuple(convolutions[number][0].shape[0] for number in trunk.taps)
    if widths != trunk.channels:
        raise WeightsError(f"--lpips {path} has other channels than torchvision's network; {REMEDY}")
    return LPIPS(trunk, convolutions, _heads(path, state, trunk))


def _heads(path: Path, state: Mapping[str, Tensor], trunk: Trunk) -> list[Tensor]:
    if "lin0.model.1.weight" not in state:
        spec = find_spec(WHEEL)  # which imports nothing
        if spec is None or spec.origin is None:
            raise WeightsError(
                f"--lpips {path} has no heads, and the wheel that has them is not installed: "
                "pip install --no-deps lpips==0.1.4"
            )
        path = Path(spec.origin).parent / "weights" / "v0.1" / f"{trunk.name}.pth"
        state = _read(path)
    heads = [state.get(f"lin{number}.model.1.weight", torch.empty(0)).flatten().float() for number in range(5)]
    if tuple(len(head) for head in heads) != trunk.channels:
        raise WeightsError(f"{path} has no heads of LPIPS for {trunk.name}; pip install --no-deps lpips==0.1.4")
    return heads


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by key; code in it is refused, not run."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise WeightsError(f"--lpips {path} has more than {MOST_BYTES:,} bytes; {REMEDY}")
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    except OSError as error:
        raise WeightsError(f"--lpips {path} cannot be read: {error.strerror}") from None
    except WeightsError:
        raise
    except Exception as error:  # a damaged file makes torch's reader fail in any way
        raise WeightsError(f"--lpips {path} is no file of weights; {REMEDY}") from error
