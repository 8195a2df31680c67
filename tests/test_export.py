"""Networks for ONNX: run by onnxruntime, any size, each precision, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Main, random_image
from PIL import Image
from test_transform import ABOUT, lively

from impasto.errors import ImpastoError
from impasto.images.reading import read_image, to_pil
from impasto.network.models import Models
from impasto.network.onnx_graph import INPUT, OPSET, OUTPUT, differences, onnx_model
from impasto.network.streamed import transform
from impasto.network.transform import Shape, shares_of
from impasto.network.transform_file import to_bytes
from impasto.runs.export import export_file

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
DEADLINE = 240.0  # seconds, also where many work beside it
DOCS = Path(__file__).parents[1] / "docs" / "training.md"


@pytest.fixture
def style(tmp_path: Path) -> Path:
    path = tmp_path / "style.safetensors"
    path.write_bytes(to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT))
    return path


@pytest.mark.parametrize("changes", [{}, {"depthwise": True}, {"bridges": False}])
@pytest.mark.parametrize(("precision", "within"), [("float32", 1e-5), ("float16", 5e-3), ("int8", 0.05)])
def test_it_paints_as_pytorch_does(changes: dict[str, bool], precision: str, within: float):
    network = lively(Shape(2, width=4, blocks=1, **changes))
    shares = shares_of([1, 2], 0.8)
    model = onnx_model(network, shares, precision)
    greatest, mean = differences(
        network, shares, model, [random_image(*size) for size in ((16, 17), (33, 50), (61, 39))]
    )
    assert 0 < mean <= greatest < within


def test_fewer_bytes_and_no_more_than_it_needs():
    network, shares = lively(Shape(1, width=16, blocks=2)), shares_of([1])
    sizes = [len(onnx_model(network, shares, precision)) for precision in ("float32", "float16", "int8")]
    assert sizes[1] < 0.55 * sizes[0]
    assert sizes[2] < 0.3 * sizes[0]
    model = onnx.load_from_string(onnx_model(network, shares))
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [INPUT, OUTPUT]


def test_the_command_writes_and_says_how_well(main: Main, style: Path, capsys: pytest.CaptureFixture[str]):
    output = style.with_suffix(".onnx")
    assert main(["export", f"{style}:two", "-o", str(output), "--strength", "30", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["opset"], said["size"]) == (OPSET, output.stat().st_size)
    assert said["greatest"] < 1e-4
    image = random_image(40, 50)
    (painted,) = runtime.InferenceSession(str(output)).run([OUTPUT], {INPUT: image.numpy()})
    network, _ = Models().transform(style)
    wanted = transform(network, image, shares_of([0, 1], 0.5))
    torch.testing.assert_close(torch.from_numpy(painted), wanted, atol=1e-4, rtol=0)


def test_what_differs_is_not_written(style: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("impasto.runs.export.differences", lambda *_: (0.5, 0.1))
    with pytest.raises(ImpastoError, match=r"was not written: its pictures differ from PyTorch's by 0\.5"):
        export_file((style, ""), style.with_suffix(".onnx"), Models())
    assert not style.with_suffix(".onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photo.jpg", "-o", "style.onnx"], "photo.jpg is no network"),
        (["style.safetensors", "-o", "style.png"], "--output style.png must end in .onnx"),
        (["style.safetensors:three", "-o", "style.onnx"], "choose from: one, two"),
        (["nothing.safetensors", "-o", "style.onnx"], "cannot be read"),
    ],
)
def test_wrong_use(
    main: Main,
    style: Path,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(style.parent)
    assert main(["export", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="its folder has another name elsewhere")
def test_onnxruntime_tells_its_makers_nothing(tmp_path: Path):
    """Left alone, version 1.29 and later write an identity of this machine into the cache, and send what is run."""
    code = "from impasto.network.onnx_graph import onnx_module; onnx_module('onnxruntime').SessionOptions()"
    quiet = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")  # any of which silences it as well
    cache = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    known = {name: value for name, value in os.environ.items() if name not in quiet}
    subprocess.run([sys.executable, "-c", code], env=known | cache, check=True, timeout=DEADLINE)
    assert list(tmp_path.iterdir()) == []


def test_the_example_of_the_docs_runs(style: Path, monkeypatch: pytest.MonkeyPatch):
    """Python with onnxruntime alone: impasto and torch are not imported."""
    (code,) = re.findall(r"```python\n(import numpy.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert "torch" not in code
    assert len(code.strip().splitlines()) <= 10
    monkeypatch.chdir(style.parent)
    export_file((style, ""), Path("style.onnx"), Models())
    to_pil(random_image(40, 50)).save("photo.jpg")
    exec(compile(code, "docs/training.md", "exec"), {})
    with Image.open("painted.png") as painted:
        got = np.asarray(painted)
    network, _ = Models().transform(style)
    wanted = transform(network, read_image("photo.jpg").image, shares_of([1, 1]))[0].permute(1, 2, 0).numpy()
    assert np.abs(got / 255 - wanted).mean() < 0.01
