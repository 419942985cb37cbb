# SPDX-License-Identifier: Apache-2.0
"""A small model in a file, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from lading.cli import main

NETS = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        return torch.relu(self.linear(x))


class Fixing(Net):
    def forward(self, x):
        return self.linear(x + torch.ones(2, 4))


class Unsupported(Net):
    def forward(self, x):
        q = torch.linalg.svdvals(x)
        return torch.linalg.svdvals(self.linear(x)) + q.sum() + torch.linalg.eigvalsh(x.T @ x).sum()


def net():
    torch.manual_seed(0)
    return Net(), (torch.ones(2, 4),)


def fixing():
    return Fixing(), (torch.ones(2, 4),)


def unsupported():
    return Unsupported(), (torch.ones(2, 4),)


def misfit():
    return Net(), (torch.ones(2, 4), 1, 2)


def branching():
    class Branching(Net):
        def forward(self, x):
            while x.sum() > 0:
                x = x - 1
            return x

    return Branching(), (torch.ones(2, 4),)
"""


@attrs.frozen
class Answer:
    """What a command left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A folder with ``nets.py``, which is the working folder."""
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lading(capfd) -> Callable[..., Answer]:
    """Run the command line: ``lading("export", "nets.py:net", ...)``."""

    def run(*arguments: str) -> Answer:
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Answer(int(leaving.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def without_decompositions_of_matrices(monkeypatch):
    """Take the lowerings of eigenvalues and singular values away, for tests of operators that have none."""
    from lading.passes.lower import graph

    find = graph.find_lowering

    def found(name, overload, opset):
        return None if name in ("aten::_linalg_eigh", "aten::_linalg_svd") else find(name, overload, opset)

    monkeypatch.setattr(graph, "find_lowering", found)
