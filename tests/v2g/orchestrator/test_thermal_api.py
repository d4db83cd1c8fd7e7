"""``thermal`` and ``thermal.regime`` over the control socket's handlers, with a view and a history of a few lines."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from v2g.clock import ManualClock
from v2g.config.schema import Ageing, Transformer
from v2g.control import messages
from v2g.control.server import Caller, Refused, Role
from v2g.orchestrator.thermal_api import ThermalApi
from v2g.telemetry.history import HistoryHealth
from v2g.thermal.account import AgeingTotals
from v2g.thermal.authorisation import Authorisation
from v2g.thermal.limits import (
    AGEING,
    CURRENT,
    HOT_SPOT,
    RATED_CURRENT,
    Regime,
    ThermalLimits,
    limits_of,
    size_class,
)
from v2g.thermal.sensor_watch import Health, SensorReport
from v2g.thermal.view import ThermalView

ANNA = Caller(uid=1000, gid=1000, pid=1, user="anna", role=Role.ENGINEER)
CLOCK_S = 1000.0

VIEW = ThermalView(
    lo_w=-120e3, hi_w=40e3, lo_source=CURRENT, hi_source=HOT_SPOT, lo_binds_in_s=60.0, hi_binds_in_s=900.0,
    lo_granted_in_s=None, hi_granted_in_s=None, base_source=None, feasible=True, expires_at_s=CLOCK_S + 3.0,
    top_oil_c=81.5, hot_spot_c=97.25, ambient_c=31.0, k_pu=0.86, load_w=210e3, base_load_w=205e3,
    ahead_top_oil_c=84.0, ahead_hot_spot_c=103.0, ahead_base_w=220e3, ahead_base_margin_w=15e3,
    regime=Regime.LONG_TIME_EMERGENCY, regime_left_s=7200.0, regime_by="anna",
    limits=ThermalLimits(hot_spot_c=111.0, top_oil_c=115.0, k_pu=1.8, hot_spot_source=AGEING),
    margin_k=1.5, bias_k=-0.7, gradient_factor=1.1, load_loss_factor=1.05, f_hl=2.5, ageing_rate=0.9,
    ageing=AgeingTotals(day=1, today_h=3.0, total_h=1800.0, counted_h=9000.0),
    sensors={"top_oil_c": SensorReport(health=Health.STUCK, value=None, read=80.0, since_s=CLOCK_S - 90.0, words="w")},
    notes=("a note",),
)  # fmt: skip


class Bench:
    """The API with everything around it in reach."""

    def __init__(self, view: ThermalView | None = VIEW, limits: dict[Regime, ThermalLimits] | None = None) -> None:
        self.view = view
        self.clock = ManualClock(monotonic_s=CLOCK_S)
        self.authorisation = Authorisation()
        self.kept = 0
        self.audited: list[tuple[str, str, dict[str, Any]]] = []
        transformer = Transformer(id="T1", rated_kva=250.0, ageing=Ageing(budget_h_per_day=24.0))
        self.health = HistoryHealth(problem="", dropped_rows=1, written_rows=1440, size_bytes=2_000_000)
        self.api = ThermalApi(
            transformer,
            {regime: limits_of(regime, size_class(250e3)) for regime in Regime} | (limits or {}),
            900.0,
            lambda: self.view,
            lambda: self.health,
            self.authorisation,
            self._keep,
            self.clock,
            lambda now_s: now_s,
            lambda code, text, **fields: self.audited.append((code, text, fields)),
        )

    def _keep(self) -> None:
        self.kept += 1

    async def thermal(self) -> messages.ThermalResult:
        return await self.api.thermal(messages.NoParams(), ANNA)

    async def regime(self, regime: str, duration_s: float = 0.0, reason: str = "") -> messages.RegimeResult:
        return await self.api.regime(messages.RegimeParams(regime=regime, duration_s=duration_s, reason=reason), ANNA)


def test_looking_is_for_viewers_and_authorising_for_engineers() -> None:
    assert {method.name: method.role for method in Bench().api.methods()} == {
        "thermal": Role.VIEWER,
        "thermal.regime": Role.ENGINEER,
    }


async def test_the_view_is_told_whole() -> None:
    result = await Bench().thermal()
    told = msgspec.to_builtins(result)
    same = set(messages.ThermalResult.__struct_fields__) & set(ThermalView.__dataclass_fields__) - {"regime", "sensors"}
    assert {"lo_w", "hi_w", "ahead_hot_spot_c", "bias_k", "f_hl"} <= same
    for name in same:
        value = getattr(VIEW, name)
        assert told[name] == (list(value) if isinstance(value, tuple) and name != "notes" else value), name
    assert (result.transformer, result.rated_va, result.horizon_s) == ("T1", 250e3, 900.0)
    assert (result.regime, result.regime_left_s, result.regime_by) == ("long_time_emergency", 7200.0, "anna")
    assert (result.hot_spot_limit_c, result.hot_spot_limit_source) == (111.0, AGEING)
    assert (result.top_oil_limit_c, result.k_limit_pu, result.k_limit_source) == (115.0, 1.8, CURRENT)
    assert (result.ageing_today_h, result.ageing_total_h, result.ageing_budget_h_per_day) == (3.0, 1800.0, 24.0)
    assert result.life_used_pct == pytest.approx(1.0)
    assert result.sensors == (
        messages.ThermalSensorLine(
            name="top_oil_c", health="stuck", value_c=None, read_c=80.0, since_s=90.0, words="w"
        ),
    )
    assert (result.history_rows, result.history_dropped, result.history_bytes) == (1440, 1, 2_000_000)


async def test_before_the_first_view_nothing_is_permitted_or_known() -> None:
    result = await Bench(None).thermal()
    assert (result.lo_w, result.hi_w, result.top_oil_c, result.hot_spot_limit_c) == (0.0, 0.0, None, None)
    assert result.lo_source == "thermal: transformer load not yet known"


async def test_a_view_that_has_expired_permits_nothing_and_says_so() -> None:
    bench = Bench()
    bench.clock.advance(13.0)
    result = await bench.thermal()
    assert (result.lo_w, result.hi_w) == (0.0, 0.0)
    assert (result.lo_source, result.hi_source) == (f"{CURRENT} expired", f"{HOT_SPOT} expired")
    assert result.notes[0].startswith("the thermal model's last word is 10 s too old")
    assert result.notes[1:] == ("a note",)


async def test_what_is_not_finite_is_unknown_in_json() -> None:
    view = replace(VIEW, hot_spot_c=math.inf, lo_binds_in_s=math.nan, lo_w=-math.inf)
    result = await Bench(view).thermal()
    again = msgspec.json.decode(msgspec.json.encode(result), type=messages.ThermalResult)
    assert (again.hot_spot_c, again.lo_binds_in_s, again.lo_w) == (None, None, 0.0)


async def test_an_emergency_is_authorised_kept_and_audited() -> None:
    bench = Bench()
    result = await bench.regime("long_time_emergency", 4 * 3600.0, "T2 out of service,\nmayor called")
    assert result == messages.RegimeResult(
        regime="long_time_emergency",
        left_s=4 * 3600.0,
        hot_spot_limit_c=140.0,
        top_oil_limit_c=115.0,
        k_limit_pu=1.8,
        k_limit_source=CURRENT,
    )
    assert bench.authorisation.regime(CLOCK_S) is Regime.LONG_TIME_EMERGENCY
    assert bench.kept == 1
    ((code, text, fields),) = bench.audited
    assert (code, text) == ("LOADING_REGIME", "long-time emergency loading authorised by anna")
    assert (fields["duration_s"], fields["reason"]) == (14_400.0, "T2 out of service,mayor called")


async def test_the_limits_told_are_those_that_hold() -> None:
    """An emergency that the guard's own protection does not let the transformer be loaded by."""
    narrowed = ThermalLimits(hot_spot_c=140.0, top_oil_c=115.0, k_pu=1.0, k_source=RATED_CURRENT)
    bench = Bench(limits={Regime.LONG_TIME_EMERGENCY: narrowed})
    result = await bench.regime("long_time_emergency", 3600.0, "T2 out of service")
    assert (result.k_limit_pu, result.k_limit_source) == (1.0, RATED_CURRENT)
    assert bench.audited[-1][2]["k_limit_pu"] == 1.0


