"""Messages of WPT and ACDP are the bytes that other codecs write for the same values.

The bytes are those of libcbv2g 03350be048b3 (EVerest), as recorded with their values by the project WWCP_ISO15118
(WWCP_ISO15118_EXI_Tests/Vectors, 2026-08). Where libcbv2g leaves the schema (see the last test here), and for lists
that it cannot write at all, they are what EXIficient 1.0.4 reads and writes again by ISO's own XSD, from there too.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.exi.schema import find
from pyiso15118.messages import Namespace
from pyiso15118.messages.jsonform import from_json, to_json

HEADER = "040000000000000000080e2cfaa062"
"""SessionID of eight zero bytes, TimeStamp 1700000000, no signature; its last bits are part of what follows."""


def rational(value: int) -> dict[str, int]:
    return {"Exponent": 0, "Value": value}


def spec_data(number: int) -> list[dict[str, Any]]:
    return [
        {
            "TxRxIdentifier": item + 1,
            "TxRxPosition": {"Coord_X": 10 * item, "Coord_Y": 0, "Coord_Z": 0},
            "TxRxOrientation": {"Coord_X": 0, "Coord_Y": 5 * item, "Coord_Z": 0},
        }
        for item in range(number)
    ]


def transmitter(number: int) -> dict[str, Any]:
    pulses = [{"IndexNumber": item + 1, "TxRxIdentifier": item + 1} for item in range(number)]
    package = {
        "PulseSequenceOrder": pulses,
        "PulseSeparationTime": 10,
        "PulseDuration": 20,
        "PackageSeparationTime": 30,
    }
    return {
        "LF_TransmitterSetupData": {
            "NumberOfTransmitters": number,
            "SignalFrequency": rational(100),
            "TxSpecData": spec_data(number),
            "TxPackageSpecData": package,
        }
    }


def receiver(number: int) -> dict[str, Any]:
    return {"LF_ReceiverSetupData": {"NumberOfReceivers": number, "RxSpecData": spec_data(number)}}


def methods(device: str) -> dict[str, Any]:
    return {
        f"{device}FinePositioningMethodList": {"WPT_FinePositioningMethod": ["Manual"]},
        f"{device}PairingMethodList": {"WPT_PairingMethod": ["LPE"]},
        f"{device}AlignmentCheckMethodList": {"WPT_AlignmentCheckMethod": ["PowerCheck"]},
        "NaturalOffset": 0,
    }


SETUP_REQ = {"EVProcessing": "Finished", **methods("EVDevice")}
SETUP_RES = {"ResponseCode": "OK", **methods("PrimaryDevice")}
SUCCESS = {"EVProcessing": "Finished", "EVResultCode": "EVResultSuccess"}
FINISHED = {"ResponseCode": "OK", "EVSEProcessing": "Finished"}

WPT: list[tuple[str, dict[str, Any], str, str]] = [
    ("WPT_FinePositioningSetupReq", SETUP_REQ, "8084", "000824040040"),
    (
        "WPT_FinePositioningSetupReq",
        {**SETUP_REQ, "LF_SystemSetupData": transmitter(2)},
        "8084",
        "000824040020041000c800100000000000000000000010028000000000005000080100200200420a02807800",
    ),
    (
        "WPT_FinePositioningSetupReq",
        {**SETUP_REQ, "LF_SystemSetupData": transmitter(3)},
        "8084",
        "000824040020061000c80010000000000000000000001002800000000000"
        "500000060140000000000028000200400800801000600c4140500f00",
    ),
    ("WPT_FinePositioningSetupRes", SETUP_RES, "8088", "000082404004"),
    (
        "WPT_FinePositioningSetupRes",
        {**SETUP_RES, "LF_SystemSetupData": receiver(2)},
        "8088",
        "0000824040028040020000000000000000000002005000000000000a000100",
    ),
    (
        "WPT_FinePositioningSetupRes",
        {**SETUP_RES, "LF_SystemSetupData": receiver(3)},
        "8088",
        "0000824040028060020000000000000000000002005000000000000a000000c028000000000005000040",
    ),
    ("WPT_FinePositioningReq", SUCCESS, "807c", "0140"),
    ("WPT_FinePositioningRes", FINISHED, "8080", "0004"),
    ("WPT_PairingReq", SUCCESS, "808c", "0490"),
    ("WPT_PairingRes", FINISHED, "8090", "0003"),
    (
        "WPT_ChargeParameterDiscoveryReq",
        {
            "EVPCMaxReceivablePower": rational(11000),
            "SDMaxGroundClearence": 300,
            "SDMinGroundClearence": 100,
            "EVPCNaturalFrequency": rational(85),
            "EVPCDeviceLocalControl": False,
        },
        "8074",
        "2003e1542b0083204002a808",
    ),
    (
        "WPT_ChargeParameterDiscoveryRes",
        {
            "ResponseCode": "OK",
            "PDInputPowerClass": "MF-WPT1",
            "SDMinOutputPower": rational(100),
            "SDMaxOutputPower": rational(11000),
            "SDMaxGroundClearanceSupport": 300,
            "SDMinGroundClearanceSupport": 100,
            "PDMinCoilCurrent": rational(1),
            "PDMaxCoilCurrent": rational(200),
        },
        "8078",
        "0000800640" + "4007c2a85601064080001040064008" + "80",
    ),
    ("WPT_AlignmentCheckReq", SUCCESS, "8064", "0490"),
    ("WPT_AlignmentCheckRes", FINISHED, "8068", "0003"),
    (
        "WPT_ChargeLoopReq",
        {
            "MeterInfoRequested": False,
            "EVPCPowerRequest": rational(3700),
            "EVPCPowerOutput": rational(3700),
            "EVPCChargeDiagnostics": "EVPCNoIssue",
        },
        "806c",
        "81001e8380800f41c00c",
    ),
    (
        "WPT_ChargeLoopRes",
        {
            "ResponseCode": "OK",
            "EVPCPowerRequest": rational(3700),
            "SPCMaxOutputPowerLimit": rational(3700),
            "SPCMinOutputPowerLimit": rational(0),
            "SPCChargeDiagnostics": "SPCNoIssue",
        },
        "8070",
        "0064007a0e09001e838080000006",
    ),
]

ACDP: list[tuple[str, dict[str, Any], str, str]] = [
    ("ACDP_VehiclePositioningReq", {"EVMobilityStatus": True, "EVPositioningSupport": True}, "8018", "44"),
    (
        "ACDP_VehiclePositioningRes",
        {
            "ResponseCode": "OK",
            "EVSEProcessing": "Finished",
            "EVSEPositioningSupport": True,
            "EVRelativeXDeviation": 10,
            "EVRelativeYDeviation": -5,
            "ContactWindowXc": 100,
            "ContactWindowYc": 50,
            "EVInChargePosition": False,
        },
        "801c",
        "000100a10406403200",
    ),
    ("ACDP_ConnectReq", {"EVElectricalChargingDeviceStatus": "State_B"}, "8000", "20"),
    (
        "ACDP_ConnectRes",
        {
            **FINISHED,
            "EVSEElectricalChargingDeviceStatus": "State_C",
            "EVSEMechanicalChargingDeviceStatus": "EndPosition",
        },
        "8004",
        "000108",
    ),
    ("ACDP_DisconnectReq", {"EVElectricalChargingDeviceStatus": "State_A"}, "8008", "00"),
    (
        "ACDP_DisconnectRes",
        {**FINISHED, "EVSEElectricalChargingDeviceStatus": "State_A", "EVSEMechanicalChargingDeviceStatus": "Home"},
        "800c",
        "000000",
    ),
    (
        "ACDP_SystemStatusReq",
        {"EVTechnicalStatus": {"EVReadyToCharge": True, "EVImmobilizationRequest": False}},
        "8010",
        "20c0",
    ),
    (
        "ACDP_SystemStatusRes",
        {
            "ResponseCode": "OK",
            "EVSEMechanicalChargingDeviceStatus": "EndPosition",
            "EVSEReadyToCharge": True,
            "EVSEIsolationStatus": "Safe",
            "EVSEDisabled": False,
            "EVSEUtilityInterruptEvent": False,
            "EVSEEmergencyShutdown": False,
            "EVSEMalfunction": False,
            "EVInChargePosition": True,
            "EVAssociationStatus": True,
        },
        "8014",
        "002108000088",
    ),
]

ALL = [(Namespace.WPT, *row) for row in WPT] + [(Namespace.ACDP, *row) for row in ACDP]


@pytest.mark.parametrize(
    ("namespace", "name", "body", "root", "rest"), ALL, ids=[f"{number}-{row[1]}" for number, row in enumerate(ALL)]
)
def test_values_are_the_bytes_that_other_codecs_write(
    namespace: Namespace, name: str, body: dict[str, Any], root: str, rest: str
) -> None:
    data = bytes.fromhex(root + HEADER + rest)
    expected = {name: {"Header": {"SessionID": "0000000000000000", "TimeStamp": 1700000000}, **body}}
    message = exi.decode(namespace, data)
    assert json.loads(json.dumps(to_json(message))) == expected
    assert exi.encode(message) == data
    assert exi.encode(from_json(namespace, expected)) == data


def test_every_message_of_both_namespaces_has_a_vector() -> None:
    for namespace, rows in ((Namespace.WPT, WPT), (Namespace.ACDP, ACDP)):
        assert {row[0] for row in rows} == set(find(namespace).elements)


def test_a_list_below_its_least_number_is_refused() -> None:
    body = {"Header": {"SessionID": "00" * 8, "TimeStamp": 1}, **SETUP_RES, "LF_SystemSetupData": receiver(1)}
    with pytest.raises(exi.ExiError, match="1 items, where 2 to 255 are permitted"):
        exi.encode(from_json(Namespace.WPT, {"WPT_FinePositioningSetupRes": body}))


def test_no_wrong_bit_makes_a_list_of_two_one_of_one() -> None:
    two = int.from_bytes(bytes.fromhex("8088" + HEADER + WPT[4][3]))
    assert _items(two) == 2
    found = [_items(two ^ 1 << place) for place in range(two.bit_length() - 8)]
    assert 1 not in found
    assert found.count(None) > 40
    assert found.count(2) > 100


def _items(bits: int) -> int | None:
    """How many receivers the message has; None where it is refused."""
    try:
        message = exi.decode(Namespace.WPT, bits.to_bytes(-(-bits.bit_length() // 8)))
    except exi.ExiError:
        return None
    setup = getattr(message, "LF_SystemSetupData", None)
    return len(setup.LF_ReceiverSetupData.RxSpecData) if setup and setup.LF_ReceiverSetupData else 0


@pytest.mark.parametrize("number", [2, 3, 254, 255])
def test_a_list_of_any_permitted_number_survives(number: int) -> None:
    body = {"Header": {"SessionID": "00" * 8, "TimeStamp": 1}, **SETUP_REQ, "LF_SystemSetupData": transmitter(number)}
    message = from_json(Namespace.WPT, {"WPT_FinePositioningSetupReq": body})
    assert exi.decode(Namespace.WPT, exi.encode(message)) == message


def test_messages_that_libcbv2g_numbers_otherwise_are_read_by_the_schema() -> None:
    # It gives ACDP_ConnectRes the root code 2 and ACDP_DisconnectReq 1, since Connect and Disconnect share their types.
    swapped = bytes.fromhex("8008" + HEADER + "000108")
    assert type(exi.decode(Namespace.ACDP, swapped[:18])).__name__ == "ACDP_DisconnectReq"
    with pytest.raises(exi.ExiError):
        exi.decode(Namespace.ACDP, bytes.fromhex("8004" + HEADER + "00"))
