# SPDX-License-Identifier: Apache-2.0
"""The last step of an export: the graph becomes a file."""

from __future__ import annotations

import functools
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
    from lading.passes.files.data_files import Layout

    from ..pipeline.note import Note
    from ..pipeline.work import Work

_SMALLEST_EXTERNAL = 1024
"""When protobuf's limit forces weights out, tensors below this size stay: they do not matter for the limit."""


EXTERNAL_DATA_THRESHOLD = 1024
"""Bytes from which a tensor goes to the side file where the caller asks for one; torch 1.8 has the same number."""


@attrs.frozen
class Written:
    """What serialize left: the model (None if no path was asked for), its data files, and the bytes of all of them."""

    path: str | None
    data_paths: tuple[str, ...]
    bytes: int


def _write_interface(model: ir.Model) -> None:
    """Say in the metadata which input and output is which, where a pass has given them other names or places."""
    from .signature.interface import METADATA_KEY, changed_interface

    changed = changed_interface(model.graph)
    if changed is None:
        model.metadata_props.pop(METADATA_KEY, None)
    else:
        model.metadata_props[METADATA_KEY] = changed.to_text()


@functools.cache
def _own_version() -> str:
    return importlib.metadata.version("lading")


def _versions() -> str:
    """Name the libraries whose version the graph depends on."""
    import onnx
    import onnx_ir as ir
    import torch

    return f"torch {torch.__version__}, onnx {onnx.__version__}, onnx-ir {ir.__version__}"


