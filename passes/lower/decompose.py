# SPDX-License-Identifier: Apache-2.0
"""An operator expanded by its PyTorch decomposition: the definition is recorded on fake tensors, like a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import onnx_ir as ir
import torch
from lading.passes import torch_private
from lading.passes.dialect import bind, find_overload, torch_dtype
from lading.passes.lower import foreach
from lading.passes.lower.complex_pairs import complex_dtype, is_complex, pair_up_nodes
from lading.passes.lower.session import Session
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.symbols import Axes
from lading.pipeline.errors import CaptureError
from lading.pipeline.origin import NOWHERE, Origin, origin_of
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

# Any size that is neither 0 nor 1 nor a multiple of common factors: a definition that looks at it is turned down.
_STAND_IN_SIZE = 23


class NotDecomposed(Exception):
    """Why an operator cannot be expanded; half a sentence."""


class NoDefinition(NotDecomposed):
    """PyTorch does not define the operator in terms of others."""


@attrs.frozen
class Parts:
    """The ATen-dialect nodes of an expansion, over the values that the node itself reads, and what it returns.

    An output is ``None`` where the definition leaves it out, as gradients do that nobody asks for.
    """

    nodes: list[ir.Node]
    outputs: list[ir.Value | None]


class _OnePlace:
    """Gives every recorded node the origin of the operator that is being expanded."""

    module = ""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def line(self) -> str:
        return self._origin.source

    def origin(self) -> Origin:
        return self._origin


def decomposed(node: ir.Node, session: Session) -> Parts:
    """Expand a node of the ATen dialect by its PyTorch decomposition.

    Args:
        node: the node; its inputs may be values that are lowered already.
        session: says what the inputs have become.

    Raises:
        NoDefinition: PyTorch has none, or does not know the operator.
        NotDecomposed: it depends on values or sizes that are not known.
    """
    try:
        bound = bind(node)
    except LookupError as error:
        raise NoDefinition(str(error)) from error
    overload = find_overload(node.domain, node.op_type, node.overload)
    definition = (
        torch_private.decomposition_of(overload)
        or foreach.definition_of(overload)
        or torch.onnx.ops.aten_decompositions().get(overload)
    )
    if definition is None:
        raise NoDefinition("PyTorch has no decomposition of it")
    stand_ins = _StandIns(origin_of(node) or NOWHERE, session)
    positional = [stand_ins.of(value) for value in bound.positional]
    keywords = {name: stand_ins.of(value) for name, value in bound.keywords.items()}
    call: dict[str, Any] = {}
    tensors = iter(positional)
    for parameter in bound.schema.parameters:
        if parameter.is_tensor:
            call[parameter.name] = next(tensors)
        elif parameter.name in keywords:
            call[parameter.name] = keywords[parameter.name]
    return stand_ins.record(definition, *bound.schema.split(call))


class _StandIns:
    """Fake tensors for graph values, and the recording of a definition that runs on them."""

    def __init__(self, origin: Origin, session: Session) -> None:
        self.axes = Axes()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True, shape_env=self.axes, static_shapes=True)
        self.recorder = Recorder(self.fake, self.axes, _OnePlace(origin), _refuse_constant)  # type: ignore[arg-type]
        self.recorder._origin = origin
        self.session = session
        self._known: dict[ir.Value, Any] = {}

    def of(self, value: Any) -> Any:
        """Return what a definition gets in place of a bound argument."""
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if not isinstance(value, ir.Value):
            return value
        value = self.session.values.get(value, value)
        if value not in self._known:
            self._known[value] = self._made(value)
        return self._known[value]

    def _made(self, value: ir.Value) -> Any:
        if value.dtype is None or value.shape is None:
            raise NotDecomposed("the dtype or the rank of an input is not known")
        shape: list[Any] = []
        symbols: list[tuple[Any, int]] = []
        # Complex numbers are pairs by now; a definition gets them as PyTorch has them.
        pairs = is_complex(value)
        dims = list(value.shape)[:-1] if pairs else value.shape
        dtype = torch_dtype(complex_dtype(value) if pairs else value.dtype)
        for index, dim in enumerate(dims):
            if isinstance(dim, int):
                shape.append(dim)
                continue
            name = dim.value or f"unknown_{len(self._known)}_{index}"
            shape.append(self.axes.axis(name, _STAND_IN_SIZE))
            symbols.append((self.axes.symbol(name), index))
        meta = torch.empty(shape, dtype=dtype, device="meta")
        fake = FakeTensor(self.fake, meta, torch.device("cpu"))
        for symbol, index in symbols:
            self.recorder.arithmetic.read_from(symbol, value, index)
        self.recorder.bind(fake, value)
        return torch_private.wrap_functional(fake)

    def record(self, definition: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Parts:
        """Run a definition and return what it consists of."""
        try:
            with torch.no_grad(), torch_private.functionalized(), self.recorder:
                result = definition(*args, **kwargs)
                flat = result if isinstance(result, (tuple, list)) else [result]
                outputs = [self._value(item) for item in flat]
        except (CaptureError, NotDecomposed) as error:
            raise NotDecomposed(f"its decomposition cannot be recorded: {error}") from error
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            raise NotDecomposed(f"its decomposition fails: {type(error).__name__}: {first}") from error
        if self.axes.specialisations():
            raise NotDecomposed("its decomposition depends on a size that is only known at run time")
        pair_up_nodes(self.recorder.nodes)
        return Parts(self.recorder.nodes, outputs)

    def _value(self, item: Any) -> ir.Value | None:
        if item is None:
            return None
        if isinstance(item, torch.Tensor) and torch_private.is_functional(item):
            item = torch_private.unwrap_functional(item)
        return self.recorder.value_of(item)


def _refuse_constant(tensor: torch.Tensor) -> str:
    raise NotDecomposed("it needs a constant tensor of its own")
