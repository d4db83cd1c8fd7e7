"""What a simulated modem answers its host."""

from __future__ import annotations

import pytest

from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM
from pyiso15118.slac.frame import Frame
from pyiso15118.slac.link_statistics import VS_LNK_STATS_CNF, VS_LNK_STATS_REQ, Direction
from pyiso15118.slac.messages import (
    CM_AMP_MAP_CNF,
    CM_AMP_MAP_REQ,
    CM_SET_KEY_CNF,
    CM_SET_KEY_REQ,
    CM_SLAC_PARM_REQ,
    Message,
)
from pyiso15118.slac.network_messages import (
    CC_DISCOVER_LIST_CNF,
    CC_DISCOVER_LIST_REQ,
    CM_NW_INFO_CNF,
    CM_NW_INFO_REQ,
    CM_NW_STATS_CNF,
    CM_NW_STATS_REQ,
)
from pyiso15118.slac.vendor import (
    VS_NW_INFO_CNF,
    VS_NW_INFO_REQ,
    VS_PL_LNK_STATUS_CNF,
    VS_PL_LNK_STATUS_REQ,
    VS_RS_DEV_CNF,
    VS_RS_DEV_REQ,
    VS_SW_VER_CNF,
    VS_SW_VER_REQ,
)
from v2g.simulation.powerline_modem import VERSION, LinkCounters, Modem, Neighbour

OWN, OTHER = bytes((2, 0, 0, 0, 0x50, 1)), bytes((2, 0, 0, 0, 0x50, 2))
OWN_HOST, OTHER_HOST = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 2))
NID = bytes(range(7))

VENDOR = [
    (VS_SW_VER_REQ(), VS_SW_VER_CNF),
    (VS_NW_INFO_REQ(), VS_NW_INFO_CNF),
    (VS_PL_LNK_STATUS_REQ(), VS_PL_LNK_STATUS_CNF),
    (VS_RS_DEV_REQ(), VS_RS_DEV_CNF),
    (VS_LNK_STATS_REQ(peer=OTHER), VS_LNK_STATS_CNF),
]
STANDARD = [
    (CM_SET_KEY_REQ(nid=NID, new_key=bytes(16)), CM_SET_KEY_CNF),
    (CM_AMP_MAP_REQ(amap=(1, 2)), CM_AMP_MAP_CNF),
    (CM_NW_INFO_REQ(), CM_NW_INFO_CNF),
    (CM_NW_STATS_REQ(), CM_NW_STATS_CNF),
    (CC_DISCOVER_LIST_REQ(), CC_DISCOVER_LIST_CNF),
]


def made(**fields: object) -> Modem:
    return Modem(name="own", host_mac=OWN_HOST, modem_mac=OWN, **fields)  # type: ignore[arg-type]


def linked(attenuation_db: float = 8.0, rate_mbps: float = 8.6) -> Modem:
    modem = made(nid=NID, nmk=bytes(16))
    other = Modem(name="other", host_mac=OTHER_HOST, modem_mac=OTHER)
    modem.neighbours = [Neighbour(modem=other, rate_mbps=rate_mbps, attenuation_db=attenuation_db)]
    return modem


@pytest.mark.parametrize(("request_", "answer"), [*VENDOR, *STANDARD])
def test_a_qualcomm_modem_answers_the_vendor_s_and_the_standard_s_requests(
    request_: Message, answer: type[Message]
) -> None:
    assert isinstance(made().answer(request_, 0.0, 7), answer)


def test_an_st_modem_answers_the_standard_s_requests_alone() -> None:
    assert [made(make="st").answer(request, 0.0, 7) for request, _ in VENDOR] == [None] * 5
    for request, answer in STANDARD:
        assert isinstance(made(make="st").answer(request, 0.0, 7), answer)


def test_what_is_no_request_to_a_modem_is_not_answered() -> None:
    assert made().answer(CM_SLAC_PARM_REQ(run_id=bytes(8)), 0.0, 7) is None


def test_its_version_and_the_result_of_a_key_are_as_of_real_ones() -> None:
    version = made().answer(VS_SW_VER_REQ(), 0.0, 7)
    assert isinstance(version, VS_SW_VER_CNF)
    assert version.version == VERSION
    confirmed = made().answer(CM_SET_KEY_REQ(nid=NID, new_key=bytes(16), pid=4), 0.0, 7)
    assert isinstance(confirmed, CM_SET_KEY_CNF)
    assert (confirmed.result, confirmed.my_nonce, confirmed.pid) == (1, 7, 4)


