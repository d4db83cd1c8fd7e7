"""The section ``sessions``: how vehicles' sessions end when the daemon stops, and for how long a pause is kept."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from v2g.config.schema_base import EvseId, Section


class SessionsConfig(Section, frozen=True, kw_only=True):
    on_stop: Literal["pause", "terminate"] = "pause"
    """What vehicles are asked for at a stop, a restart or for maintenance, power at zero first: ``pause`` lets them
    come back to their sessions, ``terminate`` ends them. One that does not follow a pause is told to terminate; so is,
    from the beginning, one that shows no certificate: it could not be known again."""
    never_pause: Annotated[tuple[EvseId, ...], Meta(max_length=500)] = ()
    """EVSEs whose vehicles are told to terminate all the same: for those that break off at a notification they do not
    know."""
    notification_delay_s: Annotated[int, Meta(ge=1, le=10)] = 5
    """NotificationMaxDelay: so long a vehicle may take to act on it. A stop takes up to 15 s more."""
    resume_within_h: Annotated[float, Meta(ge=0, le=168)] = 24.0
    """So long a paused session can be resumed, over restarts too; 0: never."""
