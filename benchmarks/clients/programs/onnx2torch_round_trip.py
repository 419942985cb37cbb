# SPDX-License-Identifier: Apache-2.0
"""Files that onnx2torch has read, exported again by `torch.onnx.export`: `python onnx2torch_round_trip.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("convolutions", "attention", "resize", "sizes at run time")

_TEXTS = {
    "convolutions": """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N, 3, 16, 16] x, float[4, 3, 3, 3] w, float[4] b) => (float[N, 4] y) {
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w, b)
    r = Relu (c)
    p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
    a = GlobalAveragePool (p)
    y = Flatten <axis = 1> (a)
}""",
    "attention": """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N, 5, 8] q, float[N, 5, 8] k) => (float[N, 5, 8] y) {
    t = Transpose <perm = [0, 2, 1]> (k)
    s = MatMul (q, t)
    a = Softmax <axis = -1> (s)
    y = MatMul (a, k)
}""",
    "resize": """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N, 2, 8, 8] x) => (float[N, 2, 16, 16] y) {
    scales = Constant <value = float[4] {1.0, 1.0, 2.0, 2.0}> ()
    r = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , scales)
    y = Clip (r)
}""",
    "sizes at run time": """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N, 6, 4] x) => (float[N, 24] y) {
    shape = Shape (x)
    zero = Constant <value = int64[1] {0}> ()
    n = Gather <axis = 0> (shape, zero)
    rest = Constant <value = int64[1] {-1}> ()
    sizes = Concat <axis = 0> (n, rest)
    y = Reshape (x, sizes)
}""",
}


def main(case: str) -> None:
    watch.begin()
    import numpy as np
    import onnx
    import torch
    from onnx2torch import convert

    torch.manual_seed(0)
    model = onnx.parser.parse_model(_TEXTS[case])
    if case == "convolutions":
        generator = np.random.default_rng(0)
        for value in list(model.graph.input)[1:]:
            shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            weight = generator.standard_normal(shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(weight, value.name))
            model.graph.input.remove(value)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    examples = {name: [dim.dim_value or 2 for dim in shape] for name, shape in shapes.items()}
    torch.onnx.export(
        convert(model).eval(),
        tuple(torch.randn(shape) for shape in examples.values()),
        "again.onnx",
        input_names=list(examples),
        dynamic_axes={name: {0: "N"} for name in examples},
    )


if __name__ == "__main__":
    main(sys.argv[1])
