"""What the controller says of itself: :class:`StatusResult` from the site's last image and decision. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from v2g import __version__
from v2g.config.schema import AcEvse, Evse
from v2g.config.schema_evse import kind_of
from v2g.control import messages
from v2g.control.guard_words import block_words, interlock_words, is_interlock, lost_words, trip_remedy, trip_words
from v2g.control.messages_ac import AcLine
from v2g.control.messages_timing import BackhaulLine
from v2g.grid.protection import Block
from v2g.grid.settings import Operation
from v2g.guard.interlocks import Interlock
from v2g.guard.link import DeviceHealth, Image
from v2g.guard.status import MAX_AGE_S, GuardStatus, Permit
from v2g.hardware.ports import AcEvseReading, DcEvseReading, PilotReading
from v2g.orchestrator.decide import NO_ISLANDING_DETECTION, Decision, block_name, ending_words
from v2g.orchestrator.der_codes import der_line
from v2g.orchestrator.image import SiteImage
from v2g.orchestrator.site import Site
from v2g.orchestrator.timing_lines import timing_line
from v2g.sessions.bay import AcBay, EvseBay
from v2g.sessions.procedure import Phase
from v2g.sessions.supervisor import SessionInfo
from v2g.sessions.watch import FLOWING_W, is_fresh
from v2g.units import finite
from v2g.utility.base_load import BOTH

_SAID_ELSEWHERE = frozenset({
    None, "rating", "no_permit", "lease_expired",
    "breaker_failed", "emergency_stop", "lockout", "momentary_cessation", "cease", "relay", "no_anti_islanding",
    "frequency_window", "enter_service_ramp", "overcurrent",
})  # fmt: skip
"""What bounds a set-point and is nobody's problem, or is told of the guard already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What the status tells of the process itself."""

    started_at_s: float
    ready: bool
    simulation: bool
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """By EVSE, why no vehicle can connect to it."""
    problems: tuple[str, ...] = ()
    """What keeps the utility's signals or other things around the cycle from coming."""
    heartbeat: str = ""
    backhaul: BackhaulLine | None = None


def build(
    site: Site, session: Callable[[str], SessionInfo | None], daemon: Daemon, now_s: float
) -> messages.StatusResult:
    """The status at ``now_s``. Before the first cycle everything is unknown."""
    image, decision = site.image, site.decision
    wires = image.wires if image is not None else None
    return messages.StatusResult(
        site=site.config.site.name or site.config.site.id,
        version=__version__,
        ready=daemon.ready,
        uptime_s=now_s - daemon.started_at_s,
        simulation=daemon.simulation,
        heartbeat=daemon.heartbeat,
        backhaul=daemon.backhaul,
        guard=_guard(image, now_s),
        transformer=_transformer(image, decision),
        evses=tuple(
            _evse(evse, site, session(evse.id), daemon.unreachable.get(evse.id), now_s) for evse in site.config.evses
        ),
        orders=_orders(site, decision, now_s),
        devices=tuple(_device(device, now_s) for device in wires.devices) if wires is not None else (),
        problems=(
            *problems(site, now_s),
            *daemon.problems,
            *(f"{evse_id}: no vehicle can connect: {reason}" for evse_id, reason in daemon.unreachable.items()),
        ),
    )


