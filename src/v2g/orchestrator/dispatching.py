"""What the site's decision goes by besides its vehicles' bounds: the dispatcher, phases, plan, utility and meters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

from v2g.config.schema import AcEvse, Config, Evse
from v2g.config.schema_dispatch import Dispatch
from v2g.dispatch.dispatcher import Dispatcher, Settings
from v2g.dispatch.inputs import Aim, Group, Phases
from v2g.dispatch.min_soc import MinSocSettings
from v2g.dispatch.wants import Wants
from v2g.guard.status import GuardStatus, Permit
from v2g.orchestrator.aims import NO_PLAN, StandingPlan, aim_of
from v2g.orchestrator.min_soc_api import min_soc_settings
from v2g.orchestrator.phase_limits import measured_base_w, phase_groups, shares_of
from v2g.sessions.scheduling import NO_OUTLOOK, Outlook
from v2g.thermal.limits import Regime, limits_of, size_class
from v2g.thermal.view import ThermalView
from v2g.utility.base_load import BaseLoad, combine
from v2g.utility.meter_view import MeteredLoad
from v2g.utility.signals import UtilityView


class Dispatching:
    """One site's. Its callables are set by whoever composes the daemon; all may stay as they are."""

    def __init__(self, config: Config) -> None:
        self._rated_va = config.transformer.rated_kva * 1e3
        rated_a = config.protection.feeder.rated_a
        self.feeder_phase_w = rated_a * config.grid.nominal_voltage_v if rated_a is not None else None
        """What the feeder carries in each phase; None: not limited."""
        self._dispatch = config.dispatch
        self.dispatcher = Dispatcher(self._settings())
        self.plan: Callable[[], StandingPlan] = lambda: NO_PLAN
        self.utility: Callable[[float], UtilityView] = lambda now_s: UtilityView()
        self.meters: Callable[[float, float | None], MeteredLoad] = lambda now_s, base_w: MeteredLoad()
        configured = min_soc_settings(config)
        self.min_soc: Callable[[], MinSocSettings] = lambda: configured
        self.outlook: Callable[[str], Outlook] = lambda evse_id: NO_OUTLOOK
        self._evses = {evse.id: evse for evse in config.evses}

    def adopt(self, dispatch: Dispatch) -> None:
        """Go by other settings from the next cycle on."""
        self._dispatch = dispatch
        self.dispatcher.adopt(self._settings())

    def _settings(self) -> Settings:
        return Settings(
            ramp_pu_s=self._dispatch.ramp_pu_s,
            dwell_s=self._dispatch.dwell_s,
            unbalance_w=self._dispatch.unbalance_w,
            rated_w=self._rated_va,
        )

    @property
    def default_mode(self) -> str:
        """What a vehicle without an order does: ``auto`` or ``idle``."""
        return self._dispatch.default_mode

    def wants(self, evse_id: str, identity: str | None, evccid: str) -> Wants:
        """What the site asks for the vehicle at an EVSE. ``identity``: proven by its certificate."""
        dispatch = self._dispatch
        min_soc = self.min_soc().of(evse_id, identity, evccid)
        return Wants(
            min_soc_pct=min_soc.pct,
            min_soc_from=min_soc.whose,
            max_soc_pct=dispatch.max_soc_pct,
            assumed_capacity_wh=dispatch.assumed_capacity_kwh * 1e3,
            assumed_stay_s=dispatch.assumed_stay_h * 3600.0,
        )

    def phases(self, evse_id: str, used: int | None) -> Phases:
        """Shares of an EVSE's power in the phases of the bus. ``used``: phases that its vehicle uses, None: all."""
        return evse_phases(self._evses[evse_id], used)

    def base_by_phase(self, guard: GuardStatus, meters: MeteredLoad, v2g_w: Sequence[tuple[Phases, float]]) -> BaseLoad:
        """The base load by phase. ``v2g_w``: measured power of each vehicle with its shares."""
        measured = None
        if guard.permit is not Permit.GUARD_STALE and guard.measured and guard.load_measured:
            measured = measured_base_w(guard.transformer_va, guard.transformer_w, guard.transformer_a, v2g_w)
        return combine(measured, meters)

    def groups(
        self, shares: Sequence[tuple[str, Phases]], base: BaseLoad, view: ThermalView, as_of_s: float
    ) -> tuple[Group, ...]:
        """The limits of the phases, of transformer and feeder."""
        limits = view.limits or limits_of(Regime.NORMAL_CYCLIC, size_class(self._rated_va))
        return phase_groups(
            shares,
            rated_w=self._rated_va,
            k_pu=limits.k_pu,
            base_w=(base.low_w, base.high_w) if base.low_w is not None and base.high_w is not None else None,
            feeder_w=self.feeder_phase_w,
            as_of_s=as_of_s,
        )

    def aim(self, view: ThermalView, utility: UtilityView, unix_s: float) -> Aim:
        base_w = view.base_load_w if view.base_load_w is not None and isfinite(view.base_load_w) else None
        return aim_of(self._dispatch, base_w, self._rated_va, self.plan(), utility, unix_s)


def evse_phases(evse: Evse, used: int | None = None) -> Phases:
    """``used``: phases that its vehicle uses; None: all that the EVSE has."""
    if isinstance(evse, AcEvse):
        return shares_of(evse.rotation[: evse.phases], used)
    return shares_of(evse.phases)
