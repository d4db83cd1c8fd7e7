"""Two configurations, setting by setting: what differs, and what it takes until that is in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from v2g.config.loader import Loaded
from v2g.config.reload_rules import Rule, rule_for
from v2g.config.schema import Config

_ABSENT: Final = None


@dataclass(frozen=True, slots=True)
class Difference:
    """``path`` names entries of lists by their id where they have one; None is also "not there"."""

    path: str
    before: Any
    after: Any
    rule: Rule


def settings_of(config: Config) -> dict[str, Any]:
    """Every value by its path; equal exactly where the configurations are."""
    return {named: value for named, _, value in _leaves(msgspec.to_builtins(config), "", "")}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Of two results of :func:`settings_of`, in the order of ``after``; what is gone comes last."""
    return tuple(_differences(before, after))


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for path in (*after, *(path for path in before if path not in after)):
        was, now = before.get(path, _ABSENT), after.get(path, _ABSENT)
        # An empty map or list stands where its entries would: they tell the difference.
        if was != now and not _is_empty_owner(path, was, after) and not _is_empty_owner(path, now, before):
            yield Difference(path, was, now, rule_for(path))


def _is_empty_owner(path: str, value: Any, other: Mapping[str, Any]) -> bool:
    return (value is None or value in ({}, [], ())) and any(each.startswith((f"{path}.", f"{path}[")) for each in other)


def places_of(loaded: Loaded) -> dict[str, str]:
    """File and line by the path of :func:`settings_of`; a default has none."""
    first: dict[str, str] = {}
    for origin in loaded.origin:
        first.setdefault(origin, origin)
        owner = origin
        while (cut := max(owner.rfind("."), owner.rfind("["))) > 0:
            owner = owner[:cut]
            first.setdefault(owner, origin)
    tree = msgspec.to_builtins(loaded.config)
    return {named: loaded.place(first[plain]) for named, plain, _ in _leaves(tree, "", "") if plain in first}


def _leaves(tree: Any, named: str, plain: str) -> Iterator[tuple[str, str, Any]]:
    """Each value with its path by ids and its path by positions: ``evses[US*V2G*E1].tls``, ``evses[0].tls``."""
    if isinstance(tree, dict) and tree:
        for key, child in tree.items():
            yield from _leaves(child, f"{named}.{key}" if named else key, f"{plain}.{key}" if plain else key)
    elif isinstance(tree, list | tuple) and any(isinstance(each, dict | list | tuple) for each in tree):
        for position, child in enumerate(tree):
            own = child.get("id", position) if isinstance(child, dict) else position
            yield from _leaves(child, f"{named}[{own}]", f"{plain}[{position}]")
    else:
        yield named, plain, tree