def problems(site: Site, now_s: float) -> tuple[str, ...]:
    """What keeps the controller from its job, most severe first."""
    image, decision = site.image, site.decision
    if image is None or decision is None:
        return ("starting: nothing measured yet",)
    found: list[str] = []
    if site.stopping:
        found.append("stopping: power goes to zero, vehicles are asked to end their sessions")
    if not decision.permitted:
        found.append(_permit_problem(image.guard, decision.permit_reason))
    elif decision.site_lo_w == 0.0 and decision.site_hi_w == 0.0:
        found.append(f"no V2G power: {decision.lo_source}")
    if image.guard.permit is not Permit.GUARD_STALE:
        found += _guard_problems(image.guard)
    said = ending_words(image.guard)
    found += [f"{bay.evse_id}: {bay.fault}" for bay in image.bays if bay.fault not in (None, said)]
    if decision.permitted:
        holds = ((evse_id, bay.view.hold) for evse_id, bay in site.bays.items() if bay.fault is None)
        found += [f"{evse_id}: no power: {hold}" for evse_id, hold in holds if hold is not None]
        found += [f"{evse_id}: {bay.note}" for evse_id, bay in site.bays.items() if bay.note is not None]
        found += [
            f"{evse_id}: no discharge: the inverter's own reversion to zero is not armed; see comms.log"
            for evse_id, bay in site.bays.items()
            if bay.charging and bay.view.inverter is not None and not bay.view.inverter.reversion_armed
        ]
        found += [
            f"{bay.evse_id}: no discharge: {NO_ISLANDING_DETECTION}; {_islanding_remedy(site, bay.evse_id)}"
            for bay in image.bays
            if bay.bounds is not None and not bay.islanding_watched
            if site.bays[bay.evse_id].may_discharge
        ]
    found += [f"{bay.evse_id}: no discharge: {bay.discharge_refusal}" for bay in image.bays if bay.discharge_refusal]
    if image.wires is not None:
        found += [
            f"{device.name} at {device.address} is offline: {device.error or 'no answer'}"
            for device in image.wires.devices
            if not device.online
        ]
        found += [
            f"{applied.evse_id}: set-point held at {applied.power_w:.0f} W by v2g-guard wires: {applied.bound_by}"
            for applied in image.wires.applied
            if applied.bound_by not in _SAID_ELSEWHERE and decision.permitted
        ]
    found += image.transformer.notes
    found += image.meters.notes
    if image.base.source == BOTH:
        found += image.base.notes
    found += image.utility.notes
    found += [
        f"order {shortfall.order_id}: {shortfall.missing_w:.0f} W not granted ({shortfall.code}: {shortfall.source})"
        for shortfall in decision.allocation.shortfalls
    ]
    if decision.permitted and not image.guard.realtime:
        found.append("v2g-guard tick runs without real-time priority: see its journal")
    return tuple(dict.fromkeys(found))


def _islanding_remedy(site: Site, evse_id: str) -> str:
    """What a vehicle's own inverter detects cannot be read."""
    path = "state protection.mains_input_path"
    if isinstance(site.bays[evse_id], AcBay):
        return path
    return f"set AntiIslEna (SunSpec 704) at the inverter, or {path}"


def _guard_problems(guard: GuardStatus) -> list[str]:
    """What the guard takes besides the permit, with the remedy."""
    found = []
    for block in Block(guard.blocks):
        words = block_words(block_name(block))
        refused = "no new discharge" if block is Block.NEW_DISCHARGE else "no discharge"
        found.append(f"{refused}: {words.what}; {words.remedy}")
    for direction, share in (("charge", guard.curtail_charge), ("discharge", guard.curtail_discharge)):
        if not share >= 1.0:
            found.append(
                f"{direction} is curtailed to {100.0 * share:.0f} %: the V2G feeder or the transformer has reached its "
                "rated current"
            )
    if guard.relay_closed is False and guard.permit is not Permit.RELAY_OPEN:
        found.append("the hardware relay is open; see v2g-tool grid for its setting")
    if guard.mains_present is False:
        found.append("the loss-of-mains input says that the upstream switch is open, or cannot be read")
    for name in guard.interlocks_open.names:
        if guard.permit is not Permit.INTERLOCK and guard.trip_element != name.upper():
            words = interlock_words(name)
            found.append(f"{words.what}: {words.remedy}")
    if guard.interlocks_lost and guard.permit is not Permit.INTERLOCK:
        found.append(f"{lost_words(guard.interlocks_lost.names)}; check its wiring and the driver of the input")
    if guard.locked_by and guard.permit is not Permit.LOCKOUT:
        found.append(f"the V2G breaker is locked out by {guard.locked_by}")
    if guard.trip_element and guard.permit is Permit.LOCKOUT:
        tripped = trip_words(guard.trip_element, guard.trip_value, guard.trip_unit, guard.trip_phase)
        found.append(f"tripped by {tripped} as well; {trip_remedy(guard.trip_element)}: v2g-control trip reset")
    return found


