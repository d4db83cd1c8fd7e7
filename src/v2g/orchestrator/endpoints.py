"""From the configuration to what the SECC listens on: limits, timers and TLS of each EVSE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pyiso15118.aio import Endpoint
from pyiso15118.events import ControlMode, EnergyService, MobilityNeedsMode
from pyiso15118.secc import SeccConfig
from pyiso15118.secc.config import ParameterSet, ServiceOffer
from pyiso15118.security import (
    InForce,
    IsRevoked,
    JudgedAt,
    TlsEndpoint,
    TlsError,
    TlsProfile,
    self_handshake,
    server_context,
)
from pyiso15118.security.private_file import PrivateFileError, read_private
from pyiso15118.security.tls_peer import by_the_clock
from pyiso15118.timers import SeccTimers
from v2g.config.paths import PkiPaths, pki_paths
from v2g.config.schema import AcEvse, Config, Evse, TlsProfileName
from v2g.orchestrator.der_codes import code_of
from v2g.orchestrator.site import ac_profile, dc_profile
from v2g.pki.store import in_force

AC_POWER_DELIVERY_HOLD_S = 1.4
"""A contactor closes some control cycles and a poll after it was asked for; the response may take 1.5 s, and the
vehicle waits 2 s."""
_SINGLE_PHASE, _THREE_PHASE = 1, 3
"""Service parameter Connector."""
_DC_SERVICES = {
    "ccs": (EnergyService.DC_BPT, EnergyService.DC),
    "mcs": (EnergyService.MCS_BPT, EnergyService.MCS),
}
"""By the EVSE's connector, bidirectional first."""
_PRICE_LEVELS = 2
"""Service parameter Pricing."""
_DER_SERVICES = {
    "sae": (EnergyService.AC_DER_SAE,),
    "iec": (EnergyService.AC_DER_IEC,),
    "both": (EnergyService.AC_DER_SAE, EnergyService.AC_DER_IEC),
}
_ACTIVE = 1
"""Service parameter DetectionMethodGridCodeIslanding: what we ask of a vehicle that feeds the grid."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What can be listened on, and by EVSE why the others cannot."""

    usable: tuple[Endpoint, ...]
    problems: Mapping[str, str]
    in_force: Mapping[TlsProfile, InForce | TlsError] = field(default_factory=dict)
    """By profile in use, what a handshake with ourselves proved, or why none could be made."""
    adopted: Callable[[], object] = lambda: None
    """To be called once vehicles are served with these; never for what is thrown away."""


def build_endpoints(
    config: Config,
    *,
    is_revoked: IsRevoked | None = None,
    judged_at: Callable[[], JudgedAt] = by_the_clock,
    staple: Callable[[], bytes | None] | None = None,
) -> Endpoints:
    """One endpoint for each EVSE. A certificate or key that is missing keeps only the EVSEs of its TLS profile away.

    ``is_revoked`` and ``judged_at``: of vehicles' chains, see :class:`pyiso15118.security.PeerTrust`. ``staple``: gives
    the OCSP response of our leaf of profile strict.
    Raises :class:`TlsError` naming the file that is missing, open to others or wrong where no EVSE is left.
    """
    paths = in_force(pki_paths(config))
    contexts: dict[TlsProfileName, TlsEndpoint | TlsError | None] = {TlsProfileName.PLAIN: None}
    proofs: dict[TlsProfile, InForce | TlsError] = {}
    usable: list[Endpoint] = []
    problems: dict[str, str] = {}
    for evse in config.evses:
        if evse.tls not in contexts:
            try:
                made = contexts[evse.tls] = _context(evse.tls, config, paths, is_revoked, judged_at, staple)
                proofs[made.profile] = _proved(made, config)
            except TlsError as error:
                contexts[evse.tls] = error
        context = contexts[evse.tls]
        if isinstance(context, TlsError):
            problems[evse.id] = f"{context}; then systemctl reload v2g-orchestrator"
        else:
            usable.append(_endpoint(evse, config, context))
    if problems and not usable:
        raise next(error for error in contexts.values() if isinstance(error, TlsError))
    return Endpoints(tuple(usable), problems, proofs)


def _endpoint(evse: Evse, config: Config, context: TlsEndpoint | None) -> Endpoint:
    if context is None and not config.pki.allow_plain:
        raise TlsError(f"{evse.id}: tls is plain, a test mode, and pki.allow_plain is not true")
    return Endpoint(
        config=_secc(evse, config),
        interface=evse.interface,
        sdp_port=evse.sdp_port,
        tcp_port=evse.tcp_port,
        tls=context,
        profile=TlsProfile.COMPAT if evse.tls is TlsProfileName.COMPAT else TlsProfile.STRICT,
        allow_plain=context is None,
        keep_paused_s=config.sessions.resume_within_h * 3600.0,
    )


