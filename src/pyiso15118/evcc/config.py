"""What a vehicle is and wants."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from pyiso15118.der import DerNameplate, check_nameplate
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import BptChannel, ControlMode, EnergyService, GeneratorMode, MobilityNeedsMode
from pyiso15118.security.chain import TrustAnchors
from pyiso15118.security.contract_key import AgreementPrivateKey, ContractPrivateKey
from pyiso15118.security.provisioning import ContractCredential
from pyiso15118.security.signature import DEFAULT_FORM, SignedInfoForm
from pyiso15118.security.tls import TlsProfile
from pyiso15118.timers import EvccTimers

MOST_EMAIDS = 7
"""One below the schema's bound: libcbv2g misreads a list that is exactly full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningCredential:
    """What the vehicle's maker gave it to ask for contracts with. ``chain``: DER, leaf first, root not included.

    ``private_key`` signs the request; on an elliptic curve it opens the contract, too. ``agreement_key``: the X448 key
    that the certificate of an Ed448 key names for that.
    """

    chain: tuple[bytes, ...]
    private_key: ContractPrivateKey
    agreement_key: AgreementPrivateKey | None = None

    @property
    def opening_key(self) -> AgreementPrivateKey | None:
        """With which a contract is opened."""
        if self.agreement_key is not None:
            return self.agreement_key
        return self.private_key if isinstance(self.private_key, ec.EllipticCurvePrivateKey) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvccConfig:
    """One vehicle.

    ``services``, ``control_modes``, ``mobility_needs_modes``, ``bpt_channels`` and ``generator_modes``: what it can do,
    in order of preference; of the EVSE's parameter sets the best by that order is taken. ``value_added``: service ids
    it wants where they are offered, each with the EVSE's first parameter set.

    ``contract``: for Plug and Charge, used wherever the EVSE offers it. ``provisioning``: the maker's credential with
    which a contract is asked for where there is none and the EVSE offers installation; what comes is verified to
    ``cps_anchors`` and, where given, ``contract_anchors``. ``prioritized_emaids``: contracts wanted most. ``profile``
    says which curves are accepted.

    ``signed_info_form``: by which grammar what it signs is encoded, for stations that know one only.

    ``select_schedules``: in scheduled mode the owner chooses by ``SelectSchedule``, and PowerDelivery(Start) says
    Ongoing until it has; else the first offer is followed where the owner has not chosen in time.

    ``pre_charge_tolerance_v``: largest difference between both sides' voltages at which the vehicle closes its
    contactors. ``welding_voltage_v``: below this the EVSE's output counts as free of voltage in welding detection,
    which ends after ``welding_detection_s`` seconds in any case. ``negative_discharge_limits``: send discharge limits
    negative, as some stacks expect. ``der``: of the vehicle's inverter; needed for AC_DER_IEC and AC_DER_SAE.
    ``resume_without_certificate``: a test mode, for streams without TLS.
    """

    evccid: str
    services: tuple[EnergyService, ...] = (EnergyService.DC_BPT, EnergyService.DC)
    control_modes: tuple[ControlMode, ...] = (ControlMode.DYNAMIC, ControlMode.SCHEDULED)
    mobility_needs_modes: tuple[MobilityNeedsMode, ...] = (MobilityNeedsMode.BY_EVCC, MobilityNeedsMode.BY_SECC)
    bpt_channels: tuple[BptChannel, ...] = (BptChannel.UNIFIED, BptChannel.SEPARATED)
    generator_modes: tuple[GeneratorMode, ...] = (GeneratorMode.GRID_FOLLOWING, GeneratorMode.GRID_FORMING)
    value_added: tuple[int, ...] = ()
    contract: ContractCredential | None = None
    provisioning: ProvisioningCredential | None = None
    cps_anchors: TrustAnchors | None = None
    contract_anchors: TrustAnchors | None = None
    prioritized_emaids: tuple[str, ...] = ()
    profile: TlsProfile = TlsProfile.STRICT
    signed_info_form: SignedInfoForm = DEFAULT_FORM
    select_schedules: bool = False
    timers: EvccTimers = field(default_factory=EvccTimers)
    pre_charge_tolerance_v: float = 20.0
    welding_voltage_v: float = 60.0
    welding_detection_s: float = 2.0
    negative_discharge_limits: bool = False
    der: DerNameplate | None = None
    resume_without_certificate: bool = False
    max_payload_bytes: int = 16_384

    def __post_init__(self) -> None:
        if not 1 <= len(self.evccid) <= 255:
            raise LocalProtocolError(f"evccid has {len(self.evccid)} characters, must have 1..255")
        for name in ("services", "control_modes", "mobility_needs_modes", "bpt_channels", "generator_modes"):
            if not getattr(self, name):
                raise LocalProtocolError(f"{name} is empty: a vehicle must be able to do something")
        if any(service.is_der for service in self.services):
            if self.der is None:
                raise LocalProtocolError("AC_DER_IEC and AC_DER_SAE need der, the nameplate of the vehicle's inverter")
            check_nameplate(self.der, "der")
        if self.provisioning is None:
            return
        if self.cps_anchors is None:
            raise LocalProtocolError("provisioning needs cps_anchors to verify what is installed")
        if len(self.prioritized_emaids) > MOST_EMAIDS:
            raise LocalProtocolError(f"{len(self.prioritized_emaids)} prioritized_emaids, at most {MOST_EMAIDS} fit")
        if self.provisioning.opening_key is None:
            raise LocalProtocolError("a provisioning key that is Ed448 needs an agreement_key beside it")
