"""The quality process corrects its samples by the factors that the guard adopted, and by no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.sensors import TOP_OIL
from v2g.config.loader import Loaded, load
from v2g.config.problems import ConfigError, Problem
from v2g.config.protection import settings_digest
from v2g.guard.quality_factors import LOOK_EVERY_S, FactorsInForce
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.sensor_map import Factors
from v2g.hardware.waveform import WaveformError
from v2g.telemetry import logs

CONFIG = """
site: {{id: test}}
transformer: {{id: T1, rated_kva: 250}}
grid: {{nominal_voltage_v: 277}}
relay: {{setting_pu: 1.1, feedback_path: /run/v2g/relay}}
calibration: {{sensors: {{{name}: {{factor: {factor}}}}}}}
evses:
  - {{id: "US*V2G*E1", interface: lo, inverter: {{modbus: {{host: h}}}}, dc: {{modbus: {{host: g}}}}}}
"""


class Rig:
    """``file`` is what is on the disk, ``digest`` what the guard says it works by."""

    def __init__(self, config_dir: Path) -> None:
        self._dir = config_dir
        self.file: Loaded | Exception = self.stated(1.02)
        self.digest = self.digest_of(self.file)
        self.corrected: list[Factors] = []
        self.loads = 0
        self.refusal: WaveformError | None = None
        self.now_s = 100.0
        self.factors = FactorsInForce(self.file, self.load, self)

    def stated(self, factor: float, name: str = "v_bus_a") -> Loaded:
        (self._dir / "v2g.yaml").write_text(CONFIG.format(name=name, factor=factor))
        (self._dir / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
        return load(self._dir)

    @staticmethod
    def digest_of(loaded: Loaded) -> str:
        return settings_digest(loaded.config, loaded.sensors)

    def load(self) -> Loaded:
        self.loads += 1
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def read(self, now_s: float) -> GuardStatus:
        return GuardStatus(
            as_of_s=now_s, permit=Permit.GRANTED, breaker_commanded_closed=True, breaker_closed=True,
            settings_digest=self.digest,
        )  # fmt: skip

    def correct(self, factors: Factors) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.corrected.append(factors)

    def follow(self, after_s: float = LOOK_EVERY_S) -> None:
        self.now_s += after_s
        self.factors.follow(self.now_s, self.correct)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], list[str]]:
    logs.configure(tmp_path)
    return lambda: [line for line in (tmp_path / "daemon.log").read_text().splitlines() if "QUALITY_FACTORS" in line]


def test_the_first_are_those_of_the_configuration_and_nothing_is_read_again_while_the_guard_keeps_its_own(
    rig: Rig,
) -> None:
    assert rig.factors.factors == {"v_bus_a": (1.02, 0.0)}
    for _ in range(5):
        rig.follow()
    rig.digest = ""
    rig.follow()
    assert (rig.loads, rig.corrected) == (0, [])


def test_what_the_guard_adopts_corrects_from_then_on_and_is_read_once(rig: Rig) -> None:
    rig.file = rig.stated(1.05)
    rig.digest = rig.digest_of(rig.file)
    rig.follow(LOOK_EVERY_S / 2)
    for _ in range(3):
        rig.follow()
    assert rig.corrected == [{"v_bus_a": (1.05, 0.0)}]
    assert rig.factors.factors == {"v_bus_a": (1.05, 0.0)}
    assert rig.loads == 1


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (ConfigError([Problem("v2g.yaml", "calibration", "5", "is no section", "write one")]), "is no section"),
        (OSError("no such device"), "no such device"),
        (None, "changed by hand; systemctl restart v2g-guard-quality takes it"),
    ],
)
def test_what_cannot_be_had_or_is_not_what_the_guard_adopted_is_told_once_and_changes_nothing(
    rig: Rig, told: Callable[[], list[str]], file: Exception | None, said: str
) -> None:
    rig.digest = rig.digest_of(rig.stated(1.07))
    rig.file = rig.stated(1.08) if file is None else file
    rig.follow()
    rig.follow()
    assert rig.corrected == []
    assert rig.factors.factors == {"v_bus_a": (1.02, 0.0)}
    (line,) = told()
    assert said in line


def test_a_channel_that_the_buffer_has_not_leaves_the_old_factors(rig: Rig, told: Callable[[], list[str]]) -> None:
    rig.file = rig.stated(1.05)
    rig.digest = rig.digest_of(rig.file)
    rig.refusal = WaveformError("it has no channel v_bus_a")
    rig.follow()
    assert rig.factors.factors == {"v_bus_a": (1.02, 0.0)}
    assert "it has no channel v_bus_a" in told()[0]
    rig.refusal = None
    rig.file = rig.stated(1.06)
    rig.digest = rig.digest_of(rig.file)
    rig.follow()
    assert rig.corrected == [{"v_bus_a": (1.06, 0.0)}]
