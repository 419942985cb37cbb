# SPDX-License-Identifier: Apache-2.0
"""What an export gives back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from .feeding import feeds_of
from .pipeline.errors import UsageError
from .pipeline.facts import Fact
from .pipeline.plan import Plan
from .pipeline.work import Work

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnx_ir as ir

    from .passes.size_limits import SizeLimit


@attrs.define(kw_only=True, repr=False)
class Exported:
    """An export that has run: the model, what was planned, and the record of what happened.

    Attributes:
        work: all that the passes made, by fact.
        plan: the plan that was run.
        events: the audit events, in order, as plain dictionaries.
    """

    work: Work
    plan: Plan
    events: list[dict[str, Any]]
    _session: Any = None

    def __repr__(self) -> str:
        nodes = len(self.model.graph)
        return f"<Exported {self.path or 'in memory'}: opset {self.opset}, {nodes} nodes, {self.bytes} bytes>"

    @property
    def model(self) -> ir.Model:
        """The exported model in memory; its weights still stand in torch's memory."""
        return self.work.need_model()

    @property
    def model_proto(self) -> onnx.ModelProto:
        """The exported model as a protobuf message, weights included; refused by protobuf above 2 GiB."""
        import onnx

        proto = onnx.ModelProto()
        proto.ParseFromString(self._in_one_piece())
        return proto

    def _in_one_piece(self) -> bytes:
        from lading.passes.files.model_bytes import model_bytes

        return b"".join(model_bytes(self.model).blocks())

    @property
    def opset(self) -> int:
        """The opset that the file has, which is the one that was asked for."""
        return self.model.graph.opset_imports[""]

    @property
    def path(self) -> str | None:
        """The file that was written, or None where none was."""
        written = self.work.values.get(Fact.FILE)
        return None if written is None else written.path

    @property
    def bytes(self) -> int:
        """The size of the file and its external data."""
        written = self.work.values.get(Fact.FILE)
        return 0 if written is None else written.bytes

    @property
    def axes(self) -> Mapping[str, Mapping[int, str]]:
        """The dynamic axes of the file: for each input and output, the name of each axis.

        They are read off the final graph, whose interface a pass may have renamed or cut after the axes were settled.
        """
        from .passes.dynamic_axes import Axes

        return dict(Axes.of(self.model.graph).by_name())

    @property
    def limits(self) -> tuple[SizeLimit, ...]:
        """The conditions on sizes of axes outside of which the file may be wrong, in the user's axis names."""
        table = self.work.values.get(Fact.AXES)
        return () if table is None else tuple(table.limits)

    @property
    def verification(self) -> Any:
        """What the verify pass found, or None where it did not run."""
        return self.work.values.get(Fact.VERIFIED)

    @property
    def warnings(self) -> list[str]:
        """The warnings of all passes, in order."""
        return [warning["message"] for event in self.events for warning in event.get("warnings") or ()]

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order; weights that are inputs too come last and are left out."""
        initializers = self.model.graph.initializers
        return [value.name or "" for value in self.model.graph.inputs if value.name not in initializers]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order."""
        return [value.name or "" for value in self.model.graph.outputs]

    def to_dict(self) -> dict[str, Any]:
        """What came out, as plain data for JSON."""
        graph = self.model.graph
        operators = Counter(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in graph)
        return {
            "path": self.path,
            "bytes": self.bytes,
            "recipe": self.plan.recipe.name,
            "recipe_hash": self.plan.recipe.hash,
            "opset": self.opset,
            "ir_version": self.model.ir_version,
            "nodes": sum(operators.values()),
            "operators": dict(sorted(operators.items())),
            "functions": {function.name: len(function) for function in self.model.functions.values()},
            "inputs": [_described(value) for value in graph.inputs],
            "outputs": [_described(value) for value in graph.outputs],
            "axes": {name: {str(axis): symbol for axis, symbol in axes.items()} for name, axes in self.axes.items()},
            "limits": [limit.words for limit in self.limits],
            "warnings": self.warnings,
            "verification": None if self.verification is None else self.verification.to_dict(),
        }

    def save(
        self,
        destination: str | os.PathLike[str] | Any,
        *,
        include_initializers: bool = True,
        keep_initializers_as_inputs: bool | None = None,
        external_data: bool | None = None,
        **options: Any,
    ) -> None:
        """Write the model to a path or a binary file object, all or nothing.

        The keywords are those of PyTorch's program object; what they change is this file and not the model in memory.

        Args:
            destination: where to.
            include_initializers: whether weights are stored; otherwise they are inputs, whatever the next one says.
            keep_initializers_as_inputs: whether stored weights are inputs as well; by default as they were exported.
            external_data: whether large tensors go to a second file; by default only what protobuf's limit forces out.
            options: options of the serialize pass, such as ``external_data_threshold``.

        Raises:
            UsageError: the destination cannot be written.
        """
        from .passes.initializers import Initializers
        from .passes.request import Request
        from .passes.serialize import EXTERNAL_DATA_THRESHOLD, Serialize
        from .pipeline.note import Note

        metadata = getattr(self.work.request, "metadata", {})
        work = attrs.evolve(self.work, request=Request(model=None, file=destination, metadata=metadata), values={})
        if keep_initializers_as_inputs is not None or not include_initializers:
            work.model = self.model.clone()
            placement = Initializers(
                export_params=include_initializers, keep_as_inputs=keep_initializers_as_inputs, deduplicate=False
            )
            placement.run(work, Note())
        if external_data is not None:
            options.setdefault("external_data_threshold", EXTERNAL_DATA_THRESHOLD if external_data else 0)
        Serialize(**options).run(work, Note())
        if work.model is self.model:
            self.work.provide(Fact.FILE, work.need(Fact.FILE))

    def __call__(self, *args: Any, **kwargs: Any) -> list[np.ndarray]:
        """Run the model in onnxruntime.

        Args:
            args: tensors or arrays for the inputs, in order, or the arguments of the model, which are taken apart as
                those of the example were; a dict by its keys.
            kwargs: the same by the name of an input or of an argument.

        Returns:
            The outputs, in order.

        Raises:
            UsageError: onnxruntime is not installed, or the inputs do not fit.
        """
        from .passes.signature.interface import interface_of

        arguments = self.work.values.get(Fact.ARGUMENTS)
        called = getattr(arguments, "inputs", ())
        interface = interface_of(self.model.graph)
        names = [item.name for item in called] if interface is None else interface.names
        paths = {name: item.path for name, item in zip(names, called, strict=True)}
        feeds = feeds_of(args, kwargs, self.input_names, paths)
        session = self._runtime_session()
        arrays = {name: _array(value) for name, value in feeds.items()}
        for name in self._moved_statistics() & arrays.keys():
            arrays[name] = arrays[name].copy()
        outputs: list[np.ndarray] = session.run(None, arrays)
        return outputs

    def _moved_statistics(self) -> set[str]:
        """Inputs that onnxruntime writes over: running statistics that a normalization in training mode moves."""
        from lading.passes.tidying.graph_edits import is_moved_statistic

        inputs, functions = self.model.graph.inputs, self.model.functions
        return {value.name for value in inputs if value.name and is_moved_statistic(value, functions)}

    def _runtime_session(self) -> Any:
        if self._session is None:
            try:
                import onnxruntime
            except ImportError as error:
                raise UsageError("onnxruntime is not installed", hint="pip install 'lading[run]'") from error
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            source: Any = self.path
            if source is None:
                source = self._in_one_piece()
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return self._session


def _described(value: ir.Value) -> dict[str, Any]:
    dims = None if value.shape is None else [dim if isinstance(dim, int) else dim.value for dim in value.shape]
    return {"name": value.name, "dtype": None if value.dtype is None else value.dtype.name.lower(), "shape": dims}


def _array(value: Any) -> Any:
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    import numpy as np

    return np.asarray(value)
