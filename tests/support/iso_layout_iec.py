"""The layout of V2G_CI_AC_DER_IEC.xsd: what stands where in ISO's file, whose text the declarations give."""

from __future__ import annotations

from pyiso15118.messages import ac_der_iec as iec
from pyiso15118.messages.namespaces import Namespace
from support.iso_schema import Part, Writer


def text() -> str:
    """The file."""
    return Writer(Namespace.AC_DER_IEC, iec).text(LAYOUT)


def framed(heading: str, *, ruled: bool = False) -> list[Part]:
    """A heading between lines as long as itself."""
    blank, rule = f"\t<!-- {' ' * len(heading)} -->", "–" * len(heading)
    return [blank, rule, heading, rule] if ruled else [blank, heading, blank]


def left_to_ac(*names: str) -> list[Part]:
    """Elements that the file names in a comment, since AC's schema has them."""
    return ["\t<!--", *(f'\t<xs:element name="{name}" type="v2gci_ac:{name}Type"/>' for name in names), "\t-->"]


LAYOUT: list[Part] = [
    *framed("AC Messages", ruled=True),
    *framed("AC Charge Parameter Discovery"),
    *left_to_ac("AC_ChargeParameterDiscoveryReq", "AC_ChargeParameterDiscoveryRes"),
    *framed("AC Charge Loop"),
    *left_to_ac("AC_ChargeLoopReq", "AC_ChargeLoopRes"),
    *framed("Message Specific Types", ruled=True),
    *framed("AC Charge Parameter Discovery"),
    "Energy Transfer Mode - AC",
    "Energy Transfer Mode - AC BPT",
    "Energy Transfer Mode - AC DER",
    "Energy Transfer Mode - AC DER - Req",
    iec.DER_AC_CPDReqEnergyTransferMode,
    "Energy Transfer Mode - AC DER - Res",
    iec.DER_AC_CPDResEnergyTransferMode,
    *framed("AC Charge Loop"),
    "Control Modes - Dynamic",
    "Control Modes - Dynamic - BPT",
    "Control Modes - Dynamic - BPT - DER",
    iec.DER_Dynamic_AC_CLReqControlMode,
    iec.DER_Dynamic_AC_CLResControlMode,
    "Control Modes - Scheduled",
    "Control Modes - Scheduled - BPT",
    "Control Modes - Scheduled - DER",
    "Control Modes - Scheduled - DER - Req",
    iec.DER_Scheduled_AC_CLReqControlMode,
    "Control Modes - Scheduled - DER - Res",
    iec.DER_Scheduled_AC_CLResControlMode,
    iec.DERControlType,
    iec.FaultRideThroughType,
    iec.ZeroCurrentType,
    iec.ReactivePowerSupportType,
    iec.ActivePowerSupportType,
    iec.DERCurveType,
    iec.CurveDataPointsListType,
    iec.DataTupleType,
    iec.SetpointExcitationType,
    iec.FrequencyWattType,
    iec.VoltWattType,
    iec.EVReactivePowerLimitsType,
    iec.DSOQSetpointType,
    iec.DSOCosPhiSetpointType,
    "Enumerations",
    iec.curveDataPointsUnitType,
    iec.powerFactorExcitationType,
    iec.powerReferenceType,
    iec.evOperatingModeType,
    iec.gridConnectionModeType,
    iec.lockValueUnitType,
]