def _permit_problem(guard: GuardStatus, reason: str) -> str:
    match guard.permit:
        case Permit.GUARD_STALE:
            return "no energy: v2g-guard tick is silent; see systemctl status v2g-guard-tick"
        case Permit.TRIPPED if is_interlock(guard.trip_element):
            return (
                f"no energy: {reason}, breaker open and latched; {trip_remedy(guard.trip_element)}: v2g-control trip "
                "reset"
            )
        case Permit.INTERLOCK:
            return f"no energy: {reason}; check its wiring and the driver of the input"
        case Permit.LOCKOUT:
            return f"no energy: the V2G breaker is {reason}; who locked takes his lock away: v2g-tool lockout off"
        case Permit.TRIPPED:
            tripped = trip_words(guard.trip_element, guard.trip_value, guard.trip_unit, guard.trip_phase)
            return (
                f"no energy: grid protection tripped by {tripped}; "
                f"{trip_remedy(guard.trip_element)}: v2g-control trip reset"
            )
        case Permit.ENTER_SERVICE_DELAY:
            return f"no energy: grid is back, service is entered in {guard.enter_service_remaining_s:.0f} s"
        case Permit.OUT_OF_WINDOW:
            return "no energy: grid voltage or frequency is outside the enter-service window"
        case Permit.WAVEFORM_STALE:
            return "no energy: v2g-guard tick gets no fresh waveform samples; check the measurement front-end"
        case Permit.BREAKER_OPEN:
            return (
                "no energy: the V2G breaker is commanded closed and does not report closed; check breaker and feedback"
            )
        case Permit.NO_SETTINGS:
            return (
                "no energy: there are no grid settings in force: choose a profile (v2g-tool grid profiles), and "
                "confirm one that is not verified: v2g-tool grid profile NAME --confirm-unverified"
            )
        case Permit.PERMIT_OFF:
            return "no energy: permit service is withdrawn; give it back: v2g-control permit on"
        case Permit.RELAY_OPEN:
            return (
                "no energy: the hardware relay is open; it closes by itself once the voltage is below its setting, "
                "else check it and its feedback"
            )
        case Permit.BREAKER_FAILED:
            return (
                "no energy: the V2G breaker FAILED TO OPEN: inverters are at zero and contactors open; isolate the "
                "feeder by hand and repair the breaker"
            )
        case Permit.TESTING:
            return "no energy: a relay test runs; finish it with v2g-tool --test-relay, or wait for its end"
        case Permit.NOT_SYNCHRONOUS:
            return (
                "no energy: the inverter side is live and not in step with the grid; check what feeds it while the "
                "breaker is open"
            )
        case _:
            return f"no energy: {reason}"


def _guard(image: SiteImage | None, now_s: float) -> messages.GuardLine:
    guard = image.guard if image is not None else None
    alive = guard is not None and guard.permit is not Permit.GUARD_STALE and abs(now_s - guard.as_of_s) <= 2 * MAX_AGE_S
    wires = image.wires if image is not None else None
    wires_alive = (
        image is not None and image.wires_connected and wires is not None and abs(now_s - wires.as_of_s) <= 1.0
    )
    if guard is None or not alive:
        return messages.GuardLine(
            permit="guard_stale",
            tick_alive=False,
            wires_alive=wires_alive,
            breaker_closed=None,
            v_pu=None,
            frequency_hz=None,
            trip="",
            trip_value=0.0,
            enter_service_remaining_s=0.0,
            realtime=False,
        )
    return messages.GuardLine(
        permit=guard.permit.name.lower(),
        tick_alive=True,
        wires_alive=wires_alive,
        breaker_closed=guard.breaker_closed,
        v_pu=guard.v_pu if guard.measured else None,
        frequency_hz=guard.frequency_hz if guard.measured else None,
        trip=guard.trip_element,
        trip_value=guard.trip_value,
        trip_unit=guard.trip_unit,
        trip_phase=guard.trip_phase,
        enter_service_remaining_s=guard.enter_service_remaining_s,
        realtime=guard.realtime,
        profile=guard.profile,
        operation=_operation(guard).name.lower(),
        blocks=tuple(block_name(block) for block in Block(guard.blocks)),
        curtail_charge=guard.curtail_charge,
        curtail_discharge=guard.curtail_discharge,
        service_fraction=guard.service_fraction,
        permit_service=guard.permit_service,
        relay_closed=guard.relay_closed,
        mains_present=guard.mains_present,
        interlocks={name: _contact(guard, Interlock[name.upper()]) for name in guard.interlocks.names},
        locked_by=guard.locked_by,
        rocof_hz_s=guard.rocof_hz_s if guard.measured else None,
        feeder_a=guard.feeder_a if guard.measured else None,
        transformer_a=guard.transformer_a if guard.measured else None,
        inverter_angle_deg=guard.inverter_angle_deg,
    )


