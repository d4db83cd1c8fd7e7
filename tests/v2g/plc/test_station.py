"""One EVSE's link, from the modem's reset to the vehicle's unplugging; what the log says of what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

from pyiso15118.slac.addresses import LOCAL_MODEM
from pyiso15118.slac.events import SetKey
from pyiso15118.slac.frame import Frame, encode_frame
from pyiso15118.slac.messages import CM_SET_KEY_REQ, CM_SLAC_PARM_REQ
from pyiso15118.slac.vendor import VS_ST_IOTECHA_CP_STATE_IND
from support.plc_modem import FOREIGN_NID
from support.plc_segment import Segment, text
from v2g.config.schema_plc import EvsePlc, Plc
from v2g.control.messages_plc import PlcState
from v2g.hardware.ports import PilotState
from v2g.plc.story import ATTENUATION, FAILED, HISTORY, LINK, LINK_LOST, MATCHING, MODEM


def linked(segment: Segment, at: int = 0) -> bool:
    return segment.places[at].station.linked_mac is not None


def ready(segment: Segment, at: int = 0) -> Segment:
    segment.places[at].station.pilot(PilotState.A)
    segment.until(lambda: segment.places[at].station.line().state is PlcState.FREE)
    return segment


def test_a_vehicle_is_matched_linked_and_told_of() -> None:
    segment = ready(Segment())
    station = segment.places[0].station
    car = segment.car(db=13.0)
    took_s = segment.until(lambda: linked(segment))
    line = station.line()
    assert took_s < 4.0
    assert (line.state, line.vehicle_mac) == (PlcState.LINKED, text(car))
    assert line.modem is not None
    assert line.modem.version == "MAC-QCA7000-1.1.0.730-04"
    assert line.attenuation is not None
    assert (line.attenuation.average_db, len(line.attenuation.groups_db), line.attenuation.sounds) == (13.0, 58, 10)
    assert (line.tx_mbps, line.rx_mbps, line.packet_loss, line.problem) == (10.0, 12.0, None, "")
    assert [entry.outcome for entry in line.history] == ["linked"]
    codes = [record.code for record in segment.places[0].records]
    assert codes == [MODEM, MATCHING, MATCHING, MATCHING, LINK]
    assert "10/12 Mbit/s" in segment.story()[-1]


def test_the_calibration_is_taken_off() -> None:
    segment = ready(Segment(plc=EvsePlc(calibration_db=5.0)))
    segment.car(db=13.0)
    segment.until(lambda: linked(segment))
    attenuation = segment.places[0].station.line().attenuation
    assert attenuation is not None
    assert attenuation.average_db == 8.0


def test_an_unplugged_vehicle_is_gone_at_once_and_the_next_one_gets_another_key() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    car = segment.car()
    segment.until(lambda: linked(segment))
    first = place.station.line().nid
    segment.run(30.0)
    segment.unplug(car)
    assert place.station.linked_mac is None
    segment.run(0.1)
    assert (
        segment.story()[-1]
        == f"WARNING {LINK_LOST} E1: the link to vehicle {text(car)} is lost: the vehicle was unplugged"
    )
    other = segment.car()
    segment.until(lambda: linked(segment))
    line = place.station.line()
    assert line.vehicle_mac == text(other)
    assert line.nid != first
    assert [entry.outcome for entry in line.history] == ["linked", "lost", "linked"]
    keys = [message.new_key for message in place.modem.asked if isinstance(message, CM_SET_KEY_REQ)]
    assert len(set(keys)) == len(keys) >= 2


def test_a_vehicle_whose_modem_leaves_is_lost_within_a_second() -> None:
    segment = ready(Segment())
    car = segment.car()
    segment.until(lambda: linked(segment))
    segment.run(20.0)
    car.nmk = b""
    took_s = segment.until(lambda: not linked(segment))
    assert took_s <= 0.7
    (record,) = segment.places[0].told(LINK_LOST)
    assert record.message.endswith("its modem has left our network")


def test_a_modem_that_dies_under_a_link_ends_it_within_a_second_and_says_what_to_look_at() -> None:
    segment = ready(Segment())
    segment.car()
    segment.until(lambda: linked(segment))
    segment.run(20.0)
    place = segment.places[0]
    place.modem.on = False
    took_s = segment.until(lambda: not linked(segment))
    assert took_s <= 1.0
    line = place.station.line()
    assert (line.state, line.modem, line.vehicle_mac) == (PlcState.NO_MODEM, None, None)
    assert line.problem == "no modem at evse1: it has not answered 2 polls in a row"
    lost = place.told(MODEM)[-1]
    assert lost.level == "warning"
    assert "likely: the modem is unplugged or without power" in lost.message
    place.modem.on = True
    segment.until(lambda: place.station.line().state is not PlcState.NO_MODEM)


def test_a_modem_that_comes_back_without_our_key_ends_the_link() -> None:
    segment = ready(Segment())
    segment.car()
    segment.until(lambda: linked(segment))
    segment.run(20.0)
    segment.places[0].modem.nid, segment.places[0].modem.nmk = FOREIGN_NID, b"another"
    assert segment.until(lambda: not linked(segment)) <= 0.7
    segment.run(5.0)
    assert "without our key" in segment.places[0].told(MODEM)[-2].message


def test_above_twenty_db_a_link_is_warned_of_with_causes() -> None:
    segment = ready(Segment())
    car = segment.car(db=19.6)
    segment.until(lambda: linked(segment))
    assert not segment.places[0].told(ATTENUATION)
    segment.unplug(car)
    segment.run(1.0)
    weak = segment.car(db=24.0)
    weak.machine.config = type(weak.machine.config)(ev_mac=weak.mac, indirect_db=30.0)
    segment.until(lambda: linked(segment))
    (record,) = segment.places[0].told(ATTENUATION)
    assert record.level == "warning"
    assert "is matched with 24 dB, above 20 dB" in record.message
    assert "corroded contact" in record.message
    assert record.fields["attenuation_db"] == 24.0


def test_a_vehicle_that_finds_35_db_everywhere_is_refused_and_the_log_explains_it() -> None:
    segment = ready(Segment())
    car = segment.car(db=35.0)
    segment.until(lambda: segment.places[0].told(FAILED), within_s=60.0)
    record = segment.places[0].told(FAILED)[0]
    assert record.level == "error"
    assert record.message.startswith(
        f"E1: PLC handshake failed at CM_SLAC_MATCH: vehicle {text(car)}: no CM_SLAC_MATCH"
    )
    assert "; attenuation 35 dB; likely: the signal is too weak" in record.message
    assert "remedy: clean and check the plug's pilot contact" in record.message
    assert record.fields == {"evse": "E1", "step": "CM_SLAC_MATCH", "mac": text(car), "attenuation_db": 35.0}
    assert not linked(segment)
    assert segment.places[0].station.line().history[-1].outcome == "failed"


def test_a_silent_vehicle_is_told_and_gets_an_error_on_the_pilot() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    place.station.pilot(PilotState.B)
    took_s = segment.until(lambda: place.told(FAILED), within_s=60.0)
    assert 50.0 <= took_s <= 50.1
    assert "failed at CM_SLAC_PARM: no CM_SLAC_PARM.REQ within 50 s" in place.told(FAILED)[0].message
    assert "measure the pilot with v2g-tool pilot check" in place.told(FAILED)[0].message
    assert place.station.line().pilot_error
    assert place.station.line().state is PlcState.ERROR


def test_the_error_that_was_asked_for_is_not_taken_for_an_unplugging() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    place.station.pilot(PilotState.B)
    segment.until(lambda: place.station.line().pilot_error, within_s=60.0)
    place.station.pilot(PilotState.F)
    segment.run(3.9)
    assert place.station.line().pilot_error
    segment.run(0.2)
    assert not place.station.line().pilot_error
    place.station.pilot(PilotState.F)
    place.station.pilot(PilotState.B)
    assert place.station.line().state is PlcState.WAITING


def test_state_f_that_nobody_asked_for_is_not_a_vehicle() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    place.station.pilot(PilotState.B)
    assert place.station.line().state is PlcState.WAITING
    place.station.pilot(PilotState.F)
    assert place.station.line().state is PlcState.FREE


def test_without_news_of_the_pilot_nobody_is_answered() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    car = segment.car()
    place.station.pilot(None)
    segment.run(5.0)
    assert not place.told(MATCHING)
    assert car.machine.chosen is None
    assert "does not tell the pilot" in place.station.line().problem
    place.station.pilot(PilotState.B)
    assert place.station.line().problem == ""


def test_a_pilot_that_is_not_known_any_more_leaves_a_link_that_is_up() -> None:
    segment = ready(Segment())
    segment.car()
    segment.until(lambda: linked(segment))
    segment.places[0].station.pilot(None)
    segment.run(5.0)
    assert linked(segment)


def test_where_nobody_tells_the_pilot_every_vehicle_is_answered() -> None:
    segment = Segment(plc=EvsePlc(pilot="none"))
    segment.run(5.0)
    segment.car()
    segment.until(lambda: linked(segment))


def test_the_modems_board_tells_the_pilot(shared_data: Path) -> None:
    segment = Segment(plc=EvsePlc(pilot="modem"))
    place = segment.places[0]
    segment.run(5.0)
    rows = map(json.loads, (shared_data / "slac" / "frames.jsonl").read_text().splitlines())
    told = [
        row
        for row in rows
        if row["name"] == "VS_ST_IOTECHA_CP_STATE.IND" and row["capture"].startswith("ISO-20_TLS13_DC")
    ]
    states = []
    for row in told:
        place.station.receive_frame(bytes.fromhex(row["hex"]))
        states.append(place.station.line().state)
    volts = [row["fields"]["mV"] / 1000 for row in told]
    assert len(states) == 8
    for state, level in zip(states, volts, strict=True):
        assert state is (PlcState.FREE if level > 11.0 else PlcState.WAITING)
    place.station.pilot(PilotState.B)
    assert place.station.line().state is PlcState.FREE


def test_only_the_board_that_told_the_pilot_first_is_believed() -> None:
    segment = Segment(plc=EvsePlc(pilot="modem"))
    place = segment.places[0]
    segment.run(5.0)

    def hear(source: bytes, voltage_mv: int) -> None:
        told = VS_ST_IOTECHA_CP_STATE_IND(duty_pct=5, frequency_hz=1000, voltage_mv=voltage_mv)
        place.station.receive_frame(encode_frame(Frame(source=source, destination=LOCAL_MODEM, message=told)))

    board, liar = b"\x02\x00\x00\x00\x00\x51", b"\x02\x00\x00\x00\x00\xaa"
    hear(board, 9000)
    assert place.station.line().state is PlcState.WAITING
    hear(liar, 12_000)
    assert place.station.line().state is PlcState.WAITING
    hear(board, 12_000)
    assert place.station.line().state is PlcState.FREE


def test_a_neighbours_vehicle_that_is_matched_there_is_no_failure_here() -> None:
    segment = ready(ready(Segment(2)), 1)
    segment.places[1].station.pilot(PilotState.B)
    car = segment.car(db=8.0, evse1=27.0)
    segment.until(lambda: linked(segment))
    segment.run(15.0)
    assert not segment.places[1].told(FAILED)
    assert any(
        f"vehicle {text(car)} is not matched here: it is matched at E1, and heard here by crosstalk" in line
        for line in segment.story(1)
    )


def test_eight_vehicles_one_after_the_other_at_two_evses_each_get_their_own() -> None:
    segment = ready(ready(Segment(2)), 1)
    for _ in range(4):
        pair = [segment.car(0, evse1=26.0), segment.car(1, evse0=27.0)]
        segment.until(lambda: linked(segment) and linked(segment, 1), within_s=60.0)
        for at, car in enumerate(pair):
            assert segment.places[at].station.linked_mac == car.mac
            segment.unplug(car, at)
            segment.db = dict.fromkeys(segment.db, 100.0)
        segment.run(3.0)


def test_a_matched_vehicle_whose_modem_does_not_join_is_told_at_the_link_step() -> None:
    segment = ready(Segment(site=Plc(join_s=5.0)))
    car = segment.car()
    car.joins = False
    segment.until(lambda: segment.places[0].told(FAILED), within_s=20.0)
    record = segment.places[0].told(FAILED)[0]
    assert record.fields["step"] == "link"
    assert "found no link within 5 s" in record.message
    assert "raise plc.join_s" in record.message


def test_a_refused_key_is_told_once_and_not_every_two_seconds() -> None:
    segment = Segment()
    segment.places[0].modem.key_result = 3
    segment.run(60.0)
    (record,) = segment.places[0].told(FAILED)
    assert record.message.startswith("E1: PLC handshake failed at CM_SET_KEY: the modem answers CM_SET_KEY with 0x03")
    assert segment.places[0].station.line().state is PlcState.KEYING
    segment.places[0].modem.key_result = 1
    segment.places[0].station.pilot(PilotState.A)
    segment.until(lambda: segment.places[0].station.line().state is PlcState.FREE)


def test_a_port_that_is_lost_ends_all_and_is_told_once_for_each_reason() -> None:
    segment = ready(Segment())
    segment.car()
    segment.until(lambda: linked(segment))
    place = segment.places[0]
    for reason in ("interface evse1 is down: ip link set evse1 up", "there is no interface evse1"):
        for _ in range(3):
            place.station.port_lost(reason)
    segment.run(1.0)
    line = place.station.line()
    assert (line.state, line.problem) == (PlcState.NO_MODEM, "there is no interface evse1")
    assert [record.message for record in place.told(MODEM)][-2:] == [
        "E1: no vehicle can be matched: interface evse1 is down: ip link set evse1 up",
        "E1: no vehicle can be matched: there is no interface evse1",
    ]
    assert len(place.told(LINK_LOST)) == 1
    place.station.port_opened(place.mac)
    segment.until(lambda: place.station.modem_found)


def test_a_stop_leaves_the_modem_with_a_key_that_nobody_has() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    car = segment.car()
    segment.until(lambda: linked(segment))
    place.station.stop()
    assert place.station.line().vehicle_mac is None
    assert not place.station.rekeyed
    segment.run(0.0)
    assert place.station.rekeyed
    assert place.modem.nmk != car.nmk
    assert place.modem.nmk not in [event.nmk for event in car.events if isinstance(event, SetKey)]


def test_the_firewalls_refusal_is_told_and_shown_and_forgotten_again() -> None:
    segment = ready(Segment())
    station = segment.places[0].station
    station.admission("the firewall is not applied: v2g-tool firewall apply")
    station.admission("the firewall is not applied: v2g-tool firewall apply")
    segment.run(0.0)
    (record,) = segment.places[0].told("PLC_NOT_ADMITTED")
    assert record.level == "error"
    assert station.line().problem == "the firewall is not applied: v2g-tool firewall apply"
    station.admission("")
    assert station.line().problem == ""


def test_the_history_keeps_the_last_sixteen() -> None:
    segment = ready(Segment())
    for _ in range(12):
        car = segment.car()
        segment.until(lambda: linked(segment))
        segment.unplug(car)
        segment.run(2.0)
    assert len(segment.places[0].station.line().history) == HISTORY


def test_no_key_is_in_any_line_of_the_log() -> None:
    segment = ready(Segment())
    car = segment.car()
    segment.until(lambda: linked(segment))
    segment.unplug(car)
    segment.run(2.0)
    keys = [message.new_key for message in segment.places[0].modem.asked if isinstance(message, CM_SET_KEY_REQ)]
    words = repr(segment.places[0].records) + repr(segment.places[0].station.line())
    assert not any(key.hex() in words or repr(key) in words for key in keys)


def test_noise_leaves_memory_bounded_and_the_link_up() -> None:
    segment = ready(Segment())
    segment.car()
    segment.until(lambda: linked(segment))
    place = segment.places[0]
    for at in range(2000):
        mac = b"\x02" + at.to_bytes(5, "big")
        place.station.receive_frame(segment.chance.randbytes(14 + at % 200))
        request = CM_SLAC_PARM_REQ(run_id=at.to_bytes(8, "big"))
        place.station.receive_frame(
            encode_frame(Frame(source=mac, destination=b"\xff" * 6, message=request))[: 20 + at % 60]
        )
    segment.run(5.0)
    assert linked(segment)
    assert len(place.records) < 300


def test_what_goes_to_another_evse_is_not_taken_for_ours() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    place.station.pilot(PilotState.B)
    request = CM_SLAC_PARM_REQ(run_id=bytes(8))
    for destination, asked in ((b"\x02\x00\x00\x00\x00\x77", 0), (place.mac, 1)):
        frame = Frame(source=b"\x02\x00\x00\x00\xaa\x01", destination=destination, message=request)
        place.station.receive_frame(encode_frame(frame))
        segment.run(0.0)
        assert len(place.told(MATCHING)) == asked


def test_a_flood_of_vehicles_that_never_go_on_keeps_the_real_one_matchable() -> None:
    segment = ready(Segment())
    place = segment.places[0]
    car = segment.car()
    for at in range(20):
        request = CM_SLAC_PARM_REQ(run_id=at.to_bytes(8, "big"))
        frame = Frame(source=b"\x02\x00\x00\x00\xaa" + bytes((at,)), destination=b"\xff" * 6, message=request)
        place.station.receive_frame(encode_frame(frame))
        segment.run(0.1)
    segment.until(lambda: linked(segment), within_s=60.0)
    assert place.station.linked_mac == car.mac


def test_the_vehicle_gets_the_key_that_the_modem_has() -> None:
    segment = ready(Segment())
    car = segment.car()
    segment.until(lambda: linked(segment))
    (given,) = [event for event in car.events if isinstance(event, SetKey)]
    assert (given.nmk, given.nid) == (segment.places[0].modem.nmk, segment.places[0].modem.nid)
