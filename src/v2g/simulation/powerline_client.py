"""The powerline's control socket, for whoever measures or disturbs it."""

from __future__ import annotations

from v2g.simulation.line_client import LineClient


class PowerlineClient(LineClient):
    """Requests are those of :mod:`v2g.simulation.powerline_config`."""

    NAME = "powerline"
