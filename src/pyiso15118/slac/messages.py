"""Management messages of HomePlug Green PHY that SLAC needs.

Names are those of ISO 15118-3 Annex A and of the HomePlug specifications. Layouts are confirmed by recordings but for
CM_VALIDATE and CM_AMP_MAP, which rest on open implementations.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar

from pyiso15118.slac.addresses import BROADCAST, MAC_BYTES, Mac
from pyiso15118.slac.fields import Constant, Levels, Nibbles, Number, Octets, Part, Record, Reserved

RUN_ID_BYTES = 8
ID_BYTES = 17
NID_BYTES = 7
NMK_BYTES = 16
NO_ID = bytes(ID_BYTES)

_APPLICATION = Number("application_type")
_SECURITY = Number("security_type")
_RUN_ID = Octets("run_id", RUN_ID_BYTES)


class Message(Record):
    """Base of every message. ``MMV``: 0 is HomePlug AV 1.0, without a field for fragments; 1 is AV 1.1."""

    __slots__ = ()
    MMTYPE: ClassVar[int]
    MMV: ClassVar[int] = 1


class ValidateResult(enum.IntEnum):
    """Result of CM_VALIDATE (ISO 15118-3 A.9.4)."""

    NOT_READY = 0
    READY = 1
    SUCCESS = 2
    FAILURE = 3
    NOT_REQUIRED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_SLAC_PARM_REQ(Message):
    """Vehicle, broadcast: which EVSEs are there?"""

    MMTYPE = 0x6064
    PARTS: ClassVar[tuple[Part, ...]] = (_APPLICATION, _SECURITY, _RUN_ID)

    run_id: bytes
    """8 bytes, chosen for this matching."""
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_SLAC_PARM_CNF(Message):
    """EVSE: how to sound."""

    MMTYPE = 0x6065
    PARTS: ClassVar[tuple[Part, ...]] = (
        Octets("m_sound_target", MAC_BYTES),
        Number("num_sounds"),
        Number("time_out_100ms"),
        Number("resp_type"),
        Octets("forwarding_sta", MAC_BYTES),
        _APPLICATION,
        _SECURITY,
        _RUN_ID,
    )

    num_sounds: int
    time_out_100ms: int
    forwarding_sta: Mac
    """Who gets the result: the vehicle."""
    run_id: bytes
    m_sound_target: Mac = BROADCAST
    resp_type: int = 1
    """1: to another station's host."""
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_START_ATTEN_CHAR_IND(Message):
    """Vehicle, broadcast, three times: sounds follow."""

    MMTYPE = 0x606A
    PARTS: ClassVar[tuple[Part, ...]] = (
        _APPLICATION,
        _SECURITY,
        Number("num_sounds"),
        Number("time_out_100ms"),
        Number("resp_type"),
        Octets("forwarding_sta", MAC_BYTES),
        _RUN_ID,
    )

    num_sounds: int
    time_out_100ms: int
    forwarding_sta: Mac
    run_id: bytes
    resp_type: int = 1
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_MNBC_SOUND_IND(Message):
    """Vehicle, broadcast: one sound."""

    MMTYPE = 0x6076
    PARTS: ClassVar[tuple[Part, ...]] = (
        _APPLICATION,
        _SECURITY,
        Octets("sender_id", ID_BYTES),
        Number("cnt"),
        _RUN_ID,
        Reserved(8),
        Octets("rnd", 16),
    )

    cnt: int
    """Sounds still to come."""
    run_id: bytes
    rnd: bytes
    """16 random bytes."""
    sender_id: bytes = NO_ID
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_ATTEN_PROFILE_IND(Message):
    """An EVSE's modem to its host: what it heard of one sound, uncalibrated."""

    MMTYPE = 0x6086
    PARTS: ClassVar[tuple[Part, ...]] = (Octets("pev_mac", MAC_BYTES), Levels("aag", gap=1))

    pev_mac: Mac
    aag: tuple[int, ...]
    """dB by carrier group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_ATTEN_CHAR_IND(Message):
    """EVSE to vehicle: the attenuation of all its sounds."""

    MMTYPE = 0x606E
    PARTS: ClassVar[tuple[Part, ...]] = (
        _APPLICATION,
        _SECURITY,
        Octets("source_address", MAC_BYTES),
        _RUN_ID,
        Octets("source_id", ID_BYTES),
        Octets("resp_id", ID_BYTES),
        Number("num_sounds"),
        Levels("aag"),
    )

    source_address: Mac
    """Of the vehicle."""
    run_id: bytes
    num_sounds: int
    aag: tuple[int, ...]
    """dB by carrier group, calibration taken off."""
    source_id: bytes = NO_ID
    resp_id: bytes = NO_ID
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_ATTEN_CHAR_RSP(Message):
    """Vehicle to EVSE: received. ``result`` 0: well."""

    MMTYPE = 0x606F
    PARTS: ClassVar[tuple[Part, ...]] = (
        _APPLICATION,
        _SECURITY,
        Octets("source_address", MAC_BYTES),
        _RUN_ID,
        Octets("source_id", ID_BYTES),
        Octets("resp_id", ID_BYTES),
        Number("result"),
    )

    source_address: Mac
    run_id: bytes
    result: int = 0
    source_id: bytes = NO_ID
    resp_id: bytes = NO_ID
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_VALIDATE_REQ(Message):
    """Vehicle to EVSE: step 1, may I toggle the pilot?; step 2, I toggle it for (``timer`` + 1) · 100 ms."""

    MMTYPE = 0x6078
    PARTS: ClassVar[tuple[Part, ...]] = (Number("signal_type"), Number("timer"), Number("result"))

    timer: int = 0
    result: int = ValidateResult.READY
    signal_type: int = 0
    """0: toggles of the control pilot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_VALIDATE_CNF(Message):
    """EVSE to vehicle."""

    MMTYPE = 0x6079
    PARTS: ClassVar[tuple[Part, ...]] = (Number("signal_type"), Number("toggle_num"), Number("result"))

    result: int
    toggle_num: int = 0
    signal_type: int = 0


