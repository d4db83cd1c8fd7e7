"""``python -m v2g.planning``: one PlanRequest as JSON on stdin, one Plan as JSON on stdout.

A process of its own, below all others in priority. Exit code 0: a plan, or its ``problem``; 1: HiGHS is missing;
2: the request cannot be read. What went wrong is said on stderr.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

import msgspec

from v2g.planning.planner import solve
from v2g.planning.types import PlanRequest

MOST_REQUEST_BYTES: Final = 16_000_000
"""500 vehicles with limits of their own in each of 288 steps are a third of it."""
_NICENESS: Final = 15


def main() -> int:
    began_s = os.times().elapsed
    # A sandbox may forbid it; then planning shares the processor as everybody does.
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    # HiGHS greets on stdout, whatever its options say.
    answer, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    data = sys.stdin.buffer.read(MOST_REQUEST_BYTES + 1)
    if len(data) > MOST_REQUEST_BYTES:
        return _fail(f"the request is longer than {MOST_REQUEST_BYTES} bytes", 2)
    try:
        request = msgspec.json.decode(data, type=PlanRequest)
    except msgspec.DecodeError as error:
        return _fail(f"the request is no PlanRequest: {error}", 2)
    try:
        plan = solve(request, lambda: os.times().elapsed - began_s)
    except ImportError as error:
        return _fail(f"{error}; install highspy (and numpy)", 1)
    with os.fdopen(answer, "wb") as out:
        out.write(msgspec.json.encode(plan))
    return 0


def _fail(words: str, code: int) -> int:
    sys.stderr.write(f"{words}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
