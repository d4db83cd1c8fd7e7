"""An image that is laid out, changed by a person, laid out anew and taken away; and what the host's tools are asked."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from v2g.host.files import replace_file
from v2g.host.install import accounts, host_tools, installation
from v2g.host.install import root as roots
from v2g.host.install.errors import InstallError
from v2g.host.install.host_tools import Done
from v2g.host.install.installation import Wish, install, read_manifest
from v2g.host.install.manifest import PATH
from v2g.host.install.plan import Did, Line
from v2g.host.install.removal import LEFT, uninstall
from v2g.host.install.root import Root
from v2g.host.install.source import Shipped, shipped

COMMANDS = Path("/opt/v2g/current/bin")
PAGE = "/usr/local/share/man/man8/v2g-tool.8"


def wish(files: Shipped | None = None, *, dry_run: bool = False) -> Wish:
    return Wish(shipped=files or shipped(), commands=COMMANDS, version="1", made={PAGE: b".TH"}, dry_run=dry_run)


class Image:
    """``told``: lines of the last run."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = Root(place)
        self.told: list[Line] = []

    def install(self, its: Wish | None = None) -> bool:
        self.told = []
        return install(self.root, its or wish(), self.told.append)

    def uninstall(self, purge: bool = False) -> bool:
        self.told = []
        return uninstall(self.root, purge, self.told.append)

    def paths(self) -> set[str]:
        return {str(path.relative_to(self.place)) for path in self.place.rglob("*")}

    def did(self, path: str) -> Did:
        return next(line.did for line in self.told if line.path == path)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Root, "sync", lambda self: None)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_an_image_gets_every_file_and_no_user(image: Image) -> None:
    assert image.install()
    assert {
        "etc/v2g/v2g.yaml",
        "etc/v2g/devices/victron-vebus.yaml",
        "etc/systemd/system/v2g-audit-verify.timer",
        "etc/sysusers.d/v2g.conf",
        "etc/tmpfiles.d/v2g.conf",
        "etc/udev/rules.d/70-v2g-led.rules",
        "etc/logrotate.d/v2g",
        PAGE[1:],
        PATH[1:],
    } <= image.paths()
    unit = (image.place / "etc/systemd/system/v2g-orchestrator.service").read_text()
    assert f"\nExecStart={COMMANDS}/v2g-orchestrator --config /etc/v2g\n" in unit
    assert stat.S_IMODE((image.place / "etc/v2g/v2g.yaml").stat().st_mode) == 0o644
    recorded = read_manifest(image.root)
    assert recorded.complete
    assert "v2g-viewer" in recorded.groups
    assert not (image.place / "etc/passwd").exists()


def test_modes_are_not_those_of_the_callers_umask(image: Image) -> None:
    before = os.umask(0o077)
    try:
        image.install()
    finally:
        os.umask(before)
    assert stat.S_IMODE((image.place / "etc/v2g").stat().st_mode) == 0o755
    assert stat.S_IMODE((image.place / "etc/v2g/v2g.yaml").stat().st_mode) == 0o644


def test_the_second_run_changes_nothing(image: Image) -> None:
    image.install()
    before = {path: (image.place / path).stat().st_mtime_ns for path in image.paths()}
    assert not image.install()
    assert not any(line.changed for line in image.told)
    assert {path: (image.place / path).stat().st_mtime_ns for path in image.paths()} == before


def test_a_look_makes_nothing(image: Image) -> None:
    assert image.install(wish(dry_run=True))
    assert image.did("/etc/v2g/v2g.yaml") is Did.MADE
    assert image.paths() == set()


def test_what_install_made_uninstall_takes_away_with_its_directories(image: Image) -> None:
    (image.place / "etc").mkdir()
    (image.place / "etc/hostname").write_text("tr-0412\n")
    before = image.paths()
    image.install()
    image.uninstall(purge=True)
    assert image.paths() == before
    assert not image.uninstall()


def test_edited_files_stay_and_are_named_and_go_with_purge(image: Image) -> None:
    image.install()
    mine = image.place / "etc/v2g/v2g.yaml"
    mine.write_text("site: {id: mine}\n")
    (image.place / "var/log/v2g").mkdir(parents=True)
    (image.place / "var/log/v2g/comms.log").write_text("line\n")
    image.uninstall()
    assert image.did("/etc/v2g/v2g.yaml") is Did.KEPT_YOURS
    assert mine.read_text() == "site: {id: mine}\n"
    files = {path for path in image.paths() if (image.place / path).is_file()}
    assert files == {"etc/v2g/v2g.yaml", "var/log/v2g/comms.log", PATH[1:], LEFT[1:]}
    left = (image.place / LEFT[1:]).read_text().splitlines()
    assert {"path /etc/v2g", "path /var/log/v2g", "user v2g", "group v2g-viewer"} <= set(left)
    image.uninstall(purge=True)
    assert {path for path in image.paths() if (image.place / path).is_file()} == set()


