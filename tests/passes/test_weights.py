# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
import onnx_ir as ir
import pytest
import torch
from lading.passes import weights
from lading.passes.weights import ComputedWeight, Weight
from lading.pipeline.errors import LadingError

FLOAT_LIKE = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2,
    torch.float8_e5m2fnuz,
    torch.complex64,
    torch.complex128,
]
WHOLE = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32]


def written(tensor: ir.TensorProtocol) -> bytes:
    target = io.BytesIO()
    tensor.tofile(target)
    return target.getvalue()


def test_bytes_are_the_users_memory() -> None:
    parameter = torch.nn.Parameter(torch.arange(12, dtype=torch.float32).reshape(3, 4))
    (block,) = Weight(parameter, "w").blocks()
    with torch.no_grad():
        parameter[0, 0] = 7.0
    assert 7.0 == np.frombuffer(block, np.float32)[0]


@pytest.mark.parametrize("dtype", FLOAT_LIKE + WHOLE, ids=str)
def test_every_type_keeps_its_bytes(dtype: torch.dtype) -> None:
    tensor = torch.arange(24).reshape(4, 6).to(dtype)
    reference = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    weight = Weight(tensor, "w")
    assert (reference, reference) == (written(weight), weight.numpy().tobytes())


@pytest.mark.parametrize("perm", [(1, 0, 2), (2, 1, 0), (0, 2, 1)])
def test_a_transposed_weight_is_written_in_blocks(perm: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_BLOCK", 64)
    tensor = torch.randn(7, 5, 6)
    turned = Weight(tensor, "w").transposed(perm)
    assert tensor.data_ptr() == turned.raw.data_ptr()
    assert np.ascontiguousarray(tensor.numpy().transpose(perm)).tobytes() == written(turned)
    assert max(len(block) for block in turned.blocks()) <= 64


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bfloat16, torch.float32, torch.float64, torch.complex128], ids=str
)
def test_a_transposition_wider_than_what_is_turned_at_once_keeps_its_bytes(dtype: torch.dtype) -> None:
    tensor = torch.arange(37 * 50).reshape(37, 50).to(dtype)
    reference = tensor.t().contiguous().view(torch.uint8).numpy().tobytes()
    assert reference == written(Weight(tensor, "w").transposed((1, 0)))


def test_names_of_views_start_from_the_parameter() -> None:
    weight = Weight(torch.zeros(2, 3), "encoder.weight")
    weight.name = "renamed"
    assert "encoder.weight.T" == weight.transposed((1, 0)).view_name


def test_tied_weights_share_a_key_and_a_view_does_not() -> None:
    tensor = torch.zeros(3, 3)
    first, second = Weight(tensor, "a"), Weight(torch.nn.Parameter(tensor), "b")
    assert first.storage_key() == second.storage_key()
    assert first.storage_key() != first.transposed((1, 0)).storage_key()
    assert first.transposed((1, 0)).storage_key() == second.transposed((1, 0)).storage_key()


@pytest.mark.parametrize("shape", [(), (0,), (3,), (300, 400)])
def test_the_digest_follows_the_values(shape: tuple[int, ...]) -> None:
    tensor = torch.zeros(shape)
    before = Weight(tensor, "w").lading_digest()
    assert before == Weight(tensor.clone(), "w").lading_digest()
    if tensor.numel():
        assert before != Weight(tensor + 1, "w").lading_digest()


def test_an_expanded_weight_is_written_in_full() -> None:
    tensor = torch.tensor([1.0, 2.0]).expand(3, 2)
    assert tensor.contiguous().numpy().tobytes() == written(Weight(tensor, "w"))


def test_sparse_weights_are_refused() -> None:
    with pytest.raises(LadingError, match="sparse"):
        Weight(torch.zeros(2).to_sparse(), "w")


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_types_unknown_to_onnx_are_refused() -> None:
    with pytest.raises(LadingError, match="qint8"):
        Weight(torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8), "w")


def test_meta_weights_have_no_bytes() -> None:
    with pytest.raises(LadingError, match="meta device"):
        written(Weight(torch.empty(2, device="meta"), "layer.weight"))


def test_computed_weights_come_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_BLOCK", 64)
    base = torch.randn(10, 8)
    calls = []

    def rows(start: int, stop: int) -> torch.Tensor:
        calls.append((start, stop))
        return base[start:stop] * 2

    source = Weight(base, "w")
    doubled = ComputedWeight(rows, ir.DataType.FLOAT, base.shape, what="doubled", sources=[source])
    assert (base * 2).numpy().tobytes() == written(doubled)
    assert [(start, start + 2) for start in range(0, 10, 2)] == calls
    assert doubled.lading_digest() != source.lading_digest()
