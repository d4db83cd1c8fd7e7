from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.tick_site import PlayedWaveform, Site, SlowBreaker, synthesise

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    def make(segments: Sequence[dict[str, Any]], sample_rate_hz: int = 3840, **changes: Any) -> Site:
        waveform = PlayedWaveform(synthesise(segments, sample_rate_hz), sample_rate_hz)
        return Site(waveform, SlowBreaker(), tmp_path / "trip-latch.json", **changes)

    return make
