# SPDX-License-Identifier: Apache-2.0
"""What a program that called `torch.onnx.export` gets back: an export with the manners of PyTorch's program object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..exported import Exported

if TYPE_CHECKING:
    import torch


class Program(Exported):
    """An export that was taken over.

    Has what :class:`lading.Exported` has; like PyTorch's `ONNXProgram`, it returns tensors when it is called.
    """

    @classmethod
    def of(cls, exported: Exported) -> Program:
        """Return an export in these manners."""
        return cls(work=exported.work, plan=exported.plan, events=exported.events)

    def __call__(self, *args: Any, **kwargs: Any) -> list[torch.Tensor]:  # type: ignore[override]
        """Run the model in onnxruntime.

        Args:
            args: tensors for the inputs, in order; nested containers are flattened.
            kwargs: tensors by input name.

        Returns:
            The outputs as tensors, in order.

        Raises:
            UsageError: onnxruntime is not installed, or the inputs do not fit.
        """
        import torch

        return [torch.from_numpy(array) for array in super().__call__(*args, **kwargs)]

    def optimize(self) -> None:
        """Change nothing: the passes of the recipe have tidied the graph already."""

    def release(self) -> None:
        """Let go of the session that calls of this object have opened."""
        self._session = None
