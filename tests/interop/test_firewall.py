"""The rules in force, seen from outside: who is served, who is not, what counts, and the way back."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ecog import Program
from support.firewall_probe import OPEN, SILENT
from support.firewall_world import (
    HOST,
    KNOWN,
    LISTED,
    METRICS,
    OPERATOR,
    PLC,
    SSH,
    STRANGER,
    STRAY,
    UNKNOWN,
    UNLISTED,
    UTILITY,
    World,
    wait_until,
)

pytestmark = pytest.mark.interop

REPORT = Path(__file__).resolve().parents[1] / "bench" / "report_firewall.md"
KEEP = "V2G_FIREWALL_REPORT"
NFT = shutil.which("nft", path="/usr/sbin:/usr/bin:/sbin:/bin")


class Rows:
    """What was probed, and what was seen."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def expect(self, what: str, who: str, expected: str, seen: str) -> None:
        self.rows.append((what, who, expected, seen))
        assert seen == expected, f"{what}, {who}: {seen}, not {expected}"

    def text(self) -> str:
        version = subprocess.run(
            [NFT or "nft", "--version"], capture_output=True, text=True, check=False
        ).stdout.split()
        head = [
            "# The firewall in network namespaces",
            "",
            f"Written by `{KEEP}=1 pytest -m interop tests/interop/test_firewall.py` as root: {' '.join(version[:2])}, "
            f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}.",
            "",
            "| what | who or how | expected | seen |",
            "|---|---|---|---|",
        ]
        return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in self.rows), ""])


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    kept = Rows()
    failed = request.session.testsfailed
    yield kept
    if os.environ.get(KEEP) == "1" and request.session.testsfailed == failed:
        REPORT.write_text(kept.text())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if NFT is None or shutil.which("ip") is None:
        pytest.skip("nft or ip is not installed")
    built = World(tmp_path_factory.mktemp("firewall"))
    try:
        built.up()
        built.write()
        built.station()
        built.serve(built.host, f"{HOST}:{SSH}", f"{HOST}:{METRICS}", f"{HOST}:{STRAY}", f"{HOST}:502", f"{HOST}:802")
        built.serve(built.net, f"{LISTED}:502", f"{UNLISTED}:502", f"{UNLISTED}:443", f"{LISTED}:7000")
        yield built
    finally:
        built.down()


@pytest.fixture
def host(world: World) -> Iterator[World]:
    """No table of ours, nothing pending, the usual vehicles, the usual configuration."""
    world.inside(world.host, "nft", "delete", "table", "inet", "v2g", check=False)
    shutil.rmtree(world.folder / "state", ignore_errors=True)
    world.write()
    yield world
    world.inside(world.host, "nft", "delete", "table", "inet", "v2g", check=False)


def test_without_the_firewall_everything_is_open(host: World, rows: Rows) -> None:
    """Else a probe that is silent would prove nothing."""
    how = "no firewall"
    rows.expect("stray port", how, OPEN, host.probe(host.net, "connect", HOST, str(STRAY), STRANGER))
    rows.expect("Modbus inwards", how, OPEN, host.probe(host.net, "connect", HOST, "502", STRANGER))
    rows.expect("Modbus to an unlisted device", how, OPEN, host.probe(host.host, "connect", UNLISTED, "502"))
    rows.expect("through the host, from an EVSE link", how, OPEN, host.probe(host.car, "connect", LISTED, "7000"))
    host.car_is("car1", UNKNOWN)
    try:
        rows.expect("SDP", f"{how}, unknown MAC", OPEN, host.probe(host.car, "sdp", "car1"))
    finally:
        host.car_is("car1", KNOWN)


