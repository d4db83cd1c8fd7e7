"""Caps that this head gave, kept across a restart: ``<state_dir>/mesh_caps.json``, written whole at every change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from v2g.host.files import replace_file
from v2g.mesh.messages import Cap, MessageError, decode, encode

_MAX_FILE_BYTES = 1 << 18
Caps = Mapping[str, tuple[Cap, float]]
"""By group, with the time (Unix) until which it holds."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: bytes
    until_unix_s: float


class CapStore:
    """``problem``: why the file is not what it should be, in words; empty: it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""

    def save(self, caps: Caps) -> None:
        """Never raises."""
        kept = [_Kept(message=encode(cap), until_unix_s=until_s) for cap, until_s in caps.values()]
        try:
            replace_file(self._path, msgspec.json.encode(kept), mode=0o600, on_disk=True)
            self.problem = ""
        except OSError as error:
            self.problem = (
                f"mesh caps are not kept in {self._path}: {error.strerror or error}; after a restart they end"
            )

    def load(self, unix_s: float) -> Caps:
        """Those that still stand. Never raises: an unreadable file gives none, and says so."""
        try:
            with self._path.open("rb") as file:
                kept = msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=list[_Kept])
            caps = [(decode(each.message), each.until_unix_s) for each in kept]
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, MessageError, ValueError) as error:
            self.problem = f"mesh caps from before the restart are lost: {self._path}: {error}; give them anew"
            return {}
        return {cap.group: (cap, until_s) for cap, until_s in caps if isinstance(cap, Cap) and unix_s < until_s}
