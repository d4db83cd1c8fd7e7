"""Names of all checks, in their order. Light to import."""

from __future__ import annotations

CHECKS = (
    "configuration", "kernel", "realtime", "capabilities", "clock", "users", "units", "versions", "disk", "sockets",
    "led", "ipv6", "ports", "firewall", "certificates", "tls", "mesh-certificate", "waveform", "sensors", "inverters",
    "efficiency", "relay", "daemon",
)  # fmt: skip
OF_DAEMON = frozenset({
    "kernel", "realtime", "clock", "versions", "disk", "led", "configuration", "ipv6", "ports", "certificates", "tls",
    "mesh-certificate", "waveform", "sensors", "inverters", "efficiency", "relay",
})  # fmt: skip
"""Those that the daemon makes itself; the others need to see what its sandbox hides."""
NO_MORE_THAN_WARN = frozenset({
    "kernel", "realtime", "capabilities", "clock", "users", "units", "versions", "firewall",
})  # fmt: skip
"""In the simulation, which has to run on a laptop."""

ASKED = frozenset({
    "realtime", "disk", "led", "ipv6", "ports", "certificates", "tls", "mesh-certificate", "waveform", "sensors",
    "inverters", "efficiency", "relay",
})  # fmt: skip
"""Of those the command asks the daemon where it runs: by its user's rights, and by what only it knows."""
