"""The part ``utility.openadr``: a virtual top node (VTN) of OpenADR 3 whose events are followed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section


class OpenAdr(Section, frozen=True, kw_only=True):
    url: Annotated[str, Meta(pattern="^https?://")]
    """Base URL of the VTN, as ``https://vtn.example/openadr3/3.1.0``. http only towards this host itself."""
    client_id: Annotated[str, Meta(min_length=1)]
    client_secret_file: Annotated[str, Meta(min_length=1)]
    """A file that only the daemon's user can read."""
    ven_name: Annotated[str, Meta(min_length=1, max_length=128)]
    program: str = ""
    """Name of the program; empty: all programs that the VTN shows us."""
    token_url: str = ""
    """Empty: ``<url>/auth/token``."""
    ca: str = ""
    """PEM file of the authority that signed the VTN's certificate; empty: the system's."""
    poll_s: Annotated[float, Meta(ge=5, le=3600)] = 30.0