def test_an_edited_file_survives_removal_and_a_new_installation(image: Image) -> None:
    image.install()
    mine = image.place / "etc/v2g/v2g.yaml"
    mine.write_text("site: {id: mine}\n")
    image.uninstall()
    image.install()
    assert mine.read_text() == "site: {id: mine}\n"
    assert image.did("/etc/v2g/v2g.yaml") is Did.KEPT_YOURS


def test_an_update_puts_the_new_file_beside_an_edited_one(image: Image) -> None:
    image.install()
    (image.place / "etc/v2g/v2g.yaml").write_text("site: {id: mine}\n")
    newer = dict(shipped().files) | {"etc/v2g/v2g.yaml": b"# newer\n", "etc/v2g/sensor_map.conf": b"# newer\n"}
    del newer["etc/v2g/devices/victron-vebus.yaml"]
    image.install(wish(Shipped(Path("/"), newer)))
    assert (image.place / "etc/v2g/v2g.yaml.new").read_bytes() == b"# newer\n"
    assert (image.place / "etc/v2g/sensor_map.conf").read_bytes() == b"# newer\n"
    assert not (image.place / "etc/v2g/devices/victron-vebus.yaml").exists()


@pytest.mark.parametrize("error", [errno.EROFS, errno.ENOSPC])
def test_a_write_that_fails_names_place_and_remedy_and_the_next_run_goes_on(
    image: Image, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def failing(path: Path, data: bytes, mode: int = 0o640, *, on_disk: bool = False) -> None:
        if path.name == "sensor_map.conf":
            raise OSError(error, os.strerror(error), str(path))
        replace_file(path, data, mode, on_disk=on_disk)

    with monkeypatch.context() as patched:
        patched.setattr(roots, "replace_file", failing)
        with pytest.raises(InstallError, match=r"cannot write .*sensor_map.conf: .*run this again"):
            image.install()
    made = [line.path for line in image.told if line.did is Did.MADE]
    assert "/etc/logrotate.d/v2g" in made
    image.install()
    assert image.did("/etc/logrotate.d/v2g") is Did.KEPT
    assert image.did("/etc/v2g/sensor_map.conf") is Did.MADE
    image.uninstall(purge=True)
    assert image.paths() == set()


def test_a_half_made_one_can_be_taken_away(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(self: Root, path: str, data: bytes, mode: int, *, on_disk: bool = False) -> None:
        if path == "/etc/v2g/v2g.yaml":
            raise KeyboardInterrupt
        write(self, path, data, mode, on_disk=on_disk)

    write = Root.write
    with monkeypatch.context() as patched:
        patched.setattr(Root, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            image.install()
    image.uninstall(purge=True)
    assert image.paths() == set()


def test_a_file_where_a_directory_belongs_is_told(image: Image) -> None:
    (image.place / "etc").write_text("")
    with pytest.raises(InstallError, match="a file where a directory belongs"):
        image.install()


def test_a_link_that_leads_out_of_the_image_is_refused(image: Image, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (image.place / "etc").symlink_to(outside)
    with pytest.raises(InstallError, match="leads out of"):
        image.install()
    assert list(outside.iterdir()) == []


def test_two_at_once_are_one_too_many(image: Image) -> None:
    with installation.locked(image.root), pytest.raises(InstallError, match="another v2g-tool install"):
        image.install()


def test_a_damaged_record_is_refused_before_anything_is_touched(image: Image) -> None:
    image.install()
    (image.place / PATH[1:]).write_text("{")
    for act in (image.install, image.uninstall):
        with pytest.raises(InstallError, match="is damaged"):
            act()
    assert (image.place / "etc/v2g/v2g.yaml").exists()


def test_commands_that_the_units_cannot_see_are_refused(image: Image) -> None:
    with pytest.raises(InstallError, match="hide from the daemons"):
        image.install(Wish(shipped=shipped(), commands=Path("/root/venv/bin"), version="1"))
    assert image.paths() == set()


def test_a_start_without_systemd_is_refused_before_anything_is_done(image: Image) -> None:
    wanted = Wish(shipped=shipped(), commands=COMMANDS, version="1", start=True)
    with pytest.raises(InstallError, match="needs a running systemd"):
        install(image.root, wanted, image.told.append, systemd=lambda: False)
    assert image.paths() == set()


def test_the_example_is_not_started_and_a_configuration_is(image: Image) -> None:
    image.install()
    wanted = Wish(shipped=shipped(), commands=COMMANDS, version="1", start=True)
    with pytest.raises(InstallError, match="is still the example"):
        install(image.root, wanted, image.told.append, systemd=lambda: True)
    drop_in = image.place / "etc/v2g/conf.d/10-site.yaml"
    drop_in.parent.mkdir()
    drop_in.write_text("site: {id: mine}\n")
    # It passes the check; an image starts nothing.
    install(image.root, wanted, image.told.append, systemd=lambda: True)


class Tools:
    """The host's, each call recorded; ``answers`` by the first words of a call."""

    def __init__(self, answers: dict[str, Done] | None = None) -> None:
        self.calls: list[str] = []
        self._answers = answers or {}

    def __call__(self, words: Sequence[str]) -> Done:
        self.calls.append(" ".join(words))
        return next((done for name, done in self._answers.items() if self.calls[-1].startswith(name)), Done(0, "", ""))


def test_the_accounts_are_read_as_systemd_reads_them() -> None:
    found = accounts.accounts(shipped().files["systemd/sysusers.d/v2g.conf"].decode())
    users = {each.name: (each.group, each.home) for each in found if each.is_user}
    assert users == {
        "v2g": ("", "/var/lib/v2g"),
        "v2g-guard": ("v2g", "/var/lib/v2g"),
        "v2g-plc": ("v2g", "/nonexistent"),
    }
    assert {each.name for each in found if not each.is_user} == {
        "v2g-viewer",
        "v2g-operator",
        "v2g-engineer",
        "v2g-utility",
    }


def test_without_sysusers_the_users_are_made_by_useradd_after_their_groups(image: Image) -> None:
    tools = Tools()
    wanted = accounts.accounts(shipped().files["systemd/sysusers.d/v2g.conf"].decode())
    accounts.make(wanted, "/etc/sysusers.d/v2g.conf", accounts.Known(image.root), tools, lambda tool: False)
    assert tools.calls[:2] == ["groupadd --system v2g-viewer", "groupadd --system v2g-operator"]
    assert "groupadd --system v2g" in tools.calls
    added = [call for call in tools.calls if call.startswith("useradd")]
    assert [call.split()[-2:] for call in added] == [["v2g", "v2g"], ["v2g", "v2g-guard"], ["v2g", "v2g-plc"]]
    assert all("/usr/sbin/nologin" in call for call in added)
    assert max(i for i, call in enumerate(tools.calls) if call.startswith("groupadd")) < tools.calls.index(added[0])


def test_a_tool_that_fails_is_told_with_what_it_said() -> None:
    tools = Tools({"systemctl": Done(1, "", "Access denied")})
    with pytest.raises(InstallError, match=r"systemctl daemon-reload failed \(1\): Access denied"):
        host_tools.must(tools, ["systemctl", "daemon-reload"])


def test_a_tool_that_is_missing_is_told_with_what_to_install() -> None:
    with pytest.raises(InstallError, match="no-such-tool is not installed; apt install"):
        host_tools.run(["no-such-tool"])


def test_a_start_enables_and_starts_what_is_not_yet_and_says_which() -> None:
    tools = Tools({"systemctl is-active": Done(0, "active", "")})
    told: list[Line] = []
    with pytest.raises(InstallError, match="not running"):
        installation.start_units(Tools({"systemctl is-active": Done(3, "failed", "")}), told.append)
    told.clear()
    assert installation.start_units(tools, told.append)
    assert "systemctl enable v2g-orchestrator.service" in tools.calls
    assert [line.note for line in told] == ["enabled"] * 4


def test_a_unit_that_does_not_start_is_told_with_its_journal() -> None:
    tools = Tools({"systemctl is-active": Done(3, "inactive", ""), "systemctl start": Done(1, "", "Job failed")})
    with pytest.raises(InstallError, match=r"v2g-orchestrator\.service does not start: Job failed; see journalctl"):
        installation.start_units(tools, lambda line: None)
