"""``min_soc.set``: what is written, what counts in the next cycle, for whom, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from support.config_dir import two_evses, write_config
from v2g.config.loader import load
from v2g.config.tree import parse
from v2g.control.messages_min_soc import MinSocParams, MinSocResult
from v2g.control.server import Caller, Refused, Role
from v2g.dispatch.min_soc import MinSoc, vehicle_id_problem
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.dispatching import Dispatching
from v2g.orchestrator.min_soc_api import MinSocApi
from v2g.sessions.supervisor import SessionInfo

ANNA = Caller(uid=1000, gid=1000, pid=1, user="anna", role=Role.OPERATOR)
E1, E2 = "US*V2G*E1", "US*V2G*E2"
CN, EVCCID = "CN=WMIV2G0001,O=Maker", "WMIV2G0001"


class World:
    def __init__(self, folder: Path, dispatch: dict[str, Any] | None = None, e1_pct: float | None = None) -> None:
        self.config_dir = folder / "etc"
        main = two_evses(dispatch=dispatch or {})
        if e1_pct is not None:
            main["evses"][0]["min_soc_pct"] = e1_pct
        write_config(self.config_dir, main)
        self.bays: dict[str, Any] = {evse_id: SimpleNamespace(procedure=None) for evse_id in (E1, E2)}
        self.infos: dict[str, SessionInfo] = {}
        self.api = self.started()

    def started(self) -> MinSocApi:
        return MinSocApi(load(self.config_dir).config, self.bays, self.infos.get, self.config_dir, Changes())

    def plug(self, evse_id: str, soc_pct: int | None, identity: str | None = None, own_pct: int | None = None) -> None:
        self.infos[evse_id] = SessionInfo(
            evse_id=evse_id, evccid=EVCCID, identity=identity, peer="[fe80::1]:50000", started_at_s=0.0
        )
        needs = SimpleNamespace(min_soc_pct=own_pct)
        self.bays[evse_id].procedure = SimpleNamespace(soc_pct=soc_pct, needs=needs)

    async def set(self, value: float | None, evse_id: str | None = None, vehicle: str | None = None) -> MinSocResult:
        return await self.api.set(MinSocParams(value=value, evse_id=evse_id, vehicle=vehicle), ANNA)

    def min_soc(self, evse_id: str, api: MinSocApi | None = None) -> MinSoc:
        info = self.infos.get(evse_id)
        settings = (api or self.api).settings
        return settings.of(evse_id, info.identity if info else None, info.evccid if info else "")

    @property
    def dropin(self) -> Any:
        file = self.config_dir / "conf.d" / "90-operator.yaml"
        return yaml.safe_load(file.read_text()) if file.exists() else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_operators_may_set_it(world: World) -> None:
    assert {method.name: method.role for method in world.api.methods()} == {"min_soc.set": Role.OPERATOR}


async def test_the_sites_value_holds_at_once_and_after_a_restart(world: World) -> None:
    result = await world.set(45.0)
    assert (result.changed, result.target, result.value, result.before) == (True, "site", 45.0, 30.0)
    assert world.dropin == {"dispatch": {"min_soc_pct": 45.0}}
    assert result.file.endswith("90-operator.yaml:4")
    assert world.min_soc(E1).pct == 45.0
    assert world.min_soc(E2, world.started()).pct == 45.0


async def test_the_same_twice_writes_nothing(world: World) -> None:
    await world.set(45.0)
    file = world.config_dir / "conf.d" / "90-operator.yaml"
    before = file.stat().st_mtime_ns
    result = await world.set(45.0)
    assert (result.changed, result.value) == (False, 45.0)
    assert file.stat().st_mtime_ns == before


async def test_the_default_is_already_what_is_asked_for(world: World) -> None:
    result = await world.set(30.0)
    assert (result.changed, result.file, world.dropin) == (False, "", None)


async def test_one_evse_has_its_own_until_it_is_taken_back(world: World) -> None:
    await world.set(50.0, E1)
    assert world.dropin == {"evses": [{"id": E1, "min_soc_pct": 50.0}]}
    assert [world.min_soc(evse_id).pct for evse_id in (E1, E2)] == [50.0, 30.0]
    assert world.min_soc(E1).whose == f"EVSE {E1}"
    result = await world.set(None, E1)
    assert (result.changed, result.value, result.before) == (True, None, 50.0)
    assert world.dropin in ({}, None)
    assert world.min_soc(E1).pct == 30.0
    assert not (await world.set(None, E1)).changed


@pytest.mark.parametrize(
    "vehicle", [CN, "0123", "true", "null", "~", "1e5", "2001-01-01", "a: b", "#x", "Müller", "é'\""]
)
async def test_a_vehicle_of_any_name_has_its_own_until_it_is_taken_back(world: World, vehicle: str) -> None:
    await world.set(40.0, vehicle="other")
    await world.set(20.0, vehicle=vehicle)
    assert load(world.config_dir).config.dispatch.min_soc_by_vehicle == {"other": 40.0, vehicle: 20.0}
    assert world.started().settings.by_vehicle == {"other": 40.0, vehicle: 20.0}
    result = await world.set(None, vehicle=vehicle)
    assert (result.changed, result.value) == (True, None)
    assert world.api.settings.by_vehicle == {"other": 40.0}
    await world.set(None, vehicle="other")
    assert world.dropin in ({}, None)


async def test_a_proven_identity_lowers_and_a_claimed_one_only_raises(world: World) -> None:
    world.plug(E1, 35, identity=CN)
    world.plug(E2, 35)
    await world.set(20.0, vehicle=CN)
    assert [world.min_soc(evse_id).pct for evse_id in (E1, E2)] == [20.0, 30.0]
    assert world.min_soc(E1).whose == f"vehicle {CN}, authenticated"
    result = await world.set(10.0, vehicle=EVCCID)
    assert [world.min_soc(evse_id).pct for evse_id in (E1, E2)] == [20.0, 30.0]
    assert any("cannot lower its min-SoC 30 % (site)" in remark for remark in result.remarks)
    await world.set(60.0, vehicle=EVCCID)
    assert [world.min_soc(evse_id).pct for evse_id in (E1, E2)] == [60.0, 60.0]


async def test_the_answer_names_the_vehicles_for_which_it_matters_now(world: World) -> None:
    world.plug(E1, 35)
    world.plug(E2, 64, identity=CN, own_pct=50)
    result = await world.set(40.0)
    assert [
        (line.evse_id, line.vehicle, line.before_pct, line.min_soc_pct, line.soc_pct) for line in result.vehicles
    ] == [(E1, EVCCID, 30.0, 40.0, 35)]
    result = await world.set(70.0)
    assert [(line.evse_id, line.before_pct, line.min_soc_pct, line.whose) for line in result.vehicles] == [
        (E1, 40.0, 70.0, "site"),
        (E2, 50.0, 70.0, "site"),
    ]


async def test_values_that_keep_their_own_are_named(world: World) -> None:
    await world.set(50.0, E1)
    await world.set(60.0, vehicle=CN)
    result = await world.set(35.0)
    assert result.remarks == (
        f"EVSEs with a value of their own keep it: {E1} 50 %",
        "vehicles with a value of their own keep it: 1",
    )


async def test_what_peoples_own_files_say_is_theirs_to_take_back(tmp_path: Path) -> None:
    world = World(tmp_path, {"min_soc_by_vehicle": {CN: 55.0}}, e1_pct=50.0)
    for target in ({"evse_id": E1}, {"vehicle": CN}):
        result = await world.set(None, **target)  # type: ignore[arg-type]
        assert not result.changed
        assert "v2g.yaml" in result.remarks[0]
        assert "remove it there" in result.remarks[0]
        await world.set(80.0, **target)  # type: ignore[arg-type]
        result = await world.set(None, **target)  # type: ignore[arg-type]
        assert (result.changed, result.before) == (True, 80.0)
    assert (world.api.settings.by_evse, world.api.settings.by_vehicle) == ({E1: 50.0}, {CN: 55.0})


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"value": 101.0}, "outside 0..100"),
        ({"value": -1.0}, "outside 0..100"),
        ({"value": float("nan")}, "outside 0..100"),
        ({"value": float("inf")}, "outside 0..100"),
        ({"value": None}, "the site always has a min-SoC"),
        ({"value": 40.0, "evse_id": "US*V2G*E9"}, "there is no EVSE 'US.V2G.E9'; there are US.V2G.E1, US.V2G.E2"),
        ({"value": 40.0, "evse_id": E1, "vehicle": CN}, "not both"),
        ({"value": 40.0, "vehicle": "a\nb"}, "control characters"),
        ({"value": 40.0, "vehicle": "x" * 257}, "257 characters"),
        ({"value": 40.0, "vehicle": ""}, "is empty"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(world: World, params: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        await world.api.set(MinSocParams(**params), ANNA)
    assert (world.dropin, world.api.settings.site_pct) == (None, 30.0)


async def test_no_more_than_a_thousand_vehicles_are_kept(tmp_path: Path) -> None:
    world = World(tmp_path, {"min_soc_by_vehicle": {f"V{n}": 40.0 for n in range(1000)}})
    with pytest.raises(Refused, match="1000 vehicles have a min-SoC of their own"):
        await world.set(40.0, vehicle="one more")
    assert (await world.set(50.0, vehicle="V7")).changed


async def test_a_min_soc_above_the_sites_max_soc_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {"max_soc_pct": 80.0})
    with pytest.raises(Refused, match=r"is above dispatch\.max_soc_pct"):
        await world.set(90.0)
    assert (world.dropin, world.api.settings.site_pct) == (None, 30.0)


async def test_a_configuration_with_mistakes_is_told_and_kept(world: World) -> None:
    (world.config_dir / "v2g.yaml").write_text("site: [")
    with pytest.raises(Refused, match=r"v2g\.yaml"):
        await world.set(40.0)
    assert world.api.settings.site_pct == 30.0


async def test_other_settings_of_the_operator_stay(world: World) -> None:
    (world.config_dir / "conf.d" / "90-operator.yaml").write_text(
        "dispatch: {dwell_s: 100}\nevses: [{id: US*V2G*E1, max_charge_w: 9000}]\n"
    )
    await world.set(40.0)
    await world.set(50.0, E1)
    await world.set(20.0, vehicle=CN)
    await world.set(None, E1)
    await world.set(None, vehicle=CN)
    assert world.dropin == {
        "dispatch": {"dwell_s": 100, "min_soc_pct": 40.0},
        "evses": [{"id": E1, "max_charge_w": 9000}],
    }


def test_wants_carry_the_rest_of_the_section(tmp_path: Path) -> None:
    world = World(tmp_path, {"max_soc_pct": 90.0, "assumed_capacity_kwh": 70.0, "assumed_stay_h": 2.0})
    wants = Dispatching(load(world.config_dir).config).wants(E1, None, "")
    assert (wants.max_soc_pct, wants.assumed_capacity_wh, wants.assumed_stay_s) == (90.0, 70e3, 7200.0)
    assert wants.min_soc_from == "site"


@given(st.text(max_size=40).filter(lambda name: not vehicle_id_problem(name)))
@example("<<")
@example("=")
@example("0x1F")
@example(".inf")
@example("- a")
@example("{a: b}")
@example("\\n%@`|>!&*?")
def test_every_name_that_is_taken_survives_the_file(name: str) -> None:
    content = {"dispatch": {"min_soc_by_vehicle": {name: 20.0}}}
    assert parse(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "file").plain() == content
