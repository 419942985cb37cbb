# SPDX-License-Identifier: Apache-2.0
"""Notice the import of `torch.onnx`, which PyTorch itself puts off until somebody asks for it.

Imports nothing, so that a program that never exports pays nothing for being watched.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WATCHED = "torch.onnx"


class Lookout:
    """A finder of modules that finds none: once `torch.onnx` has been imported, it calls `then`, one time.

    Args:
        then: called without arguments as soon as the module is complete.
    """

    def __init__(self, then: Callable[[], None]) -> None:
        self.then = then

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Let the finders behind this one find the module, and look over the shoulder of its loader."""
        if fullname != WATCHED:
            return None
        spec: Any = None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        if spec is None or spec.loader is None:
            return spec
        loader, execute = spec.loader, spec.loader.exec_module

        def exec_module(module: Any) -> None:
            del loader.exec_module
            execute(module)
            self.stop()
            self.then()

        loader.exec_module = exec_module
        return spec

    def start(self) -> None:
        """Begin to look out."""
        sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """End it; nothing happens where it has ended."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
