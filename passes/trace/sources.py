# SPDX-License-Identifier: Apache-2.0
"""Where in the user's code, and in which module, capture is right now."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import sysconfig
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

import lading.passes
import lading.pipeline
import torch
from lading.passes import torch_private
from lading.pipeline.origin import NOWHERE, ModuleCall, Origin

_FRAME_LIMIT = 64


def _folder(module: Any) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(module.__file__)), "")


_STANDARD = os.path.join(os.path.abspath(sysconfig.get_path("stdlib")), "")
_TORCH = _folder(torch)
_PACKAGES = tuple(
    sorted(
        {
            os.path.join(os.path.abspath(folder), "")
            # Packages may come from an environment below this one: torch tells where.
            for folder in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), os.path.join(_TORCH, ".."))
        }
    )
)
_OWN = (_folder(lading.passes), _folder(lading.pipeline))
_SYMBOLIC = (
    os.path.join(_TORCH, "fx", "experimental", ""),
    os.path.join(_TORCH, "__init__.py"),
    os.path.join(_TORCH, "utils", "_sympy", ""),
    os.path.join(_TORCH, "_utils_internal.py"),
    # What it puts in the place of PyTorch's functions asks for whoever calls them.
    _folder(torch_private),
)

LAYERS = os.path.join(_TORCH, "nn", "modules", "")
"""The folder of PyTorch's own layers."""

_PATH_OF_CODE: dict[CodeType, str] = {}
"""Relative path for a code object of the user's, "" for one of torch, lading or the standard library."""


def readable_path(filename: str) -> str:
    """Return a path that does not name the machine: below site-packages or the working directory, else the last two."""
    if not os.path.isabs(filename):
        return filename
    for root in _PACKAGES:
        if filename.startswith(root):
            return filename[len(root) :].replace(os.sep, "/")
    here = os.path.join(os.getcwd(), "")
    if filename.startswith(here):
        return filename[len(here) :].replace(os.sep, "/")
    return "/".join(filename.split(os.sep)[-2:])


def path_of(code: CodeType) -> str:
    """Return the readable path of a code object of the user's, "" for one of torch, lading or the standard library."""
    path = _PATH_OF_CODE.get(code)
    return _path_of(code) if path is None else path


def _path_of(code: CodeType) -> str:
    path = _PATH_OF_CODE[code] = users_path(code.co_filename)
    return path


def users_path(filename: str) -> str:
    """Return the readable path of a file of the user's, "" for one of torch, lading or the standard library."""
    library = filename.startswith((_TORCH, *_OWN, "<")) or (
        filename.startswith(_STANDARD) and not filename.startswith(_PACKAGES)
    )
    return "" if library else readable_path(filename)


def user_line(frame: FrameType | None, boundary: CodeType) -> str:
    """Return "path.py:line" of the innermost frame of the user's, or "" if `boundary` comes first."""
    known = _PATH_OF_CODE
    for _ in range(_FRAME_LIMIT):
        if frame is None:
            break
        code = frame.f_code
        if code is boundary:
            break
        path = known.get(code)
        if path is None:
            path = _path_of(code)
        if path:
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def user_text(frame: FrameType | None, boundary: CodeType) -> str:
    """Return the text of the line that `user_line` names."""
    for _ in range(_FRAME_LIMIT):
        if frame is None or frame.f_code is boundary:
            break
        if path_of(frame.f_code):
            return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        frame = frame.f_back
    return ""


def asked_by_user(frame: FrameType | None) -> bool:
    """Whether a question on a symbolic size came straight from the user's Python, not from inside PyTorch."""
    for _ in range(_FRAME_LIMIT):
        if frame is None:
            return False
        code = frame.f_code
        if not code.co_filename.startswith(_SYMBOLIC):
            return bool(path_of(code))
        frame = frame.f_back
    return False


class Places:
    """Follows which module is running, and gives each operator its origin."""

    def __init__(self, paths: dict[int, str], boundary: CodeType) -> None:
        self._paths = paths
        self._boundary = boundary
        self._calls: list[ModuleCall | None] = [None]
        self._origins: list[dict[Any, Origin]] = [{}]

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Follow the calls of modules, by hooks on all modules that are gone afterwards."""
        entering = torch.nn.modules.module.register_module_forward_pre_hook(self._enter)
        leaving = torch.nn.modules.module.register_module_forward_hook(self._leave, always_call=True)
        try:
            yield
        finally:
            entering.remove()
            leaving.remove()

    def _enter(self, module: torch.nn.Module, _: Any) -> None:
        outer = self._calls[-1]
        path = self._paths.get(id(module))
        if path is None:
            path = "" if outer is None else outer.module
        self._calls.append(ModuleCall(path, type(module).__name__, self.line(), outer))
        self._origins.append({})

    def _leave(self, module: torch.nn.Module, _: Any, __: Any) -> None:
        self._calls.pop()
        self._origins.pop()

    @property
    def call(self) -> ModuleCall | None:
        """The module call that runs now, None outside of any."""
        return self._calls[-1]

    @property
    def module(self) -> str:
        """The dotted path of the module that runs now."""
        call = self._calls[-1]
        return "" if call is None else call.module

    def line(self) -> str:
        """Return the user's line that runs now."""
        return user_line(sys._getframe(1), self._boundary)

    def text(self) -> str:
        """Return the text of the user's line that runs now."""
        return user_text(sys._getframe(1), self._boundary)

    def origin(self) -> Origin:
        """Return the origin of an operator that is called right now; equal places of one call share one object."""
        known = _PATH_OF_CODE
        frame: FrameType | None = sys._getframe(1)
        boundary = self._boundary
        origins = self._origins[-1]
        while frame is not None:
            code = frame.f_code
            if code is boundary:
                break
            path = known.get(code)
            if path is None:
                path = _path_of(code)
            if path:
                key = (code, frame.f_lasti)
                origin = origins.get(key)
                if origin is None:
                    origin = origins[key] = self._origin(f"{path}:{frame.f_lineno}")
                return origin
            frame = frame.f_back
        origin = origins.get(None)
        if origin is None:
            origin = origins[None] = self._origin("")
        return origin

    def _origin(self, source: str) -> Origin:
        call = self._calls[-1]
        if call is None:
            return Origin("", "", source) if source else NOWHERE
        return Origin(call.module, call.module_class, source, call=call)