def _secc(evse: Evse, config: Config) -> SeccConfig:
    common = partial(
        SeccConfig,
        evse_id=evse.id,
        timers=SeccTimers(sequence_charge_loop_s=config.secc.charge_loop_timeout_s),
        negative_discharge_limits=evse.negative_discharge_limits,
        meter_discharge_reading=evse.meter_discharge_reading,
        # The EVSE's procedure runs once from lock to unlock.
        service_renegotiation=False,
    )
    if not isinstance(evse, AcEvse):
        return common(
            limits=dc_profile(evse, config.dispatch.min_soc_pct).rated,
            services=tuple(
                ServiceOffer(service=kind, parameter_sets=_ways(ParameterSet(id=1)))
                for kind in _DC_SERVICES[evse.connector]
            ),
        )
    return common(
        ac_limits=ac_profile(evse, config).rated,
        ac_nominal_frequency_hz=config.grid.nominal_frequency_hz,
        services=_ac_services(evse, config),
        grid_code=code_of(evse, config),
        power_delivery_hold_s=AC_POWER_DELIVERY_HOLD_S,
    )


def _ac_services(evse: AcEvse, config: Config) -> tuple[ServiceOffer, ...]:
    """Bidirectional service only where the site allows discharge: its vehicle then is what feeds the grid."""
    sets = _ways(
        ParameterSet(
            id=1,
            connector=_THREE_PHASE if evse.phases == 3 else _SINGLE_PHASE,
            nominal_voltage_v=round(config.grid.nominal_voltage_v),
            islanding_detection=_ACTIVE,
        )
    )
    kinds: tuple[EnergyService, ...]
    kinds = (EnergyService.AC_BPT, EnergyService.AC) if evse.allow_discharge else (EnergyService.AC,)
    if code_of(evse, config) is not None:
        kinds = (*_DER_SERVICES[evse.der.protocol], *kinds)
    return tuple(ServiceOffer(service=kind, parameter_sets=sets) for kind in kinds)


def _ways(dynamic: ParameterSet) -> tuple[ParameterSet, ...]:
    """A service in each way it is served: dynamic mode first, for there the site is steered best."""
    return (
        dynamic,
        replace(dynamic, id=2, control_mode=ControlMode.SCHEDULED, pricing=_PRICE_LEVELS),
        replace(dynamic, id=3, mobility_needs_mode=MobilityNeedsMode.BY_SECC),
    )


def _proved(context: TlsEndpoint, config: Config) -> InForce | TlsError:
    """Raises :class:`TlsError` where no vehicle could connect, but for a token, which may be away for now."""
    try:
        return self_handshake(context)
    except TlsError as error:
        if config.pki.token is None or context.profile is not TlsProfile.STRICT:
            raise
        return error


def _context(
    profile: TlsProfileName,
    config: Config,
    paths: PkiPaths,
    is_revoked: IsRevoked | None,
    judged_at: Callable[[], JudgedAt],
    staple: Callable[[], bytes | None] | None,
) -> TlsEndpoint:
    password = _password(paths.key_password_file)
    if profile is TlsProfileName.COMPAT:
        # EcoG's vehicle presents its provisioning certificate, others none at all.
        return server_context(
            TlsProfile.COMPAT,
            paths.compat_chain,
            paths.compat_key,
            (paths.compat_trust,),
            password=password,
            require_client_certificate=False,
            is_revoked=is_revoked,
            judged_at=judged_at,
        )
    if config.pki.token is not None:
        from v2g.pki.token_context import token_server_context

        return token_server_context(config, paths, is_revoked=is_revoked, judged_at=judged_at, staple=staple)
    return server_context(
        TlsProfile.STRICT,
        paths.strict_chain,
        paths.strict_key,
        (paths.strict_trust,),
        password=password,
        is_revoked=is_revoked,
        judged_at=judged_at,
        staple=staple,
    )


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return read_private(path, "key password file").decode("utf-8").rstrip("\n")
    except PrivateFileError as error:
        raise TlsError(str(error)) from error
    except UnicodeDecodeError as error:
        raise TlsError(f"key password file {path} is no text in UTF-8: put the password alone in it") from error
