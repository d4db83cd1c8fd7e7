"""The picture of ``v2g-tool plc --png``: attenuation by carrier group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyiso15118.slac.attenuation import FIRST_MHZ, LAST_MHZ, group_mhz
from v2g.cli.plc_text import MARK_ABOVE_DB, moment
from v2g.control.messages_plc import PlcLine
from v2g.replay.picture import new_figure, save

_HEIGHT_IN = 3.2
_LEAST_TOP_DB = 40.0
_COLOUR, _MARKED = "#2f6db5", "#c23b22"


def draw(path: Path, lines: Sequence[PlcLine]) -> None:
    """One graph an EVSE, of those that have a measurement. Raises :class:`v2g.replay.stimulus.ReplayError`, also where
    there is none; an existing file is replaced."""
    measured = [(line, line.attenuation) for line in lines if line.attenuation is not None]
    figure = new_figure(path, height_in=_HEIGHT_IN * max(1, len(measured)))
    axes = figure.subplots(len(measured), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (line, attenuation) in zip(axes, measured, strict=True):
        groups = attenuation.groups_db
        edges = [group_mhz(number, len(groups)) for number in range(len(groups))]
        axis.bar(
            [low for low, _ in edges],
            groups,
            width=[high - low for low, high in edges],
            align="edge",
            color=[_MARKED if value > MARK_ABOVE_DB else _COLOUR for value in groups],
            edgecolor="white",
            linewidth=0.4,
        )
        axis.axhline(MARK_ABOVE_DB, color="#888888", lw=0.8, ls=":")
        axis.axhline(attenuation.average_db, color="#333333", lw=1.0, ls="--")
        axis.set(ylabel="attenuation, dB", ylim=(0.0, max(_LEAST_TOP_DB, *groups) * 1.05 if groups else _LEAST_TOP_DB))
        axis.set_title(
            f"{line.evse_id}: {line.state.value}; {attenuation.average_db:.1f} dB on average, "
            f"{attenuation.sounds} sounds, {moment(attenuation.at_unix_s)} UTC",
            fontsize=10,
        )
    axes[-1].set(xlabel="MHz", xlim=(FIRST_MHZ, LAST_MHZ))
    save(figure, path)
