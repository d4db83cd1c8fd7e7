"""Small JSON files that outlast the process: each says its schema, and a newer one is never taken for ours."""

from __future__ import annotations

from typing import TypeVar

import msgspec


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what such a file holds. ``schema`` grows with each change after which an older reader would misread it;
    a field that was added with a default is none."""

    schema: int = 1


class NewerSchema(msgspec.ValidationError):
    """Handled like a file that cannot be read: whoever keeps it says what follows from that."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = 1


K = TypeVar("K", bound=Kept)


def decode_kept(data: bytes, kind: type[K], newest: int = 1) -> K:
    """Raises msgspec.DecodeError (a ValueError): :class:`NewerSchema` for one that a newer version has written."""
    schema = msgspec.json.decode(data, type=_Head).schema
    if schema > newest:
        raise NewerSchema(
            f"it was written by a newer version (schema {schema}, this one knows up to {newest}); install that version "
            "again, or move the file away"
        )
    return msgspec.json.decode(data, type=kind)
