# SPDX-License-Identifier: Apache-2.0
"""The last step of an export: the graph becomes a file."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ..pipeline.declare import a_pass, option
from ..pipeline.errors import InternalError, UsageError
from ..pipeline.facts import Fact
from ..pipeline.origin import origin_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work
    from .model_bytes import DataFile, ModelBytes

_SMALLEST_EXTERNAL = 1024
"""When protobuf's limit forces weights out, tensors below this size stay: they do not matter for the limit."""


EXTERNAL_DATA_THRESHOLD = 1024
"""Bytes from which a tensor goes to the side file where the caller asks for one; torch 1.8 has the same number."""


@attrs.frozen
class Written:
    """What serialize left: the files (None if none was asked for) and the bytes of all of them together."""

    path: str | None
    data_path: str | None
    bytes: int


@a_pass("serialize", requires=(Fact.INITIALIZERS, Fact.AXES, Fact.ONNX), provides=(Fact.FILE,), closes=(Fact.ONNX,))
class Serialize:
    """Write the model to a file, in a stream, all or nothing.

    Weights go from torch's memory to the disk block by block; none is copied, inside the file or beside it. The file
    appears under its name only when it is complete; until then, and after any error, an old file stays as it was.

    `check` runs onnx.checker over the model before it is written. Each node was checked against its operator's schema
    when it was made, so this is a second look, for the passes after that.

    One file is written. Weights go to a second one only if `external_data_threshold` says so, or if the file would
    pass protobuf's limit of 2 GiB, which is put on record.

    The same model makes the same bytes, in any process and on any machine: nothing of the machine, the time or the
    folder goes in. What each node is told about its origin is the choice of `provenance`; paths in it are relative.

    Declines when: no file was asked for; the model stays in memory, and this is its last pass.
    """

    external_data_threshold: int = option(
        0,
        help="Tensors of at least this many bytes go to external data; 0 keeps all in the file up to protobuf's limit.",
        at_least=0,
    )
    external_data_file: str | None = option(
        None, help="Name of the external data file, in the folder of the model; by default the model's name with .data."
    )
    provenance: str = option(
        "light",
        help="Origin kept on each node: none, light (module path, passes), or full (also module class, source line).",
        choices=("none", "light", "full"),
    )
    doc_strings: bool = option(False, help="Keep doc strings, and give each node its place in the source as one.")
    check: bool = option(False, help="Let onnx.checker look at the model first; what it finds fails the export.")
    sync: str = option(
        "auto",
        help="Force bytes to the disk before renaming: always, never, or auto (only where an old file is replaced).",
        choices=("auto", "always", "never"),
    )

    def run(self, work: Work, note: Note) -> None:
        """Complete the model's metadata, then write."""
        from .model_bytes import model_bytes

        model = work.model
        assert model is not None
        model.metadata_props.update(getattr(work.request, "metadata", {}))
        model.producer_name, model.producer_version = "lading", importlib.metadata.version("lading")
        self._write_origins(model)
        _complete_opsets(model, work, note)
        if self.check:
            _check(model)
            note.count("checked by onnx.checker")
        target = getattr(work.request, "file", None)
        if target is None:
            size = model_bytes(model).size
            note.count("bytes", size)
            work.provide(Fact.FILE, Written(None, None, size))
            return
        data_file = self._data_file(model, target, note)
        content = model_bytes(model, data_file)
        if isinstance(target, (str, os.PathLike)):
            written = self._to_path(os.fspath(target), content, data_file)
        else:
            from .atomic_write import write_stream

            written = Written(None, None, write_stream(target, content.blocks()))
        note.count("bytes", written.bytes)
        if data_file is not None:
            note.count("external tensors", len(data_file.placed))
            note.count("external bytes", data_file.size)
        work.provide(Fact.FILE, written)

    def _to_path(self, path: str, content: ModelBytes, data_file: DataFile | None) -> Written:
        from .atomic_write import Replacement, check_target, is_special, write_special

        target = check_target(path)
        if is_special(target):
            return Written(path, None, write_special(target, content.blocks()))
        data_path: Path | None = None
        with Replacement(sync=self.sync) as files:
            size = 0
            if data_file is not None:
                data_path = target.with_name(data_file.location)
                size += files.write(data_path, data_file.blocks())
            size += files.write(target, content.blocks())
        return Written(path, None if data_path is None else str(Path(path).with_name(data_path.name)), size)

    def _data_file(self, model: ir.Model, target: Any, note: Note) -> DataFile | None:
        """Choose which tensors leave the model file, and lay them out; None if none does."""
        from .model_bytes import PROTOBUF_LIMIT, inline_size, lay_out

        threshold = self.external_data_threshold
        over = inline_size(model) + 1024 * len(model.graph) > PROTOBUF_LIMIT
        if over and (not threshold or threshold > _SMALLEST_EXTERNAL):
            why = "the model would pass protobuf's limit of 2 GiB"
            note.decided("external data", why, threshold=_SMALLEST_EXTERNAL)
            threshold = _SMALLEST_EXTERNAL
        if not threshold:
            return None
        tensors = [
            (name, value.const_value)
            for name, value in model.graph.initializers.items()
            if value.const_value is not None
            and value.const_value.dtype.name != "STRING"
            and value.const_value.nbytes >= threshold
        ]
        if not tensors:
            return None
        from .atomic_write import is_special

        if not isinstance(target, (str, os.PathLike)) or is_special(Path(target)):
            raise UsageError(
                "the model needs a second file for its weights, and the target is not the path of a file",
                hint="pass a path, or set serialize.external_data_threshold to 0 if the model is below 2 GiB",
            )
        name = self.external_data_file or Path(os.path.realpath(target)).name + ".data"
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise UsageError(
                f"external_data_file is '{name}', which is not a plain file name",
                hint="the data file stands beside the model; give its name without a folder",
            )
        if name == Path(os.path.realpath(target)).name:
            raise UsageError(f"the model and its external data are both called '{name}'", hint="rename one of them")
        return lay_out(name, tensors)

    def _write_origins(self, model: ir.Model) -> None:
        """Put what `provenance` asks for into each node's metadata, and clear what an earlier run put there."""
        for node in _all_nodes(model):
            origin = origin_of(node)
            wanted: dict[str, str] = {}
            if origin is not None and self.provenance != "none":
                wanted = {"lading.module": origin.module, "lading.passes": " ".join(origin.passes)}
                if self.provenance == "full":
                    wanted["lading.class"] = origin.module_class
                    wanted["lading.source"] = origin.source
            for key in ("lading.module", "lading.passes", "lading.class", "lading.source"):
                if wanted.get(key):
                    node.metadata_props[key] = wanted[key]
                elif key in node.metadata_props:
                    del node.metadata_props[key]
            if not self.doc_strings:
                node.doc_string = None
            elif not node.doc_string and origin is not None:
                # torch's own modules have no line of the user's; the module says where they stand.
                node.doc_string = origin.source or origin.module or None
        if not self.doc_strings:
            from .graph_edits import all_graphs

            for graph in all_graphs(model):
                for value in (*graph.inputs, *graph.outputs):
                    value.doc_string = None