def test_a_known_vehicle_is_served_and_an_unknown_one_is_not(host: World, rows: Rows) -> None:
    host.apply()
    vehicle = host.vehicle("car1", 8)
    wait_until(lambda: vehicle.process.poll() is not None, "the session", lambda: vehicle.story())
    assert vehicle.process.returncode == 0, vehicle.story()
    turns = len(vehicle.all("DcChargeLoopAnswered"))
    rows.expect("whole DC_BPT session, charge-loop turns", "known MAC", "8", str(turns))
    rows.expect("SDP", "known MAC", OPEN, host.probe(host.car, "sdp", "car1"))
    rows.expect("ISO 15118 TCP", "known MAC", OPEN, host.iso15118("car1"))
    host.car_is("car1", UNKNOWN)
    try:
        rows.expect("SDP", "unknown MAC", SILENT, host.probe(host.car, "sdp", "car1"))
        rows.expect("ISO 15118 TCP", "unknown MAC", SILENT, host.iso15118("car1"))
    finally:
        host.car_is("car1", KNOWN)
    assert host.packets("evse1: MAC not in firewall.evse_macs") >= 4
    assert host.packets("SDP of US*V2G*E1") >= 2


def test_a_vehicle_reaches_nothing_else(host: World, rows: Rows) -> None:
    host.apply()
    own = f"{host.link_local('evse1')}%car1"
    host.serve(host.host, f":::{STRAY + 1}")
    for what, target, port in (
        ("another port of the host", own, STRAY + 1),
        ("the other EVSE's port", own, 49152),
        ("SSH, by IPv4", "10.8.0.1", SSH),
        ("Modbus of the host, by IPv4", "10.8.0.1", 502),
        ("the network beyond", LISTED, 7000),
    ):
        rows.expect(what, "known MAC on an EVSE link", SILENT, host.probe(host.car, "connect", target, str(port)))
    assert host.packets("never out of an EVSE link") >= 1


def test_each_address_reaches_its_ports_only(host: World, rows: Rows) -> None:
    host.apply()
    for what, port, source, expected in (
        ("metrics", METRICS, UTILITY, OPEN),
        ("SSH", SSH, UTILITY, SILENT),
        ("SSH", SSH, OPERATOR, OPEN),
        ("metrics", METRICS, OPERATOR, SILENT),
        ("metrics", METRICS, STRANGER, SILENT),
        ("SSH", SSH, STRANGER, SILENT),
        ("stray port", STRAY, OPERATOR, SILENT),
    ):
        who = {UTILITY: "utility's address", OPERATOR: "operator's address", STRANGER: "another address"}[source]
        rows.expect(what, who, expected, host.probe(host.net, "connect", HOST, str(port), source))
    assert host.packets("firewall.utility[0]") >= 1


def test_modbus_is_closed_inwards_and_open_outwards_to_what_is_listed(host: World, rows: Rows) -> None:
    host.apply()
    for source in (UTILITY, OPERATOR, STRANGER, LISTED):
        for port in ("502", "802"):
            seen = host.probe(host.net, "connect", HOST, port, source)
            rows.expect(f"Modbus inwards, port {port}", source, SILENT, seen)
    seen = host.probe(host.host, "connect", LISTED, "502")
    rows.expect("Modbus outwards", "listed device", OPEN, seen)
    seen = host.probe(host.host, "connect", UNLISTED, "502")
    rows.expect("Modbus outwards", "device that is not listed", SILENT, seen)
    seen = host.probe(host.host, "connect", UNLISTED, "443")
    rows.expect("other ports outwards", "output open", OPEN, seen)
    assert host.packets("listed Modbus devices") >= 3
    assert host.packets("Modbus to a device that the configuration does not list") >= 1
    assert host.packets("Modbus is never open inwards") >= 8


