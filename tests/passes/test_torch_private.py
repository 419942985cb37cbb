# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

import lading.passes
import pytest
import torch
from lading.passes import torch_private


def test_every_private_name_of_torch_is_where_capture_expects_it():
    absent = torch_private.missing()
    assert [] == absent, f"PyTorch {torch.__version__} moved: {', '.join(absent)}"


def test_a_moved_name_is_named():
    symbols = [("torch", "Tensor"), ("torch", "_surely_not_there"), ("torch._no_such_module", "thing")]
    assert ["torch._surely_not_there", "torch._no_such_module.thing"] == torch_private.missing(symbols)


OWN = Path(lading.passes.__file__).parent
FILES = sorted([*OWN.glob("trace/*.py"), *OWN.glob("signature/*.py"), OWN / "model_state.py"])
PRIVATE = re.compile(r"\btorch(\.\w+)*\.(_(?!_)\w+|fx\.experimental\S*)")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_capture_names_nothing_private_elsewhere(file):
    private = [line for line in file.read_text().splitlines() if PRIVATE.search(line)]
    assert [] == private


@pytest.mark.parametrize("name", torch_private._LOADED_LATE)
def test_late_names_are_listed(name):
    module, dotted = torch_private._LOADED_LATE[name]
    assert any(known == module and listed.startswith(dotted) for known, listed in torch_private.SYMBOLS)


def test_unknown_names_are_unknown():
    with pytest.raises(AttributeError, match="surely_not"):
        _ = torch_private.surely_not


def test_functional_tensors_unwrap_to_what_was_wrapped():
    inner = torch.ones(2)
    assert torch.equal(inner, torch_private.unwrap_functional(torch_private.wrap_functional(inner)))


def test_announcement_of_an_export_ends_after_an_exception():
    with pytest.raises(ValueError, match="stop"), torch_private.announced_export():
        raise ValueError("stop")
    assert not torch.onnx.is_in_onnx_export()


def test_transformer_layers_ask_again_afterwards():
    from torch.nn.modules import transformer

    before = transformer._detect_is_causal_mask
    with torch_private.unasked_masks():
        assert before is not transformer._detect_is_causal_mask
    assert before is transformer._detect_is_causal_mask


def test_convolutions_are_selected_again_afterwards():
    before = torch._C._select_conv_backend
    with torch_private.symbolic_kernels():
        assert before is not torch._C._select_conv_backend
    assert before is torch._C._select_conv_backend
