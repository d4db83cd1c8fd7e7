"""Settings are changed and read anew as a whole: in force where that is possible, and never half."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from pyiso15118.der import TripPoint
from support.config_dir import two_evses, write_config
from support.kept_log import KeptLog
from v2g.config import writer
from v2g.config.loader import Loaded, load
from v2g.config.protection import settings_digest
from v2g.control.messages import NoParams
from v2g.control.messages_config import ConfigChange, ConfigRestoreParams, ConfigSetParams
from v2g.control.messages_pki import PkiReloadResult
from v2g.control.messages_sensors import SensorsReloadResult
from v2g.control.server import Caller, Refused, Role
from v2g.orchestrator import reload as module
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.config_api import ConfigApi
from v2g.orchestrator.der_codes import grid_codes
from v2g.orchestrator.dispatching import Dispatching
from v2g.orchestrator.harmonics import filter_thresholds
from v2g.orchestrator.min_soc_api import MinSocApi
from v2g.orchestrator.reload import Reload

EVA = Caller(uid=1000, gid=1000, pid=1, user="eva", role=Role.ENGINEER)
RELAY = {"setting_pu": 1.10, "delay_s": 12.5, "feedback_path": "/run/v2g-io/relay"}


class Guard:
    """``tick`` and ``wires`` as the sensors' API has them: adopt all, or refuse."""

    def __init__(self, loaded: Loaded) -> None:
        self.in_force = loaded
        self.refusal: Refused | None = None
        self.adopted = 0

    @property
    def digest(self) -> str:
        return settings_digest(self.in_force.config, self.in_force.sensors)

    async def take(self, loaded: Loaded, caller: Caller) -> SensorsReloadResult:
        if self.refusal is not None:
            raise self.refusal
        self.in_force, self.adopted = loaded, self.adopted + 1
        return SensorsReloadResult(message="1 channel is in force", digest=self.digest)


class Certificates:
    def __init__(self) -> None:
        self.secc: Callable[[], object | None] = lambda: object()
        self.refusal: Refused | None = None
        self.taken = 0

    async def check(self, caller: Caller) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def take(self, secc: object, caller: Caller) -> PkiReloadResult:
        self.taken += 1
        return PkiReloadResult(message="2 EVSEs serve", evses=("US*V2G*E1",))


class Site:
    """The daemon's parts that a change reaches, over a configuration directory."""

    def __init__(self, folder: Path, main: dict[str, Any] | None = None) -> None:
        self.etc = folder / "etc"
        write_config(self.etc, main or two_evses(relay=RELAY, harmonic_filter={"threshold": 0.05}))
        loaded = load(self.etc)
        self.guard, self.certificates, self.rejoined = Guard(loaded), Certificates(), 0
        self.parts = SimpleNamespace(
            config=loaded.config,
            dispatching=Dispatching(loaded.config),
            grid_codes=grid_codes(loaded.config),
            filter_thresholds=filter_thresholds(loaded.config),
        )
        self.changes = Changes()
        self.min_soc = MinSocApi(loaded.config, {}, lambda evse_id: None, self.etc, self.changes)
        self.reload = Reload(
            loaded,
            self.guard,  # type: ignore[arg-type]
            self.certificates,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.parts,  # type: ignore[arg-type]
            self.min_soc,
            lambda: self.guard.digest,
            self.changes,
        )
        self.api = ConfigApi(self.reload, self.changes)

    async def rejoin(self) -> None:
        self.rejoined += 1

    @property
    def file(self) -> Path:
        return self.etc / "conf.d" / "90-operator.yaml"

    def edit(self, name: str, **sections: Any) -> None:
        (self.etc / "conf.d" / name).write_text(yaml.safe_dump(sections))

    async def set(self, *unset: str, **changes: str) -> Any:
        paths = {path.replace("__", "."): value for path, value in changes.items()}
        return await self.api.set(ConfigSetParams(changes=paths, unset=unset), EVA)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    kept = KeptLog()
    monkeypatch.setattr(module.logs, "daemon_log", lambda: kept)
    monkeypatch.setattr(module.logs, "audit_log", lambda: kept)
    made = Site(tmp_path)
    made.log = kept  # type: ignore[attr-defined]
    return made


def paths(changes: tuple[ConfigChange, ...]) -> dict[str, bool]:
    return {each.path: each.in_force for each in changes}


# ---- set ----


