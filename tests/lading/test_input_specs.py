# SPDX-License-Identifier: Apache-2.0
"""What ``--input`` says, and where the inputs go in the example call."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lading.pipeline.errors import UsageError

from lading.input_specs import DTYPES, InputSpec, example_call, parse_input


def test_a_named_size_is_a_free_axis():
    spec = parse_input("x:float32[batch=2,3,height=8]")
    assert {0: "batch", 2: "height"} == spec.axes
    assert (2, 3, 8) == spec.sizes


def test_no_brackets_mean_a_scalar():
    assert () == parse_input("t:int64").sizes


def test_the_range_bounds_the_example():
    tensor = parse_input("ids:int64[2,50](5..7)").tensor(0)
    assert (5, 7) == (int(tensor.min()), int(tensor.max()))


def test_the_same_seed_makes_the_same_example():
    spec = parse_input("x:float32[3]")
    assert torch.equal(spec.tensor(1), spec.tensor(1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_makes_a_tensor_of_it(dtype):
    assert getattr(torch, dtype) == parse_input(f"x:{dtype}[2]").tensor(0).dtype


_names = st.from_regex(r"[a-z_][a-z0-9_.]{0,6}", fullmatch=True)
_dims = st.lists(
    st.tuples(st.none() | st.from_regex(r"[a-z]\w{0,5}", fullmatch=True).filter(str.isascii), st.integers(0, 999))
)


@given(_names, st.sampled_from(DTYPES), _dims)
def test_what_is_written_is_read_back(name, dtype, dims):
    text = f"{name}:{dtype}[{', '.join(f'{axis}={size}' if axis else str(size) for axis, size in dims)}]"
    axes = {index: axis for index, (axis, _) in enumerate(dims) if axis}
    expected = InputSpec(name=name, dtype=dtype, sizes=tuple(size for _, size in dims), axes=axes)
    assert expected == parse_input(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x", "NAME:DTYPE"),
        ("x:float32[batch=]", "NAME:DTYPE"),
        ("x:float[2]", "float"),
        ("x:flaot32[2]", "float32"),
        ("x:int64[2](7..5)", "NAME:DTYPE"),
    ],
)
def test_what_cannot_be_read_names_the_form_or_the_nearest(text, hint):
    with pytest.raises(UsageError) as caught:
        parse_input(text)
    assert hint in str(caught.value)


def _forward(x, y=None, *, scale=1.0):
    return x


def test_an_input_goes_where_its_name_is_a_parameter():
    call = example_call([parse_input("y:float32[4]")], _forward, (1,), {})
    assert 1 == call.args[0]
    assert (4,) == call.args[1].shape


def test_inputs_of_other_names_are_positional():
    call = example_call([parse_input("a:float32[n=4]"), parse_input("b:float32[2]")], lambda *inputs: inputs, (), {})
    assert ("a", "b") == call.input_names
    assert {"a": {0: "n"}} == call.axes


def test_an_input_that_the_model_does_not_have_is_refused():
    with pytest.raises(UsageError, match="no input 'z'"):
        example_call([parse_input("z:float32[4]")], _forward, (1,), {})


def test_an_input_named_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        example_call([parse_input("x:float32[4]")] * 2, _forward, (), {})