def _contact(guard: GuardStatus, interlock: Interlock) -> str:
    if interlock in guard.interlocks_lost:
        return "unknown"
    return "open" if interlock in guard.interlocks_open else "healthy"


def _operation(guard: GuardStatus) -> Operation:
    return Operation(min(max(guard.operation, 0), int(Operation.CEASE)))


def _transformer(image: SiteImage | None, decision: Decision | None) -> messages.TransformerLine:
    if image is None or decision is None:
        return messages.TransformerLine(
            top_oil_c=None,
            hot_spot_c=None,
            ambient_c=None,
            k_pu=None,
            load_w=None,
            base_load_w=None,
            discharge_limit_w=0.0,
            charge_limit_w=0.0,
            limit_source="starting",
        )
    view = image.transformer
    source = view.lo_source if view.lo_source == view.hi_source else f"{view.lo_source} / {view.hi_source}"
    return messages.TransformerLine(
        top_oil_c=view.top_oil_c,
        hot_spot_c=view.hot_spot_c,
        ambient_c=view.ambient_c,
        k_pu=view.k_pu,
        load_w=view.load_w,
        base_load_w=view.base_load_w,
        discharge_limit_w=_finite(view.lo_w),
        charge_limit_w=_finite(view.hi_w),
        limit_source=source,
        notes=view.notes,
    )


def _evse(
    evse: Evse, site: Site, session: SessionInfo | None, unreachable: str | None, now_s: float
) -> messages.EvseLine:
    bay = site.bays[evse.id]
    reading = bay.view.evse if is_fresh(bay.view.evse, now_s) else None
    stage = reading if isinstance(reading, DcEvseReading) else None
    contactor = reading if isinstance(reading, AcEvseReading) else None
    power_w = site.known_w(evse.id, now_s)
    closed = stage.contactors_closed if stage is not None else contactor.contactor_closed if contactor else None
    step = site.steps.get(evse.id)
    grant = site.decision.grants.get(evse.id) if site.decision is not None else None
    faults = [f"no vehicle can connect: {unreachable}"] if unreachable is not None else []
    faults += [bay.fault] if bay.fault is not None else []
    if site.plc is not None and bay.procedure is None:
        faults += filter(None, [site.plc.note(evse.id, now_s)])
    return messages.EvseLine(
        evse_id=evse.id,
        interface=evse.interface,
        tcp_port=evse.tcp_port,
        tls=evse.tls.value,
        session=_session(bay, session, power_w, site.image, now_s),
        power_w=power_w,
        setpoint_w=step.power_w if step is not None else 0.0,
        granted_w=grant.power_w if grant is not None else 0.0,
        share_w=grant.target_w if grant is not None else 0.0,
        auto=grant is not None and grant.auto,
        waits_s=grant.waits_s if grant is not None else None,
        bound_by=_bound_by(evse.id, site.image.wires if site.image is not None else None)
        or (grant.bound_by if grant is not None else None),
        voltage_v=finite(stage.present_voltage_v) if stage is not None else None,
        current_a=finite(stage.present_current_a) if stage is not None else None,
        contactors_closed=closed,
        fault="; ".join(faults) or None,
        kind=kind_of(evse),
        paused=bay.paused_by,
        ac=_ac(evse, contactor) if isinstance(evse, AcEvse) and contactor is not None else None,
    )


