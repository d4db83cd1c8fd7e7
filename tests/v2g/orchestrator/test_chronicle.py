"""What is written down beside the control cycle, and what a new run makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.control_world import World
from v2g.guard.quality_report import REPORT_FILE, QualityReport
from v2g.orchestrator.chronicle import Chronicle
from v2g.telemetry.history import read_minutes
from v2g.thermal.engine import EngineMemory


@pytest.fixture
def chronicle(world: World, log_of: Any, tmp_path: Path) -> Chronicle:
    return Chronicle(world.site.config, tmp_path / "history.sqlite", tmp_path / REPORT_FILE, log_of())


def cycles(world: World, chronicle: Chronicle, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        world.run(1)
        chronicle.on_cycle(world.site, world.clock.monotonic_s())


def test_a_new_run_takes_up_temperatures_and_loss_of_life(
    world: World, chronicle: Chronicle, log_of: Any, tmp_path: Path
) -> None:
    chronicle.start()
    cycles(world, chronicle, 130.0)
    chronicle.close(world.site, world.clock.monotonic_s())
    log = log_of()
    again = Chronicle(world.site.config, tmp_path / "history.sqlite", tmp_path / REPORT_FILE, log).recall()
    assert log.codes() == []
    assert world.site.image is not None
    view = world.site.image.transformer
    assert again.estimator is not None
    assert again.ageing is not None
    assert again.forecast is not None
    assert again.estimator.theta_o_c == pytest.approx(view.top_oil_c)
    assert again.ageing.total_h > 0.0
    rows = list(read_minutes(tmp_path / "history.sqlite", 0, 1 << 40))
    assert rows
    assert rows[-1].top_oil_c == pytest.approx(view.top_oil_c, abs=1.0)


def test_a_first_run_begins_with_nothing_and_says_nothing(chronicle: Chronicle) -> None:
    assert chronicle.recall() == EngineMemory()


def test_a_broken_history_is_said_and_the_run_begins_anew(world: World, log_of: Any, tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"no database " * 100)
    log = log_of()
    chronicle = Chronicle(world.site.config, tmp_path / "history.sqlite", tmp_path / REPORT_FILE, log)
    assert chronicle.recall() == EngineMemory()
    assert set(log.codes()) == {"THERMAL_MEMORY_LOST"}


def test_memory_that_another_version_wrote_is_said_and_left(world: World, log_of: Any, tmp_path: Path) -> None:
    log = log_of()
    chronicle = Chronicle(world.site.config, tmp_path / "history.sqlite", tmp_path / REPORT_FILE, log)
    chronicle.start()
    cycles(world, chronicle, 2.0)
    chronicle._history.keep("thermal", b'{"estimator": "hot"}')
    chronicle._history.close()
    assert chronicle.recall().estimator is None
    assert log.codes() == ["THERMAL_MEMORY_LOST"]


def test_harmonics_of_the_quality_process_reach_the_engine(world: World, chronicle: Chronicle, tmp_path: Path) -> None:
    def told(as_of_s: float) -> None:
        orders = ((200.0, 200.0, 200.0), *[(0.0, 0.0, 0.0)] * 3, (40.0, 40.0, 40.0))
        report = QualityReport(as_of_s=as_of_s, transformer_harmonics_a=orders)
        (tmp_path / REPORT_FILE).write_bytes(msgspec.json.encode(report))

    told(world.clock.monotonic_s())
    cycles(world, chronicle, 3.0)
    assert world.site.image is not None
    assert world.site.image.transformer.f_hl == pytest.approx(2.0 / 1.04)
    cycles(world, chronicle, 10.0)
    assert world.site.image.transformer.f_hl is None, "the report is old"


def test_a_fault_in_writing_down_stops_no_cycle_and_is_told_once(
    world: World, log_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of()
    chronicle = Chronicle(world.site.config, tmp_path / "history.sqlite", tmp_path / REPORT_FILE, log)

    def broken(*_: object) -> None:
        raise ValueError("no such figure")

    monkeypatch.setattr(world.site.model, "memory", broken)
    cycles(world, chronicle, 3.0)
    assert log.codes() == ["CHRONICLE_FAILED"]
    assert "no such figure" in log.lines[0][2]
