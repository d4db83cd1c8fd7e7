"""PKCS#11 URIs (RFC 7512): what names a token and a key in it. Pure.

Nothing secret is taken from a URI, and no path: the PIN and the module come from the configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Final
from urllib.parse import quote, unquote_to_bytes

SCHEME: Final = "pkcs11:"
LONGEST: Final = 1024
"""Characters; no token's attributes come near it."""
_TEXTS: Final = {"token": 32, "manufacturer": 32, "serial": 16, "model": 16, "object": 255}
"""Attributes by which tokens and objects are found, with the bytes that PKCS#11 has for each."""
_TYPES: Final = frozenset({"private", "public", "cert", "secret-key", "data"})
_ELSEWHERE: Final = {
    "pin-value": "a PIN does not belong in a URI: put it into the file pki.token.pin_file; change it if others saw it",
    "pin-source": "the PIN comes from pki.token.pin_file or the systemd credential v2g-token-pin",
    "module-path": "the module is named by pki.token.module only",
    "module-name": "the module is named by pki.token.module only",
}
_UNUSED: Final = frozenset(
    {
        "library-manufacturer",
        "library-description",
        "library-version",
        "slot-manufacturer",
        "slot-description",
    }
)
_PLAIN: Final = ":[]@!$'()*+,=&-._~"
"""Beside letters and digits, what a path attribute may have as it is."""
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9:\[\]@!$'()*+,=&\-._~]|%[0-9A-Fa-f]{2})*")
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class UriError(ValueError):
    """No PKCS#11 URI, or one that asks for what is not taken from a URI. Never repeats the value of an attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """None: any. ``token`` and ``object`` are labels, ``id`` is CKA_ID."""

    token: str | None = None
    manufacturer: str | None = None
    serial: str | None = None
    model: str | None = None
    slot_id: int | None = None
    object: str | None = None
    id: bytes | None = None
    type: str | None = None

    def __str__(self) -> str:
        """The URI, its attributes in a fixed order."""
        parts: list[str] = []
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bytes):
                parts.append(f"{item.name}=" + "".join(f"%{byte:02X}" for byte in value))
            elif value is not None:
                parts.append(f"{item.name.replace('_', '-')}={quote(str(value), safe=_PLAIN)}")
        return SCHEME + ";".join(parts)

    def of_token(self) -> Pkcs11Uri:
        """Without what names an object."""
        return replace(self, object=None, id=None, type=None)

    def matches_token(self, *, token: str, manufacturer: str, serial: str, model: str, slot_id: int) -> bool:
        """Whether it may be this token; all texts without the blanks that PKCS#11 fills them up with."""
        found = {"token": token, "manufacturer": manufacturer, "serial": serial, "model": model, "slot_id": slot_id}
        return all(getattr(self, name) in (None, value) for name, value in found.items())


def parse(text: str) -> Pkcs11Uri:
    """Raises :class:`UriError`: for what is no such URI, for an attribute twice, and for one that could not be obeyed.

    >>> str(parse("pkcs11:token=My%20token;id=%01%fe;type=private"))
    'pkcs11:token=My%20token;id=%01%FE;type=private'
    """
    if len(text) > LONGEST:
        raise UriError(f"a PKCS#11 URI of more than {LONGEST} characters")
    if text[: len(SCHEME)].lower() != SCHEME:
        raise UriError(f"no PKCS#11 URI: it does not begin with {SCHEME}")
    path, _, query = text[len(SCHEME) :].partition("?")
    for part in query.split("&") if query else ():
        name = part.partition("=")[0]
        raise UriError(_ELSEWHERE.get(name, f"attribute {_shown(name)} after the ? is not taken"))
    found: dict[str, bytes] = {}
    for part in path.split(";") if path else ():
        name, equals, value = part.partition("=")
        if name in _ELSEWHERE:
            raise UriError(_ELSEWHERE[name])
        if name in _UNUSED:
            raise UriError(f"attribute {name} is not looked at: name the token by token, serial, model or manufacturer")
        if name not in {*_TEXTS, "id", "type", "slot-id"}:
            raise UriError(f"attribute {_shown(name)} is none of a token or key (RFC 7512)")
        if not equals:
            raise UriError(f"attribute {name} has no value")
        if name in found:
            raise UriError(f"attribute {name} is there twice")
        if _PERCENT.search(value):
            raise UriError(f"attribute {name}: a % is not followed by two hexadecimal digits")
        if not _VALUE.fullmatch(value):
            raise UriError(f"attribute {name} has a character that must be written as % and two hexadecimal digits")
        found[name] = unquote_to_bytes(value)
    return Pkcs11Uri(
        **{name: _text(name, value) for name, value in found.items() if name in _TEXTS},
        slot_id=_slot(found["slot-id"]) if "slot-id" in found else None,
        id=_id(found["id"]) if "id" in found else None,
        type=_type(found["type"]) if "type" in found else None,
    )


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise UriError(f"attribute {name} is no UTF-8") from None
    if not value or len(value) > _TEXTS[name]:
        raise UriError(f"attribute {name} has {len(value)} bytes, it may have 1 to {_TEXTS[name]}")
    if any(not character.isprintable() for character in text):
        raise UriError(f"attribute {name} has a character that cannot be printed")
    return text


def _id(value: bytes) -> bytes:
    if not 0 < len(value) <= 255:
        raise UriError(f"attribute id has {len(value)} bytes, it may have 1 to 255")
    return value


def _type(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    if text not in _TYPES:
        raise UriError(f"attribute type is none of {', '.join(sorted(_TYPES))}")
    return text


def _slot(value: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,20}", value) or int(value) > 0xFFFFFFFFFFFFFFFF:
        raise UriError("attribute slot-id is no number of a slot")
    return int(value)


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9-]{1,40}", name) else "with an odd name"
