"""What an installation put where, so that the next one knows what is somebody's own, and what is to be removed."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.host.install.errors import InstallError

DIRECTORY = "/var/lib/v2g-install"
PATH = f"{DIRECTORY}/manifest.json"
SCHEMA = 1
_Absolute = Annotated[str, Meta(pattern=r"^/[^\x00]+$")]
_Name = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_-]*$")]
_Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """``sha256``: of each content that was put there and may still be there; two while it is being replaced."""

    path: _Absolute
    sha256: tuple[_Hash, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``directories``, ``users``, ``groups``: those that were not there before. Not ``complete``: the work was begun,
    and how far it came is not known."""

    schema: int = SCHEMA
    version: str = ""
    commands: str = ""
    complete: bool = True
    files: tuple[Entry, ...] = ()
    directories: tuple[_Absolute, ...] = ()
    users: tuple[_Name, ...] = ()
    groups: tuple[_Name, ...] = ()

    def entry(self, path: str) -> Entry | None:
        return next((entry for entry in self.files if entry.path == path), None)

    @property
    def of_nothing(self) -> bool:
        return not (self.files or self.directories or self.users or self.groups)


def digest(data: bytes) -> str:
    """As in :attr:`Entry.sha256`."""
    return hashlib.sha256(data).hexdigest()


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(data: bytes, place: str = PATH) -> Manifest:
    """Raises :class:`InstallError` for what is damaged, leads elsewhere or is of a newer version."""
    remedy = f"move {place} away and run v2g-tool install again: it finds what is there and writes a new one"
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema > SCHEMA:
            raise InstallError(
                f"{place} is of a newer version of v2g-orchestrator (schema {schema}, this one knows {SCHEMA}): "
                "use the v2g-tool of that version"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise InstallError(f"{place} is damaged: {error}; {remedy}") from None
    for path in (*(entry.path for entry in manifest.files), *manifest.directories):
        if ".." in path.split("/"):
            raise InstallError(f"{place} is damaged: the path {path} leads elsewhere; {remedy}")
    return manifest


class _Schema(msgspec.Struct):
    schema: int
