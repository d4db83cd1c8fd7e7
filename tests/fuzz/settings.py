"""What a vehicle and a charger on the line can do and do: chosen by the first bytes of an input."""

from __future__ import annotations

import datetime
import importlib.util
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pyiso15118.commands import (
    Authorize,
    EnterStandby,
    InstallCertificate,
    LeaveStandby,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    SelectSchedule,
    StopCharging,
)
from pyiso15118.der import GridCode
from pyiso15118.evcc import ProvisioningCredential
from pyiso15118.events import (
    AcChargeLoopAnswered,
    AuthorizationRequested,
    BptChannel,
    CertificateInstallationRequested,
    ControlMode,
    DcChargeLoopAnswered,
    EnergyService,
    MeterReading,
    MobilityNeedsMode,
    SchedulesOffered,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import flat_schedule, follow
from pyiso15118.secc.config import ValueAddedOffer, ValueAddedSet
from pyiso15118.security import (
    ContractCredential,
    Curve,
    KeySigner,
    Pki,
    TlsProfile,
    TrustAnchors,
    check_installation_request,
    issue_contract,
)
from support.grid_codes import ALL_CODES, AT_WORK, IEC_CODE, NAMEPLATE, der_offer

BENCHES = Path(__file__).resolve().parents[1] / "pyiso15118" / "pair" / "conftest.py"
SETTING_BYTES = 3
EIM, PNC = cm.authorizationType.EIM, cm.authorizationType.PnC
EMAID = "USV2GC123456786"
ISSUED = datetime.datetime(2023, 11, 1, tzinfo=datetime.UTC)
"""Before the time at which the benches' machines live."""
LOOPS = 5
SERVICES = (
    *(EnergyService.DC_BPT, EnergyService.DC, EnergyService.AC_BPT, EnergyService.AC),
    *(EnergyService.MCS_BPT, EnergyService.MCS, EnergyService.AC_DER_SAE, EnergyService.AC_DER_IEC),
)
VALUE_ADDED = tuple(
    ValueAddedOffer(service_id=number, parameter_sets=(ValueAddedSet(id=1, parameters=(("Port", 80),)),))
    for number in (65, 66)
)
METER = MeterReading(meter_id="M1", charged_energy_wh=5_000, discharged_energy_wh=70)
Notification = ct.evseNotificationType
WISHES = {1: (EnterStandby(), LeaveStandby()), 2: (RenegotiateSchedule(),), 3: (RenegotiateService(),)}
"""What the vehicle's owner wants after the second and third turn of the charge loop, by :attr:`Setting.life`."""
NOTIFICATIONS = {
    4: Notification.MeteringConfirmation,
    5: Notification.ScheduleRenegotiation,
    6: Notification.Pause,
    7: Notification.ServiceRenegotiation,
}
"""What the charger asks for then."""


@cache
def benches() -> Any:
    """The module of the benches: ``Pair`` and ``Station``."""
    spec = importlib.util.spec_from_file_location("pyiso15118_benches", BENCHES)
    if spec is None or spec.loader is None:
        raise ImportError(f"{BENCHES} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """``identity``: 0 by the driver, 1 by contract, 2 by a contract that is installed, 3 by the driver after there was
    none to install. ``life``: what happens in the charge loop (:data:`WISHES`, :data:`NOTIFICATIONS`). ``code``: the
    grid code that a DER service hands over."""

    service: EnergyService
    mode: ControlMode
    mobility: MobilityNeedsMode
    identity: int
    value_added: bool
    channel: BptChannel
    life: int
    pauses: bool
    slow: bool
    selects: bool
    negative: bool
    standby: bool
    code: GridCode


def setting_of(data: bytes) -> Setting:
    """What the first bytes of an input choose; those that are missing count as zero."""
    first, second, third = data[:SETTING_BYTES].ljust(SETTING_BYTES, b"\0")
    is_scheduled = bool(first & 4)
    return Setting(
        service=SERVICES[first % 4 + 4 * (third % 2)],
        mode=ControlMode.SCHEDULED if is_scheduled else ControlMode.DYNAMIC,
        mobility=MobilityNeedsMode.BY_SECC if first & 8 and not is_scheduled else MobilityNeedsMode.BY_EVCC,
        identity=first >> 4 & 3,
        value_added=bool(first & 64),
        channel=BptChannel.SEPARATED if first & 128 else BptChannel.UNIFIED,
        life=second % 8,
        pauses=bool(second & 8),
        slow=bool(second & 16),
        selects=bool(second & 32),
        negative=bool(second & 64),
        standby=not second & 128,
        code=(*ALL_CODES, IEC_CODE)[(third >> 1) % (len(ALL_CODES) + 1)],
    )


@cache
def pki() -> Pki:
    """One for the whole process: its keys are new each time, so an input never holds a signature that still counts."""
    return Pki(not_before=ISSUED, curve=Curve.SECP521R1)


@cache
def contract() -> ContractCredential:
    """Of the vehicle that has one."""
    credential = pki().contract(EMAID)
    return ContractCredential(chain=credential.chain_der(), signer=KeySigner(credential.key), emaid=EMAID)


@cache
def provisioning() -> dict[str, Any]:
    """What a vehicle has that asks for a contract."""
    credential = pki().provisioning("WMIV123456789ABCDE")
    return {
        "provisioning": ProvisioningCredential(
            chain=credential.chain_der(), private_key=credential.key, agreement_key=credential.agreement_key
        ),
        "cps_anchors": anchors(pki().v2g_root),
        "contract_anchors": anchors(pki().mo_root),
    }


@cache
def issuers() -> tuple[Any, Any]:
    """The contract that is installed, and who signs for it."""
    return pki().contract(EMAID), pki().cps("CPS")


def anchors(*roots: Any) -> TrustAnchors:
    """Trust in these roots."""
    return TrustAnchors.from_certificates(*(root.credential.certificate for root in roots))


def issued(request: cm.CertificateInstallationReq, unix_s: float) -> cm.CertificateInstallationRes:
    """What a provisioning service makes of a request. Raises what the checks of that service raise."""
    oem = check_installation_request(
        request, oem_anchors=anchors(pki().oem_root), profile=TlsProfile.STRICT, at_unix_s=unix_s
    )
    granted, cps = issuers()
    return issue_contract(
        oem=oem,
        header=ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=1),
        contract_chain=granted.chain_der(),
        contract_private_key=granted.key,
        cps_chain=cps.chain_der(),
        cps_signer=KeySigner(cps.key),
        iv=bytes(range(12)),
        remaining=1,
    )


def station_of(setting: Setting) -> Any:
    """The charger's side."""
    config: dict[str, Any] = {
        "standby_allowed": setting.standby,
        "negative_discharge_limits": setting.negative,
        "value_added": VALUE_ADDED if setting.value_added else (),
    }
    if setting.identity:
        config |= {"authorization": (EIM, PNC), "contract_anchors": anchors(pki().mo_root)}
        config |= {"certificate_installation": True, "oem_anchors": anchors(pki().oem_root)}
    if setting.service.is_der:
        config |= {"grid_code": setting.code, "ac_nominal_frequency_hz": setting.code.nominal_frequency_hz}
        config["services"] = (der_offer(setting.service), *benches().ALL_SERVICES)
    station = benches().Station(delay_s=0.3 if setting.slow else 0.0, **config)
    station.tuples = (flat_schedule(20_000.0, discharge_power_w=-15_000.0), flat_schedule(5_000.0, id=2))

    def install(asked: CertificateInstallationRequested) -> None:
        response = None
        if setting.identity == 2:
            response = issued(asked.request, station.now + benches().UNIX_OFFSET)
        station.command(InstallCertificate(response=response))

    station.answers[CertificateInstallationRequested] = install
    station.answers[AuthorizationRequested] = lambda asked: station.command(
        Authorize(granted=asked.emaid in (None, EMAID))
    )
    return station


def staged(setting: Setting, earlier: Any = None) -> Any:
    """A vehicle at a charger, as a ``Pair``; ``earlier``: the one that has paused."""
    papers: dict[str, Any] = {}
    if setting.identity == 1:
        papers = {"contract": contract()}
    elif setting.identity:
        papers = provisioning()
    if setting.service.is_der:
        papers["der"] = NAMEPLATE
    station = station_of(setting) if earlier is None else earlier.station
    pair = benches().Pair(
        station,
        loops=LOOPS,
        at=benches().START if earlier is None else earlier.now + 60.0,
        services=(setting.service,),
        control_modes=(setting.mode,),
        mobility_needs_modes=(setting.mobility,),
        bpt_channels=(setting.channel,),
        value_added=(65,) if setting.value_added else (),
        select_schedules=setting.selects,
        negative_discharge_limits=setting.negative,
        secc={"peer_certificate": b"vehicle", "paused": earlier and earlier.secc.paused},
        evcc={"peer_certificate": b"station", "paused": earlier and earlier.machine.paused},
        **papers,
    )
    if setting.service.is_der:
        pair.vehicle = {"ac": replace(benches().AC_VEHICLE, der=AT_WORK)}
    stop = PauseCharging() if setting.pauses and earlier is None else StopCharging()

    def turned(_: Any) -> None:
        pair.loops_left -= 1
        happens_at(pair, setting, LOOPS - pair.loops_left)
        if pair.loops_left == 0:
            pair.command(stop)

    pair.reactions |= {AcChargeLoopAnswered: turned, DcChargeLoopAnswered: turned}
    if setting.selects:
        pair.reactions[SchedulesOffered] = lambda offered: pair.command(
            SelectSchedule(profile=follow(offered.tuples[-1]))
        )
    return pair


def happens_at(pair: Any, setting: Setting, turn: int) -> None:
    """What the two owners want after this turn of the charge loop."""
    wishes = WISHES.get(setting.life, ())
    if 0 <= turn - 2 < len(wishes):
        pair.command(wishes[turn - 2])
    if (notification := NOTIFICATIONS.get(setting.life)) is not None and turn in (2, 4):
        pair.station.update(meter=METER, notification=notification if turn == 2 else None)
