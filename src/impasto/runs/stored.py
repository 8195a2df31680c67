"""What was stored as JSON, back in the types that it had: nothing of it is believed before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from torch import Tensor

MOST = 2**63  # whole numbers are smaller: one of a thousand digits is no number of steps or bytes
WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    list: "a list",
    tuple: "a list",
    dict: "values by name",
}


def decoded(kind: Any, value: Any, name: str = "it") -> Any:
    """A value from JSON, which knows neither paths nor tuples, in its type; tensors are there already.

    Args:
        kind: a type: of one value, `list`, `tuple` or `dict` of a type, a union, `Literal`, or a `TypedDict`, whose
            keys are all there are.
        name: of the value, for errors.

    Raises:
        TypeError: it is not of that type; says which part of it.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is NotRequired:
        return decoded(arguments[0], value, name)
    if origin in (Union, UnionType):
        return _one_of(arguments, value, name)
    if is_typeddict(kind):
        return _named(kind, value, name)
    if origin is list and isinstance(value, list):
        return [decoded(arguments[0], one, f"{name}[{number}]") for number, one in enumerate(value)]
    if origin is tuple and isinstance(value, list):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(decoded(one, x, f"{name}[{n}]") for n, (one, x) in enumerate(zip(kinds, value, strict=True)))
        raise TypeError(f"{name} has {len(value)} values, not {len(kinds)}")
    if origin is dict and isinstance(value, dict):
        return {key: decoded(arguments[1], one, f"{name}.{key}") for key, one in value.items()}
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) is int and -MOST < value < MOST:
        return float(value)
    if _fits(kind, value):
        return value
    raise TypeError(f"{name} is {_shown(value)}, not {_in_words(kind)}")


def _one_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    """In the first type that fits; the error is that of the last one."""
    if value is None and NoneType in kinds:
        return None
    *others, last = [one for one in kinds if one is not NoneType]
    for one in others:
        try:
            return decoded(one, value, name)
        except TypeError:
            continue
    return decoded(last, value, name)


def _named(kind: Any, value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {_shown(value)}, not values by name")
    hints = get_type_hints(kind, include_extras=True)
    for key, hint in hints.items():
        if key not in value and get_origin(hint) is not NotRequired:
            raise TypeError(f"{name}.{key} is missing")
    for key in value.keys() - hints.keys():
        raise TypeError(f"{name} has {_shown(key)}, which is not known")
    return {key: decoded(hints[key], one, f"{name}.{key}") for key, one in value.items()}


def _fits(kind: Any, value: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(kind))
    if kind is Any:
        return True
    if kind is Tensor:
        return isinstance(value, Tensor)
    return type(value) is kind and (kind is not int or -MOST < value < MOST)


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    return WORDS.get(get_origin(kind) or kind, f"a {getattr(kind, '__name__', kind)}")


def _shown(value: Any) -> str:
    """A value in a few words, of one line."""
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:50]}..."
