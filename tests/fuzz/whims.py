"""What owners may want at any moment, sensible or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyiso15118.commands import (
    Abort,
    Authorize,
    CableCheckFinished,
    Command,
    ContactorsClosed,
    EnterStandby,
    InstallCertificate,
    LeaveStandby,
    OfferSchedules,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    SelectSchedule,
    SetGridCode,
    SetMobilityNeeds,
    StopCharging,
)
from pyiso15118.events import EnergyService, MeterReading
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import flat_schedule, follow
from support.grid_codes import ALL_CODES, IEC_CODE, NEXT_TO_NOTHING

OTHER_SCHEDULES = (flat_schedule(9_000.0), flat_schedule(4_000.0, discharge_power_w=-3_000.0, id=2))
METER = MeterReading(meter_id="M2", charged_energy_wh=1_000, discharged_energy_wh=None)

WHIMS_OF_VEHICLE: tuple[Command, ...] = (
    *(EnterStandby(), LeaveStandby(), RenegotiateSchedule(), RenegotiateService(), PauseCharging(), StopCharging()),
    RenegotiateService(services=(int(EnergyService.DC), int(EnergyService.AC))),
    *(SelectSchedule(profile=follow(schedule)) for schedule in OTHER_SCHEDULES),
    ContactorsClosed(),
    Abort(reason="the driver pulled the plug"),
)


def _telling(**changes: Any) -> Callable[[Any], None]:
    return lambda station: station.update(**changes)


def _commanding(command: Command) -> Callable[[Any], None]:
    return lambda station: station.command(command)


WHIMS_OF_CHARGER: tuple[Callable[[Any], None], ...] = (
    *(_telling(notification=notification) for notification in (*ct.evseNotificationType, None)),
    *(_telling(fault=fault) for fault in ("too hot", None)),
    *(_telling(contactors_closed=closed, contactor_closed=closed) for closed in (True, False)),
    *(_telling(present_voltage_v=voltage_v) for voltage_v in (0.0, 380.0, 900.0)),
    *(_telling(present_current_a=current_a) for current_a in (0.0, 60.0, -60.0)),
    *(_telling(meter=meter) for meter in (METER, None)),
    *(_commanding(Authorize(granted=granted)) for granted in (True, False)),
    *(_commanding(CableCheckFinished(passed=passed)) for passed in (True, False)),
    *(_commanding(OfferSchedules(tuples=OTHER_SCHEDULES, go_to_pause=pause)) for pause in (False, True)),
    _commanding(OfferSchedules(tuples=())),
    *(_commanding(SetMobilityNeeds(departure_time_s=600, go_to_pause=pause)) for pause in (False, True)),
    *(_commanding(SetGridCode(code=code)) for code in (*ALL_CODES, IEC_CODE, NEXT_TO_NOTHING)),
    _commanding(InstallCertificate(response=None)),
    _commanding(Abort(reason="the emergency button was pressed")),
)
