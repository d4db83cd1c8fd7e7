"""Parameters and results of the control-socket methods about sensors."""

from __future__ import annotations

import msgspec

from v2g.control.messages import Params


class SensorsReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``sensors.reload``: guard and ``wires`` both work by what was read."""

    message: str
    digest: str
    """Of the guard's settings in force."""


class SensorsCalibrateParams(Params, frozen=True, kw_only=True):
    """``sensors.calibrate``: a channel against a reference instrument, at this moment; role engineer."""

    name: str
    """As in sensor_map.conf."""
    reference: float
    unit: str
    """Of ``reference``; another one than the channel's is refused."""
    acknowledge: str = ""
    """The qualified person who answers for it; refused without."""


class SensorsCalibrateResult(msgspec.Struct, frozen=True, kw_only=True):
    """``before`` and ``after`` in ``unit``, as measured; ``changed`` False: it was right, ``words`` say how near."""

    name: str
    unit: str
    changed: bool
    reference: float
    before: float
    after: float
    factor_before: float
    factor_after: float
    words: str = ""
    file: str = ""
    """What was written; empty: nothing."""
    by: str = ""
    at: str = ""


class SensorLine(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of the sensor map."""

    name: str
    kind: str
    """``quantity``, ``buffer``, ``contact`` or ``pilot``."""
    source: str
    value: float | None
    """Of a channel of the waveform buffer: its RMS."""
    unit: str
    """Empty for a contact."""
    quality: str
    """``good``, ``old``, ``implausible``, ``lost``; ``not told`` where nobody tells its value."""
    words: str = ""
    """Why it is not good."""
    age_s: float | None = None
    position: str = ""
    """Of a contact: ``closed``, ``open``; of an interlock ``healthy``, ``open``; either ``unknown``."""
    scale: float | None = None
    offset: float | None = None
    scale_from: str = ""
    """File and line of the channel in the sensor map."""
    factor: float | None = None
    factor_from: str = ""
    """File of the calibrated factor; empty: never calibrated."""
    calibrated_at: str = ""
    calibrated_by: str = ""


class SensorsListResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``sensors.list``: by the files as they are now."""

    file: str
    sensors: tuple[SensorLine, ...]
    remarks: tuple[str, ...] = ()
    """That the files have mistakes, or say something else than what is in force."""
