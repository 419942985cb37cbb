# SPDX-License-Identifier: Apache-2.0
"""`torch_geometric.safe_onnx_export` of torch-geometric: `python geometric.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("GCN", "SAGE", "GAT", "GIN")


def main(case: str) -> None:
    watch.begin()
    import torch
    from torch_geometric import safe_onnx_export
    from torch_geometric.nn.models import GAT, GCN, GIN, GraphSAGE

    torch.manual_seed(0)
    model = {"GCN": GCN, "SAGE": GraphSAGE, "GAT": GAT, "GIN": GIN}[case](8, 16, num_layers=2, out_channels=4).eval()
    x, edges = torch.randn(10, 8), torch.randint(0, 10, (2, 30))
    safe_onnx_export(
        model,
        (x, edges),
        "graph.onnx",
        input_names=["x", "edge_index"],
        dynamic_axes={"x": {0: "nodes"}, "edge_index": {1: "edges"}},
        opset_version=18,
    )


if __name__ == "__main__":
    main(sys.argv[1])
