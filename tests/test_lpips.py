"""LPIPS against torch's own modules in torchvision's order, with random weights: the real ones are the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import random_image
from torch import Tensor, nn

from impasto.errors import WeightsError
from impasto.network import lpips
from impasto.network.lpips import ALEX, VGG16, load_lpips

MODULES = {
    "alex": [(64, 11), "relu", "pool", (192, 5), "relu", "pool", (384, 3), "relu", (256, 3), "relu", (256, 3), "relu"],
    "vgg": [part for block in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)) for part in
            [*[(block[0], 3), "relu"] * block[1], "pool"]][:-1],
}  # fmt: skip
TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}


def trunk(name: str) -> nn.Sequential:
    """torchvision's `features`, as its source describes them."""
    layers: list[nn.Module] = []
    before = 3
    for part in MODULES[name]:
        if part == "relu":
            layers.append(nn.ReLU())
        elif part == "pool":
            layers.append(nn.MaxPool2d(3 if name == "alex" else 2, stride=2))
        else:
            count, side = part
            stride, padding = (4, 2) if side == 11 else (1, side // 2)
            layers.append(nn.Conv2d(before, count, side, stride=stride, padding=padding))
            before = count
    return nn.Sequential(*layers)


def random_lpips(name: str) -> dict[str, Tensor]:
    """The tensors of a file with both trunk and heads."""
    torch.manual_seed(0)
    state = {f"features.{key}": value for key, value in trunk(name).state_dict().items()}
    channels = (ALEX if name == "alex" else VGG16).channels
    return state | {f"lin{i}.model.1.weight": torch.rand(1, count, 1, 1) for i, count in enumerate(channels)}


@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_it_is_the_papers_equation(name: str, tmp_path: Path) -> None:
    state = random_lpips(name)
    torch.save(state, tmp_path / "weights.pth")
    pair = [random_image(72, 88, seed) for seed in (0, 1)]
    network = trunk(name)
    network.load_state_dict({key.removeprefix("features."): v for key, v in state.items() if "features" in key})
    scaled = [(2 * x - 1 - torch.tensor([-0.03, -0.088, -0.188])[:, None, None]) for x in pair]
    features = [x / torch.tensor([0.458, 0.448, 0.45])[:, None, None] for x in scaled]
    expected = 0.0
    with torch.no_grad():
        for number, layer in enumerate(network):
            features = [layer(x) for x in features]
            if number in TAPS[name]:
                a, b = (nn.functional.normalize(x, dim=1) for x in features)
                head = state[f"lin{TAPS[name].index(number)}.model.1.weight"]
                expected += float(nn.functional.conv2d((a - b) ** 2, head).mean())
    found = load_lpips(tmp_path / "weights.pth")
    assert found(*pair) == pytest.approx(expected, rel=1e-4)
    assert found(pair[0], pair[0]) == 0


def test_heads_come_from_the_wheel_or_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = random_lpips("alex")
    torch.save({key: value for key, value in state.items() if "lin" not in key}, tmp_path / "trunk.pth")
    monkeypatch.setattr(lpips, "WHEEL", "a_wheel_that_is_not_there")
    with pytest.raises(WeightsError, match="pip install --no-deps lpips"):
        load_lpips(tmp_path / "trunk.pth")
    wheel = tmp_path / "a_wheel"
    (wheel / "weights" / "v0.1").mkdir(parents=True)
    (wheel / "__init__.py").write_text("raise AssertionError('its code is not run')")
    torch.save({key: value for key, value in state.items() if "lin" in key}, wheel / "weights" / "v0.1" / "alex.pth")
    monkeypatch.setattr(lpips, "WHEEL", "a_wheel")
    monkeypatch.syspath_prepend(tmp_path)
    assert len(load_lpips(tmp_path / "trunk.pth").heads) == 5


@pytest.mark.parametrize("missing", ["features.10.bias", "features.0.weight"])
def test_another_network_is_refused(missing: str, tmp_path: Path) -> None:
    state = random_lpips("alex")
    del state[missing]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="neither AlexNet nor VGG-16"):
        load_lpips(tmp_path / "weights.pth")
