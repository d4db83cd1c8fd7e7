"""VehicleCheckIn and VehicleCheckOut: handlers that no state of ours has a place for."""

from typing import Any

import pytest

from pyiso15118.events import DcLimits
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import TRANSITIONS, SeccConfig
from pyiso15118.secc.handlers_parking import handle_vehicle_check_in, handle_vehicle_check_out
from pyiso15118.secc.session import Session, Situation
from pyiso15118.secc.transitions import Outcome

HEADER = ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=1)


@pytest.fixture
def situation(evse_limits: DcLimits) -> Situation:
    config = SeccConfig(evse_id="US*V2G*E1", limits=evse_limits)
    return Situation(config=config, session=Session(), now=0.0, header=HEADER)


@pytest.mark.parametrize("status", cm.evCheckInStatusType)
def test_a_vehicle_is_shown_its_place_until_it_stands(situation: Any, status: cm.evCheckInStatusType) -> None:
    request = cm.VehicleCheckInReq(Header=HEADER, EVCheckInStatus=status, ParkingMethod=cm.parkingMethodType.Manual)
    reply = handle_vehicle_check_in(request, situation, parking_space=7, device_location=-30, target_distance=1200)
    assert reply.response == cm.VehicleCheckInRes(
        Header=HEADER, ResponseCode=ct.responseCodeType.OK, ParkingSpace=7, DeviceLocation=-30, TargetDistance=1200
    )
    assert (reply.outcome is Outcome.DONE) is (status is cm.evCheckInStatusType.Completed)


@pytest.mark.parametrize(("away", "status"), [(False, "Scheduled"), (True, "Completed")])
def test_a_vehicle_may_leave_once_the_device_is_out_of_its_way(situation: Any, away: bool, status: str) -> None:
    request = cm.VehicleCheckOutReq(
        Header=HEADER, EVCheckOutStatus=cm.evCheckOutStatusType.CheckOut, CheckOutTime=1_700_000_000
    )
    reply = handle_vehicle_check_out(request, situation, device_is_away=away)
    assert reply.response.EVSECheckOutStatus == status
    assert (reply.outcome is Outcome.DONE) is away


def test_no_state_allows_either() -> None:
    assert not any(name.startswith("VehicleCheck") for requests in TRANSITIONS.values() for name in requests)
