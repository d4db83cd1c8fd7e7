"""Packet loss of the watched vehicle's link, by the counters of the own modem."""

from __future__ import annotations

import pytest

from pyiso15118.slac.addresses import parse_mac
from pyiso15118.slac.link_statistics import VS_LNK_STATS_CNF, VS_LNK_STATS_REQ, Direction, TransmitCounters
from pyiso15118.slac.modem_events import StationLink
from pyiso15118.slac.modem_network import ModemNetwork
from pyiso15118.slac.vendor import VS_NW_INFO_CNF, VsNetwork, VsStation

OWN = parse_mac("88:fc:a6:1c:7c:88")
VEHICLE, VEHICLES_MODEM = parse_mac("02:00:00:00:00:01"), parse_mac("bc:f2:af:f3:66:fa")
NID = bytes.fromhex("026bcba5354e08")


def counters(acked: int, failed: int, mstatus: int = 0) -> VS_LNK_STATS_CNF:
    if mstatus:
        return VS_LNK_STATS_CNF(mstatus=mstatus)
    sent = TransmitCounters(mpdus_acked=acked, mpdus_collided=0, mpdus_failed=failed, blocks_passed=0, blocks_failed=0)
    return VS_LNK_STATS_CNF(direction=Direction.TRANSMIT, tei=2, transmitted=sent)


class Polled:
    """A network with the vehicle in it, polled by the one who asks."""

    def __init__(self) -> None:
        self.network = ModemNetwork(OWN)
        self.network.keyed(NID)
        self.network.watch(VEHICLE)
        self.there = True

    def look(self) -> StationLink | None:
        station = VsStation(mac=VEHICLES_MODEM, tei=2, bridged_mac=VEHICLE, avg_tx_mbps=9, avg_rx_mbps=9)
        stations = (station,) if self.there else ()
        message = VS_NW_INFO_CNF(
            networks=(VsNetwork(nid=NID, snid=1, tei=1, station_role=2, cco_mac=OWN, cco_tei=1, stations=stations),)
        )
        self.network.answers(message)
        seen = self.network.take(message)
        return seen.vehicle if seen is not None else None

    def asked(self) -> list[VS_LNK_STATS_REQ]:
        return [question for question in self.network.questions() if isinstance(question, VS_LNK_STATS_REQ)]

    def poll(self, answer: VS_LNK_STATS_CNF | None) -> float | None:
        if self.asked() and answer is not None:
            assert self.network.take(answer) is None
        vehicle = self.look()
        assert vehicle is not None
        return vehicle.packet_loss


def test_counters_are_asked_of_the_vehicles_modem_and_of_nobody_before_it_is_there() -> None:
    polled = Polled()
    assert polled.asked() == []
    polled.look()
    assert polled.asked() == [VS_LNK_STATS_REQ(peer=VEHICLES_MODEM)]


def test_packet_loss_is_told_from_the_second_answer_on() -> None:
    polled = Polled()
    polled.look()
    assert polled.poll(counters(1000, 50)) is None
    assert polled.poll(counters(1090, 60)) == pytest.approx(0.1)


def test_packet_loss_is_of_the_last_ten_intervals() -> None:
    polled = Polled()
    polled.look()
    assert polled.poll(counters(0, 0)) is None
    assert polled.poll(counters(50, 50)) == pytest.approx(0.5)
    for nth in range(1, 11):
        loss = polled.poll(counters(50 + 10 * nth, 50))
    assert loss == 0.0


def test_counters_that_were_set_to_zero_begin_anew() -> None:
    polled = Polled()
    polled.look()
    polled.poll(counters(1000, 50))
    assert polled.poll(counters(3, 0)) is None
    assert polled.poll(counters(6, 1)) == pytest.approx(0.25)


@pytest.mark.parametrize("answer", [None, counters(0, 0, mstatus=1)], ids=["silent", "refuses"])
def test_a_modem_that_keeps_no_counters_is_asked_three_times_and_no_more(answer: VS_LNK_STATS_CNF | None) -> None:
    polled = Polled()
    polled.look()
    for _ in range(3):
        assert polled.poll(answer) is None
    assert polled.asked() == []


def test_the_next_vehicle_begins_with_counters_of_its_own() -> None:
    polled = Polled()
    polled.look()
    polled.poll(counters(1000, 0))
    polled.poll(counters(1010, 0))
    polled.network.watch(None)
    polled.network.watch(VEHICLE)
    vehicle = polled.look()
    assert vehicle is not None
    assert vehicle.packet_loss is None
