"""Parameters and results of ``firmware.note`` (engineer) and ``versions`` (viewer)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.control.messages import Params


class FirmwareNoteParams(Params, frozen=True, kw_only=True):
    """What ``v2g-tool firmware`` did, for the audit log. ``code``: of the catalogue, as ``FIRMWARE_APPLIED``."""

    code: Annotated[str, Meta(pattern="^FIRMWARE_[A-Z_]{1,40}$")]
    words: Annotated[str, Meta(max_length=200)] = ""


class FirmwareNoteResult(msgspec.Struct, frozen=True, kw_only=True):
    """``noted``: the audit log has it."""

    noted: bool = True


class VersionsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Which version each process is of; empty: it does not tell, or does not run. ``problems``: those that differ."""

    orchestrator: str
    protocol: int
    tick: str = ""
    wires: str = ""
    problems: tuple[str, ...] = ()
