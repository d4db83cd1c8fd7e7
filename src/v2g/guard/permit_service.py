"""Permit service (IEEE 1547-2018 4.10.3) as an operator has set it: given or withdrawn, kept across restarts.

``<state_dir>/permit-service.json`` exists once it was set. A file that cannot be read counts as withdrawn.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from v2g.host.files import replace_file, sync_file
from v2g.host.kept import Kept, decode_kept

_MAX_FILE_BYTES = 4096


class _Kept(Kept, frozen=True, kw_only=True):
    enabled: bool
    by: str = ""
    unix_s: float = 0.0


class PermitService:
    """``enabled``: the DER may enter service and stay in it. ``problem``: why it is withdrawn though nobody said so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self.enabled = True
        try:
            with path.open("rb") as file:
                self.enabled = decode_kept(file.read(_MAX_FILE_BYTES), _Kept).enabled
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self.enabled = False
            self.problem = f"{path} cannot be read ({error}): permit service counts as withdrawn; set it again"

    def set(self, enabled: bool, by: str, unix_s: float) -> None:
        """In force when this returns. Raises ``OSError`` when it cannot be kept: a withdrawal is then in force all the
        same, a permit is not."""
        self.enabled = self.enabled and enabled
        replace_file(self.path, msgspec.json.encode(_Kept(enabled=enabled, by=by, unix_s=unix_s)) + b"\n")
        self.enabled, self.problem = enabled, ""

    def sync(self) -> None:
        """Put it on the disk. May take long; never call it from the tick. Raises ``OSError``."""
        sync_file(self.path)
