# SPDX-License-Identifier: Apache-2.0
"""The passes of lading: one module or folder each, listed here by name and imported only when a plan needs them."""

from __future__ import annotations

BUILTIN: dict[str, str] = {
    "normalize-arguments": "lading.passes.normalize_arguments:NormalizeArguments",
    "attach-weights": "lading.passes.attach_weights:AttachWeights",
    "trace": "lading.passes.trace:Trace",
    "roll-loops": "lading.passes.roll_loops:RollLoops",
    "inline": "lading.passes.inline:Inline",
    "lower": "lading.passes.lower:Lower",
    "fallback": "lading.passes.fallback:Fallback",
    "fold-constants": "lading.passes.fold_constants:FoldConstants",
    "fold-batch-norm": "lading.passes.fold_batch_norm:FoldBatchNorm",
    "drop-dead": "lading.passes.drop_dead:DropDead",
    "drop-identity": "lading.passes.drop_identity:DropIdentity",
    "share-equal": "lading.passes.share_equal:ShareEqual",
    "drop-expand": "lading.passes.drop_expand:DropExpand",
    "merge-chains": "lading.passes.merge_chains:MergeChains",
    "merge-matmul": "lading.passes.merge_matmul:MergeMatmul",
    "infer-shapes": "lading.passes.infer_shapes:InferShapes",
    "name-values": "lading.passes.name_values:NameValues",
    "initializers": "lading.passes.initializers:Initializers",
    "dynamic-axes": "lading.passes.dynamic_axes:DynamicAxes",
    "serialize": "lading.passes.serialize:Serialize",
    "verify": "lading.passes.verify:Verify",
}
