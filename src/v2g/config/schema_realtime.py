"""The section ``realtime``: which CPUs the guard's tick runs on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section

Cpu = Annotated[int, Meta(ge=0, le=1023)]


class Realtime(Section, frozen=True, kw_only=True):
    tick_cpus: Annotated[tuple[Cpu, ...], Meta(max_length=1024)] = ()
    """Numbers as lscpu counts them; empty: any. Those that the host has not are told and left out."""
