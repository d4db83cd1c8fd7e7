"""Where every picture of a replay begins and ends: matplotlib, loaded only when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from v2g.replay.stimulus import ReplayError


def new_figure(path: Path, width_in: float = 11.0, height_in: float = 8.0) -> Any:
    """A figure without a screen. Raises :class:`~v2g.replay.stimulus.ReplayError` where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        raise ReplayError(f"{path}: pictures need matplotlib; install v2g-orchestrator[replay]") from None
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """A PNG, or what the suffix says. Raises :class:`~v2g.replay.stimulus.ReplayError`."""
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise ReplayError(f"{path}: {error}; name a .png in a directory that can be written") from None
