"""``audit.key`` and ``audit.head`` of the state directory: read, made, and put aside where they cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from v2g.host.files import replace_file
from v2g.telemetry.audit_chain import KEY_BYTES, ChainKey, Head, parse_head

KEY_FILE, HEAD_FILE = "audit.key", "audit.head"
WHAT = "key of the audit log"
_MOST_HEAD_BYTES = 4096


class AuditKeyError(Exception):
    """The key or the head cannot be used; the text names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """``problem``: why it is not, or will not be, the one of the file; empty where nothing is wrong."""

    key: ChainKey
    problem: str = ""


def read_key(path: Path) -> ChainKey:
    """Raises :class:`AuditKeyError` for a key that is absent, not private or no key."""
    # Brings ssl in, which processes that only write logs do without.
    from pyiso15118.security.private_file import PrivateFileError, read_private

    try:
        content = read_private(path, WHAT)
    except PrivateFileError as error:
        raise AuditKeyError(str(error)) from None
    try:
        return ChainKey(bytes.fromhex(content.decode("ascii").strip()))
    except ValueError:
        raise AuditKeyError(f"{WHAT} {path} is none: {KEY_BYTES} bytes as hexadecimal digits are wanted") from None


def find_or_make_key(path: Path, random_bytes: Callable[[int], bytes]) -> FoundKey:
    """Never raises: a key that cannot be used is put aside as ``<path>.rejected``, and a new one made; one that cannot
    be written holds for this process only."""
    problem = ""
    try:
        return FoundKey(read_key(path))
    except AuditKeyError as error:
        if os.path.lexists(path):
            problem = str(error)
    secret = random_bytes(KEY_BYTES)
    try:
        if problem:
            aside = path.with_name(f"{path.name}.rejected")
            path.rename(aside)
            problem += f"; it is put aside as {aside}"
        replace_file(path, secret.hex().encode() + b"\n", 0o600, on_disk=True)
    except OSError as error:
        unkept = f"{WHAT} {path} cannot be written ({error.strerror}): lines of this run cannot be checked later"
        problem = f"{problem}; {unkept}" if problem else unkept
    return FoundKey(ChainKey(secret), problem)


def read_head(path: Path) -> Head | None:
    """None: there is none. Raises :class:`AuditKeyError`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            data = file.read(_MOST_HEAD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AuditKeyError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return parse_head(data)
    except ValueError as error:
        raise AuditKeyError(f"{path} is no head of an audit log: {error}") from None
