"""The site between two cycles: its EVSEs, its orders, its transformer, the last image and decision. No input or output.

Read all, decide, write all: :meth:`Site.observe`, :meth:`Site.decide`, :meth:`Site.step`, in this order, each cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Protocol

from pyiso15118.der import GridCode
from v2g.config.ratings import charge_rated_w, discharge_rated_w
from v2g.config.schema import AcEvse, Config, DcEvse, Evse
from v2g.dispatch.book import OrderBook
from v2g.dispatch.constraints import Bound
from v2g.dispatch.energy import energy_of
from v2g.dispatch.inputs import Aim
from v2g.dispatch.orders import Grant
from v2g.dispatch.wants import Wants
from v2g.guard.bounds import fraction
from v2g.guard.link import EvseSetpoint, Image, PowerSetpoint, Setpoints
from v2g.guard.status import GuardStatus
from v2g.guard.view import view
from v2g.hardware.ports import InverterReading, Quantity, TransducerReading
from v2g.orchestrator.decide import Decision, decide, ending_words, permit_problem
from v2g.orchestrator.der_codes import code_of
from v2g.orchestrator.discharge_record import DischargeTests
from v2g.orchestrator.dispatching import Dispatching
from v2g.orchestrator.feeder_check import FeederCheck
from v2g.orchestrator.harmonics import filter_thresholds
from v2g.orchestrator.image import BayImage, SiteImage
from v2g.orchestrator.plc_gate import PlcGate
from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.orchestrator.transformer import TransformerModel
from v2g.sessions.ac_limits import AcEvseProfile
from v2g.sessions.authorization import AuthorizationPolicy, GrantUnlessFaulted
from v2g.sessions.bay import AcBay, BayStep, DcBay, EvseBay, EvseReading
from v2g.sessions.drain import Drain
from v2g.sessions.limits import EvseProfile
from v2g.sessions.scheduling import NO_OUTLOOK
from v2g.sessions.watch import FLOWING_W, PowerReading, is_fresh
from v2g.thermal.engine import EngineMemory

VEHICLE_MARGIN_S = 0.5
"""A vehicle's limits hold this much longer than its loop timeout, so that the timeout speaks first."""


class MeshBounds(Protocol):
    """Of the own node of a mesh."""

    def bounds(self, base_load_w: float | None, now_s: float) -> tuple[Bound, ...]:
        """Of the V2G net power. ``base_load_w``: of the transformer, None: not known."""


class Preflight(Protocol):
    """Of the daemon: what it found of itself."""

    def refusal(self, evse_id: str) -> str:
        """Why this EVSE may not discharge, in words; empty: it may."""
        ...


OnError = Callable[[str, Exception], None]
"""``(evse_id, error)``: a fault of ours in the handling of one EVSE."""


def dc_profile(evse: DcEvse, min_soc_pct: float) -> EvseProfile:
    """The ratings of a configured DC EVSE."""
    return EvseProfile(
        evse_id=evse.id,
        max_voltage_v=evse.max_voltage_v,
        min_voltage_v=evse.min_voltage_v,
        max_current_a=evse.max_current_a,
        max_charge_w=evse.max_charge_w,
        max_discharge_w=evse.max_discharge_w,
        inverter_max_charge_w=evse.inverter.max_charge_w,
        inverter_max_discharge_w=evse.inverter.max_discharge_w,
        inverter_efficiency=evse.inverter.efficiency,
        min_soc_pct=min_soc_pct,
    )


def ac_profile(evse: AcEvse, config: Config) -> AcEvseProfile:
    """The ratings of a configured AC EVSE."""
    return AcEvseProfile(
        evse_id=evse.id,
        max_charge_w=evse.max_charge_w,
        max_discharge_w=evse.max_discharge_w,
        max_current_a=evse.max_current_a,
        phases=evse.phases,
        nominal_voltage_v=config.grid.nominal_voltage_v,
        allow_discharge=evse.allow_discharge,
        min_soc_pct=config.dispatch.min_soc_pct,
    )


def bay_of(evse: Evse, config: Config, policy: AuthorizationPolicy) -> EvseBay:
    """An EVSE's bay, by its kind."""
    max_age_s = config.secc.charge_loop_timeout_s + VEHICLE_MARGIN_S
    if isinstance(evse, AcEvse):
        bay = AcBay(ac_profile(evse, config), policy, max_age_s)
        bay.grid_code = code_of(evse, config)
        return bay
    return DcBay(dc_profile(evse, config.dispatch.min_soc_pct), policy, max_age_s)


