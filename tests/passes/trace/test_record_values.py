# SPDX-License-Identifier: Apache-2.0
"""Places and classes that tensors hold, and losses whose Python looks at values: the graph follows what the run has."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lading.pipeline.errors import CaptureError
from torch.nn.modules.linear_cross_entropy_options import LinearCrossEntropyOptions


class Called(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


X = torch.arange(20.0).reshape(4, 5)


def test_a_part_that_starts_where_a_tensor_says(agrees):
    model = Called(lambda x, start: x.narrow(1, start, 2))
    agrees(model, (X, torch.tensor(1)), (X, torch.tensor(-3)))


def cropped(image, size):
    height, width = torch.floor(size * 2 + 0.5).to(torch.int64)
    part = image[..., : int(height), : int(width)]
    return F.interpolate(part, size=(size[0].long(), size[1].long()), mode="bilinear", align_corners=False)


@pytest.mark.parametrize("axes", [None, {"image": {0: "batch"}}])
def test_sizes_that_python_takes_from_a_tensor(agrees, axes):
    calls = [(torch.randn(2, 3, 16, 16), torch.tensor(size)) for size in ([4.0, 6.0], [8.0, 3.0], [5.0, 5.0])]
    agrees(Called(cropped), *calls, axes=axes, input_names=["image", "size"])


def test_an_index_that_python_takes_from_a_tensor(agrees):
    model = Called(lambda x, place: x[:, int(place) :] * int(place))
    agrees(model, (X, torch.tensor(1)), (X, torch.tensor(3)), (X, torch.tensor(-2)))
    agrees(model, (X, torch.tensor(1.5)), (X, torch.tensor(3.0)), (X, torch.tensor(-2.7)))


def test_pieces_that_end_where_a_tensor_says(agrees):
    model = Called(lambda x, places: torch.tensor_split(x, places, dim=1))
    agrees(model, (X, torch.tensor([1, 3])), (X, torch.tensor([0, 2])), (X, torch.tensor([2, -1])))


def test_pieces_whose_number_a_tensor_says(captured):
    with pytest.raises(CaptureError, match="how many pieces tensor_split gives depends on the value"):
        captured(Called(lambda x, count: torch.tensor_split(x, count)[0]), (X, torch.tensor(2)))


def test_as_many_classes_as_the_run_has(agrees):
    agrees(Called(F.one_hot), (torch.tensor([1, 3, 0]),), (torch.tensor([6, 0, 1]),))
    agrees(Called(F.one_hot), (torch.tensor(3),), (torch.tensor(5),))


@pytest.mark.parametrize("options", [{}, {"full": True, "reduction": "none"}, {"reduction": "sum", "eps": 0.5}])
def test_gaussian_loss(agrees, options):
    model = Called(lambda x, y, var: F.gaussian_nll_loss(x, y, var, **options))
    variances = (X + 1, torch.zeros(4, 5), torch.rand(4), torch.rand(4, 1))
    for variance in variances:
        agrees(model, (X, X * 2, variance), (X * 3, X, variance * 2))


def test_a_dtype_that_onnx_lacks_is_said_with_the_line(captured):
    with pytest.raises(CaptureError, match="complex32 have no counterpart") as caught:
        captured(Called(lambda x: x.chalf().abs()), (X,))
    assert "test_record_values.py" in str(caught.value)
    assert "torch.complex64" in str(caught.value)


def test_losses_of_sequences(agrees):
    model = Called(lambda x, y, a, b: F.ctc_loss(x.log_softmax(-1), y, a, b, reduction="none"))
    scores = torch.rand(6, 2, 4)
    targets = torch.tensor([[1, 2], [3, 3]])
    first = (scores, targets, torch.tensor([6, 5]), torch.tensor([2, 2]))
    agrees(model, first, (scores * 2, targets, torch.tensor([4, 6]), torch.tensor([1, 2])))


def test_a_loss_in_chunks_is_the_loss_in_one_piece(agrees):
    options = LinearCrossEntropyOptions(batch_chunk_size=2)
    model = Called(lambda x, w, y: F.linear_cross_entropy(x, w, y, options=options))
    agrees(model, (torch.rand(5, 3), torch.rand(4, 3), torch.tensor([0, 3, 1, 2, 2])))


def test_least_squares(agrees):
    model = Called(lambda a, b: torch.linalg.lstsq(a, b).solution)
    agrees(model, (torch.rand(5, 3), torch.rand(5, 2)), (torch.rand(5, 3), torch.rand(5, 2)))
    agrees(model, (torch.rand(2, 5, 3), torch.rand(2, 5)))


# ---- torch.equal -----------------------------------------------------------------------------------------------------


class Compares(torch.nn.Module):
    def __init__(self, other):
        super().__init__()
        self.other = other

    def forward(self, x):
        return x + 1 if torch.equal(x * 2, self.other(x)) else x - 1


@pytest.mark.parametrize(
    ("other", "expected"),
    [(lambda x: x[:1], "sub"), (lambda x: x[0], "sub"), (lambda x: x * 2, "add"), (lambda x: torch.ones(7, 2), "sub")],
    ids=["another size", "another rank", "computed alike", "a literal of another size"],
)
def test_equality_is_settled_by_shapes_and_by_what_is_computed(captured, other, expected):
    graph = captured(Compares(other), torch.ones(3, 2)).model.graph
    assert expected in [node.op_type for node in graph]


def test_equality_of_values_is_asked_when_the_file_runs(agrees):
    agrees(Compares(lambda x: x * 3), (torch.ones(3, 2),), (torch.zeros(3, 2),))


def test_random_numbers_that_are_drawn_alike_are_not_equal(captured):
    model = Called(lambda x: x + int(torch.equal(torch.rand_like(x), torch.rand_like(x))))
    assert torch.zeros(3, 2).tolist() == captured(model, torch.zeros(3, 2)).run(torch.zeros(3, 2))[0].tolist()
