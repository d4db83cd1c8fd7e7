"""The objects of OpenADR 3.0.1 and 3.1 that a VEN reads, as their OpenAPI documents have them.

Both versions are read by the same types: what one of them lacks is optional, and unknown members are ignored. A list
is decoded member by member, so that one that cannot be read does not take the others with it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec

MAX_INTERVALS = 2000
"""Of one event: a week of five minutes' prices."""
_MAX_LIST = 200
_MAX_NOTED = 5

Text = Annotated[str, msgspec.Meta(max_length=512)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
ObjectId = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern="^[a-zA-Z0-9_-]*$")]


class ValuesMap(msgspec.Struct, frozen=True, kw_only=True):
    type: Name
    values: Annotated[tuple[Any, ...], msgspec.Meta(max_length=MAX_INTERVALS)]


class IntervalPeriod(msgspec.Struct, frozen=True, kw_only=True):
    start: Text | None = None
    duration: Text | None = None
    randomize_start: Text | None = msgspec.field(name="randomizeStart", default=None)


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    payloads: Annotated[tuple[ValuesMap, ...], msgspec.Meta(max_length=_MAX_LIST)]
    period: IntervalPeriod | None = msgspec.field(name="intervalPeriod", default=None)


class PayloadDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """Of an event's or of a report's payload; only the former counts here."""

    payload_type: Name = msgspec.field(name="payloadType")
    object_type: Text | None = msgspec.field(name="objectType", default=None)
    units: Text | None = None
    currency: Text | None = None


class ReportDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    payload_type: Name = msgspec.field(name="payloadType")


Targets = Annotated[tuple[Name | ValuesMap, ...], msgspec.Meta(max_length=_MAX_LIST)]
"""3.1: strings; 3.0.1: a type (``GROUP``, ``VEN_NAME`` ...) with values."""
Descriptors = Annotated[tuple[PayloadDescriptor, ...], msgspec.Meta(max_length=_MAX_LIST)]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    id: ObjectId
    program_id: ObjectId = msgspec.field(name="programID")
    name: Text | None = msgspec.field(name="eventName", default=None)
    created: Text | None = msgspec.field(name="createdDateTime", default=None)
    modified: Text | None = msgspec.field(name="modificationDateTime", default=None)
    priority: Annotated[int, msgspec.Meta(ge=0)] | None = None
    duration: Text | None = None
    """3.1: shortens the intervals, or repeats them."""
    targets: Targets | None = None
    descriptors: Descriptors | None = msgspec.field(name="payloadDescriptors", default=None)
    reports: Annotated[tuple[ReportDescriptor, ...], msgspec.Meta(max_length=_MAX_LIST)] | None = msgspec.field(
        name="reportDescriptors", default=None
    )
    period: IntervalPeriod | None = msgspec.field(name="intervalPeriod", default=None)
    intervals: Annotated[tuple[Interval, ...], msgspec.Meta(max_length=MAX_INTERVALS)] | None = None


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    id: ObjectId


class Program(msgspec.Struct, frozen=True, kw_only=True):
    id: ObjectId
    name: Name = msgspec.field(name="programName")
    descriptors: Descriptors | None = msgspec.field(name="payloadDescriptors", default=None)


class Ven(msgspec.Struct, frozen=True, kw_only=True):
    id: ObjectId
    name: Name = msgspec.field(name="venName")
    targets: Targets | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    access_token: Annotated[str, msgspec.Meta(min_length=1, max_length=16_384, pattern=r"^[\x21-\x7e]+$")]
    token_type: Text
    expires_in: Annotated[float, msgspec.Meta(ge=0)] | None = None


class AuthServer(msgspec.Struct, frozen=True, kw_only=True):
    """3.1: where tokens are had."""

    token_url: Annotated[str, msgspec.Meta(max_length=8000)] = msgspec.field(name="tokenURL")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What a VTN says of a refusal: ``problem``, or at the token endpoint ``authError``."""

    title: str | None = None
    detail: str | None = None
    error: str | None = None
    error_description: str | None = None


class WireError(ValueError):
    """An answer that is not what the specification says; the message tells what it is."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Members(Generic[T]):
    """Of a list: those that can be read, how many there were, and a note for each of the others (a few).

    ``unread``: the ids of the others, as far as they have one.
    """

    items: tuple[T, ...]
    count: int
    notes: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()


def decode(body: bytes, kind: type[T]) -> T:
    """One object. Raises :class:`WireError`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"no {kind.__name__.lower()} as OpenADR 3 has it: {_short(error)}") from None


def decode_list(body: bytes, kind: type[T]) -> Members[T]:
    """A list of objects. Raises :class:`WireError` where there is no list at all."""
    word = kind.__name__.lower()
    try:
        raws = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"no list of {word}s as OpenADR 3 has it: {_short(error)}") from None
    items, notes, bad = [], [], 0
    unread: set[str] = set()
    for position, raw in enumerate(raws):
        try:
            items.append(decode(bytes(raw), kind))
        except WireError as error:
            bad += 1
            with contextlib.suppress(WireError):
                unread.add(decode(bytes(raw), _Named).id)
            if bad <= _MAX_NOTED:
                notes.append(f"{word} number {position} of the VTN is not followed: {error}")
    if bad > _MAX_NOTED:
        notes.append(f"and {bad - _MAX_NOTED} more {word}s that cannot be read")
    return Members(tuple(items), len(raws), tuple(notes), frozenset(unread))


def problem_words(body: bytes) -> str:
    """What the VTN says of a refusal, in one line; empty where it says nothing that can be read."""
    try:
        said = decode(body, Problem)
    except WireError:
        return ""
    words = [word for word in (said.title, said.detail, said.error, said.error_description) if word]
    return one_line(": ".join(words))


def one_line(text: str, limit: int = 200) -> str:
    """For people: without control characters, and not longer than ``limit``."""
    shown = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def _short(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else one_line(str(error))
