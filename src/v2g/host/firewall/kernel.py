"""What the kernel has of our table: counters and their words, admitted vehicles, what differs from what was put."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from v2g.host.firewall.model import PLC_SET


@dataclass(frozen=True, slots=True)
class Counter:
    """One rule that counts. ``words``: where it comes from; ``verdict``: accept, drop or empty."""

    chain: str
    words: str
    verdict: str
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A vehicle in a set. ``left_s``: until it must be matched again; ``whole_s``: what it was given."""

    set_name: str
    mac: str
    whole_s: int
    left_s: int


def counters(objects: Iterable[Mapping[str, Any]]) -> tuple[Counter, ...]:
    """Every rule that counts, in the kernel's order."""
    found = []
    for rule in _of(objects, "rule"):
        expressions = [one for one in _list(rule.get("expr")) if isinstance(one, dict)]
        counted = next((one["counter"] for one in expressions if isinstance(one.get("counter"), dict)), None)
        if counted is not None:
            verdict = next((word for one in expressions for word in ("accept", "drop") if word in one), "")
            found.append(
                Counter(
                    str(rule.get("chain", "")),
                    str(rule.get("comment", "")),
                    verdict,
                    _number(counted.get("packets")),
                    _number(counted.get("bytes")),
                )
            )
    return tuple(found)


def admitted(objects: Iterable[Mapping[str, Any]]) -> tuple[Admitted, ...]:
    """Every vehicle that is admitted to a PLC link at present."""
    found = []
    for one in _of(objects, "set"):
        name = str(one.get("name", ""))
        if not name.startswith(PLC_SET):
            continue
        whole_s = _number(one.get("timeout"))
        for element in _list(one.get("elem")):
            inner = element.get("elem", element) if isinstance(element, dict) else {"val": element}
            if not isinstance(inner, dict) or not isinstance(inner.get("val"), str):
                continue
            own_s = _number(inner.get("timeout")) or whole_s
            found.append(Admitted(name, inner["val"], own_s, min(own_s, _number(inner.get("expires")))))
    return tuple(found)


def plc_sets(objects: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Sets that vehicles can be admitted to: those with a timeout."""
    names = (str(one.get("name", "")) for one in _of(objects, "set") if "timeout" in _list(one.get("flags")))
    return tuple(name for name in names if name.startswith(PLC_SET))


def shape(objects: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """One line for each chain, set and rule, without what changes by itself: counts, handles, admitted vehicles."""
    lines = []
    for one in objects:
        for kind in ("table", "chain", "set", "map", "rule", "counter"):
            if isinstance(one.get(kind), dict):
                body = {key: value for key, value in one[kind].items() if key != "handle"}
                if kind == "set" and str(body.get("name", "")).startswith(PLC_SET):
                    body.pop("elem", None)
                if isinstance(body.get("elem"), list):
                    body["elem"] = sorted(body["elem"], key=msgspec.json.encode)
                lines.append(msgspec.json.encode({kind: _still(body)}, order="sorted").decode())
    return tuple(lines)


def differences(put: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """In words: what the kernel has beyond and short of what was put. Order counts within a chain."""
    gone, more = collections.Counter(put), collections.Counter(there)
    words = [f"gone: {_told(line)}" for line in (gone - more).elements()]
    words += [f"not ours: {_told(line)}" for line in (more - gone).elements()]
    return tuple(words) or (("the order of the rules is another one",) if list(put) != list(there) else ())


def _told(line: str) -> str:
    ((kind, body),) = msgspec.json.decode(line, type=dict[str, dict[str, Any]]).items()
    if kind == "rule":
        comment = f" {body['comment']!r}" if body.get("comment") else ""
        return f"rule of chain {body.get('chain')}{comment} {msgspec.json.encode(body.get('expr')).decode()[:160]}"
    return f"{kind} {body.get('name')}"


def _still(value: Any) -> Any:
    if isinstance(value, list):
        return [_still(one) for one in value]
    if isinstance(value, dict):
        return {
            key: {} if key == "counter" and isinstance(inner, dict) else _still(inner) for key, inner in value.items()
        }
    return value


def _of(objects: Iterable[Mapping[str, Any]], kind: str) -> Iterable[dict[str, Any]]:
    return (one[kind] for one in objects if isinstance(one.get(kind), dict))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