_MATCH_PARTS: tuple[Part, ...] = (
    Octets("pev_id", ID_BYTES),
    Octets("pev_mac", MAC_BYTES),
    Octets("evse_id", ID_BYTES),
    Octets("evse_mac", MAC_BYTES),
    _RUN_ID,
    Reserved(8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_SLAC_MATCH_REQ(Message):
    """Vehicle to the EVSE that it chose."""

    MMTYPE = 0x607C
    PARTS: ClassVar[tuple[Part, ...]] = (
        _APPLICATION,
        _SECURITY,
        Constant("MVFLength", b"\x3e\0"),
        *_MATCH_PARTS,
    )

    pev_mac: Mac
    evse_mac: Mac
    run_id: bytes
    pev_id: bytes = NO_ID
    evse_id: bytes = NO_ID
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_SLAC_MATCH_CNF(Message):
    """EVSE to the vehicle: the key of the network to join."""

    MMTYPE = 0x607D
    PARTS: ClassVar[tuple[Part, ...]] = (
        _APPLICATION,
        _SECURITY,
        Constant("MVFLength", b"\x56\0"),
        *_MATCH_PARTS,
        Octets("nid", NID_BYTES),
        Reserved(1),
        Octets("nmk", NMK_BYTES),
    )

    pev_mac: Mac
    evse_mac: Mac
    run_id: bytes
    nid: bytes
    nmk: bytes = field(repr=False)
    """Secret."""
    pev_id: bytes = NO_ID
    evse_id: bytes = NO_ID
    application_type: int = 0
    security_type: int = 0


_KEY_STATE: tuple[Part, ...] = (
    Number("my_nonce", 4),
    Number("your_nonce", 4),
    Number("pid"),
    Number("prn", 2),
    Number("pmn"),
    Number("cco_capability"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_SET_KEY_REQ(Message):
    """Host to its own modem: join the network with this key."""

    MMTYPE = 0x6008
    PARTS: ClassVar[tuple[Part, ...]] = (
        Number("key_type"),
        *_KEY_STATE,
        Octets("nid", NID_BYTES),
        Number("new_eks"),
        Octets("new_key", NMK_BYTES),
    )

    nid: bytes
    new_key: bytes = field(repr=False)
    """The NMK; secret."""
    key_type: int = 1
    """1: network membership key."""
    my_nonce: int = 0
    your_nonce: int = 0
    pid: int = 4
    """4: the key is given by the host."""
    prn: int = 0
    pmn: int = 0
    cco_capability: int = 0
    """What the station can do as coordinator; recorded EVSEs say 1."""
    new_eks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_SET_KEY_CNF(Message):
    """The modem's answer. ``result`` 1 is what real modems answer when it worked."""

    MMTYPE = 0x6009
    PARTS: ClassVar[tuple[Part, ...]] = (Number("result"), *_KEY_STATE)

    result: int
    my_nonce: int = 0
    your_nonce: int = 0
    pid: int = 4
    prn: int = 0
    pmn: int = 0
    cco_capability: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_AMP_MAP_REQ(Message):
    """Reduce the transmission power of each carrier by so many steps."""

    MMTYPE = 0x601C
    PARTS: ClassVar[tuple[Part, ...]] = (Nibbles("amap"),)

    amap: tuple[int, ...]
    """0..15 by carrier; -2 dB a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CM_AMP_MAP_CNF(Message):
    """``resp_type`` 0: taken."""

    MMTYPE = 0x601D
    PARTS: ClassVar[tuple[Part, ...]] = (Number("resp_type"),)

    resp_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownMessage(Message):
    """A management message of a kind that is not known here; kept as it came."""

    mmv: int
    mmtype: int
    body: bytes
    """Behind the header of its version."""


MESSAGES: tuple[type[Message], ...] = (
    CM_SLAC_PARM_REQ,
    CM_SLAC_PARM_CNF,
    CM_START_ATTEN_CHAR_IND,
    CM_MNBC_SOUND_IND,
    CM_ATTEN_PROFILE_IND,
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_CHAR_RSP,
    CM_VALIDATE_REQ,
    CM_VALIDATE_CNF,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_MATCH_CNF,
    CM_SET_KEY_REQ,
    CM_SET_KEY_CNF,
    CM_AMP_MAP_REQ,
    CM_AMP_MAP_CNF,
)
