"""Settings of a fix as a user types them: KEY=VALUE."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from unlazy.catalog import UnknownName, call, find, suggest
from unlazy.fixes.base import Fix


def with_settings(name: str, settings: Sequence[str]) -> Fix:
    """The fix of this name with settings KEY=VALUE, typed against its fields.

    Raises:
        UnknownName: no such fix or setting; the message lists near ones.
        ValueError: a value of the wrong type.
    """
    kind = find("fixes", name)
    if not dataclasses.is_dataclass(kind):
        raise ValueError(f"{name} is no dataclass: a fix is one, its fields are its settings")
    types_of = typing.get_type_hints(kind)
    known = [each.name for each in dataclasses.fields(kind) if _settable(types_of[each.name])]
    given: dict[str, Any] = {}
    for each in settings:
        key, equals, text = each.partition("=")
        if key not in known or not equals:
            raise UnknownName(f"{name} has no setting {each!r}; {suggest(key, known)} (KEY=VALUE)")
        given[key] = _typed(f"{name}: {key}", types_of[key], text)
    return call(name, kind, **given)


def _options(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _settable(kind: Any) -> bool:
    return any(each in (int, float) or _choices(each) for each in _options(kind))


def _choices(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()


def _typed(what: str, kind: Any, text: str) -> Any:
    numbers = [each for each in _options(kind) if each in (int, float)]
    for each in numbers:  # int first: 1 is a count where 0.5 is a share
        with suppress(ValueError):
            return each(text)
    if numbers:
        names = " or ".join(each.__name__ for each in numbers)
        raise ValueError(f"{what} takes a number ({names}), got {text!r}")
    for each in _options(kind):
        choices = _choices(each)
        if text in choices:
            return text
        if choices:
            raise ValueError(f"{what} is one of {', '.join(choices)}, got {text!r}")
    raise ValueError(f"{what} cannot be set")
