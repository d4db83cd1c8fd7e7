"""What a start used goes back to the system, seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from pathlib import Path
from v2g.host.memory import give_back

def dirty_kb():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))

# Small blocks with one that stays on top of them: the heap cannot shrink by itself.
blocks = [bytes(2000) for _ in range(10_000)]
last = bytes(2000)
before = dirty_kb()
blocks.clear()
held = dirty_kb()
give_back()
print(before, held, dirty_kb())
"""


def test_free_memory_below_what_stays_goes_back() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    before_kb, held_kb, after_kb = map(int, ended.stdout.split())
    assert before_kb - held_kb < 2_000
    assert before_kb - after_kb > 15_000
