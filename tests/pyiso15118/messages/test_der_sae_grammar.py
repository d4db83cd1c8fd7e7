"""Event codes of AC_DER_SAE are those that a public codec documents, also where no vector shows them.

The tables are from EVerest/EVerest, ``lib/everest/cbv2g``: the numbers of root elements and the members of substitution
groups in ``include/cbv2g/iso_20/iso20_AC_DER_SAE_Datatypes.h``, the fragments' in ``iso20_AC_DER_SAE_Encoder.c``.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyiso15118 import exi
from pyiso15118.exi.codec import document_grammar, fragment_grammar
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.grammar import code_width, fields_of, is_abstract, slots_of
from pyiso15118.exi.schema import find, type_namespace
from pyiso15118.messages import Namespace, ac
from pyiso15118.messages import ac_der_sae as sae
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.jsonform import from_json

ROOTS = """
    AC_CPDReqEnergyTransferMode AC_CPDResEnergyTransferMode AC_ChargeLoopReq AC_ChargeLoopRes
    AC_ChargeParameterDiscoveryReq AC_ChargeParameterDiscoveryRes BPT_AC_CPDReqEnergyTransferMode
    BPT_AC_CPDResEnergyTransferMode BPT_Dynamic_AC_CLReqControlMode BPT_Dynamic_AC_CLResControlMode
    BPT_Scheduled_AC_CLReqControlMode BPT_Scheduled_AC_CLResControlMode CLReqControlMode CLResControlMode
    CanonicalizationMethod DER_AC_CPDReqEnergyTransferMode DER_AC_CPDResEnergyTransferMode
    DER_Dynamic_AC_CLReqControlMode DER_Dynamic_AC_CLResControlMode DER_Scheduled_AC_CLReqControlMode
    DER_Scheduled_AC_CLResControlMode DSAKeyValue DigestMethod DigestValue Dynamic_AC_CLReqControlMode
    Dynamic_AC_CLResControlMode FrequencyDroop KeyInfo KeyName KeyValue Manifest MgmtData Object PGPData RSAKeyValue
    Reference RetrievalMethod SPKIData Scheduled_AC_CLReqControlMode Scheduled_AC_CLResControlMode Signature
    SignatureMethod SignatureProperties SignatureProperty SignatureValue SignedInfo Transform Transforms X509Data
