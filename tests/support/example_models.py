# SPDX-License-Identifier: Apache-2.0
"""The factories in `examples/` that exports are tested with."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from lading.model_reference import NamedModel, load_model

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"

SMALL = (
    "resnet.py:resnet50_narrow",
    "unet.py:unet",
    "digits.py:digits",
    "lstm_tagger.py:lstm_tagger",
    "translator.py:translator",
    "huggingface.py:bert",
    "huggingface.py:distilbert",
    "huggingface.py:roberta",
    "huggingface.py:gpt2",
    "huggingface.py:llama",
    "huggingface.py:qwen2",
    "huggingface.py:t5",
    "huggingface.py:vit",
    "huggingface.py:clip",
    "huggingface.py:whisper",
)
"""Those that export and run in a second or two."""


@functools.cache
def example(reference: str) -> NamedModel:
    """Build an example once; exports leave a model as it was, which other tests make sure of."""
    return load_model(str(EXAMPLES / reference))


def neighbour(reference: str, name: str) -> Any:
    """Return another thing from the file of an example."""
    return getattr(sys.modules[type(example(reference).model).__module__], name)


def input_names(named: NamedModel) -> list[str]:
    parameters = list(inspect.signature(named.model.forward).parameters)
    return [*parameters[: len(named.args)], *named.kwargs]


@functools.cache
def newest_opset() -> int:
    """Return the newest opset that both the installed onnx and the installed onnxruntime know."""
    for opset in range(onnx.defs.onnx_opset_version(), 7, -1):
        text = f'<ir_version: 8, opset_import: ["" : {opset}]> same (float[1] x) => (float[1] y) {{ y = Identity(x) }}'
        try:
            onnxruntime.InferenceSession(onnx.parser.parse_model(text).SerializeToString())
        except Exception:
            continue
        return opset
    raise RuntimeError("onnxruntime runs no opset")


def arguments_of(named: NamedModel) -> Mapping[str, Any]:
    """Return what `lading.export` takes for an example: model, args and kwargs, and its dynamic axes."""
    return {
        "model": named.model,
        "args": (*named.args, {}),
        "kwargs": named.kwargs,
        "dynamic_axes": named.dynamic_axes,
    }
