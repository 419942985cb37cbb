# SPDX-License-Identifier: Apache-2.0
"""What one lowering of one graph shares between its emitters: target, constants and the values so far."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import onnx_ir as ir

from .inexpressible import Inexpressible
from .kernels import kernel_types, refused_types
from .registry import SPELLINGS, Entry
from .schemas import OperatorFacts, facts_of, first_opset_of
from .symbolics import symbolics_for

if TYPE_CHECKING:
    from .translations import Translations


@attrs.frozen
class Manner:
    """What a recipe says about how operators are written.

    `kernels` is the runtime whose missing kernels are bridged by casts, None for none.  `leave` are patterns of the
    operators that are not to be lowered, ``aten::special_*``, and `by_parts` of those of ONNX that are to be written
    with what opsets before them have, ``*Normalization``.
    """

    kernels: str | None = "onnxruntime-cpu"
    leave: tuple[str, ...] = ()
    by_parts: tuple[str, ...] = ()


class Session:
    """The state of lowering one graph for one target.

    Args:
        opset: the target opset of ONNX's default domain.
        custom_opsets: the versions of other domains.
        graph: the graph that receives constants as initializers; ``None`` for a trial whose result is thrown away.
        manner: what the recipe says.
        functions: the functions that nodes may call.
        repeated: whether the graph is the body of a function, and so may run in several places.
        translations: the caller's own table, which goes before every lowering; None where there is none.
    """

    def __init__(
        self,
        opset: int,
        custom_opsets: Mapping[str, int],
        graph: ir.Graph | None,
        manner: Manner | None = None,
        functions: Mapping[ir.OperatorIdentifier, ir.Function] | None = None,
        repeated: bool = False,
        translations: Translations | None = None,
    ) -> None:
        self.translations = translations
        self.opset = opset
        self.manner = Manner() if manner is None else manner
        self._left: dict[str, bool] = {}
        self.repeated = repeated
        self.functions = {} if functions is None else functions
        self.custom_opsets = dict(custom_opsets)
        self.graph = graph
        self.values: dict[ir.Value, Any] = {}
        self._constants: dict[tuple[ir.DataType, tuple[int, ...], bytes], ir.Value] = {}
        self._spellings: dict[str, Entry | None] = {}
        self._facts: dict[str, OperatorFacts | None] = {}

    @functools.cached_property
    def symbolics(self) -> Mapping[str, Any]:
        """Symbolic functions that others have registered for the target, by operator."""
        return symbolics_for(self.opset)

    def spelling(self, op_type: str) -> Entry | None:
        """Return how an ONNX operator is written at the target, or None where it is written as it is."""
        if op_type not in self._spellings:
            opset = self.opset
            if self.by_parts(op_type):
                opset = min(opset, (first_opset_of(op_type) or opset) - 1)
                if SPELLINGS.floor(op_type, opset) is None:
                    raise Inexpressible(f"the recipe wants {op_type} by its parts, and lading writes it whole only")
            self._spellings[op_type] = SPELLINGS.floor(op_type, opset)
        return self._spellings[op_type]

    def by_parts(self, op_type: str) -> bool:
        """Whether the recipe wants an ONNX operator written with what opsets before it have."""
        return bool(self.manner.by_parts) and matches_any(op_type, self.manner.by_parts)

    def whole(self, op_type: str) -> bool:
        """Whether an ONNX operator is to be written as one node wherever its spelling has the choice."""
        facts = self.facts(op_type)
        if facts is None or self.by_parts(op_type):
            return False
        return self.manner.kernels is None or bool(kernel_types(op_type, facts.since))

    def facts(self, op_type: str) -> OperatorFacts | None:
        """Return the schema facts of an ONNX operator at the target, or None where the target lacks it."""
        if op_type not in self._facts:
            self._facts[op_type] = facts_of(op_type, self.opset)
        return self._facts[op_type]

    def leaves(self, full_name: str) -> bool:
        """Whether an operator, ``aten::add.Tensor``, is to stay in the ATen dialect."""
        if not self.manner.leave:
            return False
        if full_name not in self._left:
            name = full_name.partition(".")[0]
            # Capture writes alias where a value is there once more, as a second output say: no operator of the user's.
            patterns = [p for p in self.manner.leave if p != "*" or name != "aten::alias"]
            self._left[full_name] = matches_any(full_name, patterns) or matches_any(name, patterns)
        return self._left[full_name]

    def runnable(self, facts: OperatorFacts, type_name: str, attributes: Mapping[str, Any]) -> frozenset[ir.DataType]:
        """Return the types of a type variable that can be run, as far as the session cares: all, or by kernel."""
        if self.manner.kernels is None:
            return facts.allowed(type_name)
        types = kernel_types(facts.op_type, facts.since).get(type_name) or facts.allowed(type_name)
        return types - refused_types(facts.op_type, attributes)

    def constant(self, array: np.ndarray, dtype: ir.DataType) -> ir.Value:
        """Return the one initializer that holds an array; equal arrays share it."""
        stored = array.astype(dtype.numpy())
        key = (dtype, stored.shape, stored.tobytes())
        value = self._constants.get(key)
        if value is None:
            name = f"constant_{len(self._constants)}"
            if self.graph is not None:
                while name in self.graph.initializers:
                    name += "_"
            tensor = ir.Tensor(np.ascontiguousarray(stored).reshape(stored.shape), dtype=dtype, name=name)
            value = ir.Value(name=name, shape=ir.Shape(stored.shape), type=ir.TensorType(dtype), const_value=tensor)
            self._constants[key] = value
            if self.graph is not None:
                self.graph.register_initializer(value)
        return value

    def made(self, value: ir.Value) -> bool:
        """Whether a value is a constant that lowering made, and not a parameter of the model."""
        tensor = value.const_value
        if tensor is None or value.dtype is None:
            return False
        return any(value is constant for constant in self._constants.values())


def matches_any(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of some patterns of the shell's kind."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
