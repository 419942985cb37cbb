# SPDX-License-Identifier: Apache-2.0
"""Images as cameras and decoders give them, normalised inside the file: ``passes=[TakeImages(layout="NHWC")]``."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

import lading
from lading import Fact, Note, UsageError, Work


@lading.a_pass("take-images", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class TakeImages:
    """Let an image input be bytes from 0 to 255, and normalise them in the graph.

    Why: the numbers of the normalisation then cannot get lost on the way to a device, and four times less is copied.
    The input keeps its name. Where the layout is NHWC, its axes are turned as well.
    """

    input: str = lading.option("", help="The input; the first one where empty.")
    mean: tuple[float, ...] = lading.option((0.485, 0.456, 0.406), help="The mean of each channel, of values 0 to 1.")
    std: tuple[float, ...] = lading.option((0.229, 0.224, 0.225), help="The deviation of each channel.")
    layout: str = lading.option("NCHW", choices=("NCHW", "NHWC"), help="How the bytes of an image lie.")

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        names = [value.name for value in graph.inputs]
        if self.input and self.input not in names:
            raise UsageError(f"there is no input '{self.input}'", hint=f"one of: {', '.join(map(str, names))}")
        place = names.index(self.input) if self.input else 0
        old = graph.inputs[place]
        if old.shape is None or len(old.shape) != 4 or old.shape[1] != len(self.mean):
            raise UsageError(
                f"input '{old.name}' has the shape {old.shape}, which is not [N, {len(self.mean)}, H, W]",
                hint="mean and std have a number for each channel",
            )
        dims = list(old.shape)
        turned = [dims[0], dims[2], dims[3], dims[1]] if self.layout == "NHWC" else dims
        image = ir.val(old.name, ir.DataType.UINT8, turned)
        scale = 1 / (255 * np.array(self.std, np.float64))
        shift = -np.array(self.mean, np.float64) / np.array(self.std, np.float64)
        turn = [ir.node("Transpose", [image], {"perm": [0, 3, 1, 2]})] if self.layout == "NHWC" else []
        cast = ir.node("Cast", [turn[0].outputs[0] if turn else image], {"to": int(ir.DataType.FLOAT)})
        factor, term = (_constant(numbers) for numbers in (scale, shift))
        scaled = ir.node("Mul", [cast.outputs[0], factor.outputs[0]])
        shifted = ir.node("Add", [scaled.outputs[0], term.outputs[0]])
        nodes = [*turn, cast, factor, scaled, term, shifted]
        for node in nodes:
            node.name = node.outputs[0].name = f"{old.name}_{node.op_type}_{len(node.inputs)}_{nodes.index(node)}"
        old.replace_all_uses_with(shifted.outputs[0])
        graph.insert_before(graph[0], nodes)
        graph.inputs[place] = image
        note.count("inputs that take images")


def _constant(numbers: np.ndarray) -> ir.Node:
    return ir.node("Constant", [], {"value": ir.tensor(numbers.astype(np.float32).reshape(1, -1, 1, 1))})
