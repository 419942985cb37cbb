# SPDX-License-Identifier: Apache-2.0
"""The builtins of TorchScript on strings, which are known at capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading.passes.trace.script import lists
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.tables import BUILTINS, TENSOR_BUILTINS, builtin
from lading.passes.trace.script.values import List

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


@builtin("format")
def text_format(interpreter: Interpreter, step: Step, text: str, *arguments: Any) -> str:
    """A formatted string, which guides nothing but an error message."""
    try:
        return str(text).format(*arguments)
    except (ValueError, IndexError, TypeError, KeyError):
        return str(text)


@builtin("percentFormat")
def percent_format(interpreter: Interpreter, step: Step, text: str, *arguments: Any) -> str:
    """A string formatted by `%`, which guides nothing but an error message."""
    try:
        return str(text % arguments)
    except (ValueError, TypeError):
        return str(text)


@builtin("str")
def to_text(interpreter: Interpreter, step: Step, value: Any) -> str:
    """A value as text."""
    return str(value)


TENSOR_BUILTINS["aten::format"] = text_format
TENSOR_BUILTINS["aten::str"] = to_text


def _string_method(name: str) -> None:
    def run(interpreter: Interpreter, step: Step, text: str, *arguments: Any) -> Any:
        plain = [list(lists.members_of(interpreter, one)) if isinstance(one, List) else one for one in arguments]
        result = getattr(text, name)(*plain)
        return List(result) if isinstance(result, list) else result

    BUILTINS[f"aten::{name}"] = run


for _name in [
    "lower",
    "upper",
    "strip",
    "lstrip",
    "rstrip",
    "startswith",
    "endswith",
    "replace",
    "find",
    "rfind",
    "join",
    "splitlines",
    "capitalize",
    "title",
    "isdigit",
    "isalpha",
    "isupper",
    "islower",
    "isspace",
    "isalnum",
    "zfill",
    "center",
    "ljust",
    "rjust",
    "swapcase",
]:
    _string_method(_name)


@builtin("split")
def split_text(interpreter: Interpreter, step: Step, text: str, separator: Any = None, most: int = -1) -> List:
    """The parts of a string."""
    return List(text.split(separator, most))


@builtin("ord")
def order(interpreter: Interpreter, step: Step, letter: str) -> int:
    """The number of a letter."""
    return ord(letter)


@builtin("chr")
def letter_of(interpreter: Interpreter, step: Step, number: int) -> str:
    """The letter of a number."""
    return chr(number)
