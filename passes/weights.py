# SPDX-License-Identifier: Apache-2.0
"""Initializer tensors that borrow torch storage instead of copying it.

A graph under export refers to the user's parameters and buffers through `Weight`. Nothing is copied while passes run:
transposing, slicing or reshaping a weight makes another `Weight` over the same storage, and bytes are only produced
block by block when the file is written. `ComputedWeight` is for values that differ from what the user's module holds
(a BatchNorm folded into a convolution): they are computed by rows while writing and never kept.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch

from ..pipeline.errors import LadingError
from .scratch import Scratch

if TYPE_CHECKING:
    from lading.passes.checkpoints.checkpoint import StoredTensor

_BLOCK = 2 << 20
"""Bytes made at once when a weight is not contiguous: wide enough that a transposition reads whole cache lines."""

_SCRATCH = Scratch(_BLOCK)
"""One for all weights: a few blocks stay, as many as were looked at together."""

_DIGEST_WHOLE = 64 << 10
_DIGEST_BLOCKS = 64
_DIGEST_BLOCK = 1 << 10

_ONNX_TYPES: dict[torch.dtype, ir.DataType] = {
    torch.bool: ir.DataType.BOOL,
    torch.uint8: ir.DataType.UINT8,
    torch.uint16: ir.DataType.UINT16,
    torch.uint32: ir.DataType.UINT32,
    torch.uint64: ir.DataType.UINT64,
    torch.int8: ir.DataType.INT8,
    torch.int16: ir.DataType.INT16,
    torch.int32: ir.DataType.INT32,
    torch.int64: ir.DataType.INT64,
    torch.float16: ir.DataType.FLOAT16,
    torch.bfloat16: ir.DataType.BFLOAT16,
    torch.float32: ir.DataType.FLOAT,
    torch.float64: ir.DataType.DOUBLE,
    torch.complex64: ir.DataType.COMPLEX64,
    torch.complex128: ir.DataType.COMPLEX128,
    torch.float8_e4m3fn: ir.DataType.FLOAT8E4M3FN,
    torch.float8_e4m3fnuz: ir.DataType.FLOAT8E4M3FNUZ,
    torch.float8_e5m2: ir.DataType.FLOAT8E5M2,
    torch.float8_e5m2fnuz: ir.DataType.FLOAT8E5M2FNUZ,
    torch.float8_e8m0fnu: ir.DataType.FLOAT8E8M0,
}
_TORCH_TYPES = {onnx_type: torch_type for torch_type, onnx_type in _ONNX_TYPES.items()}


def onnx_dtype(dtype: torch.dtype) -> ir.DataType:
    """Return the ONNX element type of a torch dtype.

    Raises:
        LadingError: ONNX has no such type (torch's own quantized types, packed sub-byte types).
    """
    try:
        return _ONNX_TYPES[dtype]
    except KeyError:
        hint = "dequantize the tensor or keep it out of the exported module"
        raise LadingError(f"ONNX has no element type for {dtype}", hint=hint) from None


def torch_dtype(dtype: ir.DataType) -> torch.dtype:
    """Return the torch dtype of an ONNX element type; KeyError for string and for types that torch does not have."""
    return _TORCH_TYPES[dtype]


class _BorrowedTensor(ir.TensorProtocol):
    """The members that onnx_ir asks of every tensor, for tensors whose bytes are made block by block."""

    def __init__(self, name: str | None, dtype: ir.DataType, shape: Sequence[int]) -> None:
        self.name = name
        self.doc_string: str | None = None
        self.dtype = dtype
        self.shape = ir.Shape(shape, frozen=True)
        self.metadata_props: dict[str, str] = {}
        self.meta: dict[str, Any] = {}

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape.numpy())

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor as written."""
        return math.ceil(self.size * self.dtype.itemsize)

    def blocks(self) -> Iterator[memoryview]:
        """Yield the bytes in ONNX order: little endian, row major."""
        raise NotImplementedError

    def tofile(self, file: Any) -> None:
        """Write the bytes to a binary file, block by block."""
        for block in self.blocks():
            file.write(block)

    def tobytes(self) -> bytes:
        """Return all bytes; for small weights only."""
        return b"".join(self.blocks())

    def numpy(self) -> np.ndarray:
        """Return the values as a numpy array."""
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.numpy()
        return values.astype(dtype or values.dtype, copy=bool(copy))

    def __str__(self) -> str:
        return repr(self)


class Weight(_BorrowedTensor):
    """An initializer over a torch tensor, without a copy.

    `parameter` is the name in the module's `state_dict` (or whatever name capture chose for a lifted constant). It
    stays when the graph's value, and with it `name`, is renamed. `views` says which views lie between that parameter
    and this tensor, so that `view_name` can be told to a reader: `encoder.weight.T`. `source` is where the values are
    if `tensor` has none (meta device): a tensor in a file, of which `tensor` is a strided view.
    """

    def __init__(
        self,
        tensor: torch.Tensor,
        parameter: str | None = None,
        *,
        name: str | None = None,
        views: tuple[str, ...] = (),
        source: StoredTensor | None = None,
    ) -> None:
        if tensor.layout is not torch.strided:
            raise LadingError(
                f"the weight {parameter or name} is stored as {tensor.layout}, which ONNX initializers cannot hold",
                hint="call .to_dense() on it before exporting",
            )
        super().__init__(name if name is not None else parameter, onnx_dtype(tensor.dtype), tuple(tensor.shape))
        if _is_fake(tensor):
            # Of a fake tensor only the sizes are of use, and without the mode that it was made under.
            tensor = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        self._tensor = tensor
        self.source = source
        self._digest: str | None = None
        self.parameter = parameter
        self.views = views

    @property
    def raw(self) -> torch.Tensor:
        """The torch tensor itself (it may require grad, and may be any strided view)."""
        return self._tensor

    @property
    def view_name(self) -> str:
        """A readable name for this view of the parameter, such as `decoder.weight.T`."""
        return ".".join((self.parameter or self.name or "constant", *self.views))

    def __repr__(self) -> str:
        return f"Weight({self.view_name!r}, {self.dtype.name}, {list(self.shape)})"

    @property
    def has_data(self) -> bool:
        """Whether there are values: a weight on the meta device has them where a checkpoint is its source."""
        return self.source is not None or not is_without_data(self._tensor)

    def storage_key(self) -> tuple[Any, ...]:
        """Return a key that two weights share exactly if they are the same view of the same memory."""
        tensor = self._tensor
        storage = tensor.untyped_storage()
        where = (str(tensor.device), storage.data_ptr(), storage.nbytes(), tensor.storage_offset())
        if self.source is not None:
            where = ("file", id(self.source.file), self.source.offset, tensor.storage_offset())
        elif tensor.device.type == "meta":
            where = ("meta", id(tensor), 0, 0)
        return (*where, tuple(tensor.shape), tensor.stride(), tensor.dtype)

    def viewed(self, view: Callable[[torch.Tensor], torch.Tensor], label: str) -> Weight:
        """Return the weight seen through a torch view; `label` is what `view_name` adds.

        Raises:
            RuntimeError: torch cannot express it as a view (a reshape of a transposed tensor, say).
        """
        tensor = view(self._tensor.detach())
        return Weight(tensor, self.parameter or self.name, views=(*self.views, label), source=self.source)

    def transposed(self, perm: Sequence[int]) -> Weight:
        """Return the weight with its axes permuted, sharing the storage."""
        axes = tuple(int(axis) for axis in perm)
        label = "T" if axes == (1, 0) else "permuted_" + "_".join(map(str, axes))
        return self.viewed(lambda tensor: tensor.permute(axes), label)

    def blocks(self) -> Iterator[memoryview]:
        """Yield the bytes in ONNX order (little endian, row major), copying at most one block at a time.

        Raises:
            LadingError: the tensor has no data (meta device, fake tensor).
        """
        if self.source is not None and self.stored_at is not None:
            begin = self.stored_at - self.source.offset
            yield from (memoryview(block) for block in self.source.blocks(begin, begin + self.nbytes))
            return
        for block in _blocks(self.data(), _BLOCK):
            yield _SCRATCH.bytes_of(block)

    @property
    def stored_at(self) -> int | None:
        """Where the bytes of this weight stand, as they are to be written, in the file of its source; else None."""
        if self.source is None or not self._tensor.is_contiguous():
            return None
        return self.source.offset + int(self._tensor.storage_offset()) * self._tensor.element_size()

    def numpy(self) -> np.ndarray:
        """Return the values as a numpy array, sharing the memory where torch and numpy can."""
        tensor = self.data()
        if tensor.device.type != "cpu":
            tensor = tensor.cpu()
        tensor = tensor.resolve_conj().resolve_neg()
        exact = self.dtype.numpy()
        try:
            return tensor.numpy()
        except TypeError:  # a type numpy has no name for: bfloat16 and the 8-bit floats
            carrier = {1: torch.uint8, 2: torch.uint16}[tensor.element_size()]
            return tensor.view(carrier).numpy().view(exact)

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self.data().__dlpack__(stream=stream)

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()

    def lading_digest(self) -> str:
        """Return a cheap digest for the structural hash: not proof of equality, but it moves when training moves.

        Up to 64 KiB are read whole; of more, 64 blocks of 1 KiB at even distances in storage. The digest covers name,
        type, shape and strides.
        """
        if self._digest is None:
            tensor = self._tensor
            state = hashlib.blake2b(digest_size=16)
            state.update(f"{self.view_name}|{tensor.dtype}|{tuple(tensor.shape)}|{tensor.stride()}".encode())
            state.update(self.sample())
            self._digest = state.hexdigest()
        return self._digest

    def sample(self) -> bytes:
        """Return up to 64 KiB of the memory that the weight spans, of equal weights the same; nothing without data."""
        if not self.nbytes or not self.has_data:
            return b""
        if self.source is None:
            return bytes(_sample(self._tensor.detach()))
        start = self.source.offset + int(self._tensor.storage_offset()) * self._tensor.element_size()
        read, (total, distance) = self.source.file.read, _sampling(self._tensor)
        if not distance:
            return read(start, total)
        return b"".join(read(start + index * distance, _DIGEST_BLOCK) for index in range(_DIGEST_BLOCKS))

    def data(self) -> torch.Tensor:
        """Return the values as a torch tensor without gradient: the module's own memory, or a mapped file.

        Raises:
            LadingError: there are none (meta device, fake tensor).
            UsageError: the file cannot be mapped.
        """
        tensor = self._tensor
        if self.source is not None:
            whole = self.source.load()
            return whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        if not self.has_data:
            raise LadingError(
                f"the weight {self.view_name} has no data: it is on the meta device",
                hint="name a checkpoint with weights=..., load the weights, or export with export_params=False",
            )
        return tensor.detach()


class ComputedWeight(_BorrowedTensor):
    """An initializer whose values are computed when its bytes are asked for, and not kept.

    `rows(start, stop)` returns the slice along the first dimension, as a torch tensor or numpy array of `dtype` (for a
    scalar it is called once, with 0 and 1). Writing asks for a few megabytes at a time, so a model with folded weights
    never holds a second copy of them; `by_rows=False` says that rows cannot be had singly, and writing asks for all at
    once. `what` names the computation and `sources` the tensors it starts from: both enter the digest. `parameter` is
    the name of the weight that this one stands for, if it stands for one.
    """

    def __init__(
        self,
        rows: Callable[[int, int], torch.Tensor | np.ndarray],
        dtype: ir.DataType,
        shape: Sequence[int],
        *,
        what: str,
        sources: Sequence[ir.TensorProtocol],
        by_rows: bool = True,
        name: str | None = None,
        parameter: str | None = None,
    ) -> None:
        super().__init__(name, dtype, shape)
        self._rows = rows
        self.what = what
        self.sources = tuple(sources)
        self._by_rows = by_rows
        self.parameter = parameter

    @property
    def raw(self) -> Callable[[int, int], torch.Tensor | np.ndarray]:
        """The function that computes rows."""
        return self._rows

    def __repr__(self) -> str:
        return f"ComputedWeight({self.name!r}, {self.dtype.name}, {list(self.shape)}, {self.what})"

    def blocks(self) -> Iterator[memoryview]:
        """Yield the bytes in ONNX order, computing at most a few megabytes at a time."""
        shape = self.shape.numpy()
        count = shape[0] if shape else 1
        step = max(1, _BLOCK * count // max(1, self.nbytes)) if self._by_rows else max(1, count)
        for start in range(0, count, step):
            with torch.no_grad():
                part = self._rows(start, min(count, start + step))
            if isinstance(part, np.ndarray):
                yield np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
            else:
                for block in _blocks(part.detach(), _BLOCK):
                    yield _SCRATCH.bytes_of(block)

    def numpy(self) -> np.ndarray:
        """Compute the whole tensor as a numpy array."""
        shape = self.shape.numpy()
        with torch.no_grad():
            whole = self._rows(0, shape[0] if shape else 1)
        array = whole if isinstance(whole, np.ndarray) else Weight(whole).numpy()
        return array.reshape(shape)

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self.numpy().__dlpack__(stream=stream)

    def __dlpack_device__(self) -> Any:
        return (1, 0)  # kDLCPU: what is computed here is on the host

    def lading_digest(self) -> str:
        """Return a cheap digest: of the computation's name and of the digests of its sources."""
        state = hashlib.blake2b(digest_size=16)
        state.update(f"{self.what}|{self.dtype.name}|{list(self.shape)}".encode())
        for source in self.sources:
            state.update(digest(source).encode())
        return state.hexdigest()


def digest(tensor: ir.TensorProtocol) -> str:
    """Return a tensor's own `lading_digest`, or a digest of type, shape and all bytes for other tensor classes."""
    own = getattr(tensor, "lading_digest", None)
    if own is not None:
        return str(own())
    state = hashlib.blake2b(digest_size=16)
    state.update(f"{tensor.dtype.name}|{list(tensor.shape)}".encode())
    if tensor.dtype == ir.DataType.STRING:
        for text in tensor.numpy().reshape(-1):
            state.update(len(text).to_bytes(8, "little") + bytes(text))
    else:
        state.update(tensor.tobytes())
    return state.hexdigest()


def is_without_data(tensor: torch.Tensor) -> bool:
    """Whether a tensor has sizes and no values."""
    return tensor.device.type == "meta" or _is_fake(tensor)


def _is_fake(tensor: torch.Tensor) -> bool:
    # Not by its class, whose import takes a second. A parameter made of one is one.
    return type(tensor).__name__ == "FakeTensor"


def _blocks(tensor: torch.Tensor, limit: int) -> Iterator[torch.Tensor]:
    """Cut a tensor into pieces in row-major order, each contiguous in memory already or at most `limit` bytes."""
    if tensor.numel() == 0:
        return
    size = tensor.numel() * tensor.element_size()
    on_cpu = tensor.device.type == "cpu"
    if (on_cpu and tensor.is_contiguous()) or size <= limit or tensor.dim() == 0:
        yield tensor
        return
    step = limit // (size // tensor.shape[0])
    if step == 0:
        for index in range(tensor.shape[0]):
            yield from _blocks(tensor[index], limit)
        return
    for start in range(0, tensor.shape[0], step):
        yield tensor[start : start + step]


def _sample(tensor: torch.Tensor) -> memoryview:
    """Return up to 64 KiB of the memory that a strided tensor spans."""
    total, distance = _sampling(tensor)
    flat = torch.as_strided(tensor, (total // tensor.element_size(),), (1,)).view(torch.uint8)
    if distance:
        flat = torch.as_strided(flat, (_DIGEST_BLOCKS, _DIGEST_BLOCK), (distance, 1), flat.storage_offset())
    return Scratch(_DIGEST_WHOLE).bytes_of(flat)


def _sampling(tensor: torch.Tensor) -> tuple[int, int]:
    """Return how many bytes a tensor spans, and the distance of the blocks that are read of them; 0 for all."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    total = span * tensor.element_size()
    return total, (total - _DIGEST_BLOCK) // (_DIGEST_BLOCKS - 1) if total > _DIGEST_WHOLE else 0
