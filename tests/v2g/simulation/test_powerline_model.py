"""The simulated powerline as a medium: who hears what, when, and how well."""

from __future__ import annotations

import itertools
import random

import pytest

from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, Mac
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import (
    CM_ATTEN_PROFILE_IND,
    CM_MNBC_SOUND_IND,
    CM_SET_KEY_CNF,
    CM_SET_KEY_REQ,
    CM_SLAC_PARM_REQ,
    Message,
)
from pyiso15118.slac.vendor import VS_ATTENUATION_CHARACTERISTICS_IND, VS_RS_DEV_REQ, VS_SW_VER_CNF, VS_SW_VER_REQ
from v2g.simulation.powerline_model import NETWORK_DB, REACH_DB, Delivery, Powerline, levels_db
from v2g.simulation.powerline_modem import JOIN_S, RESET_S, Modem

RUN_ID = bytes(range(8))
NMK, NID = b"k" * 16, b"n" * 7
IPV6 = bytes.fromhex("86dd") + b"\x60" + bytes(39)


def host(number: int) -> Mac:
    return bytes((2, 0, 0, 0, 0, number))


def modem(number: int) -> Mac:
    return bytes((2, 0, 0, 0, 0x50, number))


def line(stations: int = 3, **options: float) -> Powerline:
    made = Powerline(random.Random(1), default_db=10.0, **options)
    for number in range(1, stations + 1):
        made.add(Modem(name=f"s{number}", host_mac=host(number), modem_mac=modem(number)))
    return made


def frame(number: int, message: Message, to: Mac = BROADCAST) -> bytes:
    return encode_frame(Frame(source=host(number), destination=to, message=message))


def ip(number: int, to: Mac = BROADCAST) -> bytes:
    return to + host(number) + IPV6


SOUND = CM_MNBC_SOUND_IND(cnt=3, run_id=RUN_ID, rnd=bytes(16))
PARM = CM_SLAC_PARM_REQ(run_id=RUN_ID)


def heard(made: Powerline, now: float = 10.0) -> dict[str, list[bytes]]:
    """What came out by ``now``, by station."""
    out: dict[str, list[bytes]] = {}
    for delivery in made.take(now):
        out.setdefault(delivery.station, []).append(delivery.data)
    return out


def key(made: Powerline, *numbers: int, nmk: bytes = NMK, now: float = 0.0) -> None:
    for number in numbers:
        made.from_host(f"s{number}", frame(number, CM_SET_KEY_REQ(nid=NID, new_key=nmk), LOCAL_MODEM), now)
    made.take(now + 10.0)


# ---- levels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average_db", [0.0, 1.5, 8.0, 35.0, 120.0])
def test_levels_have_their_average_and_no_group_amplifies(average_db: float) -> None:
    levels = levels_db(average_db)
    assert len(levels) == 58
    assert sum(levels) / 58 == pytest.approx(average_db)
    assert min(levels) >= 0.0


def test_levels_rise_with_frequency_and_ripple() -> None:
    levels = levels_db(20.0)
    assert sum(levels[-10:]) > sum(levels[:10]) + 20.0
    falls = sum(later < before for before, later in itertools.pairwise(levels))
    assert 5 < falls < 50


# ---- who hears whom -------------------------------------------------------------------------------------------------


def test_management_frames_pass_whatever_the_network_and_unicast_reaches_one() -> None:
    made = line()
    key(made, 1)
    made.from_host("s1", frame(1, PARM), 0.0)
    assert {name: len(frames) for name, frames in heard(made).items()} == {"s2": 1, "s3": 1}
    made.from_host("s1", frame(1, PARM, host(3)), 0.0)
    assert heard(made) == {"s3": [frame(1, PARM, host(3))]}


def test_other_frames_pass_only_within_a_network_once_it_has_formed() -> None:
    made = line()
    made.from_host("s1", ip(1), 0.0)
    assert heard(made) == {}
    key(made, 1, 2)
    key(made, 3, nmk=b"x" * 16)
    made.from_host("s1", ip(1), JOIN_S - 0.01)
    assert heard(made) == {}
    made.from_host("s1", ip(1), JOIN_S)
    assert heard(made) == {"s2": [ip(1)]}
    assert made.network_of("s1", JOIN_S) == ("s2",)
    key(made, 1, nmk=b"y" * 16, now=5.0)
    made.from_host("s1", ip(1), 9.0)
    assert heard(made) == {}


def test_one_key_with_another_network_s_name_joins_nobody() -> None:
    made = line(2)
    key(made, 1)
    made.from_host("s2", frame(2, CM_SET_KEY_REQ(nid=b"m" * 7, new_key=NMK), LOCAL_MODEM), 0.0)
    assert made.network_of("s1", 9.0) == ()


def test_far_away_slac_is_heard_without_a_network_and_further_nothing_is() -> None:
    made = line(2)
    key(made, 1, 2)
    made.set_attenuation("s1", "s2", NETWORK_DB + 1.0)
    made.from_host("s1", ip(1), 9.0)
    made.from_host("s1", frame(1, PARM), 9.0)
    assert heard(made) == {"s2": [frame(1, PARM)]}
    made.set_attenuation("s2", "s1", REACH_DB + 1.0)
    made.from_host("s1", frame(1, PARM), 9.0)
    assert heard(made) == {}


def test_off_the_line_a_modem_answers_its_host_and_nobody_else_hears_it() -> None:
    made = line(2)
    key(made, 1, 2)
    made.stations["s2"].plugged = False
    made.from_host("s2", frame(2, PARM), 9.0)
    made.from_host("s1", frame(1, PARM), 9.0)
    made.from_host("s1", ip(1), 9.0)
    made.from_host("s2", frame(2, VS_SW_VER_REQ(), LOCAL_MODEM), 9.0)
    (answer,) = heard(made).pop("s2")
    assert isinstance(decode_frame(answer).message, VS_SW_VER_CNF)
    assert heard(made) == {}
    assert made.network_of("s1", 9.0) == ()


