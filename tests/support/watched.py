"""A whole simulation from the moment before something is done to it: how long power flowed, and what was said."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from v2g.guard.status import GuardStatus
from v2g.guard.status_block import StatusReader

STAYS_ZERO_S = 2.0
PASSES_ZERO_S = 0.3
LATENESS_S = 0.15
"""What a machine without real-time scheduling may add to any of our times: the simulation's own waveform.max_age_s."""
LOGS = ("power_quality.log", "comms.log", "daemon.log")


@dataclass
class Watched:
    """``begin_s``: CLOCK_MONOTONIC; what is measured counts from it."""

    site: Any
    begin_s: float = field(default_factory=time.monotonic)
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes = {name: len(self.site.log(name)) for name in LOGS}

    def inject(self, faults: Iterable[Mapping[str, Any]]) -> None:
        self.begin_s = time.monotonic()
        for fault in faults:
            self.site.ask(do="fault", **fault)

    def step_of_frequency(self) -> None:
        self.site.fault("frequency", hz=62.5)
        self.begin_s = self.site.measure().grid.last_event_at_s

    def guard(self) -> GuardStatus:
        """As tick's own block says it, whoever else lives."""
        reader = StatusReader(self.site.run_dir / "guard-status")
        try:
            return reader.read(time.monotonic())
        finally:
            reader.close()

    def power_ends(self, limit_s: float) -> float:
        """How long it flowed; it has ended for good, within the limit."""
        # A vehicle that turns from discharge to charge passes zero on its way.
        self.site.wait_for(
            "no power",
            lambda: self.site.no_power() and time.monotonic() - self.site.last_power_at_s() > PASSES_ZERO_S,
            limit_s + 5.0,
        )
        lasted_s: float = max(0.0, self.site.last_power_at_s() - self.begin_s)
        end_s = time.monotonic() + STAYS_ZERO_S
        while time.monotonic() < end_s:
            assert self.site.no_power(), "power came back while the failure lasted"
            time.sleep(0.05)
        assert lasted_s <= limit_s
        return lasted_s

    def contact(self, limit_s: float | None) -> str:
        """Of the breaker: opened within the limit; None: it stays closed."""
        state = self.site.measure().breaker
        if limit_s is None:
            assert state.closed
            return "stays closed"
        assert not state.closed
        opened_s = (state.changed_at_s or 0.0) - self.begin_s
        assert 0.0 < opened_s <= limit_s
        return f"open after {opened_s:.3f}"

    def lines(self) -> list[list[str]]:
        """Time, level, code and the rest of what was logged since then."""
        lines = [line for name, size in self.sizes.items() for line in self.site.log(name)[size:].splitlines()]
        return [words for line in lines if len(words := line.split(" ", 3)) == 4]

    def told(self) -> list[tuple[str, str]]:
        """Time and code of what the guard and the daemon have warned of since then."""
        return [(at, code) for at, level, code, _ in self.lines() if level in ("WARNING:", "ERROR:")]

    def bound_by(self) -> list[str]:
        """What wires held set-points by since then, where the daemon did not take them back first; what holds EVSEs."""
        found = [re.search(r"bound by (\w+)", rest) for _, _, code, rest in self.lines() if code == "SETPOINT_BOUND"]
        bound = [each[1] for each in found if each]
        bound += [evse["bound_by"] for evse in self.site.status().get("evses", ()) if evse["bound_by"]]
        return list(dict.fromkeys(bound))

    def codes(self) -> list[str]:
        return list(dict.fromkeys(code for _, code in self.told()))

    def permit(self) -> str:
        guard = self.guard()
        return f"permit {guard.permit.name}" + (f" ({guard.trip_element})" if guard.trip_element else "")

    def epilogue(self) -> str:
        """Bounds and codes, for the end of a sentence."""
        bound = self.bound_by()
        return (f"; bound by {', '.join(bound)}" if bound else "") + f"; says {', '.join(self.codes()) or 'nothing'}"


def bring_back(site: Any) -> None:
    """Everything repaired, the latch reset as an operator would, -10 kW again."""
    site.clear()

    def ready() -> bool:
        guard = site.status().get("guard", {})
        if guard.get("permit") == "tripped":
            site.command("v2g-control", "trip", "reset", "--yes")
        return not guard.get("blocks") and bool(site.charge_loops())

    def granted() -> bool:
        site.command("v2g-control", "cancel", "--yes")
        return bool(site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW").returncode == 0)

    site.wait_for("all vehicles in the charge loop again", ready, 60.0)
    site.wait_for("discharge is granted", granted, 20.0)
    site.wait_for("-10 kW", lambda: site.steady(-10_000.0), 30.0)
    # Reversion must be armed and refreshed at its own pace, not by the change of set-point just made.
    time.sleep(1.5)