@a_pass("serialize", requires=(Fact.INITIALIZERS, Fact.AXES, Fact.ONNX), provides=(Fact.FILE,), closes=(Fact.ONNX,))
class Serialize:
    """Write the model to a file, in a stream, all or nothing.

    Weights go from torch's memory to the disk block by block; none is copied, inside the file or beside it. The file
    appears under its name only when it is complete; until then, and after any error, an old file stays as it was.

    `check` runs onnx.checker over the model before it is written. Each node was checked against its operator's schema
    when it was made, so this is a second look, for the passes after that.

    One file is written. Weights go beside it only if `external_data_threshold` says so, or if the file would pass
    protobuf's limit of 2 GiB, which is put on record. `external_data_format` is raw (the model's name with .data, large
    tensors on page boundaries, so that a runtime can map them), or safetensors (the model's name with .safetensors): a
    file that PyTorch's side reads too, with every weight under its name in the graph, small ones included where no
    threshold is given. With `external_data_shard` weights are spread over files of that size; shards of safetensors
    get the index that other software reads them by.

    `weights` says what happens to weights that are in a checkpoint and that the graph uses as they stand there. "refer"
    leaves them there: the model names file and offset, which ONNX allows for files in the folder of the model or below
    it; no link may lie between, and the file must have one name only, for readers refuse both. "copy" copies them in a
    stream like any other weight, for a folder that needs nothing else. "auto" refers where that is possible, and
    copies where it is not, which is put on record.

    Where model and data replace an older pair, at every instant one of the two pairs stands there whole.

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
        None,
        help="Name of the external data file, in the folder of the model; by default the model's name with .data or "
        ".safetensors.",
    )
    external_data_format: str = option(
        "raw",
        help="Form of external data: raw, or safetensors, which makes every weight external.",
        choices=("raw", "safetensors"),
    )
    external_data_shard: int = option(
        0,
        help="Bytes at which external data go on in another file; 0 for one file, 1 for a file for each tensor.",
        at_least=0,
    )
    weights: str = option(
        "auto",
        help="Weights in a checkpoint: refer to them there, copy them, or auto, which refers if the folder allows it.",
        choices=("auto", "refer", "copy"),
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
        from lading.passes.files.model_bytes import model_bytes

        model = work.model
        assert model is not None
        model.metadata_props.update(getattr(work.request, "metadata", {}))
        model.producer_name, model.producer_version = "lading", _own_version()
        model.metadata_props["lading.versions"] = _versions()
        self._write_origins(model)
        _write_interface(model)
        _complete_opsets(model, work, note)
        if self.check:
            _check(model)
            note.count("checked by onnx.checker")
        target = getattr(work.request, "file", None)
        if target is None:
            size = model_bytes(model).size
            note.count("bytes", size)
            work.provide(Fact.FILE, Written(None, (), size))
            return
        work.provide(Fact.FILE, self.write(model, target, note))

    def write(self, model: ir.Model, target: Any, note: Note) -> Written:
        """Write a model whose metadata are complete to a path or a binary file object.

        Raises:
            UsageError: the target cannot be written.
        """
        from lading.passes.checkpoints.referring import checkpoint_files, spare_checkpoint
        from lading.passes.files.atomic_write import check_target, is_special, write_special, write_stream
        from lading.passes.files.model_bytes import model_bytes
        from lading.passes.files.replacement import Replacement

        layout = self._layout(model, target, note)
        spare_checkpoint(model, target, [data.name for data in layout.files])
        if not isinstance(target, (str, os.PathLike)):
            written = Written(None, (), write_stream(target, model_bytes(model).blocks()))
        elif is_special(check_target(target)):
            written = Written(os.fspath(target), (), write_special(Path(target), model_bytes(model).blocks()))
        else:
            with Replacement(target, sync=self.sync) as files:
                size = sum([files.write_data(data.name, data.blocks()) for data in layout.files])
                size += files.write_model(lambda names: model_bytes(model, layout.places, names).blocks())
                for file in checkpoint_files(model):
                    file.check_unchanged()
            data_paths = tuple(str(Path(target).with_name(data.name)) for data in layout.files)
            written = Written(os.fspath(target), data_paths, size)
        note.count("bytes", written.bytes)
        if layout.files:
            note.count("external tensors", sum(len(data.tensors) for data in layout.files))
            note.count("external bytes", layout.size)
        return written

    def _layout(self, model: ir.Model, target: Any, note: Note) -> Layout:
        """Choose which tensors leave the model file, and lay them out."""
        from lading.passes.checkpoints.referring import places_in_checkpoint
        from lading.passes.files.data_files import SAFETENSORS_TYPES, Layout, lay_out
        from lading.passes.files.model_bytes import PROTOBUF_LIMIT, inline_size

        threshold = self.external_data_threshold
        at_least = threshold or _SMALLEST_EXTERNAL
        referred = places_in_checkpoint(model, target, note, how=self.weights, at_least=at_least)
        # A node and the types of its values take about that much, which is all that the rest of a model consists of.
        over = inline_size(model, referred) + 1024 * len(model.graph) > PROTOBUF_LIMIT
        if over and (not threshold or threshold > _SMALLEST_EXTERNAL):
            why = "the model would pass protobuf's limit of 2 GiB"
            note.decided("external data", why, threshold=_SMALLEST_EXTERNAL)
            threshold = _SMALLEST_EXTERNAL
        portable = self.external_data_format == "safetensors"
        tensors = [
            (name, value.const_value)
            for name, value in model.graph.initializers.items()
            if value.const_value is not None
            and name not in referred
            and _leaves(value.const_value, threshold, weights=portable)
            and (not portable or value.const_value.dtype in SAFETENSORS_TYPES)
        ]
        if not tensors:
            return Layout(places=referred)
        from lading.passes.files.atomic_write import is_special

        if not isinstance(target, (str, os.PathLike)) or is_special(Path(target)):
            raise UsageError(
                "the model needs a second file for its weights, and the target is not the path of a file",
                hint="pass a path, or set serialize.external_data_threshold to 0 if the model is below 2 GiB",
            )
        model_name = Path(os.path.realpath(target)).name
        name = self.external_data_file or model_name + (".safetensors" if portable else ".data")
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise UsageError(
                f"external_data_file is '{name}', which is not a plain file name",
                hint="the data file stands beside the model; give its name without a folder",
            )
        layout = lay_out(name, tensors, form="safetensors" if portable else "raw", shard=self.external_data_shard)
        names = {file.name for file in layout.files}
        if model_name in names:
            raise UsageError(f"model and external data are both called '{model_name}'", hint="rename one of them")
        return Layout(layout.files, {**referred, **layout.places})

    def _write_origins(self, model: ir.Model) -> None:
        """Put what `provenance` asks for into each node's metadata, and clear what an earlier run put there."""
        from lading.passes.outlining.functions import within

        for root, node in _all_nodes(model):
            origin = origin_of(node)
            module = "" if origin is None else within(root, origin.module)
            wanted: dict[str, str] = {}
            if origin is not None and self.provenance != "none":
                wanted = {"lading.module": module, "lading.passes": " ".join(origin.passes)}
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
                node.doc_string = origin.source or module or None
        if not self.doc_strings:
            from lading.passes.tidying.graph_edits import all_graphs

            for graph in all_graphs(model):
                for value in (*graph.inputs, *graph.outputs):
                    value.doc_string = None


def _leaves(tensor: ir.TensorProtocol, threshold: int, *, weights: bool) -> bool:
    """Whether a tensor goes to external data: by its size or, if `weights`, by being one of the model's."""
    if tensor.dtype.name == "STRING" or not tensor.nbytes:
        return False
    if threshold:
        return tensor.nbytes >= threshold
    return weights and getattr(tensor, "parameter", None) is not None


def _all_nodes(model: ir.Model) -> Iterator[tuple[ir.Graph, ir.Node]]:
    """Yield every node with the main graph or the body of a function that it stands in."""
    from lading.passes.tidying.graph_edits import with_subgraphs

    for root in (model.graph, *(function.graph for function in model.functions.values())):
        for graph in with_subgraphs(root):
            for node in graph:
                yield root, node


def _check(model: ir.Model) -> None:
    """Let onnx.checker look at everything but the bytes of the weights, which would have to be gathered for it."""
    import onnx
    import onnx_ir as ir
    from lading.passes.files.model_bytes import graph_without_initializers
    from lading.passes.tidying.graph_edits import dims_of

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
    from lading.passes.tidying.graph_edits import used_domains, with_subgraphs

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
        inside = {node.domain for graph in with_subgraphs(function.graph) for node in graph}
        function.opset_imports.clear()
        function.opset_imports.update((domain, versions.get(domain, 1)) for domain in sorted(inside))
