"""What the procedures of DC and AC sessions share: authorisation, phases, faults and the answer to dispatch. Pure.

A procedure takes protocol events and readings, and gives protocol commands, the EVSE's command and a power. A fault on
the way leads to rest and stays until the session ends.
"""

from __future__ import annotations

import abc
import enum
import math
from dataclasses import dataclass, replace

from pyiso15118 import events as ev
from pyiso15118.commands import Authorize, Command
from pyiso15118.der import GridCode
from pyiso15118.messages.common_types import evseNotificationType
from v2g.dispatch.constraints import Bound, intersect
from v2g.dispatch.soc_watch import BatteryWatch
from v2g.dispatch.vehicle import SOC_MAX_AGE_S, VehicleData
from v2g.dispatch.wants import Wants
from v2g.hardware.ports import AcEvseCommand, AcEvseReading, DcEvseCommand, DcEvseReading, InverterReading
from v2g.sessions.authorization import AuthorizationPolicy, AuthorizationRequest
from v2g.sessions.drain import Parting
from v2g.sessions.schedules import Room
from v2g.sessions.scheduling import NO_OUTLOOK, Notice, Outlook, Scheduling

REFUSE_AFTER_S = 5.0
"""So long an EVSE's fault may last before authorisation is refused for it; the vehicle is told Ongoing."""
REST_CURRENT_A = 1.0
"""Contactors open below this."""
FIRST_LOOP_WITHIN_S = 2.0
METER_ID_CHARS = 32
JUDGED_EVERY_S = 1.0
"""A battery is judged with each message of its vehicle, and so often between them: 50 kW move 14 Wh in a second."""
MAX_TOLD = 1e6


class Phase(enum.StrEnum):
    """Where a session stands, as people read it."""

    SETUP = "setup"
    CABLE_CHECK = "cable check"
    INSULATED = "insulation tested"
    PRE_CHARGE = "pre-charge"
    CLOSING = "contactor closing"
    """AC."""
    CHARGING = "charging"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseView:
    """What is known of one EVSE at one moment.

    ``fault`` and ``hold``: the verdict of its watch. ``inverter``: of a DC EVSE. ``available``: no earlier session
    holds the EVSE. ``supplied``: the guard permits energy. ``wants``: what the site asks for the vehicle here; None:
    the EVSE's own minimum and no more. ``grid_code``: what a vehicle's inverter at an AC EVSE is handed; None: nothing.
    """

    evse: DcEvseReading | AcEvseReading | None = None
    inverter: InverterReading | None = None
    fault: str | None = None
    hold: str | None = None
    available: bool = True
    supplied: bool = True
    wants: Wants | None = None
    grid_code: GridCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one EVSE is allowed at one moment. Powers signed, in W.

    ``site_lo_w..site_hi_w``: what the site permits now. ``parting``: how its vehicle shall be asked to end; None: it
    may go on. ``outlook``: of the time ahead.
    """

    site_lo_w: float = 0.0
    site_hi_w: float = 0.0
    grant_w: float = 0.0
    parting: Parting | None = None
    outlook: Outlook = NO_OUTLOOK


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What shall happen now. ``power_w`` is nonzero only in the charge loop with contactors closed by feedback."""

    commands: tuple[Command, ...]
    evse: DcEvseCommand | AcEvseCommand
    power_w: float = 0.0


