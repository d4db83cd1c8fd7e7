"""The section ``metrics``: what Prometheus reads of us, and where."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section


class Metrics(Section, frozen=True, kw_only=True):
    enabled: bool = True
    """Whether they are served at all."""
    listen: Annotated[str, Meta(max_length=200)] = ""
    """A Unix socket's absolute path, or a loopback address with its port: ``127.0.0.1:9464``, ``[::1]:9464``; empty:
    ``<run_dir>/metrics.sock``."""
    group: Annotated[str, Meta(pattern=r"^[^:/\s]{0,32}$")] = ""
    """Unix group whose processes may read the socket, besides the daemon's own; empty: no other."""
