"""Matched vehicles in the firewall's set: at once, refreshed, withdrawn, and never a loop that waits for nft."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.firewall_kernel import FakeNft, rules
from v2g.host.firewall.model import PLC_SET, TABLE
from v2g.host.firewall.nft import SEARCH_PATH, FirewallError
from v2g.plc import admission
from v2g.plc.admission import ADMIT_S, Admission, NftFirewall

ONE, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
TESTS = Path(__file__).resolve().parents[2]


class FakeFirewall:
    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.problem = ""
        self.hold: threading.Event | None = None

    def admit(self, interface: str, mac: str, for_s: float) -> None:
        self._do("admit", interface, mac, f"{for_s:g}")

    def withdraw(self, interface: str, mac: str) -> None:
        self._do("withdraw", interface, mac)

    def _do(self, *call: str) -> None:
        if self.hold is not None:
            self.hold.wait(5.0)
        self.calls.append(call)
        if self.problem:
            raise FirewallError(self.problem)


class Bench:
    def __init__(self) -> None:
        self.firewall = FakeFirewall()
        self.problems: list[tuple[str, str]] = []
        self.admission = Admission(
            frozenset({"evse1", "evse2"}), self.firewall, lambda *told: self.problems.append(told)
        )

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(3.0):
            while not condition():
                await asyncio.sleep(0.002)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(admission, "REFRESH_S", 0.05)
    monkeypatch.setattr(admission, "RETRY_S", 0.02)
    monkeypatch.setattr(admission, "STOP_WITHIN_S", 0.2)
    bench = Bench()
    bench.admission.start()
    yield bench
    await bench.admission.close()


ADMITTED = ("admit", "evse1", ONE, f"{ADMIT_S:g}")


async def test_a_linked_vehicle_is_admitted_and_refreshed_before_its_time_is_over(bench: Bench) -> None:
    bench.admission.wish("evse1", ONE)
    await bench.until(lambda: len(bench.firewall.calls) >= 3)
    assert set(bench.firewall.calls) == {ADMITTED}
    assert set(bench.problems) == {("evse1", "")}
    assert admission.REFRESH_S < ADMIT_S / 3


async def test_a_link_that_is_lost_withdraws_its_vehicle_and_is_left_alone_then(bench: Bench) -> None:
    bench.admission.wish("evse1", ONE)
    await bench.until(lambda: bench.firewall.calls)
    bench.admission.wish("evse1", None)
    await bench.until(lambda: ("withdraw", "evse1", ONE) in bench.firewall.calls)
    count = len(bench.firewall.calls)
    await asyncio.sleep(0.12)
    assert len(bench.firewall.calls) == count


async def test_another_vehicle_takes_the_place_of_the_one_before(bench: Bench) -> None:
    bench.admission.wish("evse1", ONE)
    await bench.until(lambda: bench.firewall.calls)
    bench.admission.wish("evse1", OTHER)
    await bench.until(lambda: ("admit", "evse1", OTHER, f"{ADMIT_S:g}") in bench.firewall.calls)
    at = bench.firewall.calls.index(("withdraw", "evse1", ONE))
    assert ADMITTED not in bench.firewall.calls[at:]


async def test_a_link_that_the_firewall_does_not_guard_is_none_of_its_business(bench: Bench) -> None:
    bench.admission.wish("lo", ONE)
    await asyncio.sleep(0.05)
    assert bench.firewall.calls == []


async def test_a_firewall_that_fails_is_told_and_tried_again_until_it_does_not(bench: Bench) -> None:
    bench.firewall.problem = "the firewall is not applied: v2g-tool firewall apply"
    bench.admission.wish("evse1", ONE)
    await bench.until(lambda: len(bench.problems) >= 2)
    assert set(bench.problems) == {("evse1", bench.firewall.problem)}
    bench.firewall.problem = ""
    await bench.until(lambda: bench.problems[-1] == ("evse1", ""))


async def test_a_withdrawal_that_fails_does_not_keep_the_next_vehicle_out(bench: Bench) -> None:
    bench.admission.wish("evse1", ONE)
    await bench.until(lambda: bench.firewall.calls)
    withdraw = bench.firewall.withdraw
    bench.firewall.withdraw = lambda interface, mac: withdraw("none", mac) or _refuse()  # type: ignore[method-assign]
    bench.admission.wish("evse1", OTHER)
    await bench.until(lambda: ("admit", "evse1", OTHER, f"{ADMIT_S:g}") in bench.firewall.calls)


def _refuse() -> None:
    raise FirewallError("no")


async def test_nft_that_hangs_holds_up_neither_the_loop_nor_the_end(bench: Bench) -> None:
    bench.firewall.hold = threading.Event()
    bench.admission.wish("evse1", ONE)
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(0.02)
    bench.admission.wish("evse2", OTHER)
    await bench.admission.close()
    assert asyncio.get_running_loop().time() - began < 1.0
    bench.firewall.hold.set()


async def test_the_end_withdraws_everybody() -> None:
    bench = Bench()
    bench.admission.start()
    bench.admission.wish("evse1", ONE)
    bench.admission.wish("evse2", OTHER)
    await bench.until(lambda: len(bench.firewall.calls) == 2)
    await bench.admission.close()
    assert set(bench.firewall.calls[2:]) == {("withdraw", "evse1", ONE), ("withdraw", "evse2", OTHER)}


def test_by_nft_a_vehicle_is_admitted_with_its_time_and_without_roots_lock() -> None:
    nft = FakeNft()
    nft.load(rules("a"))
    firewall = NftFirewall({"evse1": f"{PLC_SET}evse1"}, lambda: nft)
    firewall.admit("evse1", ONE, ADMIT_S)
    element = nft.commands[-1]["add"]["element"]
    assert (element["name"], element["elem"]) == ("plc_macs_evse1", [{"elem": {"val": ONE, "timeout": 30}}])
    firewall.withdraw("evse1", ONE)
    assert nft.commands[-1]["delete"]["element"]["elem"] == [ONE]
    with pytest.raises(FirewallError, match="is no PLC link of the configuration"):
        firewall.withdraw("evse9", ONE)


@pytest.mark.interop
def test_a_user_with_net_admin_alone_can_admit_and_withdraw() -> None:
    program = shutil.which("nft", path=SEARCH_PATH) or shutil.which("nft")
    if os.geteuid() != 0 or program is None or shutil.which("ip") is None or shutil.which("setpriv") is None:
        pytest.skip("needs root, nft, ip and setpriv")
    namespace = f"v2gadm{os.getpid() % 100_000}"
    made = subprocess.run(("ip", "netns", "add", namespace), capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
    try:
        table = f"table inet {TABLE} {{\n set {PLC_SET}evse2 {{ type ether_addr; flags timeout; timeout 60s; }}\n}}\n"
        inside = ("ip", "netns", "exec", namespace)
        subprocess.run((*inside, program, "-f", "-"), input=table, text=True, check=True)
        as_driver = (
            *("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"),
            *(
                "--inh-caps",
                "-all,+net_admin",
                "--ambient-caps",
                "-all,+net_admin",
                "--bounding-set",
                "-all,+net_admin",
            ),
        )
        probe = (sys.executable, "-m", "support.admission_probe", program, "evse2", f"{PLC_SET}evse2")
        done = subprocess.run((*inside, *as_driver, *probe), capture_output=True, text=True, cwd=TESTS, check=False)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
    finally:
        subprocess.run(("ip", "netns", "del", namespace), check=False)
    assert seen["uid"] == 65534
    assert seen["took_s"] < 1.0
    assert seen["admitted"] == [ONE]
    assert seen["refreshed"] is True
    assert seen["withdrawn"] == [OTHER]
    assert seen["run out"] == []
    assert "is no PLC link of the configuration" in seen["no set"]
