"""The probes, at a host that is made of files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from v2g.host.preflight import probe
from v2g.host.preflight.network import DAD_FAILED, TENTATIVE
from v2g.host.preflight.system import CAP_NET_RAW


@pytest.fixture
def root(tmp_path: Path) -> probe.Root:
    return probe.Root(tmp_path)


def put(root: probe.Root, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_interfaces_are_read_from_proc_and_sys(root: probe.Root) -> None:
    put(
        root,
        "proc/self/net/if_inet6",
        "fe800000000000000000000000000001 02 40 20 80     eth1\n"
        "20010db8000000000000000000000001 02 40 00 80     eth1\n"
        "fe800000000000000000000000000002 03 40 20 c8     eth2\n"
        "no address at all\n",
    )
    for name, flags, carrier in (("eth1", "0x1003", "1"), ("eth2", "0x1002", "0")):
        put(root, f"sys/class/net/{name}/flags", flags)
        put(root, f"sys/class/net/{name}/carrier", carrier)
    put(root, "proc/sys/net/ipv6/conf/eth2/disable_ipv6", "1\n")
    eth1, eth2, absent = probe.interfaces(root, ["eth1", "eth2", "eth1", "eth9"])
    assert (eth1.exists, eth1.up, eth1.carrier, eth1.disabled) == (True, True, True, None)
    assert [str(address) for address in eth1.usable] == ["fe80::1"]
    assert (eth2.up, eth2.carrier, eth2.disabled) == (False, False, True)
    assert eth2.addresses[0].flags == TENTATIVE | DAD_FAILED | 0x80
    assert not absent.exists


def test_a_host_that_hides_its_files_gives_absent_facts(root: probe.Root) -> None:
    (facts,) = probe.interfaces(root, ["eth1"])
    assert (facts.exists, facts.carrier, facts.disabled) == (False, None, None)
    assert probe.kernel(root).realtime is None
    assert probe.process(root, "v2g-guard") is None
    assert probe.unit_rights(root, "v2g-guard-tick.service") is None
    assert probe.listening(root) == frozenset()
    assert not probe.systemd_runs(root)
    assert not probe.process_of(root, 4711).capabilities


def test_the_realtime_flag_of_the_kernel_is_read(root: probe.Root) -> None:
    put(root, "sys/kernel/realtime", "1\n")
    assert probe.kernel(root).realtime is True


def test_a_process_is_found_by_its_program_and_its_words(root: probe.Root) -> None:
    put(root, "proc/7/cmdline", "/usr/bin/python3\0/usr/bin/v2g-guard\0wires\0--config\0/etc/v2g\0")
    put(root, "proc/8/cmdline", "/usr/bin/python3\0/usr/bin/v2g-guard\0tick\0")
    put(root, "proc/8/status", "Name:\tv2g-guard\nUid:\t990\t991\t990\t990\nCapEff:\t0000000000002000\n")
    found = probe.process(root, "v2g-guard", "tick")
    assert found is not None
    assert (found.pid, found.uid, found.capabilities) == (8, 991, 1 << CAP_NET_RAW)
    wires = probe.process(root, "v2g-guard", "wires")
    assert wires is not None
    assert (wires.pid, wires.capabilities) == (7, None)


def test_the_rights_of_a_unit_are_its_own_and_its_drop_ins(root: probe.Root) -> None:
    name = "v2g-guard-tick.service"
    put(
        root,
        f"lib/systemd/system/{name}",
        "[Service]\nLimitRTPRIO=60\nLimitMEMLOCK=infinity\nAmbientCapabilities=A B\n",
    )
    rights = probe.unit_rights(root, name)
    assert rights is not None
    assert (rights.rtprio, rights.memlock, rights.ambient) == (60, "infinity", ("A", "B"))
    put(root, f"etc/systemd/system/{name}.d/10-less.conf", "[Service]\nLimitRTPRIO=0\nAmbientCapabilities=\n")
    less = probe.unit_rights(root, name)
    assert less is not None
    assert (less.rtprio, less.ambient) == (0, ())


def test_units_are_enabled_by_a_link_and_masked_by_one(root: probe.Root) -> None:
    here = put(root, "lib/systemd/system/a.service", "")
    put(root, "lib/systemd/system/b.service", "")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "a.service").symlink_to(here)
    (root / "etc/systemd/system/b.service").symlink_to("/dev/null")
    a, b, c = probe.units(root, (("a.service", True, True), ("b.service", True, False), ("c.service", False, True)))
    assert (a.file, a.enabled, a.masked) == (str(here), True, False)
    assert (b.file, b.enabled, b.masked) == ("", False, True)
    assert (c.file, c.needed, c.wanted, b.wanted) == ("", False, True, False)


def test_a_directory_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    found = probe.directory("logs", tmp_path, write=True)
    assert (found.problem, found.write_problem, found.read_only) == ("", "", False)
    assert found.total_bytes > 0
    assert list(tmp_path.iterdir()) == []
    assert probe.directory("logs", tmp_path / "absent", write=True).problem == "No such file or directory"
    file = tmp_path / "file"
    file.touch()
    assert probe.directory("logs", file, write=True).problem == "is no directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_of_somebody_else_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert probe.directory("logs", tmp_path, write=True).write_problem == "Permission denied"


def test_a_link_in_the_place_of_the_probe_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / f".preflight.{os.getpid()}").symlink_to(target)
    assert probe.directory("logs", folder, write=True).write_problem == ""
    assert target.read_text() == "kept"


def test_sockets_are_told_apart_from_files(root: probe.Root, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert probe.socket_file(path, "x", None).state == "absent"
    path.touch()
    assert probe.socket_file(path, "x", True).state == "other"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert [probe.socket_file(path, "x", answers).state for answers in (True, False, None)] == [
            "answers",
            "dead",
            "unknown",
        ]
    put(
        root,
        "proc/self/net/unix",
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000: 00000002 00000000 00010000 0001 01 12 /run/v2g/wires.sock\n"
        "0000: 00000003 00000000 00000000 0001 03 13 /run/v2g/other.sock\n",
    )
    assert probe.listening(root) == {"/run/v2g/wires.sock"}


def test_leds_are_named_by_what_is_there(root: probe.Root) -> None:
    put(root, "sys/class/leds/green:status/brightness", "0")
    (green, red) = probe.leds(root, ("green:status", "", "red"))
    assert (green.present, green.writable) == (True, True)
    assert (red.present, red.writable) == (False, False)


def test_this_installation_keeps_its_own_pins() -> None:
    from v2g.host.preflight.installation import judge_versions
    from v2g.host.preflight.model import worst

    needs = probe.requirements()
    if needs is None:
        pytest.skip("not installed as a package")
    assert worst(judge_versions(needs, probe.installed)) == "pass"
    assert probe.installed("no-such-package-at-all") is None
