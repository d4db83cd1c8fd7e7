"""``subscribe``: what a connection wants to be told of without asking."""

from __future__ import annotations

from typing import Final, Literal

from v2g.control.messages import Params

Topic = Literal["status", "thermal", "thermal.course", "mesh.show"]
"""Each notification is what the method of this name would answer: ``status`` and ``thermal`` each second, the others
every five."""
EVERYTHING: Final[tuple[Topic, ...]] = ("status", "thermal", "thermal.course", "mesh.show")


class SubscribeParams(Params, frozen=True, kw_only=True):
    """A later ``subscribe`` of the same connection replaces an earlier one."""

    topics: tuple[Topic, ...] = ("status",)
