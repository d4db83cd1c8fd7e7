"""Messages of AC_DER_IEC are the bytes that other codecs write for the same values, and grammars are as recorded there.

``der_iec_vectors.jsonl`` holds bytes and values of EVerest's tests (EVerest/EVerest, lib/everest/iso15118/test/exi/cb/
iso20/ac_der_iec_*.cpp, commits 0396145f and 21ba72b8) and of the project WWCP_ISO15118 (Iso15118_20.AC_DER_IEC.vectors
.json, commit 93fcac24), six of which are libcbv2g's own for messages that no DER mode moves. The tables below are what
the comments of libcbv2g's iso20_AC_DER_IEC_Encoder.c (EVerest, commit 46dc7268) say of names, order and widths.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.errors import ExiError
from pyiso15118.exi.codec import document_grammar, fragment_grammar
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.grammar import slots_of
from pyiso15118.exi.schema import find
from pyiso15118.exi.source import Layout
from pyiso15118.messages import Namespace, ac
from pyiso15118.messages.jsonform import from_json, to_json
from pyiso15118.v2gtp import PayloadType, namespace_of, payload_type_of

IEC = Namespace.AC_DER_IEC
VECTORS = [json.loads(line) for line in (Path(__file__).with_name("der_iec_vectors.jsonl")).read_text().splitlines()]
EVERY_VECTOR = pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])

ROOTS = """
    AC_CPDReqEnergyTransferMode AC_CPDResEnergyTransferMode AC_ChargeLoopReq AC_ChargeLoopRes
    AC_ChargeParameterDiscoveryReq AC_ChargeParameterDiscoveryRes BPT_AC_CPDReqEnergyTransferMode
    BPT_AC_CPDResEnergyTransferMode BPT_Dynamic_AC_CLReqControlMode BPT_Dynamic_AC_CLResControlMode
    BPT_Scheduled_AC_CLReqControlMode BPT_Scheduled_AC_CLResControlMode CLReqControlMode CLResControlMode
    CanonicalizationMethod DER_AC_CPDReqEnergyTransferMode DER_AC_CPDResEnergyTransferMode
    DER_Dynamic_AC_CLReqControlMode DER_Dynamic_AC_CLResControlMode DER_Scheduled_AC_CLReqControlMode
    DER_Scheduled_AC_CLResControlMode DSAKeyValue DigestMethod DigestValue Dynamic_AC_CLReqControlMode
    Dynamic_AC_CLResControlMode KeyInfo KeyName KeyValue Manifest MgmtData Object PGPData RSAKeyValue Reference
    RetrievalMethod SPKIData Scheduled_AC_CLReqControlMode Scheduled_AC_CLResControlMode Signature SignatureMethod
    SignatureProperties SignatureProperty SignatureValue SignedInfo Transform Transforms X509Data
"""

STATES: dict[str, list[tuple[int, str]]] = {
    "SetpointExcitationType": [(1, "SetpointValue"), (2, "Excitation END")],
    "DataTupleType": [(1, "xValue"), (1, "yValue")],
    "FaultRideThroughType": [
        (1, "VoltageLimitStartFRT"),
        (
            3,
            "VoltageLimitStopFRT VoltageRecoveryLimit VoltageRideThroughPositiveCurveKFactor "
            "VoltageRideThroughNegativeCurveKFactor PT1ResponseActivePower",
        ),
        (
            3,
            "VoltageRecoveryLimit VoltageRideThroughPositiveCurveKFactor VoltageRideThroughNegativeCurveKFactor "
            "PT1ResponseActivePower",
        ),
        (
            2,
            "VoltageRideThroughPositiveCurveKFactor VoltageRideThroughNegativeCurveKFactor PT1ResponseActivePower",
        ),
        (2, "VoltageRideThroughNegativeCurveKFactor PT1ResponseActivePower"),
        (1, "PT1ResponseActivePower"),
        (1, "StepResponseTimeConstantActivePower"),
        (1, "PT1ResponseReactivePower"),
        (1, "StepResponseTimeConstantReactivePower"),
    ],
    "DERCurveType": [
        (1, "xUnit"),
        (1, "yUnit"),
        (1, "CurveDataPoints"),
        (3, "MinCosPhi LockValueUnit LockInValue LockOutValue PT1ResponseReactivePower"),
        (3, "LockValueUnit LockInValue LockOutValue PT1ResponseReactivePower"),
        (2, "LockInValue LockOutValue PT1ResponseReactivePower"),
        (2, "LockOutValue PT1ResponseReactivePower"),
    ],
}
"""Per type, in order: the width of a state's event code and the events it may be."""

