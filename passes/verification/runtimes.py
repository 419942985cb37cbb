# SPDX-License-Identifier: Apache-2.0
"""What runs an exported file: onnxruntime, or onnx's reference evaluator where the runtime cannot.

Two refusals are told apart. A runtime that *lacks* something (the package is not installed, there is no kernel, an
operator of the user's own domain is unknown, the opset is newer than the runtime) says nothing about the file, so the
next runtime is asked. A runtime that *rejects* the file has found a fault in it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .inputs import Dims

if TYPE_CHECKING:
    import torch

CPU = "CPU"
_PROVIDER = "ExecutionProvider"

_TOO_NEW = ("under development", "only *guarantees* support", "Unsupported model IR version")
_NO_KERNEL = ("NOT_IMPLEMENTED", "Could not find an implementation")

# Types that numpy lacks: their number in onnx.TensorProto, and the torch dtype of the same width to carry the bits.
_CARRIED = {
    "torch.bfloat16": (16, "uint16"),
    "torch.float8_e4m3fn": (17, "uint8"),
    "torch.float8_e4m3fnuz": (18, "uint8"),
    "torch.float8_e5m2": (19, "uint8"),
    "torch.float8_e5m2fnuz": (20, "uint8"),
}


class RuntimeLacks(Exception):
    """The runtime cannot run this file, for reasons that are not the file's."""


class RuntimeRejects(Exception):
    """The runtime finds the file wrong, or fails while it runs it."""


