# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, symbolic_model, tensor

A = torch.ops.aten

CALLS = [
    call(A.view.default, tensor(2, 3), [3, 2]),
    call(A.view.default, tensor(2, 3), [-1]),
    call(A.view.default, tensor(2, 3), [2, 1, 3]),
    call(A.view.default, tensor(2, 1, 3), [2, 3]),
    call(A.view.default, tensor(2, 0), [0, 2]),
    call(A.view.default, tensor(1), []),
    call(A.view.default, tensor(2, 3, dtype=torch.bool), [6]),
    call(A.reshape.default, tensor(2, 6, dtype=torch.int64), [2, -1, 3]),
    call(A._reshape_alias.default, tensor(2, 3), [3, 2], [2, 1]),
    call(A.view_as.default, tensor(2, 3), tensor(3, 2)),
    call(A.flatten.using_ints, tensor(2, 3, 4), 1),
    call(A.flatten.using_ints, tensor(2, 3, 4), 0, 1),
    call(A.flatten.using_ints, tensor(2, 3, 4, 5), 1, 2),
    call(A.flatten.using_ints, tensor()),
    call(A.ravel.default, tensor(2, 3)),
    call(A.unflatten.int, tensor(2, 6, 4), 1, [2, -1]),
    call(A.squeeze.default, tensor(2, 1, 3, 1)),
    call(A.squeeze.dim, tensor(2, 1, 3), 1),
    call(A.squeeze.dim, tensor(2, 1, 3), 0),
    call(A.squeeze.dims, tensor(2, 1, 3, 1), [1, -1]),
    call(A.squeeze.dims, tensor(2, 1, 3), [0, 1], free=False),
    call(A.unsqueeze.default, tensor(2, 3), -1),
    call(A.unsqueeze.default, tensor(), 0),
    call(A.atleast_1d.default, tensor()),
    call(A.atleast_2d.default, tensor(3)),
    call(A.atleast_3d.default, tensor(3, 2)),
    call(A.atleast_3d.default, tensor(3)),
    call(A.atleast_2d.Sequence, [tensor(), tensor(3), tensor(2, 3)]),
    call(A.permute.default, tensor(2, 3, 4), [0, -1, 1]),
    call(A.permute.default, tensor(2, 3), [0, 1]),
    call(A.transpose.int, tensor(2, 3, 4, dtype=torch.bool), -1, 0),
    call(A.swapaxes.default, tensor(2, 3), 0, 1),
    call(A.swapdims.default, tensor(2, 3), 0, 1),
    call(A.t.default, tensor(2, 3)),
    call(A.t.default, tensor(2)),
    call(A.numpy_T.default, tensor(2, 3, 4)),
    call(A.mT.default, tensor(2, 3, 4)),
    call(A.movedim.int, tensor(2, 3, 4), 0, -1),
    call(A.movedim.intlist, tensor(2, 3, 4, 5), [0, 1], [-1, 0]),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_views_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("expected", "shape", "sizes", "result"),
    [
        pytest.param(["Reshape"], ["b", "s", 768], ["b", "s", 12, 64], ["b", "s", 12, 64], id="split-heads"),
        pytest.param(["Reshape"], ["b", "s", 12, 64], ["b", "s", 768], ["b", "s", 768], id="merge-heads"),
        pytest.param(["Flatten", "Reshape"], ["b", 12, "s", 64], ["12*b", "s", 64], ["12*b", "s", 64], id="fold-heads"),
        pytest.param(["Unsqueeze", "Reshape"], ["12*b", "s", 64], ["b", 12, "s", 64], ["b", 12, "s", 64], id="unfold"),
        pytest.param(["Unsqueeze"], ["b", "s"], ["b", 1, 1, "s"], ["b", 1, 1, "s"], id="mask"),
        pytest.param(["Squeeze"], ["b", 1, "s"], ["b", "s"], ["b", "s"], id="drop-one"),
        pytest.param(["Identity"], ["b", "s"], ["b", "s"], ["b", "s"], id="nothing"),
        pytest.param(["Reshape"], ["b", 3, 8], ["b", -1], ["b", 24], id="flatten"),
    ],
)
def test_a_view_of_free_axes_reads_no_sizes(
    expected: list[str], shape: list[int | str], sizes: list[int | str], result: list[int | str]
) -> None:
    assert expected == operators(symbolic_model(A.view.default, [shape], [sizes], result))


def test_flattening_all_but_the_first_axis_is_flatten() -> None:
    assert ["Flatten"] == operators(agrees(call(A.flatten.using_ints, tensor(2, 3, 4), 1), 13, True))


def test_two_sizes_known_at_run_time_only_are_joined() -> None:
    model = symbolic_model(A.view.default, [["n"]], [["h", "w", 4]], ["h", "w", 4])
    assert operators(model).count("Shape") == 0
    assert operators(model)[-1] == "Reshape"


def test_what_is_joined_on_the_way_has_a_name_for_its_size() -> None:
    model = symbolic_model(A.view.default, [["b", 12, "s", 64]], [["12*b", "s", 64]], ["12*b", "s", 64])
    (joined,) = (node.output[0] for node in model.graph.node if node.op_type == "Flatten")
    (info,) = (info for info in model.graph.value_info if info.name == joined)
    assert ["12*b", "64*s"] == [dim.dim_param for dim in info.type.tensor_type.shape.dim]
