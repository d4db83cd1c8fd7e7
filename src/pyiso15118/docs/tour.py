"""The tour's page: a session's frames, sorted into the sections of ``tour.md``."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyiso15118 import exi
from pyiso15118.capture import Captured, content_of
from pyiso15118.docs.session import Told
from pyiso15118.v2gtp import encode_frame, namespace_of

_TEXT = Path(__file__).with_name("tour.md")
_HEADER_BYTES = 8
_DISCOVERY = {"SDPRequest": "pyiso15118.sdp:SdpRequest", "SDPResponse": "pyiso15118.sdp:SdpResponse"}


class TourError(Exception):
    """The session does not fit the text, or the text the session."""


@dataclass(frozen=True, slots=True)
class Section:
    """``names`` of its messages; of PowerDelivery with what it asks for, ``PowerDeliveryReq:Start``."""

    title: str
    anchor: str
    names: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class _Message:
    told: Told
    name: str
    content: dict[str, Any]
    place: str
    """Module and class."""


def sections() -> tuple[str, list[Section]]:
    """What comes before the first section, and the sections. Raises :class:`TourError`."""
    first, *parts = re.split(r"^## ", _TEXT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = []
    for part in parts:
        match = re.fullmatch(r"([^\n]+)\n<!-- ([^\n]+) -->\n(.*)", part, re.DOTALL)
        if match is None:
            raise TourError(f"{_TEXT.name}: the section {part.splitlines()[0]!r} names no messages below its title")
        anchor = re.sub(r"\W+", "-", match[1].lower()).strip("-")
        found.append(Section(match[1], anchor, frozenset(match[2].split()), match[3].strip()))
    return first, found


def from_capture(frames: Sequence[Captured]) -> list[Told]:
    """A capture as a session: who asks for discovery or a protocol first is the vehicle. Raises :class:`TourError`."""
    read = [each for each in frames if each.frame is not None]
    if not read:
        raise TourError("the capture has no V2GTP message")
    vehicle, start_s = read[0].source.address, read[0].unix_s
    return [
        Told(each.unix_s - start_s, each.source.address == vehicle, each.secured, each.frame)
        for each in read
        if each.frame is not None
    ]


def body(told: Sequence[Told], to_html: Callable[[str], str], link: Callable[[str, str], str]) -> str:
    """The page. ``link``: address of a module's class. Raises :class:`TourError` for a message of no section."""
    intro, found = sections()
    messages = _messages(told)
    shown: set[int] = set()
    parts = [to_html(intro)]
    for section in found:
        own = [n for n, message in enumerate(messages) if message.name in section.names]
        shown.update(own)
        parts.append(f'<h2 id="{section.anchor}">{html.escape(section.title)}</h2>{to_html(section.text)}')
        parts.append(_exchange([messages[n] for n in own], link) if own else "<p><em>Not in this session.</em></p>")
    left = sorted({message.name for n, message in enumerate(messages) if n not in shown})
    if left:
        raise TourError(f"{_TEXT.name} has no section for {', '.join(left)}")
    return "\n".join(parts)


def _messages(told: Sequence[Told]) -> list[_Message]:
    found, asked = [], ""
    for each in told:
        content = content_of(each.frame)
        name = plain = next(iter(content))
        if name == "PowerDeliveryReq":
            asked = str(content[name]["ChargeProgress"])
        if name.startswith("PowerDelivery"):
            name = f"{name}:{asked}"
        place = _DISCOVERY.get(plain) or _place(each)
        found.append(_Message(each, name, content, place))
    return found


def _place(told: Told) -> str:
    namespace = namespace_of(told.frame.payload_type)
    if namespace is None:
        raise TourError(f"payload type {told.frame.payload_type:#06x} is of no schema")
    kind = type(exi.decode(namespace.value, told.frame.payload))
    return f"{kind.__module__}:{kind.__name__}"


def _exchange(messages: Sequence[_Message], link: Callable[[str, str], str]) -> str:
    """Each message when it comes first and, where it differs, last; how many were between."""
    parts = []
    for name in dict.fromkeys(message.name for message in messages):
        own = [message for message in messages if message.name == name]
        parts.append((own[0].told.at_s, _shown(own[0], link)))
        if len(own) > 2:
            parts.append((own[1].told.at_s, f"<p>{own[0].name.partition(':')[0]}: {len(own) - 2} more like it.</p>"))
        if len(own) > 1 and (_says(own[0]) != _says(own[-1]) or len(own) == 2):
            parts.append((own[-1].told.at_s, _shown(own[-1], link)))
    return "\n".join(part for _, part in sorted(parts, key=lambda part: part[0]))


def _says(message: _Message) -> Any:
    content = dict(next(iter(message.content.values())))
    content.pop("Header", None)
    return content


def _shown(message: _Message, link: Callable[[str, str], str]) -> str:
    told, name = message.told, message.name.partition(":")[0]
    data = encode_frame(*told.frame).hex(" ")
    head, rest = data[: 3 * _HEADER_BYTES], data[3 * _HEADER_BYTES :]
    words = html.escape(json.dumps(message.content[name], indent=1, ensure_ascii=False))
    who = ("vehicle", "vehicle → station") if told.by_vehicle else ("station", "vehicle ← station")
    return (
        f'<div class="message {who[0]}"><details><summary><span class="who">{who[1]}</span> '
        f'<a href="{link(*message.place.split(":"))}"><code>{name}</code></a> '
        f"{told.at_s:.3f} s, {len(told.frame.payload)} bytes{' within TLS' if told.secured else ''}</summary>"
        f'<p class="bytes"><b>{head}</b> {rest}</p><pre>{words}</pre></details></div>'
    )