def _ac(evse: AcEvse, reading: AcEvseReading) -> AcLine:
    pilot = reading.pilot or PilotReading()
    (v1, v2, v3), (i1, i2, i3) = reading.voltage_v, reading.current_a
    return AcLine(
        voltage_v=(finite(v1), finite(v2), finite(v3)),
        current_a=(finite(i1), finite(i2), finite(i3)),
        phases=evse.phases,
        rotation=evse.rotation,
        pilot=pilot.state.value if pilot.state is not None else "",
        pilot_duty_pct=pilot.duty_pct,
        cable_a=pilot.proximity_a,
        earth_ok=pilot.earth_ok,
        charged_energy_wh=finite(reading.charged_energy_wh),
        discharged_energy_wh=finite(reading.discharged_energy_wh),
    )


def _bound_by(evse_id: str, wires: Image | None) -> str | None:
    if wires is None:
        return None
    return next((applied.bound_by for applied in wires.applied if applied.evse_id == evse_id), None)


def _session(
    bay: EvseBay, info: SessionInfo | None, power_w: float | None, image: SiteImage | None, now_s: float
) -> messages.SessionLine | None:
    procedure = bay.procedure
    if procedure is None or info is None:
        return None
    charge_w, discharge_w = procedure.limits_w
    return messages.SessionLine(
        state=_state(procedure.phase, power_w),
        vehicle=info.evccid,
        identity=info.identity,
        service=procedure.service.name if procedure.service is not None else None,
        soc_pct=procedure.soc_pct,
        max_charge_w=_finite(charge_w),
        max_discharge_w=_finite(discharge_w),
        since_s=now_s - info.started_at_s,
        energy=_energy(bay.evse_id, image, now_s),
        timing=timing_line(info.timing) if info.timing is not None else None,
        der=der_line(bay.der) if bay.der is not None else None,
    )


def _energy(evse_id: str, image: SiteImage | None, now_s: float) -> messages.EnergyLine | None:
    found = next((bay for bay in image.bays if bay.evse_id == evse_id), None) if image is not None else None
    if found is None or found.energy is None:
        return None
    energy = found.energy
    return messages.EnergyLine(
        needed_wh=energy.needed_wh,
        surplus_wh=energy.surplus_wh,
        capacity_wh=energy.capacity_wh,
        capacity_assumed=energy.capacity_assumed,
        departs_in_s=energy.departs_at_s - now_s,
        departure_assumed=energy.departure_assumed,
        floor_pct=energy.floor_pct,
        floor_source=found.min_soc_from,
        remarks=energy.remarks,
    )


def _state(phase: Phase, power_w: float | None) -> str:
    """A vehicle in its charge loop that gives power is said to discharge; the loop's own name is charging."""
    if phase is not Phase.CHARGING:
        return phase.value
    return "discharging" if power_w is not None and power_w < -FLOWING_W else phase.value


def _orders(site: Site, decision: Decision | None, now_s: float) -> tuple[messages.OrderLine, ...]:
    grants = decision.allocation.grants if decision is not None else ()
    return tuple(
        messages.OrderLine(
            order_id=order.id,
            mode=order.mode.value,
            power_w=order.power_w,
            granted_w=sum(grant.power_w for grant in grants if grant.order_id == order.id),
            evse_id=order.evse_id,
            remaining_s=order.expires_at_s - now_s,
            by=order.by,
            begins_in_s=max(0.0, order.begins_at_s - now_s),
        )
        for order in site.book.all(now_s)
    )


def _device(device: DeviceHealth, now_s: float) -> messages.DeviceLine:
    return messages.DeviceLine(
        name=device.name,
        address=device.address,
        online=device.online,
        age_s=now_s - device.last_answer_s if device.last_answer_s is not None else None,
        error=device.error,
    )


def _finite(value: float) -> float:
    """Infinite limits, which JSON cannot say, are told as the largest power there is."""
    return max(-1e9, min(1e9, value)) if value == value else 0.0