class Session(Protocol):
    """A loaded file.

    `runtime` is the name and version of what runs it; `inputs` maps the name of each input that has to be fed to its
    shape; `outputs` has the names of the outputs.
    """

    runtime: str
    inputs: Mapping[str, Dims]
    outputs: Sequence[str]

    def run(self, feeds: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """Run the file.

        Raises:
            RuntimeLacks: a kernel is missing.
            RuntimeRejects: the runtime failed.
        """


def open_session(path: str, runtime: str = "auto", provider: str = CPU) -> tuple[Session, str | None]:
    """Load a file in the first runtime that can run it; also return why it is not onnxruntime, if it is not.

    The reference evaluator takes the place of onnxruntime on the CPU alone: it shows nothing about another provider.

    Args:
        path: the ONNX file; external data stand beside it.
        runtime: "onnxruntime", "reference", or "auto" for the first of the two that can.
        provider: the execution provider of onnxruntime, with or without the end of its name: "CUDA".

    Raises:
        RuntimeLacks: no runtime can run the file.
        RuntimeRejects: the file is wrong.
    """
    if runtime == "reference":
        if short_name(provider) != CPU:
            raise RuntimeLacks(f"the reference evaluator has no provider {short_name(provider)}")
        return ReferenceSession(path), None
    try:
        return OnnxRuntimeSession(path, provider), None
    except RuntimeLacks as lacks:
        if runtime == "onnxruntime" or short_name(provider) != CPU:
            raise
        try:
            return ReferenceSession(path), str(lacks)
        except RuntimeLacks as also:
            raise RuntimeLacks(f"{lacks}; {also}") from also


def short_name(provider: str) -> str:
    """Return the name of an execution provider without its end: "CUDA" for "CUDAExecutionProvider"."""
    return provider.removesuffix(_PROVIDER)


class OnnxRuntimeSession:
    """A file in onnxruntime, with the graph optimisations that users get.

    What the provider has no kernel for runs on the CPU, as it does for users.
    """

    inputs: Mapping[str, Dims]
    outputs: Sequence[str]

    def __init__(self, path: str, provider: str = CPU) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeLacks(f"onnxruntime cannot be imported ({error})") from error
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        wanted = short_name(provider) + _PROVIDER
        available = onnxruntime.get_available_providers()
        if wanted not in available:
            has = ", ".join(short_name(name) for name in available)
            raise RuntimeLacks(f"{self.runtime} has no provider {short_name(provider)}, but {has}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Threads that wait in a busy loop cost more than they bring in runs this short, above all on a shared machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            providers = list(dict.fromkeys((wanted, CPU + _PROVIDER)))
            self._session: Any = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:
            problem = f"{self.runtime}: {_one_line(error)}"
            if _lacks(error) or _has_unknown_operators(path):
                raise RuntimeLacks(problem) from error
            raise RuntimeRejects(problem) from error
        if wanted not in self._session.get_providers():
            # A provider that cannot start (no device, no driver) is left out by onnxruntime without an error.
            raise RuntimeLacks(f"{self.runtime} could not start the provider {short_name(provider)}")
        self.inputs = {entry.name: entry.shape for entry in self._session.get_inputs()}
        self.outputs = [entry.name for entry in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Session`."""
        values = {name: _to_ort(tensor) for name, tensor in feeds.items()}
        try:
            answers = self._session.run_with_ort_values(None, values)
        except Exception as error:
            problem = f"{self.runtime}: {_one_line(error)}"
            raise (RuntimeLacks if _lacks(error) else RuntimeRejects)(problem) from error
        return [tensor for answer in answers for tensor in _from_ort(answer)]


class ReferenceSession:
    """A file in the reference evaluator that the onnx package brings: slow, and made to be right."""

    inputs: Mapping[str, Dims]
    outputs: Sequence[str]

    def __init__(self, path: str) -> None:
        self.runtime = f"onnx.reference {importlib.metadata.version('onnx')}"
        import onnx
        from onnx.reference import ReferenceEvaluator

        try:
            model = onnx.load(path)
            onnx.checker.check_model(path)
            self._evaluator: Any = ReferenceEvaluator(model)
        except onnx.checker.ValidationError as error:
            raise RuntimeRejects(f"onnx.checker: {_one_line(error)}") from error
        except Exception as error:
            # The evaluator raises many kinds of error for operators that it lacks; none is about the file.
            raise RuntimeLacks(f"{self.runtime}: {_one_line(error)}") from error
        stored = {tensor.name for tensor in model.graph.initializer}
        self.inputs = {
            value.name: [
                dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
                for dim in value.type.tensor_type.shape.dim
            ]
            for value in model.graph.input
            if value.name not in stored
        }
        self.outputs = [value.name for value in model.graph.output]

    def run(self, feeds: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Session`."""
        arrays = {name: to_numpy(tensor) for name, tensor in feeds.items()}
        try:
            answers = self._evaluator.run(None, arrays)
        except Exception as error:
            # Its implementations have gaps and faults of their own, so a crash in one proves nothing.
            raise RuntimeLacks(f"{self.runtime}: {_one_line(error)}") from error
        return [from_numpy(answer) for answer in answers]


def _lacks(error: Exception) -> bool:
    return any(words in str(error) for words in (*_NO_KERNEL, *_TOO_NEW))


def _has_unknown_operators(path: str) -> bool:
    """Tell whether a file that is valid uses operators that neither ONNX nor the file itself defines."""
    import onnx

    try:
        onnx.checker.check_model(path)
        model = onnx.load(path, load_external_data=False)
    except Exception:
        # Whatever onnx cannot read or check is wrong for other reasons than an unknown operator.
        return False
    defined = {(function.domain, function.name) for function in model.functions}

    def unknown(nodes: Any) -> bool:
        for node in nodes:
            known = node.domain in ("", "ai.onnx") or onnx.defs.has(node.op_type, node.domain)
            if not known and (node.domain, node.op_type) not in defined:
                return True
            if any(unknown(graph.node) for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)):
                return True
        return False

    return unknown(model.graph.node) or any(unknown(function.node) for function in model.functions)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]}..."


def _to_ort(tensor: torch.Tensor) -> Any:
    import onnxruntime
    import torch

    tensor = tensor.detach().cpu().contiguous()
    onnx_type, carrier = _CARRIED.get(str(tensor.dtype), (None, None))
    if onnx_type is None:
        return onnxruntime.OrtValue.ortvalue_from_numpy(tensor.numpy())
    array = tensor.view(getattr(torch, str(carrier))).numpy()
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, onnx_type)


def _from_ort(value: Any) -> list[torch.Tensor]:
    from torch.utils.dlpack import from_dlpack

    if value.is_tensor_sequence():
        return [from_numpy(array) for array in value.numpy()]
    carried = {number: name for name, (number, _) in _CARRIED.items()}.get(value.element_type())
    if carried is None:
        return [from_numpy(value.numpy())]
    if carried == "torch.bfloat16":
        return [from_dlpack(value)]
    raise RuntimeLacks(f"an output of type {value.data_type()} cannot be read from onnxruntime")


def to_numpy(tensor: torch.Tensor) -> Any:
    """Return a torch tensor as a numpy array, of the element types of ml_dtypes where numpy lacks one."""
    import torch

    tensor = tensor.detach().cpu().contiguous()
    if str(tensor.dtype) not in _CARRIED:
        return tensor.numpy()
    import ml_dtypes

    _, carrier = _CARRIED[str(tensor.dtype)]
    name = str(tensor.dtype).removeprefix("torch.")
    return tensor.view(getattr(torch, carrier)).numpy().view(getattr(ml_dtypes, name))


def from_numpy(array: Any) -> torch.Tensor:
    """Return a numpy array as a torch tensor, with the element types of ml_dtypes too."""
    import numpy as np
    import torch

    array = np.ascontiguousarray(array).reshape(np.shape(array))
    _, carrier = _CARRIED.get(f"torch.{array.dtype}", (None, None))
    if carrier is not None:
        return torch.from_numpy(array.view(carrier)).view(getattr(torch, str(array.dtype)))
    # numpy may spell a type in two ways (ulong and ulonglong); torch knows one of them.
    array = array.view(array.dtype.name)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