def test_what_is_for_the_own_modem_never_leaves_it() -> None:
    made = line()
    for to in (LOCAL_MODEM, modem(1)):
        made.from_host("s1", frame(1, CM_SET_KEY_REQ(nid=NID, new_key=NMK), to), 0.0)
        out = heard(made)
        assert list(out) == ["s1"]
        answer = decode_frame(out["s1"][0])
        assert (answer.source, answer.destination) == (modem(1), host(1))
        assert isinstance(answer.message, CM_SET_KEY_CNF)
        assert answer.message.result == 1


def test_a_reset_modem_forgets_its_key_and_is_silent_for_a_while() -> None:
    made = line(2)
    key(made, 1, 2)
    made.from_host("s1", frame(1, VS_RS_DEV_REQ(), LOCAL_MODEM), 5.0)
    assert list(heard(made)) == ["s1"]
    made.from_host("s1", frame(1, VS_SW_VER_REQ(), LOCAL_MODEM), 5.0 + RESET_S / 2)
    made.from_host("s2", frame(2, PARM), 5.0 + RESET_S / 2)
    assert heard(made) == {}
    made.from_host("s1", frame(1, VS_SW_VER_REQ(), LOCAL_MODEM), 5.0 + RESET_S)
    assert list(heard(made)) == ["s1"]
    assert made.network_of("s2", 9.0) == ()


# ---- sounds ---------------------------------------------------------------------------------------------------------


def test_each_modem_that_hears_a_sound_tells_its_host_the_levels_after_it() -> None:
    made = line()
    made.set_attenuation("s1", "s3", 30.0)
    made.stations["s2"].offset_db = 5.0
    made.from_host("s1", frame(1, SOUND), 0.0)
    out = heard(made)
    assert sorted(out) == ["s2", "s3"]
    for name, number, level_db in (("s2", 2, 15.0), ("s3", 3, 30.0)):
        sound, characteristics, profile = (decode_frame(data) for data in out[name])
        assert sound.message == SOUND
        assert isinstance(characteristics.message, VS_ATTENUATION_CHARACTERISTICS_IND)
        assert isinstance(profile.message, CM_ATTEN_PROFILE_IND)
        assert (profile.source, profile.destination) == (modem(number), host(number))
        assert profile.message.pev_mac == host(1)
        assert characteristics.message.aag == profile.message.aag
        assert sum(profile.message.aag) / 58 == pytest.approx(level_db, abs=0.5)


def test_two_sounds_are_not_measured_alike() -> None:
    made = line(2)
    for now in (0.0, 0.03):
        made.from_host("s1", frame(1, SOUND), now)
    profiles = [decode_frame(data).message for data in heard(made)["s2"] if len(data) > 60]
    first, second = (one.aag for one in profiles if isinstance(one, CM_ATTEN_PROFILE_IND))
    assert first != second


def test_a_sound_that_is_lost_is_not_measured() -> None:
    made = line(2, loss=1.0)
    made.from_host("s1", frame(1, SOUND), 0.0)
    assert heard(made) == {}
    assert made.dropped == 1


# ---- loss, delay, bounds, nonsense ----------------------------------------------------------------------------------


def test_a_share_of_the_frames_is_lost() -> None:
    made = line(2, loss=0.25)
    for _ in range(1000):
        made.from_host("s1", frame(1, PARM), 0.0)
    arrived = len(heard(made)["s2"])
    assert arrived == 1000 - made.dropped
    assert 700 <= arrived <= 800


def test_frames_come_out_in_order_after_their_delay() -> None:
    made = line(2, delay_s=0.5)
    frames = [frame(1, CM_SLAC_PARM_REQ(run_id=bytes(7) + bytes((at,)))) for at in range(3)]
    for at, data in enumerate(frames):
        made.from_host("s1", data, at * 0.1)
    assert made.next_due() == pytest.approx(0.5)
    assert made.take(0.49) == []
    assert made.take(0.61) == [Delivery(station="s2", data=data) for data in frames[:2]]
    assert made.take(1.0) == [Delivery(station="s2", data=frames[2])]
    assert made.next_due() is None


def test_a_flood_that_nobody_takes_is_bounded() -> None:
    made = line(2)
    for _ in range(5000):
        made.from_host("s1", frame(1, PARM), 0.0)
    assert len(heard(made)["s2"]) == 4096
    assert made.dropped == 904


def test_nonsense_is_dropped_or_passed_and_raises_nothing() -> None:
    made, chance = line(2), random.Random(7)
    whole = frame(1, SOUND)
    for length in range(20):
        made.from_host("s1", whole[:length], 0.0)
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        made.from_host("s1", bytes(data[: chance.randrange(len(data) + 1)]), 0.0)
    made.take(1.0)
    made.from_host("s1", whole, 1.0)
    assert heard(made)["s2"][0] == whole


def test_names_and_levels_that_cannot_be_are_refused() -> None:
    made = line(2)
    with pytest.raises(ValueError, match="'s1' is there already"):
        made.add(Modem(name="s1", host_mac=host(9), modem_mac=modem(9)))
    with pytest.raises(ValueError, match="must be 0 or more"):
        made.set_attenuation("s1", "s2", -1.0)
    with pytest.raises(ValueError, match="must be 0 or more"):
        made.set_attenuation("s1", "s2", float("nan"))
    with pytest.raises(KeyError, match="s9"):
        made.set_attenuation("s1", "s9", 1.0)
