# SPDX-License-Identifier: Apache-2.0
"""Containers of every kind as arguments: taken apart, named, and put together around other tensors."""

from __future__ import annotations

import dataclasses
import types
from collections import OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from collections.abc import MutableMapping
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lading.passes.normalize_arguments import NormalizeArguments
from lading.passes.request import Request
from lading.passes.signature import structure
from lading.pipeline.errors import UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work
from torch import nn

A, B = torch.zeros(2, 3), torch.ones(4)


def normalized(args, model=lambda value, other=None: value, kwargs=None, **options):
    work = Work(target=Target(opset=18), request=Request(model=model, args=args, kwargs=kwargs))
    NormalizeArguments(**options).run(work, Note())
    return work.need(Fact.ARGUMENTS)


def names(arguments):
    return [item.name for item in arguments.inputs]


# ---- kinds of containers ---------------------------------------------------------------------------------------------

Pair = namedtuple("Pair", ["left", "right"])


@dataclasses.dataclass(frozen=True)
class Frozen:
    left: Any
    right: Any


@attrs.frozen
class OfAttrs:
    left: Any
    right: Any


@attrs.define
class Computing:
    """Its constructor does not take what it holds."""

    left: Any
    right: Any = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.right = B


class Namespace(types.SimpleNamespace):
    pass


class Listed(list):
    def __init__(self, source, label):
        super().__init__(source)
        self.label = label


class Named(dict):
    def __init__(self, label, **members):
        super().__init__(members)
        self.label = label


class Stored(MutableMapping):
    """A mapping that keeps its members in a dict of its own."""

    def __init__(self, **members):
        self.members = members

    def __getitem__(self, key):
        return self.members[key]

    def __setitem__(self, key, value):
        self.members[key] = value

    def __delitem__(self, key):
        del self.members[key]

    def __iter__(self):
        return iter(self.members)

    def __len__(self):
        return len(self.members)


BY_NAME = ["value.left", "value.right"]
BY_INDEX = ["value.0", "value.1"]
CONTAINERS = {
    "attrs": (OfAttrs(A, B), BY_NAME),
    "computing": (Computing(A), BY_NAME),
    "frozen": (Frozen(A, B), BY_NAME),
    "namespace": (types.SimpleNamespace(left=A, right=B), BY_NAME),
    "namespace-class": (Namespace(left=A, right=B), BY_NAME),
    "mapping": (Stored(left=A, right=B), BY_NAME),
    "user-dict": (UserDict(left=A, right=B), BY_NAME),
    "dict-class": (Named("label", left=A, right=B), BY_NAME),
    "default-dict": (defaultdict(list, left=A, right=B), BY_NAME),
    "user-list": (UserList([A, B]), BY_INDEX),
    "list-class": (Listed([A, B], "label"), BY_INDEX),
    "deque": (deque([A, B]), BY_INDEX),
}
EVERY = pytest.mark.parametrize(("value", "expected"), CONTAINERS.values(), ids=CONTAINERS)


@EVERY
def test_members_are_inputs_under_their_names(value, expected):
    assert expected == names(normalized((value, {})))


@EVERY
def test_the_model_is_called_with_the_same_class_around_other_tensors(value, expected):
    (rebuilt,), _ = normalized((value, {})).call([0, 1])
    assert (type(value), [0, 1]) == (type(rebuilt), [leaf for _, leaf in structure.leaves(rebuilt)])


@EVERY
def test_what_the_user_holds_is_not_written(value, expected):
    normalized((value, {})).call([0, 1])
    assert [True, True] == [leaf is was for (_, leaf), was in zip(structure.leaves(value), (A, B), strict=True)]


@pytest.mark.parametrize("kind", [Named("label", left=A), Listed([A], "label")], ids=["dict", "list"])
def test_what_a_container_has_beside_its_members_stays(kind):
    (rebuilt,), _ = normalized((kind, {})).call([0])
    assert "label" == rebuilt.label


def test_one_tensor_in_two_places_is_two_inputs():
    (rebuilt,), _ = normalized((Stored(left=A, right=A), {})).call([0, 1])
    assert {"left": 0, "right": 1} == dict(rebuilt)


@dataclasses.dataclass(eq=False)
class Described(nn.Module):
    """A module whose class is a dataclass too."""

    scale: Any

    def __post_init__(self):
        scale = self.__dict__.pop("scale")
        super().__init__()
        self.scale = scale


@pytest.mark.parametrize(
    "value",
    [
        Described(A),
        nn.ParameterDict({"a": nn.Parameter(A)}),
        nn.ParameterList([nn.Parameter(A)]),
        nn.ModuleDict({"a": nn.Linear(1, 1)}),
        torch.float32,
        torch.device("cpu"),
        nn.Parameter(A),
        OfAttrs,
        Frozen,
    ],
    ids=lambda value: type(value).__name__,
)
def test_modules_types_and_tensors_stay_whole(value):
    assert structure.children(value) is None


# ---- a mapping at the end of args ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last", [Stored(left=A, right=B), Named("label", left=A, right=B), UserDict(left=A, right=B)], ids=type
)
def test_a_mapping_of_ones_own_is_an_argument(last):
    assert ["value.left", "value.right"] == names(normalized((last,)))


