# SPDX-License-Identifier: Apache-2.0
"""Export one call, run the file and compare it with eager."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs
import ml_dtypes
import numpy as np
import onnx
import torch
from lading.pipeline.errors import CaptureError, InternalError, LadingError, UnsupportedOperators
from operators.entries import Call, Operator

import lading

Status = Literal["passed", "failed", "unsupported"]

NEWEST = onnx.defs.onnx_opset_version()

# Relative to the value, and relative to the largest value of the output (sums of large numbers leave small ones).
TOLERANCES: dict[torch.dtype, tuple[float, float]] = {
    torch.float16: (1e-2, 2e-3),
    torch.bfloat16: (4e-2, 2e-2),
    torch.float32: (1e-4, 1e-5),
    torch.float64: (1e-6, 1e-8),
}


@attrs.frozen
class Outcome:
    """What came of one call: passed, failed (a wrong file or a crash) or unsupported (an error that says so)."""

    status: Status
    why: str = ""


PASSED = Outcome("passed")

Exporter = Callable[[Call, int], bytes]
"""Exports a call to an opset and returns the file; raises what it raises."""


def with_lading(call: Call, opset: int) -> bytes:
    """Export with the default recipe, as a user would."""
    exported = lading.export(Operator(call), call.tensors, opset_version=opset)
    return exported.model_proto.SerializeToString()


def measure(
    call: Call, opset: int, exporter: Exporter = with_lading, known: dict[bytes, Outcome] | None = None
) -> Outcome:
    """Export a call to an opset with an exporter, run the file, and compare it with eager.

    Args:
        call: the call.
        opset: the opset asked for.
        exporter: makes the file.
        known: what came of files of this very call, by what they mean; such a file is not run again at another opset.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = exporter(call, opset)
        except UnsupportedOperators as error:
            return Outcome("unsupported", _line(error))
        except CaptureError as error:
            return Outcome("unsupported", f"capture: {_line(error)}")
        except InternalError as error:
            return Outcome("failed", f"internal: {_line(error)}")
        except LadingError as error:
            return Outcome("failed", f"{type(error).__name__}: {_line(error)}")
        except Exception as error:
            return Outcome("unsupported", f"{type(error).__name__}: {_line(error)}")
        model = onnx.load_from_string(file)
        delivered = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
        if delivered != opset:
            return Outcome("failed", f"opset {delivered} delivered where {opset} was asked for")
        try:
            onnx.checker.check_model(model)
        except Exception as error:
            return Outcome("failed", f"check: {_line(error)}")
        if known is None:
            return _ran(call, model)
        same = meaning(model)
        if same not in known:
            known[same] = _ran(call, model)
        return known[same]


def _ran(call: Call, model: onnx.ModelProto) -> Outcome:
    try:
        got = run(model, [_fed(tensor) for tensor in call.tensors])
    except Exception as error:
        return Outcome("failed", f"run: {_line(error)}")
    return compare(call, got)


def meaning(model: onnx.ModelProto) -> bytes:
    """Return what a model computes, whatever its opset: a digest of its graph and of its nodes' schema versions.

    Between two opsets at which every node has the same version of its operator, the same graph is the same function.
    """
    slim = onnx.ModelProto()
    slim.graph.CopyFrom(model.graph)
    slim.functions.extend(model.functions)
    for function in slim.functions:
        del function.opset_import[:]
    for node in (node for body in (slim.graph, *slim.functions) for node in _all_nodes(body.node)):
        del node.metadata_props[:]
    digest = hashlib.sha256(slim.SerializeToString(deterministic=True))
    bodies = [(model.graph, model.opset_import), *((item, item.opset_import) for item in model.functions)]
    for body, imports in bodies:
        versions = {item.domain: item.version for item in imports}
        for node in _all_nodes(body.node):
            digest.update(repr((node.domain, node.op_type, _version(node, versions))).encode())
    return digest.digest()


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)


def _version(node: onnx.NodeProto, versions: Mapping[str, int]) -> int:
    wanted = versions.get(node.domain, 1)
    if not onnx.defs.has(node.op_type, node.domain):
        return wanted
    return onnx.defs.get_schema(node.op_type, wanted, node.domain).since_version


