"""Where the files and the commands of this installation are."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2g.host.install.commands import NAMES, command_dir, obstacle
from v2g.host.install.errors import InstallError
from v2g.host.install.source import shipped

ROOT = Path(__file__).parents[4]


def environment(place: Path, interpreter: str = "/usr/bin/python3") -> Path:
    (place / "bin").mkdir(parents=True)
    for name in NAMES:
        (place / "bin" / name).write_text(f"#!{interpreter}\n")
    return place


def test_in_a_checkout_the_files_are_those_beside_the_sources() -> None:
    found = shipped()
    assert found.root == ROOT
    assert found.files["etc/v2g/v2g.yaml"] == (ROOT / "etc/v2g/v2g.yaml").read_bytes()
    assert not any("__pycache__" in name for name in found.files)


def test_of_a_wheel_they_are_in_its_share_directory(tmp_path: Path) -> None:
    package = tmp_path / "lib/python3.11/site-packages/v2g"
    for name in ("etc/v2g/v2g.yaml", "systemd/x.service"):
        file = tmp_path / "share/v2g" / name
        file.parent.mkdir(parents=True)
        file.write_text(name)
    found = shipped(tmp_path, package)
    assert found.files == {name: name.encode() for name in ("etc/v2g/v2g.yaml", "systemd/x.service")}


def test_files_that_are_nowhere_are_told_with_both_places(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=rf"neither in .* nor in {tmp_path}/share/v2g: install the wheel"):
        shipped(tmp_path, tmp_path / "lib/site-packages/v2g")


def test_the_slot_in_force_is_named_by_its_link(tmp_path: Path) -> None:
    slot = environment(tmp_path / "slots/b")
    link = tmp_path / "current"
    link.symlink_to("slots/b")
    assert command_dir(slot, link, tmp_path / "usr") == link / "bin"


def test_another_slot_than_the_one_in_force_is_named_by_itself(tmp_path: Path) -> None:
    other = environment(tmp_path / "slots/a")
    environment(tmp_path / "slots/b")
    link = tmp_path / "current"
    link.symlink_to("slots/b")
    assert command_dir(other, link, tmp_path / "usr") == other / "bin"


def test_links_in_usr_bin_that_lead_here_are_named(tmp_path: Path) -> None:
    here = environment(tmp_path / "here")
    usr = tmp_path / "usr"
    usr.mkdir()
    (usr / "v2g-orchestrator").symlink_to(here / "bin/v2g-orchestrator")
    assert command_dir(here, tmp_path / "none", usr) == usr
    assert command_dir(environment(tmp_path / "there"), tmp_path / "none", usr) == tmp_path / "there/bin"


@pytest.mark.parametrize("place", ["/home/alice/venv/bin", "/root/.venv/bin", "/tmp/venv/bin"])
def test_commands_that_units_cannot_see_are_refused_in_an_image_too(place: str, tmp_path: Path) -> None:
    problem = obstacle(Path(place), tmp_path)
    assert problem is not None
    assert "/opt/v2g" in problem


def test_commands_that_are_missing_are_named(tmp_path: Path) -> None:
    (environment(tmp_path) / "bin/v2g-guard").unlink()
    problem = obstacle(tmp_path / "bin")
    assert problem is not None
    assert "lacks v2g-guard" in problem
    assert obstacle(Path("/opt/v2g/current/bin"), tmp_path) is None


def test_an_interpreter_that_units_cannot_see_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v2g.host.install.commands._HIDDEN", (str(tmp_path / "home"),))
    inside = tmp_path / "home/bin/python3"
    inside.parent.mkdir(parents=True)
    inside.touch()
    environment(tmp_path / "venv", interpreter=str(inside))
    problem = obstacle(tmp_path / "venv/bin")
    assert problem is not None
    assert str(inside) in problem
