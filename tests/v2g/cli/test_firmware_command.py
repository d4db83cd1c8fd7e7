"""``v2g-tool firmware`` as a person gives it, up to where a slot would be filled."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.config_dir import two_evses, write_config
from support.firmware import make_bundle, new_key, wheels
from support.own_wheel import make_wheel
from support.status_example import example_status
from v2g import __version__
from v2g.cli.firmware_daemon import SystemDaemon, prove, units_of
from v2g.cli.firmware_health import Health
from v2g.cli.firmware_progress import unbroken
from v2g.cli.firmware_site import Site, platform_tag, python_tag, required_site
from v2g.cli.tool import cli
from v2g.clock import ManualClock
from v2g.control.messages_firmware import VersionsResult
from v2g.control.messages_maintenance import MaintenanceResult, MaintenanceSession
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.slots import Mark
from v2g.host.firmware.steps import Journal, Step


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["firmware", *map(str, words)])


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.key = new_key(folder / "keys")
        settings = {"dir": str(folder / "v2g"), "trusted_keys": [str(folder / "keys" / "*.pem")]}
        paths = {"run_dir": str(folder / "run"), "state_dir": str(folder), "log_dir": str(folder)}
        write_config(self.etc, two_evses(firmware=settings, paths=paths))

    @property
    def site(self) -> Site:
        return required_site(self.etc)

    def bundle(self, version: str, key: Ed25519PrivateKey | None = None, **changes: object) -> Path:
        facts = {"python": python_tag(), "platform": platform_tag(), "schemas": {"config": 1}}
        return make_bundle(self.folder, key or self.key, version, **{**facts, **changes})

    def run(self, *words: str | Path) -> Result:
        return invoke(*words, "--config", self.etc)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_bundle_that_fits_is_told_with_its_signer(place: Place) -> None:
    answer = place.run("check", place.bundle("9.0.0"))
    assert answer.exit_code == 0, answer.output
    assert "v2g-orchestrator 9.0.0, 3 wheels" in answer.output
    assert "every wheel is the one that was signed" in answer.output
    assert f"from {__version__} on {platform_tag()}, {python_tag()}" in answer.output
    assert "it may be applied" in answer.output


def test_all_that_speaks_against_a_bundle_is_named_with_remedies(place: Place) -> None:
    path = place.bundle("0.0.1", python="cp399", platform="linux_other")
    answer = place.run("check", path)
    assert answer.exit_code == 1
    for text in ("for linux_other", "for cp399", "0.0.1 is older than", "--allow-downgrade", "take the bundle for"):
        assert text in answer.output
    found = json.loads(place.run("check", path, "--json").output)
    assert [each["code"] for each in found["findings"]] == ["PLATFORM", "PYTHON", "DOWNGRADE"]
    assert found["signed_by"]


def test_a_foreign_bundle_ends_with_one_text_and_in_json_with_a_code(place: Place) -> None:
    path = place.bundle("9.0.0", Ed25519PrivateKey.generate())
    answer = place.run("check", path)
    assert answer.exit_code == 1
    assert "v2g-tool firmware: the bundle is signed by the key" in answer.output
    answer = place.run("apply", path, "--yes", "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["error"]["code"] == "REFUSED"


def test_a_bundle_that_does_not_fit_is_not_applied(place: Place) -> None:
    answer = place.run("apply", place.bundle("0.0.1"), "--yes")
    assert answer.exit_code == 1
    assert "the bundle is refused" in answer.output
    assert not (place.folder / "v2g").exists()


def test_apply_wants_a_yes(place: Place) -> None:
    answer = place.run("apply", place.bundle("9.0.0"))
    assert answer.exit_code == 2
    assert "say so with --yes" in answer.output
    assert not (place.folder / "v2g").exists()


def test_status_tells_of_slots_and_of_an_update_that_was_interrupted(place: Place) -> None:
    answer = place.run("status")
    assert answer.exit_code == 1
    assert "this is no installation in slots yet" in answer.output
    slots = place.site.slots
    slots.path("a").mkdir(parents=True)
    slots.seal("a", Mark(version="0.1.0", digest=""))
    slots.point_to("a")
    answer = place.run("status")
    assert answer.exit_code == 0
    assert "slot a  0.1.0  <- current\nslot b  empty or not whole" in answer.output
    journal = Journal(
        id="1",
        step=Step.TRIAL,
        slot="b",
        origin="a",
        version="0.2.0",
        origin_version="0.1.0",
        digest="",
        began_unix_s=0,
    )
    slots.write_journal(journal)
    answer = place.run("status")
    assert answer.exit_code == 1
    assert "UNDER WAY since 1970-01-01 00:00 UTC: the update from 0.1.0 to 0.2.0 (slot b) is in place" in answer.output
    told = json.loads(place.run("status", "--json").output)
    assert (told["active"], told["under_way"]["step"]) == ("a", "trial")


def test_who_has_to_go_back_must_not_mend_the_configuration_first(place: Place) -> None:
    (place.etc / "v2g.yaml").write_text("site: {\n")
    assert place.run("check", place.bundle("9.0.0")).exit_code == 1
    answer = place.run("status")
    assert f"{place.etc} cannot be used; taking /opt/v2g and the usual services" in answer.output


def test_rollback_with_nothing_to_go_back_to_is_refused(place: Place) -> None:
    answer = place.run("rollback", "--yes")
    assert answer.exit_code == 1
    assert "there is nothing to go back to" in answer.output


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_settings_that_another_user_may_write_are_not_taken(place: Place) -> None:
    dropin = place.etc / "conf.d" / "90-operator.yaml"
    dropin.write_text("firmware: {start: [/bin/evil]}\n")
    os.chown(dropin, 65534, 65534)
    answer = place.run("check", place.bundle("9.0.0"))
    assert answer.exit_code == 1
    assert "90-operator.yaml:1: firmware.start" in answer.output
    assert "belongs to user 65534, and what it says is done as root" in answer.output


def test_a_database_of_a_newer_schema_speaks_against_a_bundle(place: Place) -> None:
    import sqlite3

    with sqlite3.connect(place.folder / "history.sqlite") as connection:
        connection.execute("PRAGMA user_version = 7")
    answer = place.run("check", place.bundle("9.0.0", schemas={"history": 6}))
    assert answer.exit_code == 1
    assert "history.sqlite is of schema 7, and 9.0.0 knows up to 6" in answer.output


def test_a_maker_packs_what_check_takes(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "wheelhouse"
    make_wheel(folder, "9.1.0")
    key = tmp_path / "maker.key"
    key.write_bytes(place.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    output = tmp_path / "made.v2gfw"
    packed = invoke("pack", folder, "--key", key, "--output", output)
    assert packed.exit_code == 0, packed.output
    assert f"9.1.0 for {python_tag()} on {platform_tag()}, 1 wheels" in packed.output
    answer = place.run("check", output)
    assert answer.exit_code == 0, answer.output


def test_packing_a_folder_of_two_versions_or_of_wheels_for_another_host_is_refused(
    place: Place, tmp_path: Path
) -> None:
    key = tmp_path / "maker.key"
    key.write_bytes(place.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def packed(folder: Path) -> str:
        answer = invoke("pack", folder, "--key", key, "--output", tmp_path / "x")
        assert answer.exit_code == 1
        return answer.output

    folder = wheels(tmp_path / "two", "0.2.0")
    (folder / "v2g_orchestrator-0.3.0-py3-none-any.whl").write_bytes(b"x")
    assert "has 2 wheels of v2g-orchestrator" in packed(folder)
    assert "does not run" in packed(wheels(tmp_path / "broken", "0.2.0"))
    folder = tmp_path / "foreign"
    make_wheel(folder, "0.2.0")
    (folder / "numpy-2.0-cp311-cp311-manylinux_2_17_sparc64.whl").write_bytes(b"x")
    assert "numpy-2.0-cp311-cp311-manylinux_2_17_sparc64.whl is not for" in packed(folder)


def test_the_probe_of_a_version_imports_all_of_it_and_migrates_copies(tmp_path: Path) -> None:
    answer = invoke("probe", "--databases", tmp_path)
    assert answer.exit_code == 0
    assert json.loads(answer.output) == {"version": __version__, "problems": []}


# ---- whether a new version is well -----------------------------------------------------------------------------------


def test_a_daemon_is_well_when_all_of_it_is_new_ready_and_alive() -> None:
    health = Health("0.2.0")
    status = example_status()
    status = msgspec.structs.replace(
        status, ready=True, guard=msgspec.structs.replace(status.guard, tick_alive=True, wires_alive=True)
    )
    versions = VersionsResult(orchestrator="0.2.0", protocol=1, tick="0.2.0", wires="0.2.0")
    assert health.judge(status, versions) == ""
    changed = msgspec.structs.replace
    assert "wires is 0.1.0" in health.judge(status, changed(versions, wires="0.1.0"))
    assert "not ready" in health.judge(changed(status, ready=False), versions)
    for name in ("tick", "wires"):
        silent = changed(status, guard=changed(status.guard, **{f"{name}_alive": False}))
        assert health.judge(silent, versions) == f"v2g-guard {name} is not alive"


def test_a_daemon_that_never_answers_fails_in_time(tmp_path: Path) -> None:
    clock = ManualClock()
    begin_s = clock.monotonic_s()
    with pytest.raises(FirmwareError, match=r"within 30 s it did not become well: .*control\.sock"):
        prove("0.2.0", tmp_path / "control.sock", 30.0, 5.0, clock)
    assert 30.0 <= clock.monotonic_s() - begin_s <= 31.0


def test_well_has_to_last_and_a_restart_begins_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health("0.2.0")
    uptimes = iter([1.0, 3.0, 0.5, 2.0, 4.0])
    monkeypatch.setattr(Health, "judge", lambda self, status, versions: "")

    class Client:
        def __init__(self, *arguments: object, **options: object) -> None: ...

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *arguments: object) -> None: ...

        def call(self, method: str) -> object:
            if method == "versions":
                return {"orchestrator": "0.2.0", "protocol": 1}
            return msgspec.to_builtins(msgspec.structs.replace(example_status(), uptime_s=next(uptimes)))

    monkeypatch.setattr("v2g.cli.firmware_health.ControlClient", Client)
    seen = [(health.look(tmp_path, now_s), health.well_for_s(now_s)) for now_s in (10.0, 12.0, 14.0, 16.0, 18.0)]
    assert seen == [("", 0.0), ("", 2.0), ("it ended and was started again", 0.0), ("", 0.0), ("", 2.0)]


# ---- sessions --------------------------------------------------------------------------------------------------------


def daemon_of(place: Place) -> SystemDaemon:
    return SystemDaemon(place.site, "firmware update to 9.0.0", lambda words: None)


def test_without_a_daemon_there_is_nobody_to_hold(place: Place) -> None:
    assert daemon_of(place).hold(drain=False) == ()


def test_a_daemon_that_hangs_may_have_sessions(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v2g.cli.firmware_daemon._CALL_S", 0.05)
    monkeypatch.setattr("v2g.cli.firmware_daemon._DRAIN_S", 0.05)
    place.site.control_sock.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(place.site.control_sock))
        silent.listen()
        with pytest.raises(FirmwareError, match="sessions cannot be ruled out: --drain goes on all the same"):
            daemon_of(place).hold(drain=False)
        assert daemon_of(place).hold(drain=True) == ()


def answering(monkeypatch: pytest.MonkeyPatch, result: MaintenanceResult) -> list[object]:
    """A daemon that answers this to ``maintenance.begin``; what it was asked."""
    asked: list[object] = []

    class Client:
        def __init__(self, *arguments: object, **options: object) -> None: ...

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *arguments: object) -> None: ...

        def call(self, method: str, params: object = None) -> object:
            asked.append((method, params))
            return msgspec.to_builtins(result)

    monkeypatch.setattr("v2g.cli.firmware_daemon.ControlClient", Client)
    return asked


SESSION = MaintenanceSession(evse_id="US*V2G*E1", vehicle="0123", identity="CN=V1", became="paused")


def test_active_sessions_refuse_by_their_names(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, MaintenanceResult(active=False, sessions=(SESSION,), refused="1 session"))
    with pytest.raises(FirmwareError, match=r"sessions are active: US\*V2G\*E1 / 0123 / CN=V1\. .* give --drain"):
        daemon_of(place).hold(drain=False)


def test_drained_sessions_are_told_and_a_session_that_is_left_refuses(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, MaintenanceResult(active=True, sessions=(SESSION,), drained=True))
    daemon = daemon_of(place)
    assert daemon.hold(drain=True) == ("US*V2G*E1 / 0123 / CN=V1: paused",)
    daemon.release()
    daemon.release()
    assert [method for method, _ in asked] == ["maintenance.begin", "maintenance.end"]
    left = msgspec.structs.replace(SESSION, became="active")
    answering(monkeypatch, MaintenanceResult(active=True, sessions=(left,), drained=False))
    with pytest.raises(FirmwareError, match=r"did not end: US\*V2G\*E1 / 0123 / CN=V1; try again"):
        daemon_of(place).hold(drain=True)


def test_services_without_systemd_are_stopped_and_started_by_the_configured_commands(tmp_path: Path) -> None:
    place = Place(tmp_path)
    settings = msgspec.structs.replace(
        place.site.settings,
        stop=("/bin/sh", "-c", "echo no >&2; exit 3"),
        start=("/usr/bin/touch", f"{tmp_path}/started"),
    )
    daemon = SystemDaemon(replace(place.site, settings=settings), "", lambda words: None)
    daemon.start()
    assert (tmp_path / "started").exists()
    with pytest.raises(FirmwareError, match="the services cannot be stopped:\n    no"):
        daemon.stop()


# ---- services --------------------------------------------------------------------------------------------------------

SHOWN = """\
Id=v2g-orchestrator.service
LoadState=loaded
UnitFileState=disabled

Id=v2g-guard-tick.service
LoadState=loaded
UnitFileState=static

Id=kplc-driver.service
LoadState=loaded
UnitFileState=enabled

Id=v2g-guard-quality.service
LoadState=not-found
UnitFileState=
"""


def test_services_that_the_host_has_are_stopped_and_those_of_a_boot_are_started() -> None:
    first = "v2g-orchestrator.service"
    assert units_of(SHOWN, first, to_start=False) == (first, "v2g-guard-tick.service", "kplc-driver.service")
    assert units_of(SHOWN, first, to_start=True) == (first, "kplc-driver.service")
    assert units_of("", first, to_start=True) == ()


# ---- signals ---------------------------------------------------------------------------------------------------------


def test_the_first_ctrl_c_takes_back_and_a_lost_terminal_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    with unbroken() as deaf:
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(FirmwareError, match="interrupted by SIGINT"):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        deaf()
    assert signal.getsignal(signal.SIGINT) is before