LOOP_RES_MODES = """
    BPT_Dynamic_AC_CLResControlMode BPT_Scheduled_AC_CLResControlMode CLResControlMode DER_Dynamic_AC_CLResControlMode
    DER_Scheduled_AC_CLResControlMode Dynamic_AC_CLResControlMode Scheduled_AC_CLResControlMode
"""


@EVERY_VECTOR
def test_a_message_is_written_as_others_write_it(vector: dict[str, Any]) -> None:
    assert exi.encode(from_json(IEC, vector["message"])).hex() == vector["hex"]


@EVERY_VECTOR
def test_the_bytes_of_others_are_read_as_the_values_they_stand_for(vector: dict[str, Any]) -> None:
    message = exi.decode(IEC, bytes.fromhex(vector["hex"]))
    assert json.loads(json.dumps(to_json(message))) == vector["message"]


def test_messages_without_a_der_mode_are_those_of_ac_only_where_no_der_mode_sorts_before_theirs() -> None:
    moved = []
    for vector in VECTORS:
        if '"DER_' in json.dumps(vector["message"]):
            with pytest.raises(ExiError):
                from_json(Namespace.AC, vector["message"])
        elif exi.encode(from_json(Namespace.AC, vector["message"])).hex() != vector["hex"]:
            moved.append(vector["name"])
    assert moved == ["loop req, scheduled", "loop res, scheduled", "loop req, dynamic", "loop res, dynamic"]


def test_a_message_of_ac_is_refused_where_the_schema_has_a_wider_one() -> None:
    message = from_json(Namespace.AC, VECTORS[0]["message"])
    assert type(message) is ac.AC_ChargeParameterDiscoveryReq
    with pytest.raises(ExiError, match="its own AC_ChargeParameterDiscoveryReq"):
        exi.encode(message, IEC)


def test_roots_are_those_of_the_schema_in_their_order() -> None:
    grammar = document_grammar(IEC)
    assert [name for (name, _), _ in grammar.elements] == ROOTS.split()
    assert grammar.width == 6


def test_fragments_number_every_element_by_the_namespace_that_declares_it() -> None:
    """libcbv2g's table is that of one namespace: there, what AC and DER both declare is one element, here it is two."""
    names = [name for name, _ in fragment_grammar(IEC).elements]
    assert (len(names), fragment_grammar(IEC).width) == (259, 9)
    merged = sorted({(name, str(IEC) if namespace == Namespace.AC else namespace) for name, namespace in names})
    assert len(merged) == 245
    assert merged.index(("SignedInfo", str(Namespace.XMLDSIG))) == 203
    assert merged[60][0] == "EVMaximumDischargePower"
    assert merged[240][0] == "ZeroCurrent"
    twice = {name for name, namespace in names if namespace == IEC} & {n for n, ns in names if ns == Namespace.AC}
    assert len(twice) == 259 - 245


@pytest.mark.parametrize("name", STATES)
def test_states_have_the_events_and_widths_recorded_of_them(name: str) -> None:
    (cls,) = (cls for cls in find(IEC).types if cls.__name__ == name)
    states = states_from_the_start(cls)
    assert states[: len(STATES[name])] == STATES[name]


def test_a_curve_has_its_first_two_points_without_a_choice() -> None:
    (cls,) = (cls for cls in find(IEC).types if cls.__name__ == "CurveDataPointsListType")
    (slot,) = slots_of(cls)
    assert (slot.minimum, slot.maximum) == (2, 10)


def test_modes_of_the_charge_loop_follow_what_may_stand_before_them() -> None:
    (cls,) = (cls for cls in find(IEC).types if cls.__name__ == "AC_ChargeLoopRes")
    states = states_from_the_start(cls)
    tail = " ".join(LOOP_RES_MODES.split())
    assert states[2:] == [
        (4, f"EVSEStatus MeterInfo Receipt EVSETargetFrequency {tail}"),
        (4, f"MeterInfo Receipt EVSETargetFrequency {tail}"),
        (4, f"Receipt EVSETargetFrequency {tail}"),
        (4, f"EVSETargetFrequency {tail}"),
        (3, tail),
    ]


def test_payloads_are_marked_as_der() -> None:
    assert PayloadType.DER_IEC == 0x8010
    assert payload_type_of(IEC) is PayloadType.DER_IEC
    assert namespace_of(0x8010) is IEC


def states_from_the_start(cls: type[Struct]) -> list[tuple[int, str]]:
    layout = Layout(slots_of(cls))
    found = []
    for index in range(len(layout.slots)):
        events: list[str] = []
        for slot in layout.slots[index:]:
            events += [terminal.name for terminal in slot.terminals]
            if slot.minimum:
                break
        else:
            events.append("END")
        selection = layout.entering(index)
        assert selection.count == len(events)
        found.append((selection.width, " ".join(events)))
    return found
