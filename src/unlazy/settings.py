"""``key=value`` as a user types it: typed against fields of a dataclass, nested ones by dots."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

from unlazy.catalog import make, suggest


def override(recipe: Any, words: Sequence[str]) -> Any:
    """The recipe (or another dataclass) with the fields that ``words`` name set otherwise.

    Values are read as the field's type: numbers, ``true``/``false``, ``none``, a choice, or a
    list with commas for a tuple. In a field for numbers ``1`` is a count and ``1.0`` a share.

    >>> from unlazy.training.kinds import LabelRecipe
    >>> override(LabelRecipe("a"), ["epochs=2", "model.pool=max"]).model.pool
    'max'

    Raises:
        ValueError: not of the form key=value, an unknown key (near ones are named), or a value
            of another type.
    """
    changes: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} is no override; write key=value, for example epochs=2")
        kind = _kind(type(recipe), key)
        try:
            changes[key] = _read(text, kind)
        except ValueError as error:
            raise ValueError(f"{key} takes {_say(kind)}, not {text!r}") from error
    return _replace(recipe, changes)


def chosen_of(kind: str, names: Sequence[str], words: Sequence[str]) -> list[Any]:
    """The benchmarks or probes of these names, set as the user wishes.

    Raises:
        ValueError: what a user's own file makes is none; as ``make`` and ``override_all``.
    """
    found = [make(kind, name) for name in names]
    for name, each in zip(names, found, strict=True):
        if not (dataclasses.is_dataclass(each) and hasattr(each, "needs")):
            raise ValueError(
                f"{name} makes {each!r}; it must make one of the {kind}, a dataclass with name,"
                " version, needs, ..."
            )
    return override_all(found, words)


def override_all(several: Sequence[Any], words: Sequence[str]) -> list[Any]:
    """Benchmarks or probes with the fields set that ``words`` name, in those that use the field.

    >>> from unlazy.benchmarks.probe_position import PositionProbe
    >>> from unlazy.benchmarks.probe_redundancy import Redundancy
    >>> override_all([PositionProbe(), Redundancy()], ["seeds=2"])[0].seeds
    2

    Raises:
        ValueError: as ``override``, with the name of what it is about; a key that none has, or
            that changes nothing in those that have it.
    """
    known = [keys(type(each)) for each in several]
    for key, equals, _ in (word.partition("=") for word in words):
        if equals and not any(key in own for own in known):
            names = " and ".join(each.name for each in several)
            near = _near(key, {key: kind for own in known for key, kind in own.items()})
            has = "has" if len(several) == 1 else "have"
            raise ValueError(f"{names} {has} no setting {key!r}; {near}")
    meant = [
        [word for word in words if "=" not in word or word.partition("=")[0] in own]
        for own in known
    ]
    found = [_named(each, own) for each, own in zip(several, meant, strict=True)]
    unused = [idle(each) for each in found]
    for key in (word.partition("=")[0] for word in words):
        if all(key in why for own, why in zip(known, unused, strict=True) if key in own):
            raise ValueError(_changes_nothing(next(x for x in found if key in idle(x)), key))
    return [
        _named(each, [word for word in own if word.partition("=")[0] not in why])
        for each, own, why in zip(several, meant, unused, strict=True)
    ]


def _named(one: Any, words: Sequence[str]) -> Any:
    try:
        return override(one, words)
    except ValueError as error:
        raise ValueError(f"{one.name}: {error}") from error


def idle(one: Any) -> Mapping[str, str]:
    """Fields of a benchmark or probe that change nothing as the others are -> what to do."""
    return getattr(one, "idle", {})


def refuse_idle(one: Any) -> None:
    """That no field is set that changes nothing.

    Raises:
        ValueError: one is; the message says what to do.
    """
    for key in idle(one):
        if getattr(one, key) != type(one).__dataclass_fields__[key].default:
            raise ValueError(_changes_nothing(one, key))


def _changes_nothing(one: Any, key: str) -> str:
    return f"{one.name}: {key} changes nothing {idle(one)[key]}, or leave it out"


def used(one: Any) -> Any:
    """What a Record says of a benchmark's fields: those that change something."""
    own = dataclasses.fields(one) if idle(one) else ()
    return {x.name: getattr(one, x.name) for x in own if x.name not in idle(one)} or one


def keys(kind: type, prefix: str = "") -> dict[str, Any]:
    """All keys that may be set, nested ones included, and their types."""
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        if not each.init:
            continue
        if dataclasses.is_dataclass(hints[each.name]):
            found |= keys(hints[each.name], f"{prefix}{each.name}.")
        else:
            found[prefix + each.name] = hints[each.name]
    return found


def varied(recipes: Sequence[Any]) -> set[str]:
    """The keys, of recipes of one kind, whose values are not the same in all of them.

    >>> from unlazy.training.kinds import LabelRecipe
    >>> sorted(varied([LabelRecipe("a"), LabelRecipe("b", epochs=2)]))
    ['epochs', 'name']
    """
    return {key for key in keys(type(recipes[0])) if len({_value(x, key) for x in recipes}) > 1}


def _value(recipe: Any, key: str) -> Any:
    for part in key.split("."):
        recipe = getattr(recipe, part)
    return recipe


def _kind(kind: type, key: str) -> Any:
    known = keys(kind)
    if fields := [name for name in known if name.startswith(f"{key}.")]:
        raise ValueError(f"{key} is not set as a whole; set its fields, for example {fields[0]}")
    if key not in known:
        raise ValueError(f"{kind.__name__} has no field {key!r}; {_near(key, known)}")
    return known[key]


def _near(key: str, known: Mapping[str, Any]) -> str:
    nested = [name for name in known if name.endswith(f".{key}")]
    return f"did you mean {nested[0]}?" if nested else suggest(key, known)


def _replace(recipe: Any, changes: dict[str, Any]) -> Any:
    """All changes of one dataclass at once, so that fields may depend on each other."""
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        first, dot, rest = key.partition(".")
        if dot:
            nested.setdefault(first, {})[rest] = value
        else:
            own[first] = value
    own |= {name: _replace(getattr(recipe, name), inner) for name, inner in nested.items()}
    return dataclasses.replace(recipe, **own)


def _read(text: str, kind: Any) -> Any:
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if text.lower() == "none":
            return None
        return _read(text, next(each for each in options if each is not type(None)))
    if origin is Literal:
        if text not in options:
            raise ValueError
        return text
    if origin is tuple:
        parts = [part for part in text.split(",") if part]
        if options[-1] is not Ellipsis and len(parts) != len(options):
            raise ValueError
        return tuple(_read(part, options[0]) for part in parts)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError
        return text.lower() == "true"
    if kind is float:
        number = int(text) if text.lstrip("+-").isdigit() else float(text)
        if not math.isfinite(number):
            raise ValueError
        return number
    return kind(text)


def _say(kind: Any) -> str:
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if each is type(None) else _say(each) for each in options)
    if origin is Literal:
        return f"one of {', '.join(options)}"
    if origin is tuple:
        several = "any number of" if options[-1] is Ellipsis else str(len(options))
        return f"{several} values with commas between ({_say(options[0])})"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, str(kind))