def test_it_names_who_is_in_its_network_with_the_host_behind_and_the_rates() -> None:
    told = linked().answer(VS_NW_INFO_REQ(), 0.0, 7)
    assert isinstance(told, VS_NW_INFO_CNF)
    (network,) = told.networks
    assert (network.nid, network.tei, network.station_role, network.cco_mac) == (NID, 1, 2, OWN)
    (station,) = network.stations
    assert (station.mac, station.bridged_mac, station.tei) == (OTHER, OTHER_HOST, 2)
    assert (station.avg_tx_mbps, station.avg_rx_mbps) == (9, 9)
    stats = linked().answer(CM_NW_STATS_REQ(), 0.0, 7)
    assert isinstance(stats, CM_NW_STATS_CNF)
    assert [(one.mac, one.avg_tx_mbps) for one in stats.stations] == [(OTHER, 9)]
    status = linked().answer(VS_PL_LNK_STATUS_REQ(), 0.0, 7)
    assert isinstance(status, VS_PL_LNK_STATUS_CNF)
    assert status.link_status == 1


def test_without_a_key_it_is_in_no_network() -> None:
    for request in (VS_NW_INFO_REQ(), CM_NW_INFO_REQ()):
        told = made().answer(request, 0.0, 7)
        assert isinstance(told, VS_NW_INFO_CNF | CM_NW_INFO_CNF)
        assert told.networks == ()
    status = made().answer(VS_PL_LNK_STATUS_REQ(), 0.0, 7)
    assert isinstance(status, VS_PL_LNK_STATUS_CNF)
    assert status.link_status == 0


@pytest.mark.parametrize("direction", [*Direction, 7])
def test_counters_are_told_of_a_link_that_is_there_in_the_direction_asked_for(direction: int) -> None:
    modem = linked()
    modem.counters[OTHER] = LinkCounters(counted_at=0.0, came=90, failed=10)
    told = modem.answer(VS_LNK_STATS_REQ(peer=OTHER, direction=direction), 0.0, 7)
    assert isinstance(told, VS_LNK_STATS_CNF)
    assert (told.transmitted is not None) is (direction in (Direction.TRANSMIT, Direction.BOTH))
    assert (told.received is not None) is (direction in (Direction.RECEIVE, Direction.BOTH))
    assert (told.mstatus == 0) is (direction in tuple(Direction))
    if told.mstatus == 0:
        came, failed = told.mpdus()
        assert failed / (came + failed) == 0.1
    nobody = modem.answer(VS_LNK_STATS_REQ(peer=OWN_HOST, direction=direction), 0.0, 7)
    assert isinstance(nobody, VS_LNK_STATS_CNF)
    assert nobody.mstatus == 1


@pytest.mark.parametrize(
    ("attenuation_db", "level"),
    [(0.0, 1), (9.9, 1), (10.0, 2), (14.9, 2), (15.0, 3), (74.0, 14), (75.0, 15), (200.0, 15)],
)
def test_the_signal_level_is_told_in_steps_of_5_db(attenuation_db: float, level: int) -> None:
    told = linked(attenuation_db).answer(CC_DISCOVER_LIST_REQ(), 0.0, 7)
    assert isinstance(told, CC_DISCOVER_LIST_CNF)
    assert [one.signal_level for one in told.stations] == [level]


def test_levels_beyond_a_byte_are_cut() -> None:
    for message in made(offset_db=40.0).measured(OTHER_HOST, (-60.0, 0.0, 300.0), lambda: 0.0):
        assert message.aag == (0, 40, 255)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("to", "message", "concerned"),
    [
        (LOCAL_MODEM, CM_NW_INFO_REQ(), True),
        (OWN, CM_NW_INFO_REQ(), True),
        (OTHER, CM_NW_INFO_REQ(), False),
        (BROADCAST, CM_NW_INFO_REQ(), False),
        (BROADCAST, VS_SW_VER_REQ(), True),
    ],
)
def test_which_frames_of_its_host_are_for_it(to: bytes, message: Message, concerned: bool) -> None:
    assert made().concerns(Frame(source=OWN_HOST, destination=to, message=message)) is concerned
