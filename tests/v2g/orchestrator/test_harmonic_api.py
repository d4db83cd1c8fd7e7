"""``harmonic_filter.set`` and ``harmonics.show``: what is written, what set-points then carry, what is shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import yaml

from support.config_dir import write_config
from v2g.clock import ManualClock
from v2g.config.loader import load
from v2g.control import messages
from v2g.control.messages_quality import HarmonicFilterParams, HarmonicFilterResult, HarmonicsResult
from v2g.control.server import Caller, Refused, Role
from v2g.guard.link import FilterState, Image
from v2g.guard.quality_report import QualityReport
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.harmonic_api import HarmonicApi
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.site import Site
from v2g.orchestrator.thermal_clock import ThermalClock

ANNA = Caller(uid=1000, gid=1000, pid=1, user="anna", role=Role.ENGINEER)
E1, E2, E3 = "US*V2G*E1", "US*V2G*E2", "US*V2G*E3"


def evse(evse_id: str, number: int, **filter_: Any) -> dict[str, Any]:
    inverter: dict[str, Any] = {"modbus": {"host": f"10.0.0.{number}"}}
    if filter_:
        inverter["harmonic_filter"] = filter_
    dc = {"modbus": {"host": f"10.0.1.{number}"}}
    return {"id": evse_id, "kind": "DC", "interface": f"evse{number}", "inverter": inverter, "dc": dc}


class World:
    def __init__(self, folder: Path, *evses: dict[str, Any], site: dict[str, Any] | None = None) -> None:
        self.config_dir, self.clock = folder / "etc", ManualClock()
        main: dict[str, Any] = {
            "site": {"id": "s1"},
            "transformer": {"id": "T1", "rated_kva": 250},
            "grid": {"nominal_voltage_v": 277},
            "evses": list(evses),
        }
        if site is not None:
            main["harmonic_filter"] = site
        write_config(self.config_dir, main)
        clock = ThermalClock(self.clock, SiteZone("UTC"))
        self.site = Site(load(self.config_dir).config, clock, lambda *_: None)
        self.quality = folder / "quality.json"
        self.api = HarmonicApi(self.site, self.quality, self.config_dir, self.clock, Changes())

    def publish(self, **fields: Any) -> None:
        report = {
            "as_of_s": self.clock.monotonic_s() - 0.5, "thd_i_pct": (5.0, 6.0, 5.5),
            "harmonics_i_pct": ((0.1,) * 3, (0.0,) * 3, (0.0,) * 3, (2.5, 3.0, 2.7)), "highest_harmonic": 5,
        }  # fmt: skip
        self.quality.write_bytes(msgspec.json.encode(QualityReport(**(report | fields))))

    async def set(self, threshold: float | None, evse_id: str | None = None) -> HarmonicFilterResult:
        return await self.api.set(HarmonicFilterParams(threshold=threshold, evse_id=evse_id), ANNA)

    async def show(self) -> HarmonicsResult:
        return await self.api.show(messages.NoParams(), ANNA)

    @property
    def dropin(self) -> Any:
        file = self.config_dir / "conf.d" / "90-operator.yaml"
        return yaml.safe_load(file.read_text()) if file.exists() else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, evse(E1, 1, map="v2g-filter"), evse(E2, 2, map="v2g-filter"), evse(E3, 3))


def test_viewers_look_and_engineers_set(world: World) -> None:
    assert {method.name: method.role for method in world.api.methods()} == {
        "harmonics.show": Role.VIEWER,
        "harmonic_filter.set": Role.ENGINEER,
    }


async def test_a_threshold_for_all_is_kept_and_goes_to_those_with_a_filter(world: World) -> None:
    world.publish()
    result = await world.set(0.03)
    assert result.changed
    assert world.dropin == {"harmonic_filter": {"threshold": 0.03}}
    assert world.site.filter_thresholds == {E1: 0.03, E2: 0.03}
    assert result.thd_now == pytest.approx(0.06)
    assert [(line.evse_id, line.threshold) for line in result.filters] == [(E1, 0.03), (E2, 0.03)]


async def test_the_same_twice_is_no_change(world: World) -> None:
    await world.set(0.03)
    before = (world.config_dir / "conf.d" / "90-operator.yaml").stat().st_mtime_ns
    result = await world.set(0.03)
    assert not result.changed
    assert (world.config_dir / "conf.d" / "90-operator.yaml").stat().st_mtime_ns == before
    assert world.site.filter_thresholds == {E1: 0.03, E2: 0.03}


async def test_one_inverter_has_its_own_until_one_for_all_comes(world: World) -> None:
    await world.set(0.03)
    await world.set(0.05, E1)
    assert world.site.filter_thresholds == {E1: 0.05, E2: 0.03}
    await world.set(0.04)
    assert world.site.filter_thresholds == {E1: 0.04, E2: 0.04}
    assert world.dropin == {"harmonic_filter": {"threshold": 0.04}}


async def test_off_lifts_it_for_all_and_leaves_nothing_behind(world: World) -> None:
    await world.set(0.03)
    await world.set(0.05, E1)
    result = await world.set(None)
    assert result.changed
    assert world.site.filter_thresholds == {}
    assert world.dropin in ({}, None)
    assert not (await world.set(None)).changed


async def test_off_for_one_follows_the_site_again_and_says_so(world: World) -> None:
    await world.set(0.03)
    await world.set(0.05, E1)
    result = await world.set(None, E1)
    assert world.site.filter_thresholds == {E1: 0.03, E2: 0.03}
    assert result.remarks == (
        f"{E1} follows the site's threshold, 3 %: lift that for all with v2g-tool --set-harmonic-filter --off",
    )


async def test_off_wins_over_what_peoples_own_files_say(tmp_path: Path) -> None:
    own = {"map": "v2g-filter", "threshold": 0.1}
    world = World(tmp_path, evse(E1, 1, **own), evse(E2, 2, map="v2g-filter"), site={"threshold": 0.04})
    assert world.site.filter_thresholds == {E1: 0.1, E2: 0.04}
    await world.set(None)
    assert world.site.filter_thresholds == {}
    assert load(world.config_dir).config.harmonic_filter.threshold is None


@pytest.mark.parametrize("threshold", [3.0, 0.0, 0.0049, 0.21, -0.03, float("nan")])
async def test_a_threshold_outside_the_bounds_is_refused(world: World, threshold: float) -> None:
    with pytest.raises(Refused, match=r"0\.03 is 3 %"):
        await world.set(threshold)
    assert world.dropin is None
    assert world.site.filter_thresholds == {}


async def test_without_a_filter_it_is_refused_with_the_remedy(tmp_path: Path, world: World) -> None:
    with pytest.raises(Refused, match=r"US\*V2G\*E3 has no harmonic filter; name its register map"):
        await world.set(0.03, E3)
    with pytest.raises(Refused, match="there is no EVSE 'E9'"):
        await world.set(0.03, "E9")
    none = World(tmp_path / "none", evse(E1, 1))
    with pytest.raises(Refused, match=r"no inverter has a harmonic filter.*evses\[\].inverter.harmonic_filter.map"):
        await none.set(0.03)


async def test_it_shows_the_newest_ten_cycles_with_limits_and_filters(world: World) -> None:
    world.publish(active=("HARMONIC_HIGH 5",))
    state = FilterState(
        evse_id=E1, threshold=0.03, value=12_000.0, unit="Hz", active=True, thd_before=0.06, limited_by="temperature"
    )
    image = Image(sequence=1, as_of_s=0.0, permit=True, permit_reason="", filters=(state,))
    world.site.image = SimpleNamespace(wires=image)  # type: ignore[assignment]
    shown = await world.show()
    assert shown.not_measured == ""
    assert shown.age_s == pytest.approx(0.5)
    assert shown.harmonics_i_pct[3] == (2.5, 3.0, 2.7)
    assert shown.limits_i_pct == (1.0, 4.0, 2.0, 4.0)
    assert (shown.trd_limit_pct, shown.thd_v_limit_pct) == (5.0, 8.0)
    assert shown.active == ("HARMONIC_HIGH 5",)
    first, second = shown.filters
    assert (first.value, first.unit, first.active, first.limited_by) == (12_000.0, "Hz", True, "temperature")
    assert (second.evse_id, second.value) == (E2, None)


async def test_without_figures_or_current_it_says_why(world: World) -> None:
    assert "v2g-guard quality publishes nothing" in (await world.show()).not_measured
    assert (await world.set(0.03)).thd_now is None
    world.publish(not_measured="no samples")
    assert (await world.show()).not_measured == "no samples"
    world.publish(thd_i_pct=(0.0,) * 3, harmonics_i_pct=((0.1,) * 3,))
    assert "too little current" in (await world.set(0.04)).not_measured
    shown = await world.show()
    assert (shown.thd_now, shown.not_measured) == (None, "")