class Procedure(abc.ABC):
    """One session at one EVSE, from SessionSetup until the connector is unlocked."""

    def __init__(self, evse_id: str, policy: AuthorizationPolicy, vehicle_max_age_s: float) -> None:
        """``vehicle_max_age_s``: a charge-loop request older than this no longer speaks for its vehicle."""
        self.evse_id = evse_id
        self.phase = Phase.SETUP
        self.fault: str | None = None
        self.refusal: str | None = None
        """Why authorisation was last refused."""
        self.released = False
        self.evccid = ""
        self.identity: str | None = None
        """What its certificate proves."""
        self.battery = BatteryWatch()
        self._judgement: tuple[VehicleData, Wants, float] | None = None
        self.service: ev.EnergyService | None = None
        self.control_mode: ev.ControlMode | None = None
        self.mobility_needs_mode: ev.MobilityNeedsMode | None = None
        self.needs: ev.EnergyNeeds | None = None
        self.soc_pct: int | None = None
        self.scheduling = Scheduling()
        self._notices: list[Notice] = []
        self._said_min_soc_pct: int | None = None
        self._said_target_soc_pct: int | None = None
        self._departs_at_s: float | None = None
        self._capacity_wh: float | None = None
        self._unix_offset_s: float | None = None
        self._looped_at_s = -math.inf
        self._policy = policy
        self._vehicle_max_age_s = vehicle_max_age_s
        self._vehicle: VehicleData | None = None
        self._soc_until_s = -math.inf
        self._since_s = 0.0
        self._close = False
        self._authorization_since_s: float | None = None
        self._view = EvseView(fault="no reading yet")
        self._share = Share()
        self._bounds: tuple[float, tuple[Bound, ...]] | None = None

    def come_to_rest_after_lost_session(self, now_s: float, *, closed: bool) -> None:
        """Stand for a session that nobody knows of, at an EVSE that is not known to be dead: bring it to rest, open it
        if its contactors are ``closed``, and unlock it once it is dead."""
        self.phase = Phase.ENDED
        self._close = closed
        self._since_s = now_s

    # ---- what the protocol says ----

    def handle(self, event: ev.Event, now_s: float) -> tuple[Command, ...]:
        """Take one event; the commands that answer it at once. Events that concern nobody here are ignored."""
        self._bounds = None
        self.scheduling.take(event, now_s)
        match event:
            case ev.SessionStarted():
                self.evccid = event.evccid
            case ev.AuthorizationRequested():
                self._authorization_since_s = now_s
                return self._authorize(now_s)
            case ev.EnergyServiceSelected():
                self.service, self.control_mode = event.service, event.control_mode
                self.mobility_needs_mode = event.mobility_needs_mode
            case ev.EnergyNeedsReceived():
                self._take_needs(event.needs, now_s)
            case ev.RenegotiationStarted(service=False):
                self._keep_vehicle(now_s)
            case ev.PowerDeliveryStopped():
                self._rest(now_s)
            case ev.SessionEnded():
                self.finish(now_s)
            case _:
                self._take(event, now_s)
        return ()

    @abc.abstractmethod
    def _take(self, event: ev.Event, now_s: float) -> None:
        """An event that belongs to one kind of EVSE."""

    def finish(self, now_s: float) -> None:
        """There is no session any more: come to rest, open, unlock."""
        self._rest(now_s)
        self.phase = Phase.ENDED

    def _authorize(self, now_s: float) -> tuple[Command, ...]:
        """The answer to a request that waits for one. A refusal waits a little: the fault may be a device starting."""
        since_s = self._authorization_since_s
        if since_s is None:
            return ()
        fault = self._obstacle()
        answer = self._policy.decide(AuthorizationRequest(evse_id=self.evse_id, evccid=self.evccid, fault=fault))
        if not answer.granted and fault is not None and now_s - since_s < REFUSE_AFTER_S:
            return ()
        self._authorization_since_s = None
        self.refusal = answer.reason if not answer.granted else None
        return (Authorize(granted=answer.granted),)

    def _obstacle(self) -> str | None:
        """Why no session shall begin here now."""
        return self._view.fault

    def _take_soc(self, soc_pct: int | None, now_s: float) -> None:
        if soc_pct is not None:
            self.soc_pct, self._soc_until_s = soc_pct, now_s + SOC_MAX_AGE_S

    def _take_needs(self, needs: ev.EnergyNeeds, now_s: float) -> None:
        """Energies speak for the moment of their message; what is a state of charge or a time holds until it is said
        anew. A departure counts from its message.

        A minimum state of charge that is not repeated gives way to an EVMinimumEnergyRequest that says it is covered:
        the newer word. EcoG's vehicle says 30 % before the loop, and in it 10 % present with the minimum covered.
        """
        if needs.departure_time_s is not None:
            self._departs_at_s = now_s + needs.departure_time_s
        if needs.min_soc_pct is not None:
            self._said_min_soc_pct = needs.min_soc_pct
        if needs.target_soc_pct is not None:
            self._said_target_soc_pct = needs.target_soc_pct
        covered = needs.min_energy_wh is not None and needs.min_energy_wh <= 0.0
        self.needs = replace(
            needs,
            min_soc_pct=needs.min_soc_pct if covered else self._said_min_soc_pct,
            target_soc_pct=self._said_target_soc_pct,
        )

    def _take_loop(self, event: ev.DcChargeLoopReceived | ev.AcChargeLoopReceived, now_s: float) -> None:
        self._looped_at_s = now_s
        self._take_needs(event.needs, now_s)
        self._take_soc(event.present_soc_pct, now_s)
        if event.battery_capacity_wh is not None:
            self._capacity_wh = event.battery_capacity_wh
        self._vehicle = self._vehicle_data(now_s + self._vehicle_max_age_s)

    def _first_loop(self, now_s: float) -> float:
        """Until when its last word holds where its next charge-loop request is still on the way."""
        return now_s + max(FIRST_LOOP_WITHIN_S, self._vehicle_max_age_s)

    def _keep_vehicle(self, now_s: float) -> None:
        """Energy flows on while a schedule is negotiated anew, and the charge loop stands still meanwhile; counted from
        the last loop, for a vehicle may renegotiate again and again."""
        if self._vehicle is not None and now_s < self._vehicle.expires_at_s:
            until_s = self._looped_at_s + self._vehicle_max_age_s + FIRST_LOOP_WITHIN_S
            self._vehicle = replace(self._vehicle, expires_at_s=max(self._vehicle.expires_at_s, until_s))

    @abc.abstractmethod
    def _vehicle_data(self, until_s: float) -> VehicleData | None:
        """What the vehicle said last, believed until then; None before it gave its limits."""

    def _data(
        self,
        until_s: float,
        *,
        charge_w: tuple[float, float],
        discharge_w: tuple[float, float],
        charge_a: float = 0.0,
        discharge_a: float = 0.0,
    ) -> VehicleData:
        """``charge_w`` and ``discharge_w``: (least, most), magnitudes."""
        needs, site = self.needs or ev.EnergyNeeds(), self.scheduling.told
        return VehicleData(
            expires_at_s=until_s,
            max_charge_w=charge_w[1],
            max_discharge_w=discharge_w[1],
            max_charge_a=charge_a,
            max_discharge_a=discharge_a,
            soc_pct=self.soc_pct,
            soc_expires_at_s=self._soc_until_s,
            min_soc_pct=needs.min_soc_pct,
            min_energy_wh=needs.min_energy_wh,
            max_energy_wh=needs.max_energy_wh,
            min_charge_w=charge_w[0],
            min_discharge_w=discharge_w[0],
            target_energy_wh=needs.target_energy_wh,
            target_soc_pct=needs.target_soc_pct if site is None else site.target_soc_pct,
            min_v2x_energy_wh=needs.min_v2x_energy_wh,
            max_v2x_energy_wh=needs.max_v2x_energy_wh,
            capacity_wh=self._capacity_wh,
            departs_at_s=self._departs_at_s if site is None else self.scheduling.secc_departs_at_s,
        )

    def _enter(self, phase: Phase, now_s: float, allowed: tuple[Phase, ...]) -> None:
        if self.phase in allowed:
            self.phase = phase
            self._since_s = now_s
        elif self.fault is None:
            self._fail(f"{phase} asked for during {self.phase}", now_s)

    def _fail(self, text: str, now_s: float) -> None:
        if self.fault is None:
            self.fault = text
        self._rest(now_s)

    def _rest(self, now_s: float) -> None:
        if self.phase not in (Phase.STOPPING, Phase.ENDED):
            self.phase = Phase.STOPPING
            self._since_s = now_s

    # ---- what dispatch may do with it ----

    @property
    def charging(self) -> bool:
        """Energy may flow as far as this session is concerned."""
        return self.phase is Phase.CHARGING and self.fault is None

    @property
    def vehicle(self) -> VehicleData | None:
        """What the vehicle said last, with what is known of its battery, while it is in its charge loop."""
        return self._vehicle if self.charging else None

    @property
    def announced(self) -> VehicleData | None:
        """What it said of itself so far, in whatever phase, for a plan; it does not expire. None before its limits."""
        return self._vehicle_data(math.inf)

    @property
    def scheduled(self) -> bool:
        """It follows a schedule it chose."""
        return self.control_mode is ev.ControlMode.SCHEDULED

    @property
    @abc.abstractmethod
    def limits_w(self) -> tuple[float, float]:
        """What the vehicle can charge and discharge with by its own word, magnitudes."""

    def bounds(self, now_s: float) -> tuple[Bound, ...]:
        """Every limit of this vehicle and its EVSE by the last look at it; none: no power."""
        vehicle = self._vehicle
        if not self.charging or vehicle is None:
            return ()
        if self._bounds is None or self._bounds[0] != now_s:
            self._vehicle = vehicle = self._judged(vehicle, now_s)
            bounds = self._bounds_of(vehicle, now_s)
            if bounds and self._view.hold is not None:
                bounds = (Bound(0.0, 0.0, self._view.hold, math.inf), *bounds)
            self._bounds = now_s, bounds
        return self._bounds[1]

    @property
    def _wants(self) -> Wants:
        return self._view.wants or Wants(min_soc_pct=self._min_soc_pct)

    def _judged(self, vehicle: VehicleData, now_s: float) -> VehicleData:
        wants, last = self._wants, self._judgement
        if last is not None and last[0] is vehicle and last[1] == wants and now_s - last[2] < JUDGED_EVERY_S:
            return vehicle
        evse, believed = self._view.evse, self.battery.verdict.believed
        charged_wh, discharged_wh = math.nan, math.nan
        if evse is not None:
            charged_wh, discharged_wh = evse.charged_energy_wh, evse.discharged_energy_wh
        judged = self.battery.judge(vehicle, wants, charged_wh, discharged_wh, now_s)
        self._judgement = judged, wants, now_s
        verdict = self.battery.verdict
        if believed and not verdict.believed:
            text = f"no discharge of this vehicle: {verdict.words}"
            self._notices.append(Notice(code=verdict.code, text=text, is_warning=True))
        return judged

    @abc.abstractmethod
    def _bounds_of(self, vehicle: VehicleData, now_s: float) -> tuple[Bound, ...]: ...

    # ---- one control cycle ----

    @abc.abstractmethod
    def look(self, view: EvseView, now_s: float) -> None:
        """Take readings and judge them, before :meth:`bounds` and :meth:`step` of the same cycle."""

    @abc.abstractmethod
    def step(self, share: Share, now_s: float) -> Step:
        """After :meth:`look`: what to say to vehicle and EVSE."""

    @property
    @abc.abstractmethod
    def _room(self) -> Room | None:
        """Within what the vehicle can be offered schedules; None before it gave its limits."""

    @property
    @abc.abstractmethod
    def _min_soc_pct(self) -> float:
        """Of the EVSE."""

    def _take_share(self, share: Share, now_s: float) -> tuple[Command, ...]:
        """Keep it, and answer the requests that wait."""
        self._share = share
        unix_s = share.outlook.unix_s
        self._unix_offset_s = None if unix_s is None else unix_s - now_s
        commands = self._authorize(now_s)
        room = self._room if self.scheduling.may_answer else None
        if room is None or self.phase in (Phase.STOPPING, Phase.ENDED):
            return commands
        return (*commands, *self.scheduling.answer(share.outlook, room, self._wants, now_s))

    def _notification(self, now_s: float) -> evseNotificationType | None:
        """What the vehicle is asked for."""
        if self._share.parting is not None:
            return self._share.parting.notification
        room = self._room if self.scheduled and self.charging else None
        if room is None:
            return None
        asked = self.scheduling.wants_renegotiation(self._share.outlook, room, now_s)
        return evseNotificationType.ScheduleRenegotiation if asked else None

    @property
    def _notified_within_s(self) -> int:
        """How long the vehicle has to act on it, s; 0: at once."""
        return self._share.parting.within_s if self._share.parting is not None else 0

    def _planned_w(self, now_s: float) -> float | None:
        """What the vehicle announced for this moment in scheduled mode; None: not known."""
        if not self.scheduled or self._unix_offset_s is None:
            return None
        return self.scheduling.planned_w(now_s + self._unix_offset_s)

    def take_notices(self) -> tuple[Notice, ...]:
        notices, self._notices = self._notices, []
        return (*notices, *self.scheduling.take_notices())

    def _granted_w(self, now_s: float) -> float:
        """The grant within site, vehicle and EVSE."""
        share = self._share
        if share.grant_w == 0.0 or not math.isfinite(share.grant_w):
            return 0.0
        site = Bound(min(0.0, share.site_lo_w), max(0.0, share.site_hi_w), "site", math.inf)
        allowed = intersect((*self.bounds(now_s), site), now_s)
        return max(allowed.lo_w, min(allowed.hi_w, share.grant_w))


def sane(value: float) -> float:
    """A reading that no message could carry is told as 0; the watch has made it a fault."""
    return value if math.isfinite(value) and abs(value) < MAX_TOLD else 0.0


def meter_of(evse_id: str, evse: DcEvseReading | AcEvseReading | None) -> ev.MeterReading | None:
    """What the vehicle is shown of the EVSE's meter; None where it has none that can be told."""
    charged_wh = _meter_wh(evse.charged_energy_wh) if evse is not None else None
    if evse is None or charged_wh is None:
        return None
    return ev.MeterReading(
        meter_id=evse_id[:METER_ID_CHARS],
        charged_energy_wh=charged_wh,
        discharged_energy_wh=_meter_wh(evse.discharged_energy_wh),
    )


def _meter_wh(value: float) -> int | None:
    return int(value) if math.isfinite(value) and value >= 0 else None
