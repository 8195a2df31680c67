"""A transformation network as an ONNX graph, for whatever runs those: written node by node, so no exporter decides what
it looks like, and it takes pictures of any size.

Shares of paintings and the strength are worked in: what runs it gives a picture and gets one. Numbers are kept as they
are (float32), in half the bytes (float16), or in a quarter (int8, a scale for each filter); computed is in float32.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.network.streamed import ALIGNMENT
from impasto.network.transform import EPSILON, Convolution, Normalisation, Transform

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "photograph", "picture"
PRECISIONS = ("float32", "float16", "int8")


def onnx_module(name: str = "onnx") -> Any:
    """The module `onnx`, or another of the extra.

    From version 1.29 on, onnxruntime tells its makers which networks are run, unless it is forbidden to before it is
    imported; impasto tells nobody anything.

    Raises:
        ImpastoError: it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImpastoError(f"export needs {name.split('.')[0]}: pip install 'impasto[export]'") from None


def onnx_model(network: Transform, shares: Tensor, precision: str = "float32", made: str = "") -> bytes:
    """The file of a network for ONNX.

    Args:
        network: that paints.
        shares: (1, 1 + paintings), as of `Transform`.
        precision: of the numbers that are kept, of `PRECISIONS`.
        made: how, in words, for the file.

    Its input "photograph" and output "picture" are float32 (1, 3, height, width) in [0, 1], of any size from 16 px.
    """
    graph = _Graph(shares, precision)
    x = graph.padded(INPUT)
    x = graph.node("Sub", x, graph.number(0.5))
    seen = []
    for name in ("enter", "halve", "quarter"):
        x = graph.relu(graph.normalised(graph.convolved(x, getattr(network, name)), network.norm(name)))
        seen.append(x)
    for block in network.each_block():
        y = graph.relu(graph.normalised(graph.convolved(x, block.first), block.norm_first))
        x = graph.node("Add", x, graph.normalised(graph.convolved(y, block.second), block.norm_second))
    for name, before in (("to_half", seen[1]), ("to_full", seen[0])):
        x = graph.normalised(graph.convolved(x, getattr(network, name)), network.norm(name))
        x = graph.relu(graph.node("Add", x, before) if network.shape.bridges else x)
    graph.cut(graph.node("Sigmoid", graph.convolved(x, network.leave)))
    return graph.file(made)


class _Graph:
    """Nodes and numbers, as they are added."""

    def __init__(self, shares: Tensor, precision: str) -> None:
        self.shares, self.precision = shares, precision
        self.onnx = onnx_module()
        self.nodes: list[Any] = []
        self.numbers: list[Any] = []

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"x{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self.numbers)}"
        self.numbers.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def weight(self, tensor: Tensor) -> str:
        """Filters or biases in the precision, as float32 when they are used."""
        values = tensor.detach().cpu().numpy().astype(np.float32)
        if self.precision == "float16":
            return self.node("Cast", self.constant(values.astype(np.float16)), to=self.onnx.TensorProto.FLOAT)
        if self.precision == "int8" and values.ndim == 4:
            scale = np.maximum(np.abs(values).max((1, 2, 3)) / 127, 1e-12).astype(np.float32)
            levels = np.rint(values / scale[:, None, None, None]).astype(np.int8)
            zero = np.zeros(len(scale), np.int8)
            inputs = self.constant(levels), self.constant(scale), self.constant(zero)
            return self.node("DequantizeLinear", *inputs, axis=0)
        return self.constant(values)

    def padded(self, x: str) -> str:
        """The picture, reflected at the right and lower edge until its sides are multiples of `ALIGNMENT`."""
        self.sides = self.node("Slice", self.node("Shape", x), self.whole(2), self.whole(4), self.whole(0))
        over = self.node("Mod", self.node("Neg", self.sides), self.whole(ALIGNMENT))
        pads = self.node("Concat", self.whole(0, 0, 0, 0, 0, 0), over, axis=0)
        return self.node("Pad", x, pads, mode="reflect")

    def cut(self, x: str) -> None:
        """The result at the picture's own size."""
        self.node("Slice", x, self.whole(0, 0), self.sides, self.whole(2, 3), output=OUTPUT)

    def convolved(self, x: str, convolution: Convolution) -> str:
        if convolution.doubles:
            scales = self.constant(np.array([1, 1, 2, 2], np.float32))
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            x = self.node("Resize", x, "", scales, **how)
        margin = convolution.margin
        x = self.node("Pad", x, self.whole(0, 0, margin, margin, 0, 0, margin, margin), mode="reflect")
        for part in (cast(nn.Conv2d, one) for one in convolution.filters):
            inputs = [self.weight(part.weight), *([] if part.bias is None else [self.weight(part.bias)])]
            x = self.node("Conv", x, *inputs, strides=list(part.stride), group=part.groups)
        return x

    def normalised(self, x: str, norm: Normalisation) -> str:
        scale, shift = (self.shares.cpu() @ part.detach().cpu() for part in (norm.scale, norm.shift))
        inputs = (self.constant(part[0].numpy().astype(np.float32)) for part in (scale, shift))
        return self.node("InstanceNormalization", x, *inputs, epsilon=EPSILON)

    def relu(self, x: str) -> str:
        return self.node("Relu", x)

    def file(self, made: str) -> bytes:
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        ends = [helper.make_tensor_value_info(name, kind, [1, 3, "height", "width"]) for name in (INPUT, OUTPUT)]
        graph = helper.make_graph(self.nodes, "impasto", ends[:1], ends[1:], self.numbers)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="impasto")
        model.doc_string = made
        self.onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data


def differences(network: Transform, shares: Tensor, model: bytes, images: Sequence[Tensor]) -> tuple[float, float]:
    """Greatest and mean difference of a model's pictures, by onnxruntime, from the network's own, in pixel values."""
    runtime = onnx_module("onnxruntime")
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    from impasto.network.streamed import transform

    greatest, means = 0.0, []
    for image in images:
        (painted,) = session.run([OUTPUT], {INPUT: image.cpu().numpy()})
        gap = np.abs(painted - transform(network, image, shares).cpu().numpy())
        greatest = max(greatest, float(gap.max()))
        means.append(float(gap.mean()))
    return greatest, sum(means) / len(means)
