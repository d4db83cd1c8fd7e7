"""The firewall's status and its judgement of open ports, in words and as JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from v2g.cli.render import table
from v2g.host.firewall.judgement import Finding, Idle, Judged
from v2g.host.firewall.kernel import Admitted, Counter

_MOST_DIFFERENCES = 40


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What ``status`` tells. ``in_force``: ``as applied``, ``changed``, ``not applied`` or ``not ours``.

    ``configuration``: ``same``, ``changed`` or ``unusable``, against what is in force.
    """

    in_force: str
    configuration: str
    applied_at_unix_s: float | None
    differences: tuple[str, ...]
    changes: tuple[str, ...]
    lacking: tuple[str, ...]
    remarks: tuple[str, ...]
    pending_s: float | None
    counters: tuple[Counter, ...]
    admitted: tuple[Admitted, ...]
    interfaces: Mapping[str, str]
    """Interface of each set of vehicles."""

    @property
    def sound(self) -> bool:
        return self.in_force == "as applied" and self.configuration == "same"


def changes(put: str, wanted: str) -> tuple[str, ...]:
    """Lines of the text that is in force and of the one that the configuration makes: ``- old``, ``+ new``."""
    lines = difflib.unified_diff(put.splitlines(), wanted.splitlines(), lineterm="", n=0)
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))


def status_text(status: Status, applied_at: str) -> str:
    lines = [_headline(status, applied_at)]
    if status.pending_s is not None:
        lines.append(
            f"NOT CONFIRMED: the rules from before come back in {status.pending_s:.0f} s; to keep these, from a new "
            "connection: v2g-tool firewall confirm"
        )
    lines += [f"the kernel lacks {text}" for text in status.lacking]
    lines += _some("in the kernel, against what was applied:", status.differences)
    if status.configuration == "unusable":
        lines.append("the configuration cannot be used at present: v2g-orchestrator --check-config")
    elif status.changes:
        lines += _some("the configuration makes other rules now (v2g-tool firewall apply):", status.changes)
    lines += [f"note: {text}" for text in status.remarks]
    if status.counters:
        rows = ((one.chain, one.verdict, str(one.packets), str(one.octets), one.words) for one in status.counters)
        lines += ["", table(("CHAIN", "VERDICT", "PACKETS", "OCTETS", "RULE"), rows)]
    if status.admitted:
        vehicles = (
            (status.interfaces.get(one.set_name, one.set_name), one.mac, f"{one.left_s} s") for one in status.admitted
        )
        lines += ["", table(("PLC LINK", "ADMITTED", "FOR"), vehicles)]
    return "\n".join(lines)


def check_text(judged: Sequence[Judged], idle_rules: Sequence[Idle]) -> str:
    lines = []
    by_finding = {finding: [one for one in judged if one.finding is finding] for finding in Finding}
    if open_ones := by_finding[Finding.UNEXPLAINED]:
        lines.append(f"{len(open_ones)} open port{'s' if len(open_ones) > 1 else ''} that no rule explains:")
        lines += [f"  {one.listener}  {_owner(one)}\n      {one.words}" for one in open_ones]
    else:
        lines.append("every open port is explained")
    if explained := by_finding[Finding.EXPLAINED]:
        rows = ((str(one.listener), _owner(one), one.words) for one in explained)
        lines += ["", table(("OPEN", "PROCESS", "BY"), rows)]
    for finding, words in ((Finding.CLIENT, "sockets of clients"), (Finding.LOCAL, "reached by this host only")):
        if found := by_finding[finding]:
            lines += ["", f"{words}: " + ", ".join(f"{one.listener} {_owner(one)}" for one in found)]
    if idle_rules:
        lines += ["", "rules for ports at which nobody listens:"]
        lines += [f"  {one.protocol} {one.port}  {one.source}" for one in idle_rules]
    return "\n".join(lines)


def check_json(judged: Iterable[Judged], idle_rules: Iterable[Idle]) -> dict[str, Any]:
    return {
        "sockets": [
            {
                "protocol": one.listener.protocol,
                "address": str(one.listener.address),
                "port": one.listener.port,
                "uid": one.listener.uid,
                "process": one.listener.owner,
                "finding": one.finding.value,
                "words": one.words,
            }
            for one in judged
        ],
        "idle_rules": [{"protocol": one.protocol, "port": one.port, "source": one.source} for one in idle_rules],
    }


def _headline(status: Status, applied_at: str) -> str:
    if status.in_force == "not applied":
        return "the firewall is NOT applied: v2g-tool firewall apply"
    if status.in_force == "not ours":
        return "a table v2g is in force that v2g-tool has not put there, or no longer knows: v2g-tool firewall apply"
    words = {"same": "and the configuration makes the same rules", "changed": "but the configuration has changed since"}
    state = "as applied" if status.in_force == "as applied" else "CHANGED since it was applied"
    return f"the firewall is in force, {state} at {applied_at}, {words.get(status.configuration, '')}".rstrip(", ")


def _some(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  ... and {len(lines) - _MOST_DIFFERENCES} more"] if len(lines) > _MOST_DIFFERENCES else []
    return [title, *(f"  {line.strip()}" for line in lines[:_MOST_DIFFERENCES]), *more]


def _owner(one: Judged) -> str:
    return one.listener.owner or f"uid {one.listener.uid}"