def _all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    from .graph_edits import all_graphs

    for graph in all_graphs(model):
        yield from graph


def _check(model: ir.Model) -> None:
    """Let onnx.checker look at everything but the bytes of the weights, which would have to be gathered for it."""
    import onnx
    import onnx_ir as ir

    from .graph_edits import dims_of
    from .model_bytes import graph_without_initializers

    graph = graph_without_initializers(model.graph, model.ir_version)
    stated = {value.name for value in graph.input}
    for name, value in model.graph.initializers.items():
        if name not in stated and value.const_value is not None:
            tensor = value.const_value
            graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.dtype.value, dims_of(tensor)))
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    proto = onnx.helper.make_model(graph, opset_imports=imports, ir_version=model.ir_version)
    for function in model.functions.values():
        proto.functions.append(ir.serde.serialize_function(function))
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise InternalError(
            f"onnx.checker refuses the model: {error}",
            hint="a lowering or a pass is at fault; serialize.check = false writes the file without the check",
        ) from error


def _complete_opsets(model: ir.Model, work: Work, note: Note) -> None:
    """Import every domain that a node uses, and no other but the default one, sorted by name."""
    from .graph_edits import used_domains

    used = {""} | used_domains(model)
    for domain in sorted(set(work.target.custom_opsets) - used):
        note.warned("a custom opset is of a domain that the model does not use", domain=domain)
    imports = dict(model.opset_imports)
    versions = {
        domain: imports.get(domain) or work.target.custom_opsets.get(domain) or (work.target.opset if not domain else 1)
        for domain in sorted(used)
    }
    model.opset_imports.clear()
    model.opset_imports.update(versions)
    for function in model.functions.values():
        for node in function:
            function.opset_imports.setdefault(node.domain, versions.get(node.domain, 1))
