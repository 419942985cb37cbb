# SPDX-License-Identifier: Apache-2.0
"""Running the Before and After graphs that stand in the docstrings of passes.

A pass may give several pairs, each introduced by `Before::` and `After::`, with a line of options between the word and
the colons where the pass needs some: `Before (preserve = ["Block"])::`. Initializers whose names start with `weight`
stand for the user's weights. Graphs are compared up to the names of inner values and nodes.
"""

from __future__ import annotations

import copy
import inspect
import re
import textwrap
from typing import Any

import onnx
import onnx_ir as ir
import torch
from lading.passes.weights import Weight
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

_BLOCK = re.compile(r"^(Before|After)(?: \((?P<options>[^)]*)\))?::\n\n(?P<text>(?:(?:[ \t]+[^\n]*)?\n)+)", re.M)


def pairs_of(pass_class: type) -> list[tuple[dict[str, Any], str, str]]:
    """Return (options, before, after) for each pair in a pass's docstring."""
    doc = inspect.cleandoc(pass_class.__doc__ or "") + "\n"
    blocks = [(m[1], m["options"], textwrap.dedent(m["text"]).strip()) for m in _BLOCK.finditer(doc)]
    words = [word for word, _, _ in blocks]
    assert words == ["Before", "After"] * (len(words) // 2), f"{pass_class.__name__}: Before and After do not alternate"
    pairs = []
    for (_, options, before), (_, _, after) in zip(blocks[::2], blocks[1::2], strict=True):
        pairs.append((tomllib.loads((options or "").replace("; ", "\n")), before, after))
    return pairs


def work_on(text: str | onnx.ModelProto | ir.Model) -> Work:
    """Return a Work over a model given in ONNX text, as a proto, or as onnx_ir has it."""
    if isinstance(text, str):
        # Capture and lower leave type and shape on every value, so passes may count on them.
        text = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text), data_prop=True)
    if not isinstance(text, ir.Model):
        # onnx_ir borrows the tensors of a proto, and renames them there.
        text = ir.from_proto(copy.deepcopy(text))
    model = text
    for name, value in model.graph.initializers.items():
        if name.startswith("weight") and not isinstance(value.const_value, Weight):
            value.const_value = Weight(torch.from_numpy(value.const_value.numpy().copy()), name)
    imports = model.opset_imports
    custom = {domain: version for domain, version in imports.items() if domain}
    return Work(target=Target(opset=imports.get("", 17), custom_opsets=custom), model=model)


def run_on(the_pass: Any, text: str | onnx.ModelProto | ir.Model) -> tuple[Work, Note]:
    """Run a pass on a model and return what it leaves, and its notes."""
    work, note = work_on(text), Note()
    the_pass.run(work, note)
    return work, note


def canonical(model: ir.Model) -> list[str]:
    """Print a model line by line, with inner names replaced by positions, to compare two graphs by."""
    lines: list[str] = []
    names: dict[ir.Value, str] = {}
    _print_graph(model.graph, names, lines, "")
    for key, function in sorted(model.functions.items()):
        lines.append(f"function {key}")
        _print_graph(function.graph, {}, lines, "  ")
    return lines


def _print_graph(graph: ir.Graph, names: dict[ir.Value, str], lines: list[str], indent: str) -> None:
    outputs = set(graph.outputs)
    for value in graph.inputs:
        names[value] = value.name or ""
        lines.append(f"{indent}input {value.name} {value.dtype} {value.shape}")
    for value in graph.initializers.values():
        names.setdefault(value, _tensor_text(value.const_value))
        if value.is_graph_input():
            lines.append(f"{indent}default {value.name} {_tensor_text(value.const_value)}")
    for node in graph:
        inputs = ", ".join("-" if value is None else names.get(value, f"outer {value.name}") for value in node.inputs)
        attributes = []
        inner = []
        for name, attribute in sorted(node.attributes.items()):
            if attribute.type == ir.AttributeType.GRAPH:
                inner.append((name, attribute.value))
            elif attribute.type == ir.AttributeType.TENSOR:
                attributes.append(f"{name}={_tensor_text(attribute.value)}")
            else:
                attributes.append(f"{name}={attribute.value}")
        for value in node.outputs:
            names[value] = (
                (value.name or "") if value in outputs else f"%{sum(name.startswith('%') for name in names.values())}"
            )
        made = ", ".join(names[value] for value in node.outputs)
        lines.append(f"{indent}{made} = {node.domain}::{node.op_type}<{', '.join(attributes)}>({inputs})")
        for name, subgraph in inner:
            lines.append(f"{indent}  {name}:")
            _print_graph(subgraph, names, lines, indent + "    ")
    for value in graph.outputs:
        lines.append(f"{indent}output {names.get(value, value.name)} {value.dtype} {value.shape}")


def _tensor_text(tensor: ir.TensorProtocol | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{tensor.dtype.name}{list(tensor.shape)}{tensor.numpy().reshape(-1).tolist()}"