async def test_a_change_of_the_control_cycle_is_in_force_at_once(site: Site) -> None:
    result = await site.set(dispatch__dwell_s="5min", dispatch__max_soc_pct="90%", dispatch__default_mode="idle")
    assert paths(result.changes) == {
        "dispatch.default_mode": True,
        "dispatch.max_soc_pct": True,
        "dispatch.dwell_s": True,
    }
    assert (result.restart, result.waiting, result.backup) == ((), (), "")
    dispatching = site.parts.dispatching
    assert dispatching.default_mode == "idle"
    assert dispatching.wants("US*V2G*E1", None, "X").max_soc_pct == 90.0
    assert dispatching.dispatcher._settings.dwell_s == 300.0
    assert load(site.etc).config.dispatch.dwell_s == 300.0
    assert site.guard.adopted == 0, "the guard has nothing to do with it"


async def test_min_soc_and_filters_are_taken_where_they_count(site: Site) -> None:
    await site.set(dispatch__min_soc_pct="45")
    assert site.min_soc.settings.site_pct == 45.0
    await site.set(harmonic_filter__threshold="4%")
    assert site.parts.filter_thresholds == filter_thresholds(load(site.etc).config)


async def test_the_code_for_a_vehicles_inverter_changes_with_what_it_is_made_of(site: Site) -> None:
    evse = {"kind": "AC", "interface": "evse1", "ac": {"modbus": {"host": "10.0.0.1"}}, "allow_discharge": True}
    main = two_evses(relay=RELAY, harmonic_filter={"threshold": 0.05})
    main["evses"][0] = {"id": "US*V2G*E1", **evse, "der": {"protocol": "sae"}}
    made = Site(site.etc.parent / "ac", main)
    before = made.parts.grid_codes["US*V2G*E1"]
    result = await made.set(**{"evses[0]__der__trips__UV1__time_s": "3"})
    assert paths(result.changes) == {"evses[US*V2G*E1].der.trips.UV1.time_s": True}
    after = made.parts.grid_codes["US*V2G*E1"]
    assert TripPoint(0.88, 3.0) in after.must_trip.under_voltage
    assert TripPoint(0.88, 3.0) not in before.must_trip.under_voltage
    await made.set(**{"grid__trips__UV1__time_s": "2.5"})
    assert made.parts.grid_codes["US*V2G*E1"] == after, "what the EVSE says of its own goes over it"
    await made.set(**{"evses[0]__der__enter_service__delay_s": "30"})
    assert made.parts.grid_codes["US*V2G*E1"].enter_service.delay_s == 30.0
    restart = await made.set(**{"evses[0]__der__protocol": "both"})
    assert restart.restart == ("v2g-orchestrator",)


async def test_what_the_guard_protects_by_goes_through_the_guard(site: Site) -> None:
    result = await site.set(relay__delay_s="13s")
    assert paths(result.changes) == {"relay.delay_s": True}
    assert site.guard.in_force.config.relay.delay_s == 13.0
    assert site.parts.config.relay.delay_s == 13.0, "a relay test writes down what it is set to now"


async def test_what_the_guard_does_not_take_is_taken_back(site: Site) -> None:
    await site.set(dispatch__dwell_s="300")
    before = site.file.read_text()
    site.guard.refusal = Refused("v2g-guard tick is not reachable", code="SENSORS_REFUSED")
    with pytest.raises(Refused, match="nothing was changed: v2g-guard tick is not reachable"):
        await site.set(relay__delay_s="13s", dispatch__dwell_s="200")
    assert site.file.read_text() == before
    assert site.parts.dispatching.dispatcher._settings.dwell_s == 300.0


async def test_the_rest_is_written_and_the_restarts_are_named(site: Site) -> None:
    result = await site.set(history__keep_days="300", functions__volt_var__enabled="on", dispatch__dwell_s="300")
    assert paths(result.changes) == {
        "functions.volt_var.enabled": False,
        "dispatch.dwell_s": True,
        "history.keep_days": False,
    }
    assert result.restart == ("v2g-guard-wires", "v2g-orchestrator")
    again = await site.set(history__keep_days="400")
    assert paths(again.changes) == {"history.keep_days": True}, "that is what runs"
    assert again.restart == ("v2g-guard-wires",), "the other one still waits"
    assert paths(again.waiting) == {"functions.volt_var.enabled": False}
    assert Path(again.backup).name == "90-operator.yaml.0001"