def test_strict_output_leaves_only_what_the_configuration_names(host: World, rows: Rows) -> None:
    host.write(output="strict", destinations=[{"addresses": [UNLISTED], "ports": [443]}])
    host.apply()
    how = "output strict"
    rows.expect("a destination", how, OPEN, host.probe(host.host, "connect", UNLISTED, "443"))
    rows.expect("anything else", how, SILENT, host.probe(host.host, "connect", LISTED, "7000"))
    rows.expect("Modbus outwards", f"{how}, listed device", OPEN, host.probe(host.host, "connect", LISTED, "502"))
    rows.expect("SDP", f"{how}, known MAC", OPEN, host.probe(host.car, "sdp", "car1"))
    rows.expect("ISO 15118 TCP", f"{how}, known MAC", OPEN, host.iso15118("car1"))


def test_a_plc_link_serves_the_admitted_until_their_time_is_over(host: World, rows: Rows) -> None:
    host.apply()
    rows.expect("SDP", "PLC link, not admitted", SILENT, host.probe(host.car, "sdp", "car2"))
    done = host.tool("admit", "--interface", "evse2", "--mac", PLC.replace(":", ""), "--for", "6s")
    assert done.returncode == 0, done.stderr
    began = time.monotonic()
    rows.expect("SDP", "PLC link, admitted for 6 s", OPEN, host.probe(host.car, "sdp", "car2"))
    rows.expect("ISO 15118 TCP", "PLC link, admitted", OPEN, host.iso15118("car2"))
    (admitted,) = host.status()["admitted"]
    assert (admitted["mac"], admitted["whole_s"]) == (PLC, 6)
    time.sleep(max(0.0, 7.0 - (time.monotonic() - began)))
    assert host.status()["admitted"] == []
    rows.expect("SDP", "PLC link, 6 s later", SILENT, host.probe(host.car, "sdp", "car2"))


def test_an_admission_is_refreshed_kept_by_a_new_apply_and_withdrawn(host: World, rows: Rows) -> None:
    host.apply()
    for time_ in ("5s", "600s"):
        assert host.tool("admit", "--interface", "evse2", "--mac", PLC, "--for", time_).returncode == 0
    host.apply()
    (admitted,) = host.status()["admitted"]
    assert (admitted["whole_s"], 580 < admitted["left_s"] <= 600) == (600, True)
    rows.expect("ISO 15118 TCP", "PLC link, admitted, rules applied again", OPEN, host.iso15118("car2"))
    asking = host.ask("car2", 6.0)
    assert host.tool("withdraw", "--interface", "evse2", "--mac", PLC).returncode == 0
    assert asking.process.wait(20) == 0
    rows.expect("SDP by unicast, asked on and on", "PLC link, withdrawn", SILENT, asking.log.split()[-1])
    rows.expect("ISO 15118 TCP", "PLC link, withdrawn", SILENT, host.iso15118("car2"))
    refused = host.tool("admit", "--interface", "evse1", "--mac", PLC)
    assert (refused.returncode, "is no PLC link" in refused.stderr) == (1, True)


def test_without_confirmation_the_rules_from_before_are_back(host: World, rows: Rows) -> None:
    host.apply()
    before = host.table()
    host.write(operators=[{"addresses": [STRANGER], "ports": [SSH]}])
    host.apply("--confirm-within", "5s")
    rows.expect(
        "SSH", "operator, locked out by new rules", SILENT, host.probe(host.net, "connect", HOST, str(SSH), OPERATOR)
    )
    assert 0 < host.status()["pending_s"] <= 5
    wait_until(lambda: host.status()["pending_s"] is None, "the rollback")
    rows.expect(
        "SSH", "operator, not confirmed in 5 s", OPEN, host.probe(host.net, "connect", HOST, str(SSH), OPERATOR)
    )
    assert host.table() == before
    assert host.status()["in_force"] == "as applied"


def test_the_first_rules_of_all_are_taken_back_too(host: World, rows: Rows) -> None:
    host.apply("--confirm-within", "5s")
    rows.expect("stray port", "first rules", SILENT, host.probe(host.net, "connect", HOST, str(STRAY), OPERATOR))
    wait_until(lambda: host.table() == "", "the rollback")
    rows.expect("stray port", "not confirmed", OPEN, host.probe(host.net, "connect", HOST, str(STRAY), OPERATOR))


