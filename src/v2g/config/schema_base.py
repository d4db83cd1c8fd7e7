"""What the sections of the configuration are made of: frozen, no unknown keys; and ranges that recur."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Port = Annotated[int, Meta(ge=1, le=65535)]
EvseId = Annotated[str, Meta(pattern=r"^[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}$")]
"""ISO 15118 EVSEID form: country, operator, ``E``, id; for example ``US*V2G*E1``."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section."""
