# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
from lading.passes.normalize_arguments import NormalizeArguments
from lading.passes.request import Request
from lading.pipeline.errors import UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work
from torch import nn

A, B, C = torch.zeros(2, 3), torch.ones(4), torch.full((2,), 2.0)


def normalized(model, args=(), kwargs=None, **options):
    work = Work(target=Target(opset=18), request=Request(model=model, args=args, kwargs=kwargs))
    note = Note()
    NormalizeArguments(**options).run(work, note)
    return work.need(Fact.ARGUMENTS)


def names(arguments):
    return [item.name for item in arguments.inputs]


def called(arguments):
    """Return the call that the arguments make, with every tensor replaced by its position."""
    return arguments.call(list(range(len(arguments.inputs))))


def plain(x, y=None, *, scale=2):
    return x


def required(x, y, z):
    return x


def variadic(x, *rest, **more):
    return x


# ---- forms of args ---------------------------------------------------------------------------------------------------


def test_a_tensor():
    assert ((0, None), {"scale": 2}) == called_with_defaults(normalized(plain, A))


def called_with_defaults(arguments):
    args, kwargs = called(arguments)
    return (args + (None,) * (2 - len(args)), {"scale": 2, **kwargs})


def test_a_tuple():
    assert ["x", "y"] == names(normalized(plain, (A, B)))


def test_a_list_is_one_argument():
    assert ["x.0", "x.1"] == names(normalized(plain, [A, B]))


def test_a_tuple_that_ends_in_keyword_arguments():
    assert (("x", "y"), ((0,), {"y": 1, "scale": 3})) == (
        tuple(names(arguments := normalized(plain, (A, {"y": B, "scale": 3})))),
        called(arguments),
    )


def test_an_empty_dict_at_the_end_makes_the_dict_before_it_positional():
    assert ["x", "y.b"] == names(normalized(plain, (A, {"b": B}, {})))


def test_keyword_arguments_beside_args():
    assert ["x", "y"] == names(normalized(plain, (A,), {"y": B}))


def test_keyword_arguments_alone():
    assert ["x", "y"] == names(normalized(plain, {"y": B, "x": A}))


def test_a_dict_that_names_no_parameters_is_an_argument():
    assert ["x.a", "x.b"] == names(normalized(plain, {"a": A, "b": B}))


def test_inputs_follow_the_signature_not_the_dict():
    assert ["x", "y", "z"] == names(normalized(required, (), {"z": C, "y": B, "x": A}))


def test_missing_keyword_arguments_are_none():
    assert ((0, None), {"z": 1}) == called(normalized(required, (A, {"z": C})))


def test_variadic_arguments_have_numbers_and_names():
    assert ["x", "rest.0", "rest.1", "extra"] == names(normalized(variadic, (A, B, C), {"extra": A}))


def test_the_forward_of_a_module_is_its_signature():
    class Module(nn.Module):
        def forward(self, first, second=1):
            return first

    assert ["first"] == names(normalized(Module(), A))


def test_what_python_cannot_inspect_is_called_as_it_is():
    assert ["args.0", "args.1"] == names(normalized(torch.add, (A, A)))


# ---- structure -------------------------------------------------------------------------------------------------------

Pair = namedtuple("Pair", ["left", "right"])


@dataclasses.dataclass
class Batch:
    pixels: Any
    label: Any = None
    size: int = 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((A, (B, C)), ["x.0", "x.1.0", "x.1.1"]),
        ([A, [B]], ["x.0", "x.1.0"]),
        ({"k": A, "v": [B]}, ["x.k", "x.v.0"]),
        (OrderedDict(k=A, v=B), ["x.k", "x.v"]),
        (Pair(A, B), ["x.left", "x.right"]),
        (Batch(A, B), ["x.pixels", "x.label"]),
        (A, ["x"]),
        (None, []),
    ],
    ids=["tuple", "list", "dict", "ordered", "named", "dataclass", "tensor", "none"],
)
def test_names_follow_the_structure(value, expected):
    assert expected == names(normalized(plain, (value, {})))


