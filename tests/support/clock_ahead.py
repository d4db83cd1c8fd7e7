"""A system clock that jumps, for processes of our own: ``clock_ahead.c`` preloaded into them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock_ahead.c")


class ShiftedClock:
    """Processes started with :attr:`environment` see CLOCK_REALTIME as :meth:`set` says; CLOCK_MONOTONIC goes on.

    Skips the test where there is no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler (cc) to build tests/support/clock_ahead.c with")
        library = folder / "clock_ahead.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True)
        self._file = folder / "ahead"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_AHEAD_FILE": str(self._file)}

    def set(self, ahead_s: int) -> None:
        """Whole seconds, from now on and for all of them at once."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{ahead_s}\n", encoding="ascii")
        written.replace(self._file)