async def test_what_somebody_edited_by_hand_does_not_slip_into_force(site: Site) -> None:
    site.edit("50-hand.yaml", dispatch={"max_soc_pct": 80})
    result = await site.set(dispatch__dwell_s="300")
    assert paths(result.changes) == {"dispatch.dwell_s": False}
    assert paths(result.waiting) == {"dispatch.max_soc_pct": False}
    assert site.parts.dispatching.dispatcher._settings.dwell_s == 240.0
    taken = await site.reload.reload(NoParams(), EVA)
    assert paths(taken.changes) == {"dispatch.dwell_s": True, "dispatch.max_soc_pct": True}
    assert site.parts.dispatching.dispatcher._settings.dwell_s == 300.0


async def test_nothing_new_is_no_change(site: Site) -> None:
    await site.set(dispatch__dwell_s="300")
    result = await site.set(dispatch__dwell_s="5min")
    assert (result.changes, result.waiting) == ((), ())


async def test_a_setting_is_taken_back(site: Site) -> None:
    await site.set(dispatch__dwell_s="300", site__name="X")
    result = await site.set("dispatch.dwell_s")
    assert paths(result.changes) == {"dispatch.dwell_s": True}
    assert site.parts.dispatching.dispatcher._settings.dwell_s == 240.0
    with pytest.raises(Refused, match=r"dispatch\.dwell_s: is not in .*90-operator\.yaml"):
        await site.set("dispatch.dwell_s")


@pytest.mark.parametrize(
    ("changes", "unset", "words"),
    [
        ({}, (), "there is nothing to change"),
        ({"dispatch__dwel_s": "1"}, (), "is dispatch.dwell_s meant"),
        ({"dispatch__dwell_s": "5000"}, (), "must be at most 800 s"),
        ({"dispatch__dwell_s": "5km"}, (), "is no value"),
        ({"relay__delay_s": "0.01", "grid__trips__OV1__time_s": "20s"}, (), "1 to 13 s"),
        ({"dispatch__dwell_s": "300"}, ("dispatch.ramp_pu_s",), "it has its default"),
    ],
)
async def test_what_cannot_hold_is_refused_as_a_whole(
    site: Site, changes: dict[str, str], unset: tuple[str, ...], words: str
) -> None:
    with pytest.raises(Refused) as refused:
        await site.set(*unset, **changes)
    assert words in str(refused.value)
    assert not site.file.exists()


async def test_only_one_changes_at_a_time(site: Site) -> None:
    first = asyncio.create_task(site.set(dispatch__dwell_s="300"))
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="a setting is being changed; try again") as refused:
        await site.set(dispatch__dwell_s="200")
    assert refused.value.code == "BUSY"
    await first
    assert load(site.etc).config.dispatch.dwell_s == 300.0


async def test_a_directory_that_cannot_be_written_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(writer.tempfile, "mkstemp", refuse)
    with pytest.raises(Refused, match="Read-only file system") as refused:
        await site.set(dispatch__dwell_s="300")
    assert refused.value.code == "NOT_WRITABLE"
    assert site.parts.dispatching.dispatcher._settings.dwell_s == 240.0


# ---- restore, diff ----


async def test_a_backup_is_restored_and_in_force(site: Site) -> None:
    await site.set(dispatch__dwell_s="300")
    await site.set(dispatch__dwell_s="400", history__keep_days="10")
    result = await site.api.restore(ConfigRestoreParams(name="90-operator.yaml", number=1), EVA)
    assert paths(result.changes) == {"dispatch.dwell_s": True, "history.keep_days": True}
    assert site.parts.dispatching.dispatcher._settings.dwell_s == 300.0
    assert result.restart == ()
    with pytest.raises(Refused, match="there is no backup 9") as refused:
        await site.api.restore(ConfigRestoreParams(name="90-operator.yaml", number=9), EVA)
    assert refused.value.code == "NO_BACKUP"


async def test_diff_tells_what_waits_and_what_is_wrong(site: Site) -> None:
    assert (await site.api.diff(NoParams(), EVA)).changes == ()
    site.edit("50-hand.yaml", dispatch={"max_soc_pct": 80}, history={"keep_days": 10}, relay={"delay_s": 13.0})
    result = await site.api.diff(NoParams(), EVA)
    assert paths(result.changes) == {"relay.delay_s": False, "dispatch.max_soc_pct": False, "history.keep_days": False}
    assert {each.path: each.takes for each in result.changes}["history.keep_days"] == "restart of v2g-orchestrator"
    assert result.changes[0].place.endswith("50-hand.yaml:6")
    site.edit("50-hand.yaml", dispatch={"max_soc_pct": 800})
    wrong = await site.api.diff(NoParams(), EVA)
    assert (wrong.changes, len(wrong.problems)) == ((), 1)


