"""The layout of V2G_CI_AC_DER_SAE.xsd: what stands where in ISO's file, whose text the declarations give."""

from __future__ import annotations

from pyiso15118.messages import Namespace
from pyiso15118.messages import ac_der_sae as sae
from pyiso15118.messages.ac_der_sae import simple_types
from support.iso_schema import Part, Writer

BAR, RULE = "–" * 11, "–" * 22


def text() -> str:
    """The file."""
    return Writer(Namespace.AC_DER_SAE, simple_types).text(LAYOUT)


def space(width: int) -> str:
    """An empty comment."""
    return f"\t<!--{' ' * width}-->"


def titled(width: int, title: str) -> list[Part]:
    """A heading between empty comments."""
    return [space(width), title, space(width)]


def unused(indent: str, trailing: str, *names: str) -> list[Part]:
    """Elements that the file names in a comment, since AC's schema has them."""
    elements = [f'\t<xs:element name="{name}" type="v2gci_ac:{name}Type"/>' for name in names]
    return [f"{indent}<!--{trailing}", *elements, f"{indent}-->"]


LAYOUT: list[Part] = [
    *(space(13), BAR, "AC Messages", BAR),
    *titled(31, "AC Charge Parameter Discovery"),
    *unused("    ", "\t", "AC_ChargeParameterDiscoveryReq", "AC_ChargeParameterDiscoveryRes"),
    *titled(16, "AC Charge Loop"),
    *unused("\t", "", "AC_ChargeLoopReq", "AC_ChargeLoopRes"),
    *(space(24), RULE, "Message Specific Types", RULE),
    *titled(31, "AC Charge Parameter Discovery"),
    *(f"Energy Transfer Mode - AC{kind}" for kind in ("", " BPT", " DER", " DER - Req")),
    sae.DER_AC_CPDReqEnergyTransferMode,
    "Energy Transfer Mode - AC DER - Res",
    sae.DER_AC_CPDResEnergyTransferMode,
    *titled(16, "AC Charge Loop"),
    *(f"Control Modes - Scheduled{kind}" for kind in ("", " - BPT", " - DER", " - DER - Req")),
    sae.DER_Scheduled_AC_CLReqControlMode,
    "Control Modes - Scheduled - DER - Res",
    sae.DER_Scheduled_AC_CLResControlMode,
    *(f"Control Modes - Dynamic{kind}" for kind in ("", " - BPT", " - BPT - DER")),
    sae.DER_Dynamic_AC_CLReqControlMode,
    sae.DER_Dynamic_AC_CLResControlMode,
    sae.DERControlCPDResType,
    sae.DERControlCLResType,
    sae.VoltageTripType,
    sae.FrequencyTripType,
    sae.EnterServiceCPDResType,
    sae.EnterServiceCLResType,
    sae.ReactivePowerSupportCPDResType,
    sae.ReactivePowerSupportCLResType,
    sae.ActivePowerSupportCPDResType,
    sae.ActivePowerSupportCLResType,
    sae.ConstantPowerFactorType,
    sae.ConstantVarType,
    sae.ConstantWattType,
    sae.DERCurveType,
    sae.VoltVarType,
    sae.WattVarType,
    sae.VoltWattType,
    sae.CurveDataPointsListType,
    sae.DataTupleType,
    sae.FrequencyDroop,
    sae.FrequencyDroopSettingsType,
    sae.LimitMaxDischargePowerType,
    sae.EVApparentPowerLimitsType,
    sae.EVReactivePowerLimitsType,
    sae.EVExcitationLimitsType,
    sae.EVInverterDetailsType,
    sae.EVSEReactivePowerLimitsType,
    sae.GridLimitsType,
    sae.EVApparentPowerType,
    sae.EVReactivePowerType,
    sae.EVExcitationType,
    sae.derUnitType,
    sae.ieee1547NormalCategoryType,
    sae.ieee1547AbnormalCategoryType,
    sae.derOperationalStateType,
    sae.derConnectionStatusType,
    sae.powerFactorExcitationType,
    sae.powerReferenceType,
    sae.requiredDEROperatingModeType,
    sae.gridConnectionModeType,
    *((f"evInverter{what}Type", 32) for what in ("Manufacturer", "Model", "SerialNumber", "SwVersion", "HwVersion")),
]
