"""Management messages of modem makers: Qualcomm (QCA7000 and its like) and ST/IoTecha."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pyiso15118.slac.addresses import MAC_BYTES, Mac
from pyiso15118.slac.fields import Constant, Cursor, Items, Levels, Number, Octets, Part, Record, Reserved, Text
from pyiso15118.slac.messages import NID_BYTES, Message

QUALCOMM = Constant("OUI", bytes.fromhex("00b052"))
_IOTECHA = Constant("OUI", bytes.fromhex("0080e1"))
_ATTRIBUTES = bytes((0, 16, 0, 0, 0, 0, 0, 0, 0))


class Qualcomm(Message):
    """Of MMV 0: no field for fragments; the maker's OUI comes first."""

    __slots__ = ()
    MMV = 0
    PARTS: ClassVar[tuple[Part, ...]] = (QUALCOMM,)


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_SW_VER_REQ(Qualcomm):
    MMTYPE = 0xA000


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_SW_VER_CNF(Qualcomm):
    """``mstatus`` 0: well."""

    MMTYPE = 0xA001
    PARTS: ClassVar[tuple[Part, ...]] = (QUALCOMM, Number("mstatus"), Number("device_id"), Text("version"))

    version: str
    mstatus: int = 0
    device_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_RS_DEV_REQ(Qualcomm):
    """Reset the modem."""

    MMTYPE = 0xA01C


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_RS_DEV_CNF(Qualcomm):
    """``mstatus`` 0: it resets now."""

    MMTYPE = 0xA01D
    PARTS: ClassVar[tuple[Part, ...]] = (QUALCOMM, Number("mstatus"))

    mstatus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_OP_ATTRIBUTES_REQ(Qualcomm):
    MMTYPE = 0xA068
    PARTS: ClassVar[tuple[Part, ...]] = (QUALCOMM, Number("cookie", 4), Number("report_type"))

    cookie: int = 0
    report_type: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_PL_LNK_STATUS_REQ(Qualcomm):
    MMTYPE = 0xA0B8


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_PL_LNK_STATUS_CNF(Qualcomm):
    """``link_status`` 1: the modem is in a network with another."""

    MMTYPE = 0xA0B9
    PARTS: ClassVar[tuple[Part, ...]] = (QUALCOMM, Number("mstatus"), Number("link_status"))

    link_status: int
    mstatus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_ATTENUATION_CHARACTERISTICS_IND(Message):
    """The same levels as in CM_ATTEN_PROFILE.IND, which follows it."""

    MMTYPE = 0xA14E
    MMV = 0

    pev_mac: Mac
    aag: tuple[int, ...]
    attributes: bytes = _ATTRIBUTES
    """Between the count and the levels: 9 bytes, of which recordings show the second as 16."""
    oui: bytes = bytes(3)
    """Zero in some recordings, Qualcomm's in others."""

    @classmethod
    def read(cls, cursor: Cursor) -> VS_ATTENUATION_CHARACTERISTICS_IND:
        oui = cursor.take(3, "OUI")
        pev_mac = cursor.take(MAC_BYTES, "pev_mac")
        count = cursor.take(1, "the count of aag")[0]
        attributes = cursor.take(len(_ATTRIBUTES), "attributes")
        if count == 0:
            raise cursor.wrong("aag", "has no carrier group")
        return cls(oui=oui, pev_mac=pev_mac, aag=tuple(cursor.take(count, "aag")), attributes=attributes)

    def pack(self, message: str = "") -> bytes:
        name = message or type(self).__name__
        levels = Levels("aag").write(self.aag, name)
        attributes = Octets("attributes", len(_ATTRIBUTES)).write(self.attributes, name)
        mac = Octets("pev_mac", MAC_BYTES).write(self.pev_mac, name)
        return Octets("oui", 3).write(self.oui, name) + mac + levels[:1] + attributes + levels[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class VsStation(Record):
    """A station of a network: its modem, the host behind it, average PHY rates in Mbit/s."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        Octets("mac", MAC_BYTES),
        Number("tei"),
        Reserved(3),
        Octets("bridged_mac", MAC_BYTES),
        Number("avg_tx_mbps", 2),
        Reserved(2),
        Number("avg_rx_mbps", 2),
        Reserved(2),
    )

    mac: Mac
    tei: int
    bridged_mac: Mac
    avg_tx_mbps: int
    avg_rx_mbps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VsNetwork(Record):
    """A network that the modem belongs to, with the others in it."""

    PARTS: ClassVar[tuple[Part, ...]] = (
        Octets("nid", NID_BYTES),
        Reserved(2),
        Number("snid"),
        Number("tei"),
        Reserved(4),
        Number("station_role"),
        Octets("cco_mac", MAC_BYTES),
        Number("cco_tei"),
        Reserved(3),
        Items("stations", VsStation, gap=5),
    )

    nid: bytes
    snid: int
    tei: int
    station_role: int
    """0 station, 1 proxy, 2 central coordinator."""
    cco_mac: Mac
    cco_tei: int
    stations: tuple[VsStation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_NW_INFO_REQ(Message):
    MMTYPE = 0xA038
    PARTS: ClassVar[tuple[Part, ...]] = (QUALCOMM,)


_NETWORKS = Items("networks", VsNetwork)


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_NW_INFO_CNF(Message):
    """Layout of Qualcomm's Open Powerline Toolkit (``plc/NetworkInformation2.c``), which does not use the length.

    So nobody knows for sure what a modem counts in it: 0, and more than is used, are taken.
    """

    MMTYPE = 0xA039

    networks: tuple[VsNetwork, ...] = ()
    sub_version: int = 1

    @classmethod
    def read(cls, cursor: Cursor) -> VS_NW_INFO_CNF:
        QUALCOMM.read(cursor)
        sub_version = cursor.take(1, "sub_version")[0]
        cursor.take(1, "a reserved field")
        length = int.from_bytes(cursor.take(2, "the length"), "little")
        begin = cursor.at
        cursor.take(1, "a reserved field")
        networks = _NETWORKS.read(cursor)
        used = cursor.at - begin
        if length and used > length:
            raise cursor.wrong("the length", f"is {length}, and {used} bytes are needed")
        return cls(networks=networks, sub_version=sub_version)

    def pack(self, message: str = "") -> bytes:
        name = message or type(self).__name__
        data = b"\0" + _NETWORKS.write(self.networks, name)
        head = QUALCOMM.write(None, name) + Number("sub_version").write(self.sub_version, name) + b"\0"
        return head + Number("length", 2).write(len(data), name) + data


@dataclass(frozen=True, slots=True, kw_only=True)
class VS_ST_IOTECHA_CP_STATE_IND(Message):
    """The control pilot as the board of the modem sees it; recordings show it sent to the modem by the EVSE."""

    MMTYPE = 0xA22E
    PARTS: ClassVar[tuple[Part, ...]] = (
        _IOTECHA,
        Reserved(5),
        Number("state"),
        Number("duty_pct"),
        Number("frequency_hz", 2),
        Number("voltage_mv", 2),
    )

    duty_pct: int
    """100: steady."""
    frequency_hz: int
    """0: steady."""
    voltage_mv: int
    """Of the positive half."""
    state: int = 0
    """1, 3 and 5 are seen with the levels of A, B and C."""


VENDOR_MESSAGES: tuple[type[Message], ...] = (
    VS_SW_VER_REQ,
    VS_SW_VER_CNF,
    VS_RS_DEV_REQ,
    VS_RS_DEV_CNF,
    VS_OP_ATTRIBUTES_REQ,
    VS_PL_LNK_STATUS_REQ,
    VS_PL_LNK_STATUS_CNF,
    VS_NW_INFO_REQ,
    VS_NW_INFO_CNF,
    VS_ATTENUATION_CHARACTERISTICS_IND,
    VS_ST_IOTECHA_CP_STATE_IND,
)