async def test_what_other_commands_put_in_force_does_not_wait(site: Site) -> None:
    site.edit("90-operator.yaml", dispatch={"min_soc_pct": 50}, relay={"delay_s": 13.0})
    loaded = load(site.etc)
    assert len((await site.api.diff(NoParams(), EVA)).changes) == 2
    site.min_soc.settings = replace(site.min_soc.settings, site_pct=50.0)
    site.guard.in_force = loaded
    assert (await site.api.diff(NoParams(), EVA)).changes == ()


# ---- reload ----


async def test_a_reload_takes_all_that_it_can_and_names_the_rest(site: Site) -> None:
    site.edit(
        "50-hand.yaml",
        dispatch={"max_soc_pct": 80, "min_soc_pct": 40},
        history={"keep_days": 10},
        relay={"delay_s": 13.0},
    )
    result = await site.reload.reload(NoParams(), EVA)
    assert set(paths(result.changes)) == {"dispatch.max_soc_pct", "dispatch.min_soc_pct", "relay.delay_s"}
    assert set(paths(result.waiting)) == {"history.keep_days"}
    assert result.restart == ("v2g-orchestrator",)
    assert result.messages == ("1 channel is in force", "2 EVSEs serve")
    assert (site.min_soc.settings.site_pct, site.rejoined, site.certificates.taken) == (40.0, 1, 1)
    again = await site.reload.reload(NoParams(), EVA)
    assert (again.changes, set(paths(again.waiting))) == ((), {"history.keep_days"})


@pytest.mark.parametrize("who", ["files", "certificates", "guard"])
async def test_a_reload_that_is_refused_has_changed_nothing(site: Site, who: str) -> None:
    site.edit("50-hand.yaml", dispatch={"max_soc_pct": 80, "min_soc_pct": 40})
    if who == "files":
        site.edit("60-wrong.yaml", dispatch={"dwell_s": 9000, "dwel": 1}, transformer={"rated_kva": -1})
    elif who == "certificates":
        site.certificates.refusal = Refused("chain.pem has expired", code="PKI_REFUSED")
    else:
        site.guard.refusal = Refused("the relay's delay is no number", code="SENSORS_REFUSED")
    with pytest.raises(Refused) as refused:
        await site.reload.reload(NoParams(), EVA)
    if who == "files":
        assert all(
            word in str(refused.value) for word in ("dispatch.dwell_s", "dispatch.dwel:", "transformer.rated_kva")
        )
    assert site.parts.dispatching.wants("US*V2G*E1", None, "X").max_soc_pct == 100.0
    assert site.min_soc.settings.site_pct == 30.0
    assert (site.guard.adopted, site.certificates.taken, site.rejoined) == (0, 0, 0)
    assert len((await site.api.diff(NoParams(), EVA)).problems) == (3 if who == "files" else 0)


async def test_before_it_listens_there_are_no_certificates_to_read(site: Site) -> None:
    site.certificates.secc = lambda: None
    site.certificates.refusal = Refused("nobody asks", code="PKI_REFUSED")
    assert (await site.reload.reload(NoParams(), EVA)).messages == ("1 channel is in force",)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (None, "CONFIG_RELOADED"),
        (Refused("wires do, tick does not", code="HALF_RELOADED"), "SENSORS_HALF_RELOADED"),
        (Refused("no", code="SENSORS_REFUSED"), "SENSORS_REFUSED"),
    ],
)
async def test_a_hangup_is_a_reload_that_the_log_tells_of(
    site: Site, monkeypatch: pytest.MonkeyPatch, refusal: Refused | None, code: str
) -> None:
    monkeypatch.setattr(module.logs, "reopen", lambda: None)
    site.guard.refusal = refusal
    site.edit("50-hand.yaml", dispatch={"max_soc_pct": 80})
    site.reload.on_hangup()
    await site.reload.close()
    assert code in site.log.codes()  # type: ignore[attr-defined]
    assert (site.parts.dispatching.wants("US*V2G*E1", None, "X").max_soc_pct == 80.0) is (refusal is None)


async def test_a_mistake_in_a_file_is_told_at_a_hangup_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.logs, "reopen", lambda: None)
    site.edit("50-hand.yaml", dispatch={"max_soc_pct": 800})
    site.reload.on_hangup()
    await site.reload.close()
    assert "CONFIG_REFUSED" in site.log.codes()  # type: ignore[attr-defined]