def test_confirmed_rules_stay(host: World, rows: Rows) -> None:
    host.apply("--confirm-within", "5s")
    assert host.tool("confirm").returncode == 0
    time.sleep(6.0)
    seen = host.probe(host.net, "connect", HOST, str(STRAY), OPERATOR)
    rows.expect("stray port", "confirmed, after the time", SILENT, seen)
    assert host.status()["sound"]
    assert host.tool("confirm").returncode == 1


def test_two_unconfirmed_rules_one_after_the_other_go_back_to_the_confirmed_ones(host: World, rows: Rows) -> None:
    host.apply()
    before = host.table()
    host.write(operators=[{"addresses": [STRANGER], "ports": [SSH]}])
    host.apply("--confirm-within", "5s")
    host.write(operators=[{"addresses": [LISTED], "ports": [SSH]}])
    host.apply("--confirm-within", "8s")
    wait_until(lambda: host.status()["pending_s"] is None, "the rollback")
    rows.expect("rules", "two applied, neither confirmed", "the confirmed ones", _which(host.table() == before))


def test_a_killed_shell_does_not_stop_the_rollback(host: World, rows: Rows) -> None:
    host.apply()
    before = host.table()
    host.write(operators=[{"addresses": [STRANGER], "ports": [SSH]}])
    words = " ".join(host.command("apply", "--confirm-within", "5s"))
    shell = subprocess.Popen(
        ["ip", "netns", "exec", host.host, "bash", "-c", f"{words}; sleep 60"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert shell.stdout is not None
    assert "Open a NEW connection" in shell.stdout.readline()
    os.killpg(shell.pid, signal.SIGHUP)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait(5)
    assert host.table() != before
    wait_until(lambda: host.status()["pending_s"] is None, "the rollback")
    rows.expect("rules", "shell and its session killed", "the confirmed ones", _which(host.table() == before))


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.15])
def test_killed_between_apply_and_confirm_it_still_goes_back(host: World, rows: Rows, delay_s: float) -> None:
    host.apply()
    before = host.table()
    host.write(operators=[{"addresses": [STRANGER], "ports": [SSH]}])
    tool = subprocess.Popen(
        ["ip", "netns", "exec", host.host, *host.command("apply", "--confirm-within", "5s")], start_new_session=True
    )
    pending = host.folder / "state" / "pending.json"
    wait_until(pending.exists, "the state file")
    assert pending.stat().st_mode & 0o777 == 0o600
    time.sleep(delay_s)
    os.killpg(tool.pid, signal.SIGKILL)
    tool.wait(5)
    wait_until(lambda: not pending.exists(), "the rollback")
    how = f"apply killed {delay_s * 1e3:.0f} ms after its state was written"
    rows.expect("rules", how, "the confirmed ones", _which(host.table() == before))
    assert host.status()["in_force"] == "as applied"


def test_who_applied_over_ssh_confirms_over_a_new_connection(host: World, rows: Rows, tmp_path: Path) -> None:
    sshd = tmp_path / "sshd"
    shutil.copy(shutil.which("bash") or "/bin/bash", sshd)
    apply, confirm = (" ".join(host.command(*words)) for words in (("apply", "--confirm-within", "20s"), ("confirm",)))
    old = host.inside(host.host, str(sshd), "-c", f"{apply} && {confirm}; echo $?", check=False)
    assert "proves nothing" in old.stderr
    rows.expect("confirm", "same SSH connection", "1", old.stdout.split()[-1])
    new = host.inside(host.host, str(sshd), "-c", f"{confirm}; echo $?", check=False)
    rows.expect("confirm", "new SSH connection", "0", new.stdout.split()[-1])


