"""The section ``trace``: how much of the messages of vehicles' sessions is kept in memory."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section


class Trace(Section, frozen=True, kw_only=True):
    """For ``v2g-tool trace``. Nothing of it is written to a disk."""

    keep_sessions: Annotated[int, Meta(ge=0, le=1000)] = 8
    """Of sessions that are over, so many of the newest; 0: none are kept, those that run neither."""
    keep_kib: Annotated[int, Meta(ge=16, le=4096)] = 128
    """Of each session: its first messages, and its last ones."""
