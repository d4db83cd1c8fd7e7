"""The method ``firewall.note``: the firewall is changed by a command of root's, and told here for the audit log."""

from __future__ import annotations

from typing import Any

from v2g.control.messages_firewall import FirewallNoteParams, FirewallNoteResult
from v2g.control.server import Caller, Method, Role


class FirewallApi:
    """The line itself is written by the control server, as for every call that changes something."""

    def methods(self) -> tuple[Method[Any], ...]:
        return (Method("firewall.note", Role.ENGINEER, FirewallNoteParams, self.note),)

    async def note(self, params: FirewallNoteParams, caller: Caller) -> FirewallNoteResult:
        return FirewallNoteResult()
