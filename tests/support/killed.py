"""A process that dies before the n-th thing it does to a directory, as if it were killed there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KILLED = 99
_WATCHED = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def die_before(step: int, folder: Path) -> None:
    """In the process that is to die. Opening a file for writing counts, and whatever changes a name."""
    steps = 0

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal steps
        opened = event == "open" and isinstance(args[2], int) and args[2] & _WRITES
        if (event in _WATCHED or opened) and str(folder) in str(args[0]):
            if steps == step:
                os._exit(KILLED)
            steps += 1

    sys.addaudithook(watch)


def run_until(step: int, folder: Path, code: str) -> bool:
    """Whether ``code`` came to its end before its ``step``-th change of ``folder``."""
    program = f"from pathlib import Path\nfrom support.killed import die_before\n{code}"
    program = program.replace("# from here on", f"die_before({step}, Path({str(folder)!r}))")
    tests = Path(__file__).parents[1]
    environ = {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode not in (0, KILLED):
        raise AssertionError(done.stderr)
    return done.returncode == 0