@pytest.mark.parametrize("last", [Stored(other=B), Named("label", other=B), UserDict(other=B)], ids=type)
def test_unless_its_keys_name_parameters(last):
    assert ["value", "other"] == names(normalized((A, last)))


@pytest.mark.parametrize("last", [{"other": B}, OrderedDict(other=B), defaultdict(list, other=B)], ids=type)
def test_a_dict_is_always_keyword_arguments(last):
    assert ["value", "other"] == names(normalized((A, last)))


@pytest.mark.parametrize("last", [{"left": B}, OrderedDict(left=B), defaultdict(list, left=B)], ids=type)
def test_and_an_error_where_its_keys_name_none(last):
    with pytest.raises(UsageError, match=r"(?s)no argument 'left'.*\.\.\., \{\}"):
        normalized((A, last))


def test_a_mapping_of_ones_own_alone_gives_keyword_arguments_by_its_keys():
    assert ["value", "other"] == names(normalized(Stored(other=B, value=A)))


def test_a_result_of_transformers_is_an_argument():
    outputs = pytest.importorskip("transformers.modeling_outputs")
    last = outputs.BaseModelOutput(last_hidden_state=A, hidden_states=(B,))
    assert ["value", "other.last_hidden_state", "other.hidden_states.0"] == names(normalized((A, last)))


# ---- no arguments ----------------------------------------------------------------------------------------------------


def test_none_for_args_is_no_argument():
    assert [] == names(normalized(None, model=lambda value=None: A))


def test_and_an_error_where_the_model_wants_one():
    with pytest.raises(UsageError, match=r"(?s)argument input is missing: 0 given.*args=\(input,\)"):
        normalized(None, model=nn.Linear(3, 2))


def test_none_for_args_beside_keyword_arguments():
    assert ["value"] == names(normalized(None, kwargs={"value": A}))


@pytest.mark.parametrize("kwargs", [[("value", A)], A, "value"], ids=["list", "tensor", "text"])
def test_kwargs_that_are_no_mapping(kwargs):
    with pytest.raises(UsageError, match="not the keyword arguments of a call"):
        normalized((), kwargs=kwargs)


# ---- any structure ---------------------------------------------------------------------------------------------------

KEYS = st.text("abcxyz", min_size=1, max_size=3)
LEAVES = st.one_of(
    st.builds(torch.zeros, st.integers(0, 3)), st.none(), st.integers(), st.booleans(), st.text(max_size=3)
)


def containers(members):
    return st.one_of(
        st.lists(members, max_size=3),
        st.lists(members, max_size=3).map(tuple),
        st.lists(members, max_size=3).map(UserList),
        st.dictionaries(KEYS, members, max_size=3),
        st.dictionaries(KEYS, members, max_size=3).map(OrderedDict),
        st.dictionaries(KEYS, members, max_size=3).map(lambda found: Stored(**found)),
        st.dictionaries(KEYS, members, max_size=3).map(lambda found: types.SimpleNamespace(**found)),
        st.builds(Pair, members, members),
        st.builds(Frozen, members, members),
        st.builds(OfAttrs, members, members),
    )


STRUCTURES = st.recursive(LEAVES, containers, max_leaves=12)


def alike(left: Any, right: Any) -> bool:
    """Whether two structures have the same classes and members, tensors being the same objects."""
    if isinstance(left, torch.Tensor) or isinstance(right, torch.Tensor):
        return left is right
    parts, others = structure.children(left), structure.children(right)
    if parts is None or others is None:
        return type(left) is type(right) and left == right
    return (type(left), parts[0]) == (type(right), others[0]) and all(map(alike, parts[1], others[1]))


def at(value: Any, path: list[str]) -> Any:
    """Follow a path as a reader would: by index, by key, or by attribute."""
    for step in path:
        if isinstance(value, (dict, MutableMapping)):
            value = value[step]
        elif isinstance(value, (list, UserList)) or type(value) is tuple:
            value = value[int(step)]
        else:
            value = getattr(value, step)
    return value


@settings(max_examples=200, deadline=None)
@given(STRUCTURES)
def test_the_call_made_of_the_example_is_the_example(value):
    arguments = normalized((value, {}))
    (again,), keywords = arguments.call([item.tensor for item in arguments.inputs])
    assert alike(value, again)
    assert {} == keywords


@settings(max_examples=200, deadline=None)
@given(STRUCTURES)
def test_a_name_is_the_way_to_the_tensor(value):
    for item in normalized((value, {})).inputs:
        assert item.name == item.path
        assert item.tensor is at(value, item.name.split(".")[1:])


@settings(max_examples=200, deadline=None)
@given(STRUCTURES)
def test_every_leaf_is_an_input_or_baked(value):
    arguments = normalized((value, {}))
    expected = [path for path, _ in structure.leaves(value, "value")]
    assert sorted(expected) == sorted([*names(arguments), *(arguments.baked.keys() - {"other"})])


@settings(max_examples=100, deadline=None)
@given(STRUCTURES)
def test_other_tensors_arrive_where_the_example_had_them(value):
    arguments = normalized((value, {}))
    others = [torch.ones(3) for _ in arguments.inputs]
    (again,), _ = arguments.call(others)
    for item, other in zip(arguments.inputs, others, strict=True):
        assert other is at(again, item.path.split(".")[1:])