def test_running_connections_live_through_a_new_apply(host: World, rows: Rows) -> None:
    host.apply()
    vehicle = host.vehicle("car1", 150)
    utility = host.hold(host.net, HOST, METRICS, 5, UTILITY)
    modbus = host.hold(host.host, LISTED, 502, 5)
    wait_until(lambda: len(vehicle.all("DcChargeLoopAnswered")) > 5, "the session", vehicle.story)
    for _ in range(3):
        host.apply()
        time.sleep(0.3)
    for what, program in (("open connection of the utility", utility), ("open Modbus connection", modbus)):
        rows.expect(what, "rules applied three times", "waits below 0.1 s", _waits(program))
    wait_until(lambda: vehicle.process.poll() is not None, "the session", vehicle.story, 30)
    turns = len(vehicle.all("DcChargeLoopAnswered"))
    rows.expect("session, charge-loop turns", "rules applied three times", "150", str(turns))
    assert vehicle.process.returncode == 0, vehicle.story()


def test_running_connections_live_through_the_first_apply(host: World, rows: Rows) -> None:
    """The kernel follows no connection before: it learns them from the next packet of either side."""
    vehicle = host.vehicle("car1", 150)
    utility = host.hold(host.net, HOST, METRICS, 4, UTILITY)
    modbus = host.hold(host.host, LISTED, 502, 4)
    wait_until(lambda: len(vehicle.all("DcChargeLoopAnswered")) > 5, "the session", vehicle.story)
    host.apply()
    for what, program in (("open connection of the utility", utility), ("open Modbus connection", modbus)):
        rows.expect(what, "first rules of all", "waits below 0.5 s", _waits(program, 0.5))
    wait_until(lambda: vehicle.process.poll() is not None, "the session", vehicle.story, 30)
    turns = len(vehicle.all("DcChargeLoopAnswered"))
    rows.expect("session, charge-loop turns", "first rules of all", "150", str(turns))


def test_connections_of_a_link_are_counted(host: World, rows: Rows) -> None:
    host.write(connections=3)
    host.apply()
    seen = host.probe(host.car, "many", f"{host.link_local('evse1')}%car1", "15118", "6")
    rows.expect("connections that open of six", "3 at most to an EVSE", "3", seen)
    assert host.packets("evse1: too many connections") >= 3


def test_requests_of_a_link_are_limited(host: World, rows: Rows) -> None:
    host.write(sdp_per_s=1)
    host.apply()
    flood = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        "s.setsockopt(41, 17, socket.if_nametoindex('car1'))\n"
        "for _ in range(100): s.sendto(b'x', ('ff02::1', 15118))\n"
    )
    host.inside(host.car, sys.executable, "-c", flood)
    limited = host.packets("evse1: too many requests a second")
    rows.expect(
        "SDP datagrams dropped of 100 at once",
        "1 a second",
        "at least 90",
        "at least 90" if limited >= 90 else str(limited),
    )


def test_an_address_that_is_there_twice_is_seen_through_the_rules(host: World, rows: Rows) -> None:
    """Duplicate address detection is neighbour discovery in both directions, and SDP needs a link-local address."""
    host.write(output="strict")
    host.apply()
    links = ((host.car, "car1", host.link_local("evse1")), (host.host, "evse1", "fe80::ff:fe00:1"))
    for namespace, interface, others in links:
        host.inside(namespace, "sysctl", "-qw", f"net.ipv6.conf.{interface}.accept_dad=1")
        host.inside(namespace, "ip", "-6", "address", "add", f"{others}/64", "dev", interface)
        try:

            def shown(where: str = namespace, name: str = interface, address: str = others) -> str:
                return host.inside(where, "ip", "-6", "-o", "address", "show", "dev", name, "to", address).stdout

            wait_until(lambda: "dadfailed" in shown(), "the duplicate to be seen", shown, 6.0)
        finally:
            host.inside(namespace, "ip", "-6", "address", "del", f"{others}/64", "dev", interface, check=False)
            host.inside(namespace, "sysctl", "-qw", f"net.ipv6.conf.{interface}.accept_dad=0")
    rows.expect("the other's link-local address", "taken by car and by host, output strict", "refused", "refused")


