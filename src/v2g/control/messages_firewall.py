"""Parameters and result of ``firewall.note`` (engineer): what ``v2g-tool firewall`` did, for the audit log."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.control.messages import Params


class FirewallNoteParams(Params, frozen=True, kw_only=True):
    """``code``: of the catalogue, as ``FIREWALL_APPLIED``. ``words``: who, and what about it."""

    code: Annotated[str, Meta(pattern="^FIREWALL_[A-Z_]{1,40}$")]
    words: Annotated[str, Meta(max_length=200)] = ""


class FirewallNoteResult(msgspec.Struct, frozen=True, kw_only=True):
    """``noted``: the audit log has it."""

    noted: bool = True
