"""The types of single values in a YAML file, with messages that say what to write.

They take what the fields of azure-ai-ml take, so that one file means the same to both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from forestay.documents.names import refuse, shown, snake, suggest

Check = TypeVar("Check", bound=Callable[..., Any])
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
WHOLE = "a whole number, such as 5"


def taking(rule: str) -> Callable[[Check], Check]:
    """Says in words what a check takes: the reference of the files' keys shows it (tools/reference.py)."""

    def told(check: Check) -> Check:
        vars(check)["takes"] = rule
        return check

    return told


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise refuse("has no value", "give it a value, or remove the line")
    if isinstance(value, dict | list):
        raise refuse(f"must be a text, not {kind(value)}", "write `key: text` on one line")
    raise refuse(f"must be a text; YAML reads {shown(value)} as {kind(value)}", "put the value in quotes")


def _name(value: Any) -> str:
    text = _text(value)
    if not text.strip():
        raise refuse("is empty", "give it a value, or remove the line")
    return text


def _number(value: Any, *, example: str = "a number, such as 0.5") -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise refuse(f"must be a number, not {shown(value)!r}", f"write {example}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(f"must be a number, not {kind(value)}", f"write {example}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise refuse("must be a finite number", f"write {example}")
    return number


def whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        number = float(value) if abs(value) < 2**63 else math.inf
    else:
        number = _number(value, example=WHOLE)
    if not number.is_integer() or abs(number) >= 2**63:
        raise refuse(f"must be a whole number, not {shown(value)}", f"write {WHOLE}")
    return int(value) if isinstance(value, int) else int(number)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise refuse(f"must be true or false, not {shown(value)}", "write true or false")


def kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return f"the text {shown(value)!r}"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return f"a {type(value).__name__}"


def _list(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if value is None:
        raise refuse("has no value", "give it a list, such as [a, b], or remove the line")
    raise refuse(
        f"must be a list, not {kind(value)}", f"write [{shown(value)}]" if isinstance(value, str) else "write [a, b]"
    )


def _mapping(value: Any) -> Any:
    if value is None:
        raise refuse("has no value", "give it keys, or remove the line")
    if not isinstance(value, Mapping):
        hint = ", with a colon instead of =" if isinstance(value, str) and "=" in value else ""
        raise refuse(f"must be a mapping, not {kind(value)}", f"write one `key: value` on each line{hint}")
    return value


def one_of(*names: str) -> Callable[[Any], str]:
    """A check for a value out of a fixed set, CamelCase or snake_case; gives the snake_case."""

    @taking(", ".join(f"`{name}`" for name in names))
    def check(value: Any) -> str:
        if isinstance(value, str) and snake(value) in names:
            return snake(value)
        if isinstance(value, str):
            raise refuse(f"{shown(value)!r} is not known", suggest(value, names))
        raise refuse(f"must be one of {', '.join(names)}, not {kind(value)}", f"valid: {', '.join(names)}")

    return check


def hyphenated(*names: str) -> Callable[[Any], str]:
    """A check for a value out of a fixed set of words with hyphens, in any case, with underscores as well."""

    @taking(", ".join(f"`{name}`" for name in names))
    def check(value: Any) -> str:
        name = str(value).replace("_", "-").lower()
        if name not in names:
            raise refuse(f"{shown(value)!r} is not known", suggest(name, names))
        return name

    return check


def auto_or(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A check for `auto`, in any case, or what `check` takes."""

    @taking(f"`auto`, or {vars(check)['takes']}")
    def either(value: Any) -> Any:
        if isinstance(value, str) and value.lower() == "auto":
            return "auto"
        return check(value)

    return either


def whole_from(least: int) -> Callable[[Any], int]:
    """A check for a whole number not below `least`."""

    @taking(f"a whole number, {least} or more")
    def check(value: Any) -> int:
        number = whole(value)
        if number < least:
            raise refuse(f"must be at least {least}, not {number}", f"allowed: {least} or more")
        return number

    return check


@taking("a name, or a list of names")
def names_or_one(value: Any) -> Any:
    """One name or a list of names, as a list."""
    return [value] if isinstance(value, str) else _list(value)


@taking("a number between 0 and 1, neither of them")
def between_0_and_1(value: Any) -> float:
    """A share of the rows, both ends excluded."""
    number = _number(value)
    if not 0 < number < 1:
        raise refuse(
            f"must be between 0 and 1, not {shown(value)}", "allowed: more than 0, less than 1; 0.2 is a fifth"
        )
    return number


@taking("a number or a text")
def scalar(value: Any) -> float | str | None:
    """One value of any kind, such as a parameter of a transformer."""
    if value is None or isinstance(value, str | int | float):
        return value
    raise refuse(f"must be a number or a text, not {kind(value)}", "write one value, such as most_frequent")


Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_name)]
Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(whole)]
Count = Annotated[int, BeforeValidator(whole_from(1))]
Flag = Annotated[bool, BeforeValidator(_flag)]
Fraction = Annotated[float, BeforeValidator(between_0_and_1)]
Scalar = Annotated[float | str | None, BeforeValidator(scalar)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_list)]
NameOrNames = Annotated[tuple[Name, ...], BeforeValidator(names_or_one)]
AutoOrCount = Annotated[int | str, BeforeValidator(auto_or(whole_from(1)))]
FreeMap = Annotated[dict[str, Any], BeforeValidator(_mapping)]
TextMap = Annotated[dict[str, Text], BeforeValidator(_mapping)]
TextOrNone = Annotated[str | None, BeforeValidator(lambda value: None if value is None else _text(value))]
TextOrNoneMap = Annotated[dict[str, TextOrNone], BeforeValidator(_mapping)]
AsList = BeforeValidator(_list)
AsMapping = BeforeValidator(_mapping)


def _foreign(_: Any) -> None:
    raise PydanticCustomError("foreign", "is not a key of this task")


# Marks a key that other tasks have: it keeps its default here, and a file that gives it is refused.
FOREIGN = BeforeValidator(_foreign)
