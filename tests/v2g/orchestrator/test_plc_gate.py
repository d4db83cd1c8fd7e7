"""Who is let in at an EVSE with a powerline link, and when a session there has to end; in injected time."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from v2g.config.schema import DcEvse
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.guard.link import Image
from v2g.hardware.ports import DcEvseReading, Insulation, PilotReading, PilotState
from v2g.orchestrator.plc_admission import ASKED_AGAIN_S, Admission
from v2g.orchestrator.plc_gate import UNKNOWN_MAC, PlcGate
from v2g.plc.link import EvsePilot, PlcAlive, PlcChange, PlcImage
from v2g.plc.link_client import PlcLines

E1, E2, E3, E4 = (f"US*V2G*E{n}" for n in range(1, 5))
MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"


class Driver:
    """What it said last, as the client keeps it."""

    def __init__(self) -> None:
        self.known = PlcLines()
        self.say(0.0)

    @property
    def lines(self) -> Mapping[str, PlcLine]:
        return self.known.lines

    def silent(self, now_s: float) -> str:
        return "" if self.known.is_fresh(now_s) else "kplc-driver is silent"

    def say(self, now_s: float, *lines: PlcLine) -> None:
        self.known.take(PlcImage(as_of_s=now_s, lines=lines))


def line(evse_id: str = E1, state: PlcState = PlcState.LINKED, **fields: Any) -> PlcLine:
    if state is PlcState.LINKED:
        fields = {"vehicle_mac": MAC} | fields
    return PlcLine(evse_id=evse_id, interface="evse1", state=state, **fields)


def evse(evse_id: str, interface: str, plc: dict[str, Any] | None) -> DcEvse:
    modbus = {"modbus": {"host": "10.0.0.1"}}
    raw = {"kind": "DC", "id": evse_id, "interface": interface, "inverter": modbus, "dc": modbus, "plc": plc}
    return msgspec.convert(raw, DcEvse)


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def gate(driver: Driver) -> PlcGate:
    evses = (
        evse(E1, "evse1", {}),
        evse(E2, "lo", {"port": "unix:/run/v2g/powerline.sock"}),
        evse(E3, "evse3", None),
        evse(E4, "evse4", {"pilot": "modem"}),
    )
    return PlcGate(evses, driver)


def test_an_evse_without_a_powerline_link_is_not_concerned(gate: PlcGate) -> None:
    assert gate.refusal(E3, None, 99.0) is None
    assert gate.ending(E3, 99.0) == gate.note(E3, 99.0) == ""
    assert gate.evse_ids == (E1, E2, E4)


def test_only_the_matched_vehicle_is_let_in(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line())
    assert gate.refusal(E1, MAC, 10.0) is None
    assert gate.refusal(E1, OTHER, 10.0) == (
        f"its MAC address is {OTHER}, and the vehicle that was matched here is {MAC}"
    )
    assert gate.refusal(E1, None, 10.0) == UNKNOWN_MAC


def test_a_mac_address_is_the_same_in_capitals(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line(vehicle_mac="02:AB:00:00:00:01"))
    assert gate.refusal(E1, "02:ab:00:00:00:01", 10.0) is None


def test_on_the_loopback_the_link_suffices(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line(E2, PlcState.JOINING))
    assert gate.refusal(E2, None, 10.0) == "the powerline link is not up: joining"
    driver.say(10.0, line(E2))
    assert gate.refusal(E2, None, 10.0) is None
    assert not gate.needs_mac(E2)


@pytest.mark.parametrize("state", [state for state in PlcState if state is not PlcState.LINKED])
def test_in_no_other_state_anybody_is_let_in(gate: PlcGate, driver: Driver, state: PlcState) -> None:
    driver.say(10.0, line(state=state))
    assert gate.refusal(E1, MAC, 10.0) == f"the powerline link is not up: {state.value}"


def test_a_vehicle_that_is_named_without_a_link_and_a_link_without_a_vehicle_are_none(
    gate: PlcGate, driver: Driver
) -> None:
    for contradictory in (line(state=PlcState.MATCHING, vehicle_mac=MAC), line(vehicle_mac=None), line(vehicle_mac="")):
        driver.say(10.0, contradictory)
        assert gate.refusal(E1, MAC, 10.0) is not None
        assert gate.ending(E1, 10.0).startswith("powerline link lost")


@pytest.mark.parametrize("as_of_s", [8.9, 11.1, -1e9, float("nan")])
def test_a_driver_that_is_silent_or_of_another_time_knows_no_vehicle(
    gate: PlcGate, driver: Driver, as_of_s: float
) -> None:
    driver.say(as_of_s, line())
    assert gate.refusal(E1, MAC, 10.0) == "the powerline link is not up: kplc-driver is silent"
    assert gate.ending(E1, 10.0) == "powerline link not known: kplc-driver is silent"


def test_a_driver_without_this_link_names_the_remedy(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line(E2))
    assert "systemctl restart kplc-driver" in str(gate.refusal(E1, MAC, 10.0))


def test_before_its_whole_image_a_new_connection_says_nothing(driver: Driver, gate: PlcGate) -> None:
    driver.say(10.0, line())
    driver.known.begin()
    driver.known.take(PlcAlive(as_of_s=11.0))
    driver.known.take(PlcChange(as_of_s=11.0, lines=(line(vehicle_mac=OTHER),)))
    assert driver.known.as_of_s == 10.0
    assert gate.refusal(E1, MAC, 10.9) is None, "what is kept counts until its own time is over"
    assert gate.refusal(E1, MAC, 11.1) is not None
    driver.say(11.1, line(vehicle_mac=OTHER))
    assert gate.refusal(E1, OTHER, 11.1) is None


def test_a_change_leaves_the_other_links_and_an_alive_keeps_all(driver: Driver, gate: PlcGate) -> None:
    driver.say(10.0, line(), line(E2))
    driver.known.take(PlcChange(as_of_s=10.1, lines=(line(state=PlcState.FREE),)))
    assert gate.refusal(E1, MAC, 10.1) is not None
    driver.known.take(PlcAlive(as_of_s=12.0))
    assert gate.refusal(E2, None, 12.5) is None


def test_a_session_ends_with_its_link(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line())
    assert gate.begin(E1, MAC, 10.0) is None
    assert gate.in_session == (E1,)
    assert gate.ending(E1, 10.5) == ""
    driver.say(10.6, line(state=PlcState.FREE, problem="the modem no longer sees the vehicle"))
    assert gate.ending(E1, 10.6) == "powerline link lost: the modem no longer sees the vehicle"
    gate.end(E1)
    assert gate.in_session == ()


def test_a_session_does_not_go_on_with_another_vehicle(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line())
    gate.begin(E1, MAC, 10.0)
    driver.say(10.1, line(vehicle_mac=OTHER))
    assert MAC in gate.ending(E1, 10.1)
    gate.end(E1)
    assert gate.ending(E1, 10.1) == "", "the next session is the other vehicle's"


def test_who_is_refused_is_not_bound(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line())
    assert gate.begin(E1, OTHER, 10.0) is not None
    assert gate.in_session == ()


def test_ending_words_have_no_figures_that_change(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line())
    assert gate.ending(E1, 11.5) == gate.ending(E1, 17.3) != ""


@pytest.mark.parametrize("state", [PlcState.FREE, PlcState.WAITING, PlcState.MATCHING, PlcState.LINKED])
def test_a_link_in_its_course_is_no_fault(gate: PlcGate, driver: Driver, state: PlcState) -> None:
    driver.say(10.0, line(state=state))
    assert gate.note(E1, 10.0) == ""


def test_a_link_that_failed_is_told(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line(state=PlcState.WAITING, problem="35 dB: no vehicle can be told apart"))
    assert gate.note(E1, 10.0) == "no powerline link: 35 dB: no vehicle can be told apart"
    driver.say(10.0, line(state=PlcState.NO_MODEM))
    assert gate.note(E1, 10.0) == "no powerline link: no modem"
    assert gate.note(E1, 20.0) == "no powerline link: kplc-driver is silent"


def test_an_error_on_the_pilot_is_asked_for_by_a_driver_that_is_there(gate: PlcGate, driver: Driver) -> None:
    driver.say(10.0, line(state=PlcState.ERROR, pilot_error=True), line(E3, PlcState.ERROR, pilot_error=True))
    assert gate.pilot_error(E1, 10.0)
    assert not gate.pilot_error(E2, 10.0)
    assert not gate.pilot_error(E3, 10.0), "it has no powerline link"
    assert not gate.pilot_error(E1, 11.5)


def reading(evse_id: str, as_of_s: float, pilot: PilotReading | None) -> DcEvseReading:
    return DcEvseReading(
        evse_id=evse_id,
        as_of_s=as_of_s,
        present_voltage_v=0.0,
        present_current_a=0.0,
        contactors_closed=False,
        contactors_commanded=False,
        insulation=Insulation.UNKNOWN,
        insulation_ohm=0.0,
        connector_locked=False,
        plugged=True,
        max_voltage_v=920.0,
        min_voltage_v=150.0,
        max_current_a=80.0,
        max_power_w=22_000.0,
        pilot=pilot,
    )


@pytest.mark.parametrize(
    ("as_of_s", "pilot", "told"),
    [
        (10.0, PilotReading(state=PilotState.B, toggles=2), (PilotState.B, 2)),
        (10.0, PilotReading(state=None), (None, None)),
        (10.0, None, (None, None)),
        (8.9, PilotReading(state=PilotState.B, toggles=2), (None, None)),
    ],
)
def test_pilots_are_told_as_they_are_and_old_ones_as_unknown(
    gate: PlcGate, as_of_s: float, pilot: PilotReading | None, told: tuple[PilotState | None, int | None]
) -> None:
    wires = Image(sequence=1, as_of_s=10.0, permit=True, permit_reason="", evses=(reading(E1, as_of_s, pilot),))
    of_e1, of_e2 = gate.pilots(wires, 10.0)
    assert of_e1 == EvsePilot(evse_id=E1, state=told[0], toggles=told[1])
    assert of_e2 == EvsePilot(evse_id=E2, state=None), "whose modem tells its pilot is left out"
    assert {pilot.state for pilot in gate.pilots(None, 10.0)} == {None}


class Clock:
    def __init__(self) -> None:
        self.now_s = 10.0

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_s(self) -> float:
        return 0.0


class Asked:
    def __init__(self, gate: PlcGate) -> None:
        self.table: dict[str, str] = {}
        self.clock = Clock()
        self.solicited: list[tuple[str, str]] = []
        self.admission = Admission(gate, self.clock, lambda host, scope: self.table.get(f"{host}%{scope}"))
        self.admission.solicit = lambda evse_id, peer: self.solicited.append((evse_id, peer.host))

    def admits(self, evse_id: str = E1, host: str = "fe80::ca") -> str | None:
        return self.admission.admits(evse_id, SimpleNamespace(host=host, scope_id=7))


@pytest.fixture
def asked(gate: PlcGate, driver: Driver) -> Asked:
    driver.say(10.0, line(), line(E2))
    return Asked(gate)


def test_who_is_not_known_yet_is_asked_for_its_mac_and_judged_by_it_then(asked: Asked) -> None:
    assert asked.admits() == ""
    assert asked.solicited == [(E1, "fe80::ca")]
    asked.table["fe80::ca%7"] = MAC
    assert asked.admits() is None
    assert len(asked.solicited) == 1


def test_who_never_tells_its_mac_is_turned_away_with_the_reason(asked: Asked, driver: Driver) -> None:
    assert asked.admits() == ""
    asked.clock.now_s += ASKED_AGAIN_S
    driver.say(asked.clock.now_s, line())
    assert asked.admits() == UNKNOWN_MAC


def test_an_address_that_is_made_from_the_matched_mac_proves_nothing(asked: Asked) -> None:
    forged = "fe80::ff:fe00:1"
    assert asked.admits(host=forged) == ""
    asked.table[f"{forged}%7"] = OTHER
    assert OTHER in str(asked.admits(host=forged))


def test_nobody_is_asked_where_no_vehicle_is_matched_or_none_has_a_mac(asked: Asked, driver: Driver) -> None:
    assert asked.admits(E2, "::1") is None
    assert asked.admits(E3) is None
    driver.say(10.0, line(state=PlcState.FREE))
    assert asked.admits() == "the powerline link is not up: free"
    assert asked.solicited == []


def test_who_asks_while_the_link_is_about_to_be_up_is_not_served_yet_and_not_told_of(
    asked: Asked, driver: Driver
) -> None:
    driver.say(10.0, line(state=PlcState.JOINING))
    asked.table["fe80::ca%7"] = OTHER
    assert asked.admits() == ""
    driver.say(10.0, line())
    assert OTHER in str(asked.admits())
    driver.say(10.0, line(state=PlcState.JOINING))
    asked.clock.now_s += 5.0
    assert "kplc-driver is silent" in str(asked.admits())


def test_memory_of_who_was_asked_is_bounded(asked: Asked) -> None:
    for number in range(1000):
        asked.admits(host=f"fe80::{number:x}")
    assert len(asked.admission._asked) <= 64
