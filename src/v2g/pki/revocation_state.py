"""What of revocation must outlive a restart: whose CRLs were here once, and where CRLs are fetched from."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import msgspec

from v2g.host.files import replace_file

FILE = "revocation.json"
MOST = 256
_LARGEST = 4 << 20


class _Stored(msgspec.Struct, frozen=True):
    issuers: tuple[str, ...] = ()
    points: dict[str, str] = {}


class RevocationState:
    """In memory, and in a file that is written when something is new. Damaged or absent, it is empty.

    ``issuers``: names (:func:`v2g.pki.crl.name_key`) of those of whom there was a CRL. ``points``: URL of a CRL and its
    issuer's certificate (DER). Both are bounded; the first ones stay.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE
        stored = _read(self.path)
        self.issuers: set[bytes] = {name for text in stored.issuers[:MOST] if (name := _bytes(text))}
        points = list(stored.points.items())[:MOST]
        self.points: dict[str, bytes] = {url: der for url, text in points if (der := _bytes(text))}
        self._changed = False

    def cover(self, issuers: frozenset[bytes]) -> None:
        new = issuers - self.issuers
        if new and len(self.issuers) + len(new) <= MOST:
            self.issuers |= new
            self._changed = True

    def note(self, url: str, issuer: bytes) -> None:
        if self.points.get(url) != issuer and (url in self.points or len(self.points) < MOST):
            self.points[url] = issuer
            self._changed = True

    def save(self) -> None:
        """Where something is new. Raises ``OSError``, and tries again the next time."""
        if not self._changed:
            return
        self._changed = False
        points = dict(self.points)
        stored = _Stored(tuple(sorted(map(_text, self.issuers))), {url: _text(der) for url, der in points.items()})
        try:
            replace_file(self.path, msgspec.json.encode(stored))
        except OSError:
            self._changed = True
            raise


def _read(path: Path) -> _Stored:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=_Stored)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _Stored()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
