# SPDX-License-Identifier: Apache-2.0
"""Which takeovers are in force, and what a call of `torch.onnx.export` comes to while there are any."""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .startup.lading_lookout import Lookout
from .terms import DEFAULT_RECIPE, TakenExport, Takeover, Terms

if TYPE_CHECKING:
    from .replacing import Taken

_lock = threading.RLock()
_in_force: list[Takeover] = []
_installed: list[Takeover] = []
_taken: dict[str, Taken] = {}
_lookout: list[Lookout] = []
_left_alone: contextvars.ContextVar[bool] = contextvars.ContextVar("lading_left_alone", default=False)
_own: contextvars.ContextVar[tuple[Takeover, ...]] = contextvars.ContextVar("lading_takeovers", default=())


@contextlib.contextmanager
def taking_over(
    recipe: str | os.PathLike[str] = DEFAULT_RECIPE,
    *,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    passes: Sequence[Any] = (),
    verify: bool | None = None,
    log: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    on_export: Callable[[TakenExport], None] | None = None,
) -> Iterator[Takeover]:
    """Let every `torch.onnx.export` go through lading while the context is open.

    That includes `torch.onnx.utils.export` and every reference to either that a library took earlier. Afterwards, also
    after an error, both are what they were. Contexts may be nested, the innermost one counts; in a thread that has
    opened none, the one that was opened last anywhere.

    Args:
        recipe: the name of a shipped recipe or the path of a recipe file.
        settings: recipe values as text: ``"dynamic-axes.on_fixed_axis=error"``. They go before what callers say.
        overrides: the same as values, by dotted key.
        passes: further passes, instances or classes declared with :func:`lading.a_pass`.
        verify: whether each file is run and compared with eager; an export whose file differs raises.
        log: a folder that gets the audit of each export in a file of its own.
        dry_run: only plan each export and let PyTorch's own exporter do it.
        on_export: called with each :class:`TakenExport` when it has ended.

    Yields:
        The takeover, whose `exports` lists what took place.

    Raises:
        UsageError: the recipe or a setting does not make sense, or PyTorch's functions cannot be found.
    """
    terms = Terms(
        recipe=recipe,
        settings=settings,
        overrides=overrides,
        passes=passes,
        verify=verify,
        log=log,
        dry_run=dry_run,
    )
    takeover = _begun(terms, on_export)
    token = _own.set((*_own.get(), takeover))
    try:
        yield takeover
    finally:
        # Closed in another context (a generator's, say), the token says nothing; what has ended is skipped anyway.
        with contextlib.suppress(ValueError):
            _own.reset(token)
        _end(takeover)


def install(
    recipe: str | os.PathLike[str] = DEFAULT_RECIPE,
    *,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    passes: Sequence[Any] = (),
    verify: bool | None = None,
    log: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    on_export: Callable[[TakenExport], None] | None = None,
) -> Takeover:
    """Let every `torch.onnx.export` of this process go through lading, until :func:`uninstall`.

    The arguments, and what is raised, are those of :func:`taking_over`. Neither loads torch: where `torch.onnx` is not
    imported yet, it is taken over when it is.
    """
    terms = Terms(
        recipe=recipe,
        settings=settings,
        overrides=overrides,
        passes=passes,
        verify=verify,
        log=log,
        dry_run=dry_run,
    )
    takeover = _begun(terms, on_export)
    _installed.append(takeover)
    return takeover


def uninstall() -> None:
    """End what the last :func:`install` began.

    Raises:
        UsageError: nothing is installed.
    """
    from ..pipeline.errors import UsageError

    if not _installed:
        raise UsageError("nothing is installed", hint="lading.install() comes first")
    _end(_installed.pop())


def _begun(terms: Terms, on_export: Callable[[TakenExport], None] | None) -> Takeover:
    from .serving import check_terms

    check_terms(terms)
    takeover = Takeover(terms=terms, on_export=on_export)
    with _lock:
        if not _in_force:
            if "torch.onnx" in sys.modules:
                _take()
            else:
                _lookout.append(Lookout(_take))
                _lookout[0].start()
        _in_force.append(takeover)
    return takeover


def _take() -> None:
    from . import replacing

    with _lock:
        if not _taken:
            _taken.update(replacing.take())


def _end(takeover: Takeover) -> None:
    with _lock:
        _in_force[:] = [other for other in _in_force if other is not takeover]
        if _in_force:
            return
        for lookout in _lookout:
            lookout.stop()
        _lookout.clear()
        for taken in _taken.values():
            taken.put_back()
        _taken.clear()


def called(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Serve a call of one of PyTorch's export functions.

    Args:
        function: which one, "torch.onnx.export" or "torch.onnx.utils.export".
        args: its positional arguments.
        kwargs: its keyword arguments.
    """
    with _lock:
        own = [takeover for takeover in _own.get() if any(takeover is other for other in _in_force)]
        takeover = own[-1] if own else _in_force[-1] if _in_force else None
        taken = _taken.get(function)
    if taken is None:
        # The last takeover ended in another thread between the call and here.
        return sys.modules[function.rpartition(".")[0]].export(*args, **kwargs)
    if takeover is None or _left_alone.get():
        return taken.own(*args, **kwargs)
    from .serving import serve

    def pytorchs_own() -> Any:
        # One of the two calls the other.
        token = _left_alone.set(True)
        try:
            return taken.own(*args, **kwargs)
        finally:
            _left_alone.reset(token)

    return serve(takeover, function, args, kwargs, pytorchs_own)