def test_rules_changed_by_others_and_a_changed_configuration_are_told(host: World, rows: Rows) -> None:
    host.apply()
    host.inside(host.host, "nft", "add", "rule", "inet", "v2g", "input", "tcp", "dport", "99", "accept")
    found = host.status()
    rows.expect("status", "a rule added by others", "changed", found["in_force"])
    assert any("not ours: rule of chain input" in text for text in found["differences"])
    host.apply()
    host.write(operators=[{"addresses": [STRANGER], "ports": [SSH]}])
    found = host.status()
    rows.expect("status", "configuration changed since", "changed", found["configuration"])
    assert any(OPERATOR in line for line in found["changes"])


def test_others_tables_are_left_alone(host: World) -> None:
    host.inside(host.host, "nft", "add", "table", "inet", "theirs")
    host.inside(host.host, "nft", "add", "chain", "inet", "theirs", "c")
    before = host.inside(host.host, "nft", "list", "table", "inet", "theirs").stdout
    host.apply("--confirm-within", "5s")
    wait_until(lambda: host.table() == "", "the rollback")
    assert host.inside(host.host, "nft", "list", "table", "inet", "theirs").stdout == before


def test_open_ports_that_no_rule_explains_are_found(host: World, rows: Rows) -> None:
    done = host.tool("check")
    assert done.returncode == 1
    assert f"tcp {HOST}:{STRAY}  python" in done.stdout
    assert "Modbus is never open inwards" in done.stdout
    assert f"tcp {HOST}:{SSH}" in done.stdout.partition("BY")[2]
    rows.expect("check", f"a server at {STRAY} that nobody listed", "exit 1", f"exit {done.returncode}")


def test_a_boot_puts_what_was_confirmed_not_what_was_written_since(host: World, rows: Rows) -> None:
    host.apply()
    confirmed = host.table()
    host.write(operators=[{"addresses": [STRANGER], "ports": [SSH]}])
    host.inside(host.host, "nft", "delete", "table", "inet", "v2g")
    host.apply("--boot")
    rows.expect(
        "rules at boot", "configuration changed, not confirmed", "the confirmed ones", _which(host.table() == confirmed)
    )


def test_what_is_dropped_is_logged_with_its_reason(host: World, rows: Rows) -> None:
    switch = Path("/proc/sys/net/netfilter/nf_log_all_netns")
    if not switch.exists():
        pytest.skip("this kernel has no log of other network namespaces")
    was = switch.read_text()
    switch.write_text("1")
    try:
        host.apply()
        host.probe(host.net, "connect", HOST, "502", STRANGER)
        host.probe(host.car, "connect", "10.8.0.1", str(SSH))
        kernel = subprocess.run(["dmesg"], capture_output=True, text=True, check=False)
    finally:
        switch.write_text(was)
    if kernel.returncode != 0:
        pytest.skip("the kernel's log cannot be read")
    found = [word for word in ("v2g-drop-modbus ", "v2g-drop-evse1 ") if word in kernel.stdout]
    rows.expect(
        "kernel log",
        "Modbus inwards; SSH from an EVSE link",
        "v2g-drop-modbus, v2g-drop-evse1",
        ", ".join(w.strip() for w in found),
    )


def _which(same: bool) -> str:
    return "the confirmed ones" if same else "others"


def _waits(program: Program, most_s: float = 0.1) -> str:
    """Of a connection that was held."""
    wait_until(lambda: program.process.poll() is not None, "the connection's end", lambda: program.log)
    word = program.log.split()[-1]
    return f"waits below {most_s:g} s" if word != "cut" and float(word) < most_s else word
