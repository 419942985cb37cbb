# SPDX-License-Identifier: Apache-2.0
"""Inputs that users give in files of numpy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lading.pipeline.errors import UsageError

from .runtimes import from_numpy

if TYPE_CHECKING:
    import torch
    from lading.passes.signature.arguments import TensorInput


def read_inputs(file: str | Path, inputs: Sequence[TensorInput]) -> dict[str, torch.Tensor]:
    """Read a tensor for each input of the call from an ``.npz`` file, by the names of the inputs.

    Raises:
        UsageError: there is no such file, an input has no array, an array has no input, or one has another element type
            or number of axes.
    """
    import numpy as np

    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="numpy.savez(FILE, NAME=array, ...) writes one")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, AttributeError, EOFError) as error:
        hint = "numpy.savez(FILE, NAME=array, ...) writes one"
        raise UsageError("this is not an .npz file of plain arrays", where=str(path), hint=hint) from error
    names = [item.name for item in inputs]
    for name in arrays:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"the inputs are {', '.join(names)}"
            raise UsageError(f"the call has no input '{name}'", where=str(path), hint=hint)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise UsageError(
            f"there is no array for {', '.join(missing)}", where=str(path), hint=f"it has {', '.join(arrays) or 'none'}"
        )
    tensors = {}
    for item in inputs:
        array = arrays[item.name]
        wanted = str(item.tensor.dtype).removeprefix("torch.")
        # numpy stores the types that it does not know, such as bfloat16, as bytes without a meaning.
        if array.dtype.kind == "V" and array.dtype.itemsize == item.tensor.element_size():
            import ml_dtypes

            array = array.view(getattr(ml_dtypes, wanted, array.dtype))
        if str(array.dtype) != wanted or array.ndim != item.tensor.dim():
            raise UsageError(
                f"'{item.name}' is {array.dtype} with {array.ndim} axes, the input {wanted} with {item.tensor.dim()}",
                where=str(path),
                hint="store the arrays as the model takes them",
            )
        tensors[item.name] = from_numpy(array)
    return tensors
