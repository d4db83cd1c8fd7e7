"""The methods of the control socket on the transformer: ``thermal`` and ``thermal.regime``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from v2g.clock import Clock
from v2g.config.schema import Transformer
from v2g.control import messages
from v2g.control.server import Caller, Method, Refused, Role
from v2g.orchestrator.recall_words import regime_name
from v2g.telemetry.history import HistoryHealth
from v2g.thermal.account import AgeingTotals
from v2g.thermal.authorisation import Authorisation, AuthorisationError
from v2g.thermal.limits import Regime, ThermalLimits
from v2g.thermal.view import ThermalView
from v2g.units import finite

_MAX_REASON = 500


class ThermalApi:
    """Handlers of ``thermal`` and ``thermal.regime``. What is refused raises :class:`Refused` and has changed nothing.

    ``view``: what the thermal engine handed out last, None before the first; ``keep`` stores the authorisation, and is
    called after every change of it.
    """

    def __init__(
        self,
        transformer: Transformer,
        limits: Mapping[Regime, ThermalLimits],
        horizon_s: float,
        view: Callable[[], ThermalView | None],
        history: Callable[[], HistoryHealth],
        authorisation: Authorisation,
        keep: Callable[[], None],
        clock: Clock,
        thermal_s: Callable[[float], float],
        audit: Callable[..., None],
    ) -> None:
        """``limits``: in force by regime. ``thermal_s``: from ``clock``'s monotonic time to the thermal engine's."""
        self._transformer = transformer
        self._limits = limits
        self._horizon_s = horizon_s
        self._view = view
        self._history = history
        self._authorisation = authorisation
        self._keep = keep
        self._clock = clock
        self._thermal_s = thermal_s
        self._audit = audit

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("thermal", Role.VIEWER, messages.NoParams, self.thermal),
            Method("thermal.regime", Role.ENGINEER, messages.RegimeParams, self.regime),
        )

    async def thermal(self, params: messages.NoParams, caller: Caller) -> messages.ThermalResult:
        return thermal_result(
            self._view() or ThermalView(),
            self._transformer,
            self._horizon_s,
            self._history(),
            self._clock.monotonic_s(),
            self._thermal_s(self._clock.monotonic_s()),
        )

    async def regime(self, params: messages.RegimeParams, caller: Caller) -> messages.RegimeResult:
        """Take an engineer's authorisation, or end it. It holds from the next step of the thermal engine on."""
        try:
            regime = Regime(params.regime)
        except ValueError:
            raise Refused(
                f"regime {params.regime!r} is unknown; use {', '.join(known.value for known in Regime)}",
                code="BAD_REGIME",
            ) from None
        reason = "".join(character for character in params.reason if character.isprintable()).strip()[:_MAX_REASON]
        emergency = regime is not Regime.NORMAL_CYCLIC
        if emergency and not reason:
            raise Refused(
                "an emergency needs a reason, for the audit log: what is out of service, and who asked for it",
                code="NO_REASON",
            )
        now_s = self._thermal_s(self._clock.monotonic_s())
        try:
            self._authorisation.authorise(regime, caller.user, params.duration_s, now_s)
        except AuthorisationError as error:
            raise Refused(str(error), code="BAD_DURATION") from None
        self._keep()
        limits = self._limits[regime]
        self._audit(
            "LOADING_REGIME",
            f"{regime_name(regime)} {'authorised' if emergency else 'again'} by {caller.user}",
            regime=regime.value,
            duration_s=params.duration_s if emergency else None,
            hot_spot_limit_c=limits.hot_spot_c,
            top_oil_limit_c=limits.top_oil_c,
            k_limit_pu=limits.k_pu,
            reason=reason,
        )
        return messages.RegimeResult(
            regime=regime.value,
            left_s=self._authorisation.left_s(now_s),
            hot_spot_limit_c=limits.hot_spot_c,
            top_oil_limit_c=limits.top_oil_c,
            k_limit_pu=limits.k_pu,
            k_limit_source=limits.k_source,
        )