def test_dataclass_is_rebuilt_around_other_tensors():
    (batch,), _ = called(normalized(plain, (Batch(A, B),)))[0][:1], None
    assert Batch(0, 1, 3) == batch


def test_dataclass_of_the_user_is_not_written():
    batch = Batch(A, B)
    called(normalized(plain, (batch,)))
    assert batch.pixels is A


def test_key_value_cache_has_a_key_and_a_value_for_each_layer():
    transformers = pytest.importorskip("transformers")
    cache = transformers.DynamicCache()
    for layer in range(2):
        cache.update(torch.zeros(1, 2, 3, 4), torch.ones(1, 2, 3, 4), layer)

    def model(x, past_key_values=None):
        return x

    expected = ["x", *(f"past_key_values.{layer}.{part}" for layer in range(2) for part in ("key", "value"))]
    assert expected == names(normalized(model, (A, cache)))


def test_key_value_cache_is_rebuilt_around_other_tensors():
    transformers = pytest.importorskip("transformers")
    cache = transformers.DynamicCache()
    cache.update(torch.zeros(1, 2, 3, 4), torch.ones(1, 2, 3, 4), 0)
    rebuilt = called(normalized(plain, (cache,)))[0][0]
    assert (0, 1, True) == (rebuilt.layers[0].keys, rebuilt.layers[0].values, rebuilt is not cache)


# ---- baked values ----------------------------------------------------------------------------------------------------


def test_values_that_are_no_tensors_are_baked():
    assert {"y": 3, "scale": "s"} == normalized(plain, (A, 3, {"scale": "s"})).baked


def test_baked_values_are_on_record():
    work = Work(target=Target(opset=18), request=Request(model=plain, args=(A, 3)))
    note = Note()
    NormalizeArguments().run(work, note)
    assert [("argument baked in", {"argument": "y", "value": "3"})] == [
        (decision.what, decision.details) for decision in note.decisions
    ]


# ---- names -----------------------------------------------------------------------------------------------------------


def test_fewer_names_than_inputs():
    assert ["image", "y"] == names(normalized(plain, (A, B), input_names=("image",)))


def test_more_names_than_inputs_are_for_parameters():
    arguments = normalized(plain, (A,), input_names=("image", "weight", "bias"))
    assert (["image"], ("weight", "bias")) == (names(arguments), arguments.parameter_names)


def test_a_given_name_that_a_later_input_has_by_itself():
    assert ["y", "y_1"] == names(normalized(plain, (A, B), input_names=("y",)))


def test_a_name_given_twice():
    with pytest.raises(UsageError, match="'a' is given twice"):
        normalized(plain, (A, B), input_names=("a", "a"))


# ---- dynamic axes ----------------------------------------------------------------------------------------------------


def axes(arguments):
    return {item.name: item.axes for item in arguments.inputs}


def test_axes_by_name():
    assert {"x": {0: "batch", 1: "width"}} == axes(normalized(plain, A, dynamic_axes={"x": {0: "batch", 1: "width"}}))


def test_axes_as_a_list_get_automatic_names():
    expected = {"x": {0: "x_dynamic_axes_1", 1: "x_dynamic_axes_2"}}
    assert expected == axes(normalized(plain, A, dynamic_axes={"x": [0, 1]}))


def test_automatic_names_count_positions_in_the_list():
    assert {"x": {1: "x_dynamic_axes_1"}} == axes(normalized(plain, A, dynamic_axes={"x": [1]}))


@pytest.mark.parametrize("index", [-1, 1, "1", "-1"])
def test_axes_count_from_both_ends_also_as_text(index):
    assert {"x": {1: "width"}} == axes(normalized(plain, A, dynamic_axes={"x": {index: "width"}}))


def test_axes_of_named_outputs_are_kept_apart():
    arguments = normalized(plain, A, output_names=("out",), dynamic_axes={"out": {0: "batch"}, "x": {0: "batch"}})
    assert {"out": {0: "batch"}} == arguments.axes_of_outputs


def test_axes_of_outputs_that_are_named_by_structure_are_kept():
    assert {"hidden": {0: "b"}} == normalized(plain, A, dynamic_axes={"hidden": {0: "b"}}).axes_of_outputs


