"""ONNX graphs, written down operation by operation.

By hand, for these networks are a few operations each: PyTorch's own exporter needs a package more, and its older one
that does not is going away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET, IR = 17, 8
"""Of 2022: runtimes much older than ours can read them."""
FLOAT, LONG = TensorProto.FLOAT, TensorProto.INT64
Shape = Sequence[int | str]


class Graph:
    """Values are known by their names; every method that makes one returns its name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: Shape) -> str:
        """shape: numbers, and names of those that a caller chooses."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def weight(self, values: Tensor | NDArray[Any] | Sequence[float] | float) -> str:
        """Values that are part of the file: int64 where they are whole numbers, else float32."""
        array = np.asarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def op(self, kind: str, *values: str, **attributes: Any) -> str:
        """One of ONNX's operations, of one output."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(values), [name], **attributes))
        return name

    def linear(self, layer: nn.Linear, value: str) -> str:
        out = self.op("MatMul", value, self.weight(layer.weight.T))
        return out if layer.bias is None else self.op("Add", out, self.weight(layer.bias))

    def embedding(self, table: nn.Embedding, value: str) -> str:
        return self.rows(table.weight, value)

    def rows(self, table: Tensor, value: str) -> str:
        return self.op("Gather", self.weight(table), value)

    def unit(self, value: str, eps: float) -> str:
        """Rows of length 1, as torch's `normalize` makes them."""
        length = self.op("ReduceL2", value, axes=[-1], keepdims=1)
        return self.op("Div", value, self.op("Max", length, self.weight(eps)))

    def new_axes(self, value: str, *places: int) -> str:
        return self.op("Unsqueeze", value, self.weight(list(places)))

    def total(self, value: str, place: int, keep: bool = False) -> str:
        return self.op("ReduceSum", value, self.weight([place]), keepdims=int(keep))

    def model(self, outputs: Mapping[str, tuple[str, Shape]]) -> onnx.ModelProto:
        """The file's content. outputs: by its name in the file, a float value's own name and its shape.

        Raises:
            onnx.checker.ValidationError: it is not a graph.
        """
        for name, (value, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        given = [helper.make_tensor_value_info(name, FLOAT, list(shape)) for name, (_, shape) in outputs.items()]
        graph = helper.make_graph(self._nodes, "topshelf", self._inputs, given, self._weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        onnx.checker.check_model(made, full_check=True)
        return made
