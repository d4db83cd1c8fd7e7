"""Results of ``audit.head`` and ``audit.verify``; that of the latter is
:class:`v2g.telemetry.audit_verify.Verdict`."""

from __future__ import annotations

import msgspec


class AuditHeadResult(msgspec.Struct, frozen=True, kw_only=True):
    """``seq`` and ``chain``: of the last line; written down elsewhere they tell later whether the log was rewritten.
    ``kept_seq``: of ``audit.head`` on the disk. ``problem``: why the chain is not what it should be."""

    log: str
    seq: int
    chain: str
    kept_seq: int | None
    key: str
    problem: str = ""
