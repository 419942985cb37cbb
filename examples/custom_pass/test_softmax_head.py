# SPDX-License-Identifier: Apache-2.0
"""The tests of the pass, as an author writes them: ``python -m pytest`` in this folder."""

from __future__ import annotations

from softmax_head import SoftmaxHead

from lading.testing import assert_stable, assert_valid, run_pass

TEXT = """
<ir_version: 8, opset_import: ["" : 18]>
main (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }
"""


def test_a_softmax_is_appended():
    ran = run_pass(SoftmaxHead(), TEXT)
    assert ["Relu", "Softmax"] == [node.op_type for node in ran.model.graph]
    assert {"heads added": 1} == ran.note.counts


def test_the_graph_is_valid_and_keeps_its_names():
    ran = run_pass(SoftmaxHead(axis=1), TEXT)
    assert ["y"] == [value.name for value in ran.model.graph.outputs]
    assert_valid(ran.model)


def test_integers_are_declined_and_left_alone():
    text = TEXT.replace("float", "int64").replace("Relu", "Neg")
    assert ["its values are not floating point"] == [each.why for each in run_pass(SoftmaxHead(), text).note.declines]
    assert_stable(SoftmaxHead(), text)