class Site:
    """Everything that the control cycle decides on, and the decision."""

    def __init__(
        self,
        config: Config,
        thermal_clock: ThermalClock,
        on_error: OnError,
        policy: AuthorizationPolicy | None = None,
        *,
        memory: EngineMemory | None = None,
    ) -> None:
        """``memory``: what the thermal engine knew before a restart. Raises
        :class:`v2g.thermal.parameters.ParameterError` for a nameplate that no transformer has."""
        self.config = config
        self.book = OrderBook()
        self.dispatching = Dispatching(config)
        self.zone = thermal_clock.zone
        self.stopping = False
        """The daemon ends: no orders are taken."""
        self.drain: Drain | None = None
        """All sessions are being ended, or were, and no power is granted until it is taken away."""
        self.image: SiteImage | None = None
        self.decision: Decision | None = None
        self.thermal_clock = thermal_clock
        self.filter_thresholds = filter_thresholds(config)
        """In force, by EVSE; whoever changes the configuration replaces it whole."""
        self.model = TransformerModel(config, memory, thermal_clock.begin)
        self.discharge_tests: DischargeTests | None = None
        """The records of discharge tests; None: none are kept."""
        self.preflight: Preflight | None = None
        """None: there is none, and nothing is refused for it."""
        self.plc: PlcGate | None = None
        """Of the EVSEs with a powerline link; None: there are none."""
        self.mesh: MeshBounds | None = None
        """What neighbouring transformers leave; None: there is no mesh."""
        self._accepted = {evse.id: evse.inverter.accept_low_efficiency for evse in config.dc_evses}
        volts = config.grid.nominal_voltage_v
        self._evse_rated_w = {
            evse.id: (charge_rated_w(evse, volts), discharge_rated_w(evse, volts)) for evse in config.evses
        }
        self._feeder = FeederCheck(
            config.transformer.rated_kva * 1e3,
            {evse_id: max(rated_w) for evse_id, rated_w in self._evse_rated_w.items()},
        )
        self._rated_w = (
            sum(charge_w for charge_w, _ in self._evse_rated_w.values()),
            sum(discharge_w for _, discharge_w in self._evse_rated_w.values()),
        )
        self.bays = {evse.id: bay_of(evse, config, policy or GrantUnlessFaulted()) for evse in config.evses}
        self.steps: dict[str, BayStep] = {}
        self._on_error = on_error
        self._sequence = 0
        self._evses: dict[str, EvseReading] = {}
        self._inverters: dict[str, InverterReading] = {}
        self._transducers: dict[Quantity, TransducerReading] = {}

    @property
    def grid_codes(self) -> dict[str, GridCode | None]:
        """By AC EVSE, what the inverter of a vehicle there is handed."""
        return {evse.id: self.bays[evse.id].grid_code for evse in self.config.ac_evses}

    @grid_codes.setter
    def grid_codes(self, codes: Mapping[str, GridCode | None]) -> None:
        """From now on, in the sessions that run too. Another EVSE's is nobody's."""
        for evse_id, code in codes.items():
            if evse_id in self.bays:
                self.bays[evse_id].grid_code = code

    def observe(self, wires: Image | None, connected: bool, guard: GuardStatus, now_s: float) -> SiteImage:
        """Freeze what is known at ``now_s``."""
        if wires is not None:
            # A reading that is missing once is no fault yet: the last one speaks until it is too old.
            self._evses.update(
                (reading.evse_id, reading)
                for reading in wires.evses
                if (bay := self.bays.get(reading.evse_id)) is not None and isinstance(reading, bay.reads)
            )
            self._inverters.update((r.evse_id, r) for r in wires.inverters if r.evse_id in self.bays)
            # Each sensor has an age of its own, and wires has held it to that already.
            self._transducers = {reading.quantity: reading for reading in wires.transducers}
        ending = ending_words(guard)
        permitted = permit_problem(wires, connected, guard, now_s) is None
        # Within a ride-through an AC EVSE's contactor is open although the permit stands.
        supplied = permitted and not view(guard).stop
        bound_by = {applied.evse_id: applied.bound_by for applied in wires.applied} if wires is not None else {}
        broken: dict[str, BayImage] = {}
        for evse_id, bay in self.bays.items():
            try:
                bay.observe(
                    self._evses.get(evse_id),
                    self._inverters.get(evse_id),
                    permitted,
                    now_s,
                    supplied=supplied,
                    bound_by=bound_by.get(evse_id),
                    ending=ending or self._link_ending(bay, now_s),
                    wants=self._wants(bay),
                    pilot_error=self.plc is not None and self.plc.pilot_error(evse_id, now_s),
                )
            except Exception as error:
                broken[evse_id] = self._broken(evse_id, error)
        transformer = self.model.update(
            guard,
            self._transducers.values(),
            now_s,
            self.thermal_clock.moment(now_s),
            self._feeder.update(guard, self._believed_powers(), now_s),
        )
        bays = self._bay_images(now_s, broken)
        dispatching = self.dispatching
        meters = dispatching.meters(now_s, transformer.base_load_w)
        base = dispatching.base_by_phase(guard, meters, [(bay.phases, bay.measured_w or 0.0) for bay in bays])
        utility = dispatching.utility(now_s)
        self.image = SiteImage(
            now_s=now_s,
            wires=wires,
            wires_connected=connected,
            guard=guard,
            transformer=transformer,
            bays=bays,
            groups=dispatching.groups([(bay.evse_id, bay.phases) for bay in bays], base, transformer, guard.as_of_s),
            utility=utility,
            meters=meters,
            base=base,
            aim=dispatching.aim(transformer, utility, self.thermal_clock.unix_s(now_s)),
            mesh=self.mesh.bounds(transformer.base_load_w, now_s) if self.mesh is not None else (),
            rated_charge_w=self._rated_w[0],
            rated_discharge_w=self._rated_w[1],
        )
        return self.image

    def refresh_vehicles(self, now_s: float) -> None:
        """The last image with its vehicles as they are now: one that has come since would be told of as absent."""
        if self.image is not None:
            self.image = replace(self.image, bays=self._bay_images(now_s, {}))

    def _bay_images(self, now_s: float, broken: Mapping[str, BayImage]) -> tuple[BayImage, ...]:
        return tuple(broken.get(evse_id) or self._bay_image(evse_id, now_s) for evse_id in self.bays)

    def _bay_image(self, evse_id: str, now_s: float) -> BayImage:
        bay = self.bays[evse_id]
        try:
            power_w = self.known_w(evse_id, now_s)
            bounds = bay.bounds(now_s)
            vehicle = bay.vehicle
            return BayImage(
                evse_id=evse_id,
                bounds=bounds,
                fault=bay.fault,
                discharging=power_w is not None and power_w < -FLOWING_W,
                islanding_watched=self.islanding_watched(evse_id),
                discharge_refusal=self._discharge_refusal(evse_id),
                preflight_refusal=self._preflight_refusal(evse_id),
                ac_rated_w=bay.rated_w if isinstance(bay, AcBay) else None,
                rated_w=self._evse_rated_w[evse_id],
                energy=energy_of(vehicle, bay.wants, now_s) if vehicle is not None and bay.wants is not None else None,
                min_soc_from=bay.wants.min_soc_from if bay.wants is not None else "",
                min_charge_w=vehicle.min_charge_w if vehicle is not None else 0.0,
                min_discharge_w=vehicle.min_discharge_w if vehicle is not None else 0.0,
                phases=self.dispatching.phases(evse_id, bay.phases_used),
                measured_w=power_w,
            )
        except Exception as error:
            return self._broken(evse_id, error)

    def _broken(self, evse_id: str, error: Exception) -> BayImage:
        self._on_error(evse_id, error)
        return BayImage(evse_id=evse_id, bounds=None, fault=f"internal error: {error}")

    def rated_w(self, evse_id: str) -> tuple[float, float]:
        """(charge, discharge) of one EVSE by the configuration, W, magnitudes."""
        return self._evse_rated_w[evse_id]

    @property
    def all_rated_w(self) -> tuple[float, float]:
        """Of all EVSEs together."""
        return self._rated_w

    def may_discharge(self, evse_id: str) -> bool:
        """As far as its inverter and the host are concerned: islanding detection, discharge test, preflight."""
        refused = self._discharge_refusal(evse_id) or self._preflight_refusal(evse_id)
        return self.islanding_watched(evse_id) and not refused

    def measured_w(self, evse_id: str, now_s: float) -> float:
        """At the AC terminals of its inverter, or at an AC EVSE's meter, positive charges; 0 where it is not known."""
        return self.known_w(evse_id, now_s) or 0.0

    def known_w(self, evse_id: str, now_s: float) -> float | None:
        """As :meth:`measured_w`; None where it is not known."""
        reading = self.bays[evse_id].power
        if reading is None or not is_fresh(reading, now_s) or not isfinite(reading.power_w):
            return None
        return reading.power_w

    def _wants(self, bay: EvseBay) -> Wants | None:
        procedure = bay.procedure
        if procedure is None:
            return None
        return self.dispatching.wants(bay.evse_id, procedure.identity, procedure.evccid)

    def _link_ending(self, bay: EvseBay, now_s: float) -> str:
        """Without a session a link that is down is no fault: nobody is plugged in."""
        return self.plc.ending(bay.evse_id, now_s) if self.plc is not None and bay.procedure is not None else ""

    def _discharge_refusal(self, evse_id: str) -> str:
        tests = self.discharge_tests
        return "" if tests is None else tests.refusal(evse_id, self._accepted.get(evse_id, False))

    def _preflight_refusal(self, evse_id: str) -> str:
        return "" if self.preflight is None else self.preflight.refusal(evse_id)

    def islanding_watched(self, evse_id: str) -> bool:
        """A loss-of-mains input is configured, or its inverter says that it detects islands itself.

        Of the last reading, whatever its age.
        """
        reading = self._inverters.get(evse_id)
        return bool(self.config.protection.mains_input_path) or (reading is not None and reading.anti_islanding)

    def powers(self) -> list[PowerReading]:
        """The last measured power of each EVSE that has one, of whatever age."""
        return [bay.power for bay in self.bays.values() if bay.power is not None]

    def _believed_powers(self) -> list[PowerReading]:
        return [power for power in self.powers() if self.bays[power.evse_id].fault is None]

    def decide(self, now_s: float) -> Decision:
        """Decide on the last image. Raises RuntimeError before the first."""
        if self.image is None:
            raise RuntimeError("nothing observed yet")
        self.book.expire(now_s)
        quiet = self._granted_share(now_s) == 0.0
        orders = () if quiet else self.book.standing(now_s)
        if quiet:
            self.image = replace(self.image, aim=Aim(enabled=False))
        self.decision = decide(self.image, orders, self.dispatching.dispatcher, now_s)
        return self.decision

    def step(self, now_s: float) -> tuple[Setpoints, dict[str, BayStep]]:
        """What to write: the set-points of all EVSEs, each with its source and lease, and the commands of sessions."""
        decision = self.decision
        if decision is None:
            raise RuntimeError("nothing decided yet")
        until_s = now_s + self.config.dispatch.setpoint_lease_s
        granted_share = self._granted_share(now_s)
        self._sequence += 1
        orders = {order.id: order.by for order in self.book.standing(now_s)}
        powers, commands = [], []
        steps: dict[str, BayStep] = {}
        for evse_id, bay in self.bays.items():
            grant = decision.grants.get(evse_id)
            grant_w = grant.power_w * granted_share if grant is not None else 0.0
            share = self._curtailment(bay, grant_w)
            try:
                steps[evse_id] = bay.step(
                    grant_w * share,
                    decision.site_lo_w,
                    decision.site_hi_w,
                    self.drain.parting(evse_id, now_s) if self.drain is not None else None,
                    now_s,
                    self.dispatching.outlook(evse_id) if bay.procedure is not None else NO_OUTLOOK,
                )
            except Exception as error:
                # Contactors may be closing and the cable under voltage: a connector that may be locked stays locked.
                reading = self._evses.get(evse_id)
                locked = reading is None or reading.connector_locked or bay.commanded.lock_connector
                steps[evse_id] = BayStep(evse_id=evse_id, evse=bay.idle(locked=locked), power_w=0.0, commands=())
                self._on_error(evse_id, error)
            step = steps[evse_id]
            source = _source(grant, orders, decision)
            # ``wires`` takes the curtailment off once more, and holds the vehicle to what is left.
            power_w = step.power_w / share if share > 0.0 else 0.0
            powers.append(PowerSetpoint(evse_id=evse_id, power_w=power_w, source=source, expires_at_s=until_s))
            commands.append(
                EvseSetpoint(evse_id=evse_id, command=step.evse, source=bay.phase or "no session", expires_at_s=until_s)
            )
        self.steps = steps
        setpoints = Setpoints(
            sequence=self._sequence,
            sent_at_s=now_s,
            powers=tuple(powers),
            evses=tuple(commands),
            filter_thresholds=self.filter_thresholds,
        )
        return setpoints, steps

    def _granted_share(self, now_s: float) -> float:
        """Of what dispatch grants, while sessions are being ended, 0..1."""
        if self.drain is not None:
            return self.drain.share(now_s)
        return 0.0 if self.stopping else 1.0

    def _curtailment(self, bay: EvseBay, power_w: float) -> float:
        """The guard's share of what flows, 0..1, as far as it is taken here: ``wires`` multiplies an inverter's
        set-point by it, and what a vehicle at an AC EVSE is told has to be less already."""
        if not isinstance(bay, AcBay) or self.image is None:
            return 1.0
        guard = self.image.guard
        share = guard.curtail_charge if power_w > 0 else guard.curtail_discharge
        return fraction(share)


def _source(grant: Grant | None, orders: Mapping[int, str], decision: Decision) -> str:
    if grant is None or grant.order_id is None:
        if not decision.permitted:
            return f"no permit: {decision.permit_reason}"
        return "auto" if grant is not None and grant.auto else "no order"
    by = orders.get(grant.order_id)
    return f"order {grant.order_id} by {by}" if by is not None else f"order {grant.order_id}"
