"""The part ``utility.openadr``: a virtual top node (VTN) of OpenADR 3 whose events are followed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section


class OpenAdr(Section, frozen=True, kw_only=True):
    url: Annotated[str, Meta(pattern="^https?://")]
    """Base URL of the VTN, as ``https://vtn.example/openadr3/3.1.0``. http only towards this host itself."""
    client_id: Annotated[str, Meta(min_length=1)]
    """Of the OAuth 2.0 client."""
    client_secret_file: Annotated[str, Meta(min_length=1)]
    """A file that only the daemon's user can read."""
    ven_name: Annotated[str, Meta(min_length=1, max_length=128)]
    """By which the VTN knows us."""
    program: str = ""
    """Name of the program; empty: all programs that the VTN shows us."""
    token_url: str = ""
    """Empty: ``<url>/auth/token``, or where that is missing the one that ``<url>/auth/server`` tells."""
    ca: str = ""
    """PEM file of the authority that signed the VTN's certificate; empty: the system's."""
    poll_s: Annotated[float, Meta(ge=5, le=3600)] = 30.0
    """Between two looks at the VTN's events."""
    timeout_s: Annotated[float, Meta(ge=1, le=60)] = 10.0
    """Of one request, from its first octet to the last one of the answer."""
    scope: str = ""
    """Of the OAuth 2.0 token; empty: what the authorisation server gives by default."""
    targets: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=50)] = ()
    """Targets (groups, resources ...) that mean this VEN, besides those that the VTN has on record for it."""
    simple_caps_w: tuple[float, float, float] | None = None
    """What SIMPLE levels 1, 2 and 3 mean: caps of the V2G feeder's net power, negative asks for discharge. Without it
    SIMPLE is not followed."""
