"""Powerline links: the section ``plc`` of the site, and ``plc`` of an EVSE."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from v2g.config.schema_base import Section

PlcPort = Annotated[str, Meta(pattern=r"^(unix:/.{1,100})?$")]


class EvsePlc(Section, frozen=True, kw_only=True):
    """The EVSE is reached over a powerline modem at its ``interface``. Only the matched vehicle is served there."""

    port: PlcPort = ""
    """Empty: the modem is at ``interface``. ``unix:/path``: at a socket of a simulated powerline, without root."""
    calibration_db: Annotated[float, Meta(ge=0, le=40)] = 0.0
    """What the EVSE's own coupling adds; taken off what its modem measures, in every carrier group."""
    pilot: Literal["evse", "modem", "none"] = "evse"
    """Who tells that a vehicle is plugged in: the EVSE's device, the modem's board (ST/IoTecha frames), or nobody: then
    every vehicle on the line is answered."""
    reset_modem: bool = True
    """Reset the modem when kplc-driver starts."""


class Plc(Section, frozen=True, kw_only=True):
    """Of all powerline links."""

    parallel_matchings: Annotated[int, Meta(ge=1, le=32)] = 5
    """Vehicles that may match at one EVSE at once."""
    warn_db: Annotated[float, Meta(gt=0, le=60)] = 20.0
    """Average attenuation above which a link is warned of."""
    init_s: Annotated[float, Meta(ge=20, le=50)] = 50.0
    """TT_EVSE_SLAC_init: how long a vehicle that is plugged in may take to begin."""
    join_s: Annotated[float, Meta(ge=1, le=60)] = 12.0
    """TT_match_join."""
    poll_s: Annotated[float, Meta(ge=0.1, le=5)] = 0.3
    """Between two looks at a modem's link."""
    validate: bool = False
    """Let vehicles prove by toggling the pilot that they are at this EVSE: its device must count the toggles."""