async def test_normal_cyclic_loading_ends_it() -> None:
    bench = Bench()
    await bench.regime("short_time_emergency", 600.0, "cable fault")
    result = await bench.regime("normal_cyclic")
    assert (result.regime, result.left_s, result.hot_spot_limit_c) == ("normal_cyclic", None, 120.0)
    assert bench.authorisation.regime(CLOCK_S) is Regime.NORMAL_CYCLIC
    assert bench.audited[-1][1] == "normal cyclic loading again by anna"


@pytest.mark.parametrize(
    ("regime", "duration_s", "reason", "code", "words"),
    [
        ("emergency", 60.0, "x", "BAD_REGIME", "use normal_cyclic, long_time_emergency, short_time_emergency"),
        ("long_time_emergency", 60.0, " \n", "NO_REASON", "an emergency needs a reason"),
        ("long_time_emergency", 15 * 86_400.0, "x", "BAD_DURATION", "at most 14 days"),
        ("short_time_emergency", 1801.0, "x", "BAD_DURATION", "at most 30 min"),
        ("short_time_emergency", 0.0, "x", "BAD_DURATION", "give more than 0"),
        ("short_time_emergency", math.nan, "x", "BAD_DURATION", "give more than 0"),
    ],
)
async def test_what_cannot_be_authorised_is_refused_and_changes_nothing(
    regime: str, duration_s: float, reason: str, code: str, words: str
) -> None:
    bench = Bench()
    with pytest.raises(Refused) as refused:
        await bench.regime(regime, duration_s, reason)
    assert refused.value.code == code
    assert words in refused.value.message
    assert (bench.kept, bench.audited, bench.authorisation.regime(CLOCK_S)) == (0, [], Regime.NORMAL_CYCLIC)