def run(model: onnx.ModelProto, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run a model in onnxruntime, or in onnx's reference evaluator where the runtime lacks a kernel."""
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    stored = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in stored]
    if len(names) != len(arrays):
        raise ValueError(f"{len(names)} inputs in the file where the call has {len(arrays)} tensors")
    feeds = dict(zip(names, arrays, strict=True))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        if all("bfloat16" not in value.type for value in (*session.get_inputs(), *session.get_outputs())):
            return list(session.run(None, feeds))
        values = {name: _to_runtime(array) for name, array in feeds.items()}
        return [_from_runtime(value) for value in session.run_with_ort_values(None, values)]
    except states.NotImplemented:
        return _evaluated(model, feeds)


def _evaluated(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class GatherElements(OpRun):
        """The evaluator's own one takes axes of up to 64 elements."""

        op_domain = ""

        def _run(self, data: np.ndarray, indices: np.ndarray, axis: int | None = None) -> tuple[np.ndarray]:
            return (np.take_along_axis(data, indices, axis=axis or 0),)

    evaluator = ReferenceEvaluator(model, new_ops=[GatherElements])
    return [np.asarray(array) for array in evaluator.run(None, feeds)]


_BFLOAT16 = onnx.TensorProto.BFLOAT16


def _to_runtime(array: np.ndarray) -> Any:
    import onnxruntime as ort

    if array.dtype != ml_dtypes.bfloat16:
        return ort.OrtValue.ortvalue_from_numpy(array)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), _BFLOAT16)


def _from_runtime(value: Any) -> np.ndarray:
    return _numpy(torch.from_dlpack(value)) if value.element_type() == _BFLOAT16 else value.numpy()


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _fed(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as a file takes it: complex numbers as pairs on a last axis."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return _numpy(tensor.contiguous())


def compare(call: Call, got: Sequence[np.ndarray]) -> Outcome:
    """Compare count, dtypes, shapes and, unless the call is random, values."""
    if len(call.expected) != len(got):
        return Outcome("failed", f"count: {len(got)} outputs where eager has {len(call.expected)}")
    for index, (expected, array) in enumerate(zip(call.expected, got, strict=True)):
        if call.axis is not None and expected.dtype == torch.int64 and _points_alike(call, expected, array):
            continue
        problem = _difference(expected, array, call.random)
        if problem:
            return Outcome("failed", f"output {index}: {problem}")
    return PASSED


def _points_alike(call: Call, expected: torch.Tensor, array: np.ndarray) -> bool:
    """Whether places along an axis of the first input name equal elements."""
    source, places = call.tensors[0], torch.from_numpy(array)
    if expected.shape != places.shape or places.dtype != torch.int64:
        return False
    assert call.axis is not None
    if expected.dim() < source.dim():
        expected, places = expected.unsqueeze(call.axis), places.unsqueeze(call.axis)
    if places.numel() and not 0 <= int(places.min()) <= int(places.max()) < source.shape[call.axis]:
        return False
    a, b = (source.gather(call.axis, index) for index in (expected, places))
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _difference(expected: torch.Tensor, array: np.ndarray, shape_only: bool) -> str | None:
    if expected.is_complex() and array.dtype.kind != "c":
        expected = torch.view_as_real(expected)
    wanted = _numpy(expected)
    if wanted.dtype != array.dtype:
        return f"dtype {array.dtype} where eager has {wanted.dtype}"
    if wanted.shape != array.shape:
        return f"shape {array.shape} where eager has {wanted.shape}"
    if shape_only or wanted.size == 0:
        return None
    if wanted.dtype.kind not in "fc" and wanted.dtype != ml_dtypes.bfloat16:
        wrong = wanted != array
        return f"values: {int(wrong.sum())} of {wanted.size} differ" if wrong.any() else None
    relative, of_scale = TOLERANCES.get(expected.dtype, TOLERANCES[torch.float32])
    wide = np.complex128 if wanted.dtype.kind == "c" else np.float64
    a, b = wanted.astype(wide), array.astype(wide)
    finite = np.abs(a[np.isfinite(a)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    close = np.isclose(b, a, rtol=relative, atol=of_scale * scale, equal_nan=True)
    if close.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"values: {int((~close).sum())} of {a.size} differ, at {at} {b[at]:.6g} where eager has {a[at]:.6g}"


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:400]


EXPORTERS: dict[str, Exporter] = {"lading": with_lading}
