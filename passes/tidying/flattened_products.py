# SPDX-License-Identifier: Apache-2.0
"""The rule of merge-matmul: one product between a view that flattens and a view that brings the sizes back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx_ir as ir
from lading.passes.tidying.graph_edits import constant_tensor, float_of, int_of, remove_node, take_place, unused
from lading.passes.tidying.rewriting import Rewriting, become, maker, plain, same_shape, used_once
from lading.passes.tidying.views_in_a_row import VIEWS, constant_target
from lading.passes.weights import Weight

if TYPE_CHECKING:
    from lading.pipeline.note import Note


def merge(rewriting: Rewriting, product: ir.Node, note: Note, *, may_turn: bool) -> str | None:
    """Rewrite one product; return why not, where it stands between two views and cannot be.

    `may_turn` allows that a weight is stored transposed.
    """
    flattened, weight = product.inputs[0], product.inputs[1]
    before = maker(flattened, *VIEWS, within=product)
    output = product.outputs[0]
    user = next(iter(output.uses())).node if output.uses() else None
    if before is None or user is None or user.op_type not in VIEWS or user.inputs[0] is not output:
        return None
    if not plain(user) or user.graph is not product.graph or weight is None or flattened is None:
        return None
    if not used_once(output):
        return "the product is used elsewhere too"
    source, result = before.inputs[0], user.outputs[0]
    if source is None or source.shape is None or result.shape is None or weight.shape is None:
        return "a shape is not known"
    transposed = product.op_type == "Gemm" and bool(int_of(product, "transB", 0))
    if len(source.shape) < 3 or len(weight.shape) != 2 or flattened.shape is None or len(flattened.shape) != 2:
        return None
    depth, width = (weight.shape[axis] for axis in ((1, 0) if transposed else (0, 1)))
    lead = list(source.shape)[:-1]
    if not isinstance(width, int) or not isinstance(depth, int) or source.shape[-1] != depth:
        return "the last axis is not that of the weight"
    tail = list(result.shape)[len(lead) :]
    if not same_shape(lead, list(result.shape)[: len(lead)]) or not all(isinstance(dim, int) for dim in tail):
        return "the leading sizes do not come back"
    if math.prod(dim for dim in tail if isinstance(dim, int)) != width:
        return "the leading sizes do not come back"
    whole = [*lead, width]
    target = None if same_shape(whole, result.shape) else constant_target(whole, result.shape, mixed=False)
    if target is None and not same_shape(whole, result.shape):
        return "the result's shape cannot be said without computing it"
    bias = product.inputs[2] if len(product.inputs) > 2 else None
    reason = _unfit(product, bias)
    if reason is not None:
        return reason
    if transposed and not may_turn:
        return "its weight is to be trained as it is"
    right = _transposed(rewriting, product, weight) if transposed else weight
    if right is None:
        return "the weight to be transposed is not a constant of this place alone"

    become(product, "MatMul", [source, right])
    output.shape = ir.Shape(whole)
    last = output
    if bias is not None:
        last = rewriting.node("Add", [output, bias], user, None, output.type, whole).outputs[0]
    user.replace_input_with(0, last)
    if target is None:
        if take_place(result, last):
            remove_node(user)
    else:
        become(user, "Reshape", [last, rewriting.ints(target, user)])
    if unused(before.outputs):
        remove_node(before)
    note.count("merged product")
    return None


def _unfit(product: ir.Node, bias: ir.Value | None) -> str | None:
    if product.op_type != "Gemm":
        return None
    if int_of(product, "transA", 0):
        return "the first operand is transposed"
    if float_of(product, "alpha", 1.0) != 1.0 or (bias is not None and float_of(product, "beta", 1.0) != 1.0):
        return "it scales"
    if bias is not None and (bias.shape is None or any(dim != 1 for dim in list(bias.shape)[:-1])):
        return "what it adds is not one number for each column"
    return None


def _transposed(rewriting: Rewriting, product: ir.Node, weight: ir.Value) -> ir.Value | None:
    tensor = constant_tensor(weight)
    if tensor is None or not used_once(weight):
        return None
    if isinstance(tensor, Weight):
        view = tensor.transposed((1, 0))
        return rewriting.constant(view, view.view_name, product)
    assert weight.shape is not None
    shape = [weight.shape[1], weight.shape[0]]
    return rewriting.node("Transpose", [weight], product, {"perm": [1, 0]}, weight.type, shape).outputs[0]
