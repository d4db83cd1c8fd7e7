"""Parameters and results of ``discharge.test`` (engineer): the first discharge of an EVSE, measured and judged."""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params


class DischargeTestParams(Params, frozen=True, kw_only=True):
    """``step``: ``start``, ``state``, ``abort``. With ``start``: ``power_w`` (magnitude) for ``duration_s`` at
    ``evse_id``, and the qualified person who answers for it."""

    step: str
    evse_id: str = ""
    power_w: float = 2000.0
    duration_s: float = 30.0
    acknowledge: str = ""


class DischargeTestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a test measured; means over the time after settling. Powers are magnitudes of discharge, W.

    ``efficiency``: AC over DC, None where it could not be measured. ``deviation``: of the AC power from the order, as a
    share of it. ``reasons``: why it is not passed.
    """

    evse_id: str
    at: str
    by: str
    acknowledged_by: str
    passed: bool
    reasons: tuple[str, ...]
    order_w: float
    ac_w: float | None
    dc_w: float | None
    efficiency: float | None
    deviation: float | None
    reversion_armed: bool
    islanding_watched: bool
    samples: int
    duration_s: float
    remarks: tuple[str, ...] = ()


class DischargeTestResult(msgspec.Struct, frozen=True, kw_only=True):
    """``record`` when it is over. ``ac_w`` and ``efficiency``: so far."""

    running: bool
    evse_id: str
    elapsed_s: float
    of_s: float
    ac_w: float | None = None
    efficiency: float | None = None
    record: DischargeTestRecord | None = None
    recorded_in: str = ""
