"""The own modem: found, reset, keyed, watched, lost and found again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, parse_mac
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import CM_SET_KEY_CNF, CM_SET_KEY_REQ, CM_SLAC_MATCH_CNF, Message
from pyiso15118.slac.modem import (
    KeyInstalled,
    KeyRefused,
    ModemConfig,
    ModemEvent,
    ModemFound,
    ModemLost,
    ModemMachine,
    StationsSeen,
)
from pyiso15118.slac.network_messages import (
    CC_DISCOVER_LIST_CNF,
    CC_DISCOVER_LIST_REQ,
    CM_NW_INFO_CNF,
    CM_NW_INFO_REQ,
    CM_NW_STATS_REQ,
)
from pyiso15118.slac.vendor import (
    VS_NW_INFO_CNF,
    VS_NW_INFO_REQ,
    VS_PL_LNK_STATUS_REQ,
    VS_RS_DEV_REQ,
    VS_SW_VER_CNF,
    VS_SW_VER_REQ,
    VsNetwork,
    VsStation,
)
from support.plc_modem import FOREIGN_NID, MODEM, QUALCOMM, ST, Modem

HOST = parse_mac("02:00:00:00:00:01")
OTHER = parse_mac("00:01:87:00:00:02")
VEHICLE = parse_mac("02:00:00:00:00:99")
VEHICLE_MODEM = parse_mac("00:13:d7:12:00:03")
NID, NMK = bytes.fromhex("026bcba5354e08"), bytes(range(16))
NEXT_NID, NEXT_NMK = bytes.fromhex("b1c913b5aa0702"), bytes(range(1, 17))


class Bench:
    """A machine beside a modem, with a clock that jumps from deadline to deadline."""

    def __init__(self, modem: Modem, **config: object) -> None:
        self.machine = ModemMachine(ModemConfig(host_mac=HOST, **config))  # type: ignore[arg-type]
        self.modem = modem
        self.now = 100.0
        self.events: list[tuple[float, ModemEvent]] = []
        self.machine.start(self.now)
        self.settle()

    def settle(self) -> None:
        while frames := self.machine.frames_to_send():
            for data in frames:
                frame = decode_frame(data)
                assert (frame.source, frame.destination) == (HOST, LOCAL_MODEM)
                for message in self.modem.answer(frame.message, self.now):
                    self.hear(message, self.modem.mac)
        while (event := self.machine.next_event()) is not None:
            self.events.append((self.now, event))

    def hear(self, message: Message, source: bytes, destination: bytes = HOST) -> None:
        data = encode_frame(Frame(source=source, destination=destination, message=message))
        self.machine.receive_frame(data, self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.machine.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.machine.handle_timer(self.now)
            self.settle()
        self.now = end

    def until(self, kind: type[ModemEvent], within_s: float = 60.0) -> tuple[float, ModemEvent]:
        """The next one of this kind from here on: how long it took, and itself."""
        began, seen = self.now, len(self.events)
        while self.now < began + within_s:
            for at, event in self.events[seen:]:
                if isinstance(event, kind):
                    return at - began, event
            due = self.machine.next_deadline()
            assert due is not None, "nothing is awaited any more"
            self.run(max(0.0, due - self.now))
        raise AssertionError(f"no {kind.__name__} within {within_s} s: {self.events[seen:]}")

    def set_key(self, nid: bytes = NID, nmk: bytes = NMK) -> None:
        self.machine.set_key(nid, nmk, self.now)
        self.settle()

    def keyed(self) -> Bench:
        self.run(5.0)
        self.set_key()
        self.run(5.0)
        assert any(event == KeyInstalled(nid=NID) for _, event in self.events)
        return self

    def linked(self) -> Bench:
        self.keyed()
        self.machine.watch(VEHICLE, self.now)
        self.modem.members = [(VEHICLE_MODEM, VEHICLE)]
        _, event = self.until(StationsSeen)
        assert isinstance(event, StationsSeen)
        assert event.vehicle is not None
        return self

    def of(self, kind: type[ModemEvent]) -> Iterator[ModemEvent]:
        return (event for _, event in self.events if isinstance(event, kind))

    def seen(self) -> list[StationsSeen]:
        return [event for _, event in self.events if isinstance(event, StationsSeen)]


def test_a_modem_is_reset_and_tells_its_version() -> None:
    bench = Bench(Modem(QUALCOMM))
    took_s, event = bench.until(ModemFound)
    assert event == ModemFound(mac=MODEM, version="MAC-QCA7000-1.1.0.730-04")
    assert took_s >= 1.0
    assert [type(message) for message in bench.modem.asked[:2]] == [VS_RS_DEV_REQ, VS_SW_VER_REQ]


def test_without_a_reset_it_is_found_at_once() -> None:
    bench = Bench(Modem(QUALCOMM), reset=False)
    bench.run(0.0)
    assert [event for _, event in bench.events if isinstance(event, ModemFound)]
    assert bench.now == 100.0
    assert not any(isinstance(message, VS_RS_DEV_REQ) for message in bench.modem.asked)


def test_it_is_reset_once_and_not_again_after_a_loss() -> None:
    bench = Bench(Modem(QUALCOMM))
    bench.run(5.0)
    bench.modem.on = False
    bench.until(ModemLost)
    bench.modem.on = True
    bench.until(ModemFound)
    bench.machine.start(bench.now)
    bench.run(5.0)
    assert sum(isinstance(message, VS_RS_DEV_REQ) for message in bench.modem.asked) == 1


def test_a_modem_that_stays_away_after_its_reset_is_lost_and_looked_for() -> None:
    bench = Bench(Modem({VS_RS_DEV_REQ}))
    took_s, event = bench.until(ModemLost)
    assert event == ModemLost(reason="it did not come back from its reset (VS_SW_VER, CM_NW_INFO)")
    assert 20.0 <= took_s < 21.0
    bench.modem.knows = QUALCOMM
    bench.until(ModemFound)


def test_a_modem_that_needs_a_while_to_come_back_is_waited_for() -> None:
    bench = Bench(Modem({VS_RS_DEV_REQ}))
    bench.run(12.0)
    bench.modem.knows = QUALCOMM
    bench.until(ModemFound)
    assert not list(bench.of(ModemLost))


def test_a_modem_that_knows_no_vendor_message_is_found_by_its_network() -> None:
    bench = Bench(Modem(ST))
    _, event = bench.until(ModemFound)
    assert event == ModemFound(mac=MODEM, version="unknown")
    assert not list(bench.of(ModemLost))


def test_a_key_that_waits_for_the_modem_is_one_more_way_to_find_it() -> None:
    bench = Bench(Modem({CM_SET_KEY_REQ}), reset=False)
    bench.set_key()
    _, event = bench.until(ModemFound)
    assert event == ModemFound(mac=MODEM, version="unknown")
    assert list(bench.of(KeyInstalled)) == [KeyInstalled(nid=NID)]


def test_nobody_there_is_told_once_and_asked_ever_more_rarely_and_for_ever() -> None:
    bench = Bench(Modem(QUALCOMM, on=False))
    bench.run(600.0)
    assert [event for _, event in bench.events] == [ModemLost(reason="it does not answer (VS_SW_VER, CM_NW_INFO)")]
    asked = sum(isinstance(message, VS_SW_VER_REQ) for message in bench.modem.asked)
    assert 20 < asked < 60
    bench.modem.on = True
    took_s, _ = bench.until(ModemFound)
    assert took_s <= 31.0


@pytest.mark.parametrize("result", [0, 1])
def test_a_key_is_installed_when_the_modem_says_so(result: int) -> None:
    bench = Bench(Modem(QUALCOMM, key_result=result))
    bench.run(5.0)
    bench.set_key()
    assert bench.events[-1][1] == KeyInstalled(nid=NID)
    (request,) = [message for message in bench.modem.asked if isinstance(message, CM_SET_KEY_REQ)]
    assert (request.nid, request.new_key, request.cco_capability) == (NID, NMK, 1)


@pytest.mark.parametrize("result", [2, 3, 255])
def test_a_refused_key_is_told(result: int) -> None:
    bench = Bench(Modem(QUALCOMM, key_result=result))
    bench.run(5.0)
    bench.set_key()
    assert bench.events[-1][1] == KeyRefused(reason=f"the modem answers CM_SET_KEY with 0x{result:02x}")


def test_a_modem_that_is_deaf_to_keys_is_asked_four_times() -> None:
    bench = Bench(Modem(QUALCOMM - {CM_SET_KEY_REQ}))
    bench.run(5.0)
    bench.set_key()
    took_s, event = bench.until(KeyRefused)
    assert event == KeyRefused(reason="the modem does not answer CM_SET_KEY, 4 times asked")
    assert took_s == pytest.approx(2.0)


def test_the_second_of_two_keys_is_the_one_that_counts() -> None:
    bench = Bench(Modem(QUALCOMM)).keyed()
    bench.set_key(NEXT_NID, NEXT_NMK)
    assert bench.events[-1][1] == KeyInstalled(nid=NEXT_NID)


def test_qualcomms_list_tells_rates_and_the_host_behind_the_modem() -> None:
    bench = Bench(Modem(QUALCOMM)).keyed()
    bench.modem.members = [(OTHER, parse_mac("02:00:00:00:00:77")), (VEHICLE_MODEM, VEHICLE)]
    bench.machine.watch(VEHICLE, bench.now)
    took_s, event = bench.until(StationsSeen)
    assert isinstance(event, StationsSeen)
    assert took_s <= 0.301
    assert event.nid == NID
    assert event.vehicle is not None
    assert (event.vehicle.mac, event.vehicle.modem) == (VEHICLE, VEHICLE_MODEM)
    assert (event.vehicle.tx_mbps, event.vehicle.rx_mbps) == (10.0, 12.0)
    assert len(event.stations) == 2


@pytest.mark.parametrize(
    "knows", [ST, ST | {CM_NW_STATS_REQ}, {CM_SET_KEY_REQ, VS_PL_LNK_STATUS_REQ, CM_NW_INFO_REQ}, QUALCOMM]
)
def test_the_only_station_in_our_network_is_the_vehicles_by_whatever_the_modem_answers(
    knows: set[type[Message]],
) -> None:
    bench = Bench(Modem(knows)).keyed()
    bench.modem.members = [(VEHICLE_MODEM, bytes(6))]
    bench.machine.watch(VEHICLE, bench.now)
    _, event = bench.until(StationsSeen)
    assert isinstance(event, StationsSeen)
    assert event.vehicle is not None
    assert event.vehicle.mac == VEHICLE
    if CM_NW_STATS_REQ in knows:
        assert (event.vehicle.tx_mbps, event.vehicle.signal_db) == (9.0, -20.0)


def test_once_known_only_the_best_question_is_asked() -> None:
    bench = Bench(Modem(QUALCOMM)).linked()
    bench.run(2.0)  # of counters, which this one does not keep, it is asked three times
    bench.modem.asked.clear()
    bench.run(3.0)
    assert {type(message) for message in bench.modem.asked} == {VS_NW_INFO_REQ}
    assert 9 <= len(bench.modem.asked) <= 11


def test_two_unknown_modems_in_our_network_are_no_vehicle() -> None:
    bench = Bench(Modem(ST)).keyed()
    bench.modem.members = [(VEHICLE_MODEM, VEHICLE), (OTHER, VEHICLE)]
    bench.machine.watch(VEHICLE, bench.now)
    _, event = bench.until(StationsSeen)
    assert isinstance(event, StationsSeen)
    assert event.vehicle is None
    assert "2 modems are in our network (00:13:d7:12:00:03, 00:01:87:00:00:02)" in event.problem


def test_another_modem_that_joins_later_neither_ends_the_link_nor_takes_it_over() -> None:
    bench = Bench(Modem(ST)).linked()
    bench.events.clear()
    bench.modem.members = [(VEHICLE_MODEM, bytes(6)), (OTHER, bytes(6))]
    bench.run(5.0)
    assert bench.seen()
    assert all(event.vehicle is not None and event.vehicle.modem == VEHICLE_MODEM for event in bench.seen())
    bench.modem.members = [(OTHER, bytes(6))]
    bench.run(1.0)
    assert bench.seen()[-1].vehicle is None
    assert bench.seen()[-1].problem == "its modem has left our network, in which 00:01:87:00:00:02 is"


def test_a_station_of_the_network_from_before_is_no_vehicle() -> None:
    bench = Bench(Modem(ST, key_forms_after_s=8.0))
    bench.run(5.0)
    bench.set_key()
    bench.modem.members = [(VEHICLE_MODEM, VEHICLE)]
    bench.machine.watch(VEHICLE, bench.now)
    _, event = bench.until(StationsSeen)
    assert isinstance(event, StationsSeen)
    assert event.vehicle is None
    assert event.problem == "the own modem is in network 79e6b1db41380b, not in ours (026bcba5354e08)"
    bench.run(9.0)
    assert bench.seen()[-1].vehicle is not None
    assert not list(bench.of(ModemLost))


@pytest.mark.parametrize("knows", [QUALCOMM, ST])
def test_a_vehicle_that_leaves_is_missed_within_a_second_by_two_lists(knows: set[type[Message]]) -> None:
    bench = Bench(Modem(knows)).linked()
    bench.run(10.0)
    bench.modem.members = []
    bench.events.clear()
    began = bench.now
    bench.run(1.0)
    at = next(at for at, e in bench.events if isinstance(e, StationsSeen) and e.vehicle is None)
    assert 0.29 <= at - began <= 0.61


def test_one_list_without_the_vehicle_is_no_loss() -> None:
    bench = Bench(Modem(QUALCOMM)).linked()
    members, bench.modem.members = bench.modem.members, []
    bench.events.clear()
    bench.run(0.3)
    bench.modem.members = members
    bench.run(5.0)
    assert len(bench.seen()) > 10
    assert all(event.vehicle is not None for event in bench.seen())


@pytest.mark.parametrize("knows", [QUALCOMM, ST])
def test_a_modem_that_falls_silent_is_lost_within_a_second_by_two_polls(knows: set[type[Message]]) -> None:
    bench = Bench(Modem(knows)).linked()
    bench.run(10.0)
    bench.modem.on = False
    took_s, event = bench.until(ModemLost)
    assert took_s <= 0.91
    assert event == ModemLost(reason="it has not answered 2 polls in a row")


def test_a_modem_that_answers_something_but_not_what_it_is_watched_by_is_lost_too() -> None:
    bench = Bench(Modem(QUALCOMM)).linked()
    bench.run(3.0)
    bench.modem.knows = QUALCOMM - {VS_NW_INFO_REQ}
    took_s, _ = bench.until(ModemLost)
    assert took_s <= 0.91
    bench.until(ModemFound)


def test_while_a_new_key_settles_silence_is_no_loss() -> None:
    bench = Bench(Modem(QUALCOMM)).keyed()
    bench.set_key(NEXT_NID, NEXT_NMK)
    bench.modem.on = False
    bench.run(8.0)
    bench.modem.on = True
    bench.run(30.0)
    assert not list(bench.of(ModemLost))


def test_silence_that_outlasts_the_settling_is_a_loss() -> None:
    bench = Bench(Modem(QUALCOMM)).keyed()
    bench.set_key(NEXT_NID, NEXT_NMK)
    bench.modem.on = False
    took_s, _ = bench.until(ModemLost)
    assert 15.0 <= took_s <= 17.0


def test_a_modem_that_was_restarted_and_lost_our_key_is_found_anew() -> None:
    bench = Bench(Modem(QUALCOMM)).linked()
    bench.modem.nid, bench.modem.members = FOREIGN_NID, []
    took_s, event = bench.until(ModemLost)
    assert took_s <= 0.61
    assert isinstance(event, ModemLost)
    assert "79e6b1db41380b instead of ours" in event.reason
    bench.until(ModemFound)


def test_who_is_not_the_modem_is_not_believed() -> None:
    bench = Bench(Modem(QUALCOMM)).linked()
    bench.modem.members = []
    liar = VsStation(mac=VEHICLE_MODEM, tei=2, bridged_mac=VEHICLE, avg_tx_mbps=1, avg_rx_mbps=1)
    network = VsNetwork(nid=NID, snid=3, tei=1, station_role=2, cco_mac=MODEM, cco_tei=1, stations=(liar,))
    bench.events.clear()
    for _ in range(10):
        bench.hear(VS_NW_INFO_CNF(networks=(network,)), VEHICLE)
        bench.run(0.1)
    assert any(event.vehicle is None for event in bench.seen())
    assert bench.machine.ignored["not our modem"] == 10


def test_a_key_confirmed_by_somebody_else_is_not_installed() -> None:
    bench = Bench(Modem(QUALCOMM - {CM_SET_KEY_REQ}))
    bench.run(5.0)
    bench.set_key()
    bench.hear(CM_SET_KEY_CNF(result=1), VEHICLE)
    bench.settle()
    assert not list(bench.of(KeyInstalled))


def test_noise_is_counted_and_changes_nothing() -> None:
    bench = Bench(Modem(QUALCOMM)).linked()
    before = bench.machine.next_deadline()
    good = encode_frame(Frame(source=MODEM, destination=HOST, message=VS_SW_VER_CNF(version="x")))
    bench.machine.receive_frame(b"", bench.now)
    bench.machine.receive_frame(bytes(1600), bench.now)
    bench.machine.receive_frame(good[:20], bench.now)
    bench.hear(CM_NW_INFO_CNF(), MODEM, BROADCAST)
    assert bench.machine.ignored == {"not for us": 3, "malformed": 1}
    assert bench.machine.next_deadline() == before
    assert bench.machine.frames_to_send() == []


def test_a_stopped_machine_asks_nothing() -> None:
    bench = Bench(Modem(QUALCOMM)).linked()
    bench.machine.stop()
    bench.modem.asked.clear()
    bench.run(60.0)
    assert bench.modem.asked == []
    assert bench.machine.next_deadline() is None


CAPTURES = [
    "ISO-20_BPT_AC_DS5366_Josev.pcapng",
    "ISO-20_TLS13_DC_DS5366_Josev.pcapng",
    "ISO-2_AC_PnC_TLS_Contract_MeteringReceipt_DS5366_RiseV2G.pcapng",
    "ISO-2_DC_BatteryDataExchange_DS5366_RiseV2G.pcapng",
    "ISO-2_DC_DS5366.pcapng",
    "ISO-2_DC_PnC_TLS_CertInstallation_DS5366_RiseV2G.pcapng",
    "ISO-2_DC_PnC_TLS_CertUpdate_DS5366_RiseV2G.pcapng",
    "ISO-2_DC_PnC_TLS_Contract_DS5366_RiseV2G.pcapng",
    "ISO-2_DC_Renegotiation_DS5366_RiseV2G.pcapng",
    "ISO-2_DC_SalesTariffSchedule_DS5366_RiseV2G.pcapng",
]
Recorded = list[tuple[float, bytes, Message]]


def recorded(shared_data: Path, capture: str) -> Recorded:
    rows = map(json.loads, (shared_data / "slac" / "frames.jsonl").read_text().splitlines())
    frames = ((row["t"], decode_frame(bytes.fromhex(row["hex"]))) for row in rows if row["capture"] == capture)
    return [(at, frame.source, frame.message) for at, frame in frames]


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_recorded_modems_own_answers_make_the_link(shared_data: Path, capture: str) -> None:
    """Our machine asks as it likes and gets what the recorded modem answered to such a question."""
    frames = recorded(shared_data, capture)
    matched_at, given = next((at, m) for at, _, m in frames if isinstance(m, CM_SLAC_MATCH_CNF))
    mac, key_answer = next((source, m) for _, source, m in frames if isinstance(m, CM_SET_KEY_CNF))
    lists = [(at, m) for at, _, m in frames if isinstance(m, CC_DISCOVER_LIST_CNF)]
    joined_at = next(at for at, m in lists if m.stations and at > matched_at)
    networks = [m for _, _, m in frames if isinstance(m, CM_NW_INFO_CNF)]
    ours = next(m for m in networks if any(network.nid == given.nid for network in m.networks))
    clock = {"at": matched_at}

    def answer(message: Message, now: float) -> list[Message]:
        match message:
            case CM_SET_KEY_REQ():
                return [key_answer]
            case CM_NW_INFO_REQ():
                return [ours]
            case CC_DISCOVER_LIST_REQ():
                return [next((m for at, m in reversed(lists) if at <= clock["at"]), CC_DISCOVER_LIST_CNF())]
        return []

    modem = Modem(set(), mac=mac)
    modem.answer = answer  # type: ignore[method-assign]
    bench = Bench(modem, reset=False)
    bench.run(3.0)
    bench.set_key(given.nid, NMK)
    bench.machine.watch(given.pev_mac, bench.now)
    bench.run(2.0)
    assert bench.seen()
    assert all(event.vehicle is None for event in bench.seen())
    clock["at"] = joined_at
    bench.run(2.0)
    vehicle = bench.seen()[-1].vehicle
    assert vehicle is not None
    assert vehicle.mac == given.pev_mac
    assert vehicle.modem not in (given.pev_mac, mac)


def test_every_recorded_answer_to_a_key_is_taken_as_success(shared_data: Path) -> None:
    rows = map(json.loads, (shared_data / "slac" / "frames.jsonl").read_text().splitlines())
    answers = [decode_frame(bytes.fromhex(row["hex"])).message for row in rows if row["name"] == "CM_SET_KEY.CNF"]
    assert len(answers) > 20
    for result in {message.result for message in answers if isinstance(message, CM_SET_KEY_CNF)}:
        test_a_key_is_installed_when_the_modem_says_so(result)
