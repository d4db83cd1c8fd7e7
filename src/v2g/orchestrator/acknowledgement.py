"""A qualified person's acknowledgement of a commissioning command (NFPA 70E or equivalent): checked and recorded."""

from __future__ import annotations

from collections.abc import Callable

from v2g.control.server import Caller, Refused

MIN_CHARS = 2
MAX_CHARS = 80

Audit = Callable[..., None]
"""``audit(code, message, **fields)``: a line in audit.log."""


def cleaned(name: str) -> str:
    """Printable characters only, single spaces, at most :data:`MAX_CHARS`; empty for what is no name."""
    words = "".join(each if each.isprintable() else " " for each in name).split()
    text = " ".join(words)[:MAX_CHARS].rstrip()
    return text if len(text) >= MIN_CHARS and any(each.isalpha() for each in text) else ""


def acknowledged(name: str, command: str, caller: Caller, audit: Audit) -> str:
    """The name as it is recorded, after a line in audit.log. ``command``: as people give it, ``v2g-tool test-relay``.

    Raises :class:`Refused` without a name.
    """
    person = cleaned(name)
    if not person:
        raise Refused(
            f"{command} needs the acknowledgement of a qualified person (NFPA 70E or equivalent): give his name with "
            f"--acknowledge NAME, {MIN_CHARS} to {MAX_CHARS} characters",
            code="NOT_ACKNOWLEDGED",
        )
    audit(
        "ACKNOWLEDGED",
        f"{person} answers for {command}, given by {caller.user}",
        command=command,
        user=caller.user,
        acknowledged_by=person,
    )
    return person
