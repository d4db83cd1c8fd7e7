"""Entry of ``v2g-guard quality``."""

from __future__ import annotations

import os
from pathlib import Path


def main(config_dir: Path) -> int:
    """Run ``quality`` until SIGTERM or SIGINT. Returns the exit code: 0, or 2 for the configuration."""
    # Before numpy is imported: a pool of workers would compete with the tick.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from v2g.guard.quality_process import run_process

    return run_process(config_dir)
