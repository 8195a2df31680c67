"""The network that paints in one pass: its borders, sizes, strips, blends, and its file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from conftest import random_image
from safetensors.torch import save_file

from impasto.errors import WeightsError
from impasto.network.streamed import transform
from impasto.network.transform import Shape, Transform, shares_of
from impasto.network.transform_file import KEY, About, load_transform, to_bytes

ABOUT = About(("one", "two"), strength=60.0, size=256, steps=7, made="for a test")


def lively(shape: Shape, seed: int = 0) -> Transform:
    """A network whose paintings differ: newborn ones all have scales of 1 and shifts of 0."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Transform(shape)
        for name, parameter in network.named_parameters():
            if name.endswith((".scale", ".shift")):
                parameter.data += 0.3 * torch.randn_like(parameter)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def network() -> Transform:
    return lively(Shape(paintings=2, width=4, blocks=2))


ONE = shares_of([1.0, 0.0])


@pytest.mark.parametrize(("height", "width"), [(16, 17), (33, 50), (61, 39)])
@pytest.mark.parametrize("changes", [{}, {"depthwise": True}, {"bridges": False}])
def test_in_strips_as_whole(height: int, width: int, changes: dict[str, bool]):
    """Strips of two rows, of a few, and of all of them: one picture, with no seam where they meet."""
    network = lively(Shape(paintings=2, width=4, blocks=1, **changes))
    image = random_image(height, width)
    whole = transform(network, image, ONE)
    assert whole.shape == image.shape
    for strip in (1, 7 * width, 10**6):
        torch.testing.assert_close(transform(network, image, ONE, strip=strip, whole=0), whole, atol=2e-5, rtol=0)


def test_statistics_are_those_of_the_whole_picture(network: Transform):
    """A picture of twice the width is not two pictures side by side: what is far away counts."""
    left, right = random_image(32, 32), 0.2 * random_image(32, 32, seed=1)
    both = transform(network, torch.cat([left, right], 3), ONE, strip=1, whole=0)
    assert (both[..., :12] - transform(network, left, ONE)[..., :12]).abs().max() > 0.01


def test_each_picture_of_a_batch_has_its_own_style(network: Transform):
    images = torch.cat([random_image(32, 40), random_image(32, 40, seed=1)])
    shares = torch.cat([ONE, shares_of([0.0, 1.0])])
    together = network(images, shares)
    for i in range(2):
        torch.testing.assert_close(
            together[i : i + 1], network(images[i : i + 1], shares[i : i + 1]), atol=1e-5, rtol=0
        )
    assert (together[0] - network(images[:1], shares[1:])[0]).abs().mean() > 0.01


def test_shares_add_up():
    torch.testing.assert_close(shares_of([1, 3], strength=0.6), torch.tensor([[0.4, 0.15, 0.45]]))


def test_a_blend_lies_between_its_paintings(network: Transform):
    """Scales and shifts are linear in the shares, and the picture follows them without a jump."""
    image = random_image(32, 40)
    steps = [transform(network, image, shares_of([1 - t, t])) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    from_first = [float((picture - steps[0]).abs().mean()) for picture in steps]
    assert from_first == sorted(from_first)
    assert from_first[1] > 0


def test_doubling_repeats():
    """Resize-convolutions (Odena et al. 2016): a flat map stays flat, without a chessboard."""
    network = lively(Shape(paintings=1, width=4, blocks=0))
    flat = torch.ones(1, 16, 6, 8)
    doubled = network.to_half(flat)
    assert doubled.shape == (1, 8, 12, 16)
    assert float(doubled.std((2, 3)).max()) < 1e-5


@pytest.mark.parametrize("shape", [Shape(2, width=4, blocks=1), Shape(2, width=6, blocks=0, depthwise=True)])
def test_a_file_holds_all_of_a_network(tmp_path: Path, shape: Shape):
    network, path = lively(shape), tmp_path / "style.safetensors"
    path.write_bytes(to_bytes(network, ABOUT))
    again, about = load_transform(path)
    assert (again.shape, about) == (shape, ABOUT)
    image = random_image(32, 40)
    torch.testing.assert_close(transform(again, image, ONE), transform(network, image, ONE), atol=5e-3, rtol=0)
    assert to_bytes(again, about) == path.read_bytes()


def test_the_first_networks_had_no_bridges(tmp_path: Path):
    path = tmp_path / "style.safetensors"
    path.write_bytes(changed(bridges=None))
    network, _ = load_transform(path)
    assert not network.shape.bridges
    image = random_image(32, 40)
    bridged = lively(Shape(2, width=4, blocks=1))
    assert (transform(network, image, ONE) - transform(bridged, image, ONE)).abs().mean() > 0.01


def test_reading_draws_no_random_numbers(tmp_path: Path):
    path = tmp_path / "style.safetensors"
    path.write_bytes(to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT))
    before = torch.get_rng_state()
    load_transform(path)
    assert torch.equal(before, torch.get_rng_state())


def changed(**says: object) -> bytes:
    """A file of a small network with something else in it."""
    data = to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"][KEY] = json.dumps({**json.loads(header["__metadata__"][KEY]), **says})
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"version": 2}, "version 2 of the format; this impasto knows 1"),
        ({"version": "x"}, "is damaged"),
        ({"width": 10**9}, "is damaged: .*width 1000000000"),
        ({"width": True}, "is damaged: .*width True"),
        ({"blocks": -1}, "is damaged: .*blocks -1"),
        ({"paintings": 3}, "does not name 3 paintings"),
        ({"names": ["a", 3]}, "name is no text"),
        ({"strength": 100}, "strength 100"),
        ({"strength": float("nan")}, "strength nan"),
        ({"size": None}, "size None"),
        ({"width": 8}, "tensor .* is not that of the network"),
        ({"depthwise": True}, "tensor .* is not that of the network"),
    ],
)
def test_what_a_file_says_is_checked(tmp_path: Path, says: dict[str, object], words: str):
    path = tmp_path / "style.safetensors"
    path.write_bytes(changed(**says))
    with pytest.raises(WeightsError, match=words):
        load_transform(path)


def test_something_else_is_told_what_it_is(tmp_path: Path):
    path = tmp_path / "style.safetensors"
    with pytest.raises(WeightsError, match="cannot be read"):
        load_transform(path)
    for data in (b"", b"hello", b"x" * 100, struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 4) + b"[[[["):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match="no safetensors file"):
            load_transform(path)
    save_file({"lora.weight": torch.ones(3)}, path)
    with pytest.raises(WeightsError, match=r"holds other tensors \(first tensor 'lora.weight'\), not a style"):
        load_transform(path)


def test_damaged_numbers_are_refused(tmp_path: Path):
    path = tmp_path / "style.safetensors"
    network = lively(Shape(2, width=4, blocks=1))
    data = to_bytes(network, ABOUT)
    path.write_bytes(data[:-2])
    with pytest.raises(WeightsError, match="damaged"):
        load_transform(path)
    network.enter.filters[0].bias.data[0] = float("nan")
    path.write_bytes(to_bytes(network, ABOUT))
    with pytest.raises(WeightsError, match=r"'enter.filters.0.bias' holds what is no number"):
        load_transform(path)
