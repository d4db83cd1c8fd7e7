"""VehicleCheckIn and VehicleCheckOut, for stations that know where a vehicle stands (ACDP, WPT). No state of the
conductive services allows them, so the transition table has no place for them."""

from __future__ import annotations

from pyiso15118.messages import common_messages as cm
from pyiso15118.secc.answers import Code
from pyiso15118.secc.session import Reply, Situation
from pyiso15118.secc.transitions import Outcome


def handle_vehicle_check_in(
    request: cm.VehicleCheckInReq,
    situation: Situation,
    *,
    parking_space: int | None = None,
    device_location: int | None = None,
    target_distance: int | None = None,
) -> Reply:
    """Tells the vehicle where its place is; lengths in the unit and range of the schema (signed 16 bits).

    Again until the vehicle says it has completed.
    """
    done = request.EVCheckInStatus is cm.evCheckInStatusType.Completed
    return Reply(
        response=cm.VehicleCheckInRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            ParkingSpace=parking_space,
            DeviceLocation=device_location,
            TargetDistance=target_distance,
        ),
        session=situation.session,
        outcome=Outcome.DONE if done else Outcome.AGAIN,
    )


def handle_vehicle_check_out(
    request: cm.VehicleCheckOutReq, situation: Situation, *, device_is_away: bool = False
) -> Reply:
    """Scheduled until the vehicle may drive off, which is when the charging device is out of its way."""
    status = cm.evseCheckOutStatusType
    return Reply(
        response=cm.VehicleCheckOutRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            EVSECheckOutStatus=status.Completed if device_is_away else status.Scheduled,
        ),
        session=situation.session,
        outcome=Outcome.DONE if device_is_away else Outcome.AGAIN,
    )
