# SPDX-License-Identifier: Apache-2.0
"""Where the weights stand in the file: initializers, overridable inputs, or plain inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..pipeline.declare import a_pass, option
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work


@attrs.frozen
class Placement:
    """The value of `Fact.INITIALIZERS`.

    `weight_inputs` maps the name of each graph input that stands for a weight without a stored value to the tensor to
    feed there; `tied` maps each name that was merged to the one that stayed.
    """

    ir_version: int
    weight_inputs: Mapping[str, Any] = attrs.field(factory=dict)
    tied: Mapping[str, str] = attrs.field(factory=dict)


@a_pass(
    "initializers",
    requires=(Fact.ONNX,),
    provides=(Fact.INITIALIZERS,),
    after=("fold-constants", "fold-batch-norm", "drop-identity", "drop-dead", "share-equal", "infer-shapes"),
)
class Initializers:
    """Settle how weights are stored, and choose the IR version.

    Weights are the parameters and buffers of the module, and what other passes computed from them. Constants of the
    graph (shapes, scalars, tensors that no `state_dict` has) are not: none of the options makes them inputs.

    `export_params = false` leaves the values out: every weight becomes a graph input after the user's, under its
    `state_dict` name, and the caller feeds it at run time.

    `keep_as_inputs` is the documented switch of torch 1.8. True lists every initializer among the graph inputs too, so
    that a caller may override it (constants become Constant nodes first, as they were then). False lists none, which
    lets a runtime fold them. Unset means False from opset 9 on. Below it the file gets IR version 3, which old runtimes
    want and which has every initializer among the inputs (onnxruntime folds those all the same). torch ignored the
    argument there; here True and False both count, with IR version 4. torch also meant True where the operator export
    type is not ONNX, which the recipes for those types say.

    `deduplicate` stores weights that share their memory (tied weights) once, under the name met first.
    `share_equal_weights` does so for weights equal in value too; each that is merged is on record. Unset means where
    tied ones are and the values are stored for good: not in an export for training, where equal weights part ways, and
    not where weights are inputs, each of which the caller gives. Weights of one type and shape whose first bytes agree
    are read whole to be compared; those above `compare_limit` bytes are not, and stay apart. The running statistics of
    a BatchNormalization in training mode are stored apart from everything else: a runtime may write over them.

    The IR version is the lowest that the opset and the features used (functions, element types) need, so that old
    runtimes read the file. Metadata on nodes does not raise it: a reader skips fields that it does not know.

    Declines when: a weight was transposed or folded, and `export_params` is false; the input then stands for the
    weight as the graph uses it, under a name that says so, and a warning names it.

    Before (keep_as_inputs = true)::

        <ir_version: 4, opset_import: ["" : 9]>
        main (float[N] x) => (float[N] y)
        <float[1] weight = {2}, float[1] one = {1}>
        {
            scaled = Mul(x, weight)
            y = Add(scaled, one)
        }

    After::

        <ir_version: 4, opset_import: ["" : 9]>
        main (float[N] x, float[1] weight = {2}) => (float[N] y)
        {
            one = Constant<value = float[1] {1}>()
            scaled = Mul(x, weight)
            y = Add(scaled, one)
        }

    Before (export_params = false)::

        <ir_version: 4, opset_import: ["" : 9]>
        main (float[N] x) => (float[N] y)
        <float[1] weight = {2}, float[1] one = {1}>
        {
            scaled = Mul(x, weight)
            y = Add(scaled, one)
        }

    After::

        <ir_version: 4, opset_import: ["" : 9]>
        main (float[N] x, float[1] weight) => (float[N] y)
        <float[1] one = {1}>
        {
            scaled = Mul(x, weight)
            y = Add(scaled, one)
        }
    """

    export_params: bool = option(True, help="Store the values of weights; if false they become graph inputs.")
    keep_as_inputs: bool | None = option(
        None,
        help="List stored weights among the graph inputs too, so that callers can override them; unset: below opset 9.",
    )
    deduplicate: bool = option(True, help="Store weights that share memory once.")
    share_equal_weights: bool | None = option(
        None,
        help="Store weights that are equal in value once, too; unset: but for training, and where weights are inputs.",
    )
    compare_limit: int = option(
        256 << 20, help="Bytes of the largest weight that is read whole to compare it with others.", at_least=0
    )

    def run(self, work: Work, note: Note) -> None:
        """Merge, then place, then choose the version."""
        from lading.passes.tidying.placing import (
            IR_OF_FREE_INITIALIZERS,
            hoist_weights,
            lowest_ir_version,
            merge_equal,
            merge_tied,
            weights_to_inputs,
        )

        model = work.model
        assert model is not None
        hoist_weights(model, note)
        version = lowest_ir_version(model, work.target.opset)
        listed = version < IR_OF_FREE_INITIALIZERS and self.keep_as_inputs is None
        if not listed:
            version = max(version, IR_OF_FREE_INITIALIZERS)
        tied: dict[str, str] = {}
        if self.deduplicate:
            tied |= merge_tied(model, note)
        share = self.share_equal_weights
        if share is None:
            trains = getattr(work.values.get(Fact.ARGUMENTS), "trains", False)
            share = self.deduplicate and self.export_params and not (trains or listed or self.keep_as_inputs)
        if share:
            tied |= merge_equal(model, note, self.compare_limit)
        constants = getattr(work.values.get(Fact.GRAPH), "constants", {})
        inputs: dict[str, ir.TensorProtocol] = {}
        if not self.export_params:
            inputs = weights_to_inputs(model, note, keep_values=False, keep_constants=not listed, constants=constants)
        elif self.keep_as_inputs or listed:
            weights_to_inputs(model, note, keep_values=True, constants=constants)
        model.ir_version = version
        work.provide(Fact.INITIALIZERS, Placement(version, inputs, tied))
