"""Which boot of this host it is."""

from __future__ import annotations

import os
from pathlib import Path

_FILE = Path("/proc/sys/kernel/random/boot_id")
_VARIABLE = "V2G_BOOT_ID"


def boot_id() -> str:
    """The kernel's boot id; where a sandbox hides it, what the unit says instead (``V2G_BOOT_ID=%b``), else empty.

    32 hexadecimal digits, without hyphens: as systemd writes it.
    """
    try:
        text = _FILE.read_text(encoding="ascii")
    except OSError:
        text = os.environ.get(_VARIABLE, "")
    return text.strip().replace("-", "")