def thermal_result(
    view: ThermalView,
    transformer: Transformer,
    horizon_s: float,
    history: HistoryHealth,
    now_s: float,
    thermal_s: float,
) -> messages.ThermalResult:
    """The view for people and programs at ``now_s``, which is ``thermal_s`` to the engine. One that has expired permits
    nothing and says so."""
    ageing, limits = view.ageing or AgeingTotals(day=0), view.limits
    notes = view.notes
    expired = view.expires_at_s <= now_s
    if expired:
        notes = (
            f"the thermal model's last word is {now_s - view.expires_at_s:.0f} s too old: no V2G power; see daemon.log",
            *notes,
        )
    return messages.ThermalResult(
        transformer=transformer.id,
        rated_va=transformer.rated_kva * 1e3,
        horizon_s=horizon_s,
        top_oil_c=finite(view.top_oil_c),
        hot_spot_c=finite(view.hot_spot_c),
        ambient_c=finite(view.ambient_c),
        k_pu=finite(view.k_pu),
        load_w=finite(view.load_w),
        base_load_w=finite(view.base_load_w),
        ahead_top_oil_c=finite(view.ahead_top_oil_c),
        ahead_hot_spot_c=finite(view.ahead_hot_spot_c),
        ahead_base_w=finite(view.ahead_base_w),
        ahead_base_margin_w=finite(view.ahead_base_margin_w),
        margin_k=finite(view.margin_k) or 0.0,
        hot_spot_margin_k=finite(view.hot_spot_margin_k) or 0.0,
        bias_k=finite(view.bias_k) or 0.0,
        gradient_factor=view.gradient_factor,
        load_loss_factor=view.load_loss_factor,
        f_hl=finite(view.f_hl),
        lo_w=0.0 if expired else finite(view.lo_w) or 0.0,
        hi_w=0.0 if expired else finite(view.hi_w) or 0.0,
        lo_source=f"{view.lo_source} expired" if expired else view.lo_source,
        hi_source=f"{view.hi_source} expired" if expired else view.hi_source,
        lo_binds_in_s=finite(view.lo_binds_in_s),
        hi_binds_in_s=finite(view.hi_binds_in_s),
        lo_granted_in_s=finite(view.lo_granted_in_s),
        hi_granted_in_s=finite(view.hi_granted_in_s),
        base_source=view.base_source,
        feasible=view.feasible,
        regime=view.regime.value,
        regime_left_s=finite(view.regime_left_s),
        regime_by=view.regime_by,
        hot_spot_limit_c=limits.hot_spot_c if limits is not None else None,
        hot_spot_limit_source=limits.hot_spot_source if limits is not None else "",
        top_oil_limit_c=limits.top_oil_c if limits is not None else None,
        k_limit_pu=limits.k_pu if limits is not None else None,
        k_limit_source=limits.k_source if limits is not None else "",
        upgraded_paper=transformer.ageing.upgraded_paper,
        ageing_rate=finite(view.ageing_rate),
        ageing_today_h=ageing.today_h,
        ageing_total_h=ageing.total_h,
        ageing_counted_h=ageing.counted_h,
        ageing_budget_h_per_day=transformer.ageing.budget_h_per_day,
        life_used_pct=100.0 * ageing.total_h / transformer.ageing.insulation_life_h,
        sensors=tuple(
            messages.ThermalSensorLine(
                name=name,
                health=report.health.value,
                value_c=finite(report.value),
                read_c=finite(report.read),
                since_s=max(0.0, finite(thermal_s - report.since_s) or 0.0),
                words=report.words,
            )
            for name, report in view.sensors.items()
        ),
        history_problem=history.problem,
        history_rows=history.written_rows,
        history_dropped=history.dropped_rows,
        history_bytes=history.size_bytes,
        notes=notes,
    )