def test_one_name_for_equal_sizes():
    arguments = normalized(plain, (A, C), dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
    assert {"x": {0: "n"}, "y": {0: "n"}} == axes(arguments)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((A,), {"dynamic_axes": {"X": [0]}, "output_names": ("o",)}, "(?s)'X'.*neither.*did you mean 'x'"),
        ((A, 3), {"dynamic_axes": {"y": [0]}}, "(?s)'y', which is no tensor.*pass a tensor"),
        ((A,), {"dynamic_axes": {"x": {2: "z"}}}, "(?s)'x' has no axis 2: it has 2 dimensions.*from -2 to 1"),
        ((A,), {"dynamic_axes": {"x": {-3: "z"}}}, "'x' has no axis -3"),
        ((A,), {"dynamic_axes": {"x": {0: "a", -2: "b"}}}, "axis 0 of 'x' is given twice"),
        ((A,), {"dynamic_axes": {"x": "batch"}}, "(?s)axes of 'x' are a str.*{0: 'batch'}"),
        ((A,), {"dynamic_axes": {"x": {"first": "batch"}}}, "'first', which is no axis"),
        ((A,), {"dynamic_axes": {"x": {0: "n", 1: "n"}}}, r"(?s)'n' stands for 2 and for 3.*x\[0\] and x\[1\]"),
    ],
    ids=["name", "baked", "range", "negative", "twice", "form", "key", "sizes"],
)
def test_axes_that_make_no_sense(args, options, message):
    with pytest.raises(UsageError, match=message):
        normalized(plain, args, **options)


# ---- arguments that do not fit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "args", "kwargs", "message"),
    [
        (plain, (A, B, C), None, r"(?s)3 positional.*takes 2.*plain\(x, y=None.*tuple of x, y"),
        (required, (A,), None, r"(?s)arguments y, z are missing.*args=\(x, y, z\)"),
        (plain, (A,), {"scle": 1}, "(?s)no argument 'scle'.*did you mean 'scale'"),
        (plain, (A, {"pixels": B}), None, r"(?s)no argument 'pixels'.*\.\.\., \{\}"),
        (plain, (A, {"x": B}), None, "(?s)'x' is given twice, by position and by name"),
        (plain, (A, {"y": B}), {"y": B}, "'y' is given twice"),
        (plain, (A, {0: B}), None, r"(?s)key 0.*\.\.\., \{\}"),
        (3, (A,), None, "a model must be callable, and a int is not"),
        (lambda: 0, (A,), None, r"(?s)takes 0.*args=\(\)"),
    ],
    ids=["many", "few", "keyword", "dict", "both", "twice", "key", "model", "none"],
)
def test_arguments_that_do_not_fit(model, args, kwargs, message):
    with pytest.raises(UsageError, match=message):
        normalized(model, args, kwargs)


def test_sparse_tensors_are_refused():
    with pytest.raises(UsageError, match=r"(?s)sparse.*to_dense"):
        normalized(plain, (A.to_sparse(),))


# ---- eager -----------------------------------------------------------------------------------------------------------


def test_eager_runs_in_the_requested_mode():
    arguments = normalized(nn.Dropout(1.0).eval(), torch.ones(3), training="train")
    assert [0.0, 0.0, 0.0] == arguments.eager([torch.ones(3)])[0].tolist()


def test_eager_returns_numbers_as_tensors():
    arguments = normalized(lambda x: (x, x.shape[0], None, "text"), A)
    assert [2, 3] == [item.shape[0] if item.dim() else int(item) + 1 for item in arguments.eager([A])]


def test_eager_leaves_inputs_alone():
    x = torch.zeros(2)
    normalized(lambda x: x.add_(1), x).eager([x])
    assert [0.0, 0.0] == x.tolist()


def test_lazy_modules_want_a_call_first():
    from lading.passes.model_state import ModelState

    with pytest.raises(UsageError, match=r"(?s)'weight' of LazyLinear has no shape yet.*call the model once"):
        ModelState(nn.LazyLinear(3))