"""
GROUPS = {
    sae.AC_ChargeParameterDiscoveryReq: (
        "AC_CPDReqEnergyTransferMode BPT_AC_CPDReqEnergyTransferMode DER_AC_CPDReqEnergyTransferMode"
    ),
    sae.AC_ChargeParameterDiscoveryRes: (
        "AC_CPDResEnergyTransferMode BPT_AC_CPDResEnergyTransferMode DER_AC_CPDResEnergyTransferMode"
    ),
    sae.AC_ChargeLoopReq: (
        "BPT_Dynamic_AC_CLReqControlMode BPT_Scheduled_AC_CLReqControlMode CLReqControlMode "
        "DER_Dynamic_AC_CLReqControlMode DER_Scheduled_AC_CLReqControlMode Dynamic_AC_CLReqControlMode "
        "Scheduled_AC_CLReqControlMode"
    ),
    sae.AC_ChargeLoopRes: (
        "BPT_Dynamic_AC_CLResControlMode BPT_Scheduled_AC_CLResControlMode CLResControlMode "
        "DER_Dynamic_AC_CLResControlMode DER_Scheduled_AC_CLResControlMode Dynamic_AC_CLResControlMode "
        "Scheduled_AC_CLResControlMode"
    ),
}
FRAGMENT_ELEMENTS = 353
"""That codec includes AC's schema instead of importing it, so that AC's elements have this namespace, too."""
FRAGMENT_CODES = {
    "EVMaximumVarAbsorptionDuringCharging": 88,
    "EVMaximumVarInjectionDuringDischarging": 97,
    "EVMaximumVoltage": 100,
    "EVMinimumChargePower": 101,
    "EVMinimumChargingDuration": 104,
    "EVMinimumV2XEnergyRequest": 109,
    "EVMinimumVoltage": 122,
    "EVPresentActivePower": 125,
    "EVProcessing": 133,
    "EVReactiveSusceptance": 136,
    "EVSEMaximumChargePower": 139,
    "EVSEMinimumChargePower": 157,
    "EVSENominalFrequency": 169,
    "EVSEReactivePowerLimits": 176,
    "EVSETargetFrequency": 182,
    "EVSEUpdateTime": 186,
    "EVSpecifiedOverExcitedDischargePower": 188,
    "EVTargetEnergyRequest": 200,
    "EVUseableWattHours": 202,
    "EnabledModes": 204,
    "EnterServiceCLRes": 206,
    "FrequencyDroop": 217,
    "GridConnectionMode": 220,
    "IEEE1547AbnormalCategory": 231,
    "J3072Certified": 236,
    "LimitMaxDischargePower": 240,
    "MaximumPowerAsymmetry": 242,
    "OpenLoopResponseTime": 256,
    "PercentageValue": 268,
    "PermitService": 271,
    "PowerReference": 279,
    "ReferenceVoltageAdjustmentTimeConstant": 291,
    "RequiredDEROperatingMode": 295,
    "Scheduled_AC_CLReqControlMode": 301,
    "SignedInfo": 310,
    "SupportedModes": 311,
    "TimeConstantPT1": 316,
    "UnderFrequencyDroop": 320,
    "Unit": 326,
    "VoltageTrip": 333,
    "WattVar": 337,
    "db": 348,
    "xUnit": 349,
    "yValue": 352,
}
REQUEST = ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=0)
ZERO = ct.RationalNumberType(Exponent=0, Value=0)


def test_root_elements_have_the_documented_codes() -> None:
    grammar = document_grammar(Namespace.AC_DER_SAE)
    assert [name for (name, _), _ in grammar.elements] == ROOTS.split()
    assert grammar.width == 6


def test_messages_are_elements_of_ac_and_only_the_new_members_are_of_this_namespace() -> None:
    own = {name for (name, namespace), _ in document_grammar(Namespace.AC_DER_SAE).elements if "DER" in namespace}
    assert own == {name for name in ROOTS.split() if name.startswith("DER_")} | {"FrequencyDroop"}


@pytest.mark.parametrize("cls", GROUPS, ids=lambda cls: cls.__name__)
def test_members_of_substitution_groups_have_the_documented_codes(cls: type[Struct]) -> None:
    slot = slots_of(cls)[-1]
    assert [terminal.name for terminal in slot.terminals] == GROUPS[cls].split()
    assert code_width(len(slot.terminals)) == len(GROUPS[cls].split()).bit_length()


def test_fragments_of_a_codec_that_includes_ac_have_the_documented_codes() -> None:
    ours = fragment_grammar(Namespace.AC_DER_SAE)
    included = sorted(
        {
            (name, Namespace.AC_DER_SAE.value if namespace == Namespace.AC else namespace)
            for (name, namespace), _ in ours.elements
        }
    )
    codes = {name: code for code, (name, _) in enumerate(included)}
    assert len(included) == FRAGMENT_ELEMENTS
    assert {name: codes[name] for name in FRAGMENT_CODES} == FRAGMENT_CODES
    # Imported, AC's elements and those of the same name of this namespace are two.
    assert len(ours.elements) == FRAGMENT_ELEMENTS + 14
    assert ours.width == 9


def test_fragments_take_the_widened_message_and_the_element_of_its_type() -> None:
    message = sae.AC_ChargeLoopReq(
        Header=REQUEST,
        MeterInfoRequested=False,
        CLReqControlMode=ac.Scheduled_AC_CLReqControlMode(EVPresentActivePower=ZERO),
    )
    point = sae.DataTupleType(xValue=ZERO, yValue=ZERO)
    for part in (message, point):
        data = exi.encode_fragment(part, Namespace.AC_DER_SAE)
        assert exi.decode_fragment(Namespace.AC_DER_SAE, data) == part


def test_inherited_elements_keep_the_namespace_of_ac() -> None:
    namespaces = {field.name: field.namespace for field in fields_of(sae.DER_Dynamic_AC_CLReqControlMode)}
    assert namespaces["EVMaximumChargePower"] == Namespace.AC
    assert namespaces["EVMaximumDischargePower"] == Namespace.AC_DER_SAE
    assert namespaces["DepartureTime"] == Namespace.COMMON_TYPES
    assert {field.name: field.namespace for field in fields_of(sae.AC_ChargeLoopRes)}[
        "EVSETargetFrequency"
    ] == Namespace.AC


@pytest.mark.parametrize("cls", GROUPS, ids=lambda cls: cls.__name__)
def test_widened_messages_are_messages_of_ac_but_belong_to_this_namespace(cls: type[Struct]) -> None:
    assert issubclass(cls, getattr(ac, cls.__name__))
    assert type_namespace[cls] == Namespace.AC_DER_SAE
    assert cls in find(Namespace.AC_DER_SAE).types


def test_a_message_of_ac_itself_is_refused_where_its_grammar_is_another() -> None:
    message = ac.AC_ChargeLoopReq(
        Header=REQUEST,
        MeterInfoRequested=False,
        CLReqControlMode=ac.Scheduled_AC_CLReqControlMode(EVPresentActivePower=ZERO),
    )
    with pytest.raises(exi.ExiError, match=r"AC-DER-SAE has its own AC_ChargeLoopReq"):
        exi.encode(message, Namespace.AC_DER_SAE)
    with pytest.raises(exi.ExiError):
        exi.encode(sae.AC_ChargeLoopReq(**{f: getattr(message, f) for f in message.__struct_fields__}), Namespace.AC)


def test_ac_does_not_know_the_new_members() -> None:
    control = {"EnterServiceCLRes": {"PermitService": True}}
    mode = {"EVSETargetActivePower": {"Exponent": 0, "Value": 0}, "DERControlCLRes": control}
    body = {
        "Header": {"SessionID": "00" * 8, "TimeStamp": 0},
        "ResponseCode": "OK",
        "DER_Dynamic_AC_CLResControlMode": mode,
    }
    message = from_json(Namespace.AC_DER_SAE, {"AC_ChargeLoopRes": body})
    assert exi.decode(Namespace.AC_DER_SAE, exi.encode(message)) == message
    with pytest.raises(exi.ExiError, match="unknown element"):
        from_json(Namespace.AC, {"AC_ChargeLoopRes": body})


@pytest.mark.parametrize("number", [0, 1, 11])
def test_a_curve_has_two_to_ten_points(number: int) -> None:
    point = sae.DataTupleType(xValue=ZERO, yValue=ZERO)
    with pytest.raises(exi.ExiError, match="CurveDataPoint"):
        exi.encode_fragment(
            sae.CurveDataPointsListType(CurveDataPoint=[point] * number), Namespace.AC_DER_SAE, "CurveDataPoints"
        )


def test_every_type_can_stand_in_a_message() -> None:
    assert not [cls for cls in find(Namespace.AC_DER_SAE).types if is_abstract(cls)]


def test_nothing_of_it_is_imported_before_its_first_message() -> None:
    code = (
        "import sys; from pyiso15118 import exi; from pyiso15118.messages import Namespace;"
        "name = 'pyiso15118.messages.ac_der_sae'; assert name not in sys.modules;"
        "exi.decode(Namespace.AC_DER_SAE, bytes.fromhex('800c040000000000000000080e2cfaa062007840 07a0e1113d00'));"
        "assert name in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
