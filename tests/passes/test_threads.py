# SPDX-License-Identifier: Apache-2.0
"""An export's own work with tensors is done in one thread, and what runs the model has those of the caller."""

from __future__ import annotations

import threading

import pytest
import torch
from lading.passes.torch_private import one_thread, threads_of_the_caller

import lading


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_one_thread_while_it_is_open_and_those_of_the_caller_inside():
    found = []
    with one_thread():
        found.append(torch.get_num_threads())
        with threads_of_the_caller():
            found.append(torch.get_num_threads())
            with one_thread():
                found.append(torch.get_num_threads())
        found.append(torch.get_num_threads())
    assert [1, 3, 3, 1, 3] == [*found, torch.get_num_threads()]


def test_other_threads_keep_theirs():
    found = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    with one_thread():
        other.start()
        other.join()
    assert [3] == found


def test_an_error_gives_them_back():
    with pytest.raises(ValueError, match="mine"), one_thread():
        raise ValueError("mine")
    assert 3 == torch.get_num_threads()


def test_what_a_model_sets_holds():
    with one_thread():
        torch.set_num_threads(2)
    assert 2 == torch.get_num_threads()


class Noting(torch.nn.Module):
    def forward(self, x):
        torch._C._log_api_usage_once(f"threads {torch.get_num_threads()}")
        return x + 1


def test_an_export_records_in_one_thread_and_runs_the_model_in_those_of_the_caller(monkeypatch):
    said = []
    # What a model appends to a list of its own is taken back after a recording.
    monkeypatch.setattr(torch._C, "_log_api_usage_once", said.append)
    lading.export(Noting().eval(), (torch.ones(2),), verify=True)
    said = [words for words in said if words.startswith("threads")]
    assert ("threads 1", {"threads 3"}) == (said[0], set(said[1:]))
    assert 3 == torch.get_num_threads()
