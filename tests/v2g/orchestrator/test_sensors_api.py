"""sensors.list, sensors.reload and sensors.calibrate, with a guard and a wires of a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from v2g.clock import ManualClock
from v2g.config.loader import load
from v2g.config.protection import settings_digest
from v2g.config.sensors import calibrated, sample_factors
from v2g.control.messages import NoParams
from v2g.control.messages_sensors import SensorLine, SensorsCalibrateParams, SensorsCalibrateResult
from v2g.control.server import Caller, Refused, Role
from v2g.guard.interlocks import Interlock
from v2g.guard.link import Image, Reloaded, SensorState
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.tick_commands import CommandReply
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.guard_link import GuardLink
from v2g.orchestrator.sensors_api import SensorsApi

ALICE = Caller(uid=1000, gid=1000, pid=1, user="alice", role=Role.ENGINEER)
E1 = "US*V2G*E1"
MAIN = {
    "site": {"id": "s1"},
    "transformer": {"id": "T1", "rated_kva": 250},
    "grid": {"nominal_voltage_v": 277},
    "relay": {"setting_pu": 1.1, "delay_s": 14.0, "feedback_path": "/run/v2g/relay"},
    "evses": [
        {
            "id": E1,
            "kind": "DC",
            "interface": "evse1",
            "inverter": {
                "modbus": {"host": "10.0.0.1"},
                "voltage_channels": ["v_evse1_a", "v_evse1_b", "v_evse1_c"],
            },
            "dc": {"modbus": {"host": "10.0.1.1"}},
        }
    ],
}
MAP = f"""\
sensors:
  top_oil_c: {{source: {{modbus: {{host: 192.0.2.10, register: 0}}}}, scale: 0.1, unit: °C, range: [-40, 150]}}
  ambient_c: {{source: {{file: /sys/ambient}}, unit: °C, range: [-40, 70]}}
  v_bus_a: {{source: {{buffer: v_bus_a}}, unit: V, range: [0, 600]}}
  v_inv_b: {{source: {{buffer: v_inv_b}}, unit: V, range: [0, 600]}}
  v_evse1_a: {{source: {{buffer: v_evse1_a}}, unit: V, range: [0, 600]}}
  i_v2g_c: {{source: {{buffer: i_v2g_c}}, unit: A, range: [0, 2000]}}
  i_tr_a: {{source: {{buffer: i_tr_a}}, unit: A, range: [0, 2000]}}
  door: {{source: {{contact: /run/v2g-io/door}}}}
  relay: {{source: {{contact: /run/v2g/relay}}}}
  pilot_high_v@{E1}: {{source: {{file: /sys/pilot}}, unit: V, range: [-15, 15]}}
"""


class Plant:
    """Truth, transducers with gains, a guard and a ``wires`` that adopt what the files say; time by ``pause``."""

    def __init__(self, folder: Path) -> None:
        self.config_dir = folder / "etc"
        (self.config_dir / "conf.d").mkdir(parents=True)
        (self.config_dir / "v2g.yaml").write_text(yaml.safe_dump(MAIN))
        self.map_file = self.config_dir / "sensor_map.conf"
        self.map_file.write_text(MAP, encoding="utf-8")
        self.clock = ManualClock(1000.0)
        self.truth = {"v_bus_a": 277.0, "v_inv_b": 277.0, "i_v2g_c": 12.0, "i_tr_a": 90.0, "top_oil_c": 65.2}
        self.gains: dict[str, float] = {}
        self.noise: dict[str, float] = {}
        self.refuses: dict[str, str] = {}
        self.asked: list[str] = []
        self.guard_changes: dict[str, Any] = {}
        self.after_adoption: dict[str, float] = {}
        self.connected = True
        loaded = load(self.config_dir)
        self._tick, self._wires = loaded, loaded
        self.audited: list[dict[str, Any]] = []
        self.changes = Changes()
        self.api = SensorsApi(
            loaded,
            GuardLink(self, self, self.clock),
            self.reload,
            self.image,
            self.clock,
            lambda code, message, /, **fields: self.audited.append({"code": code, **fields}),
            self.changes,
            self.pause,
        )

    async def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def raw(self, name: str) -> float:
        wobble = self.noise.get(name, 0.0) * (1 if round(self.clock.monotonic_s() / 0.02) % 2 else -1)
        return (self.truth[name] + wobble) * self.gains.get(name, 1.0)

    def __call__(self, command: str, by: str, /, **fields: object) -> CommandReply:
        self.asked.append(f"{command} {by}")
        if command in self.refuses:
            return CommandReply(accepted=False, message=self.refuses[command])
        self._tick = load(self.config_dir)
        self.truth |= self.after_adoption
        return CommandReply(accepted=True, message="", digest=self.digest)

    @property
    def digest(self) -> str:
        return settings_digest(self._tick.config, self._tick.sensors)

    async def reload(self, by: str) -> Reloaded:
        self.asked.append(f"wires {by}")
        if "wires" in self.refuses:
            return Reloaded(id=1, accepted=False, message=self.refuses["wires"])
        self._wires = load(self.config_dir)
        return Reloaded(id=1, accepted=True, message="10 channels are in force")

    def read(self, now_s: float) -> GuardStatus:
        factors = sample_factors(self._tick.config, self._tick.sensors)

        def shown(name: str) -> float:
            return self.raw(name) * factors.get(name, (1.0, 0.0))[0]

        fields: dict[str, Any] = {
            "as_of_s": now_s,
            "permit": Permit.GRANTED,
            "breaker_commanded_closed": True,
            "breaker_closed": True,
            "measured": True,
            "relay_closed": True,
            "v_pu": (shown("v_bus_a") / 277.0, 1.0, 1.0),
            "inverter_v_pu": (1.0, shown("v_inv_b") / 277.0, 1.0),
            "feeder_a": (12.0, 12.0, shown("i_v2g_c")),
            "transformer_a": (shown("i_tr_a"), 90.0, 90.0),
            "interlocks": Interlock.DOOR,
            "settings_digest": self.digest,
        }
        return GuardStatus(**{**fields, **self.guard_changes})

    def image(self) -> Image | None:
        if not self.connected:
            return None
        now_s = self.clock.monotonic_s()
        raw = round(self.raw("top_oil_c") * 10)
        channel = self._wires.sensors.get("top_oil_c")
        assert channel is not None
        value = raw * channel.scale * calibrated(self._wires.config).get("top_oil_c", 1.0)
        return Image(
            sequence=1,
            as_of_s=now_s,
            permit=True,
            permit_reason="",
            sensors=(
                SensorState(name="top_oil_c", value=value, as_of_s=now_s - now_s % 1.0, raw=raw),
                SensorState(name="ambient_c", value=None, as_of_s=now_s - 9.0, raw=20.0, problem="cannot be read"),
            ),
        )

    async def calibrate(self, name: str, reference: float, unit: str, person: str = "Bob") -> SensorsCalibrateResult:
        params = SensorsCalibrateParams(name=name, reference=reference, unit=unit, acknowledge=person)
        return await self.api.calibrate(params, ALICE)

    async def lines(self) -> dict[str, SensorLine]:
        return {line.name: line for line in (await self.api.list(NoParams(), ALICE)).sensors}

    @property
    def dropin(self) -> dict[str, Any] | None:
        file = self.config_dir / "conf.d" / "80-calibration.yaml"
        return yaml.safe_load(file.read_text()) if file.exists() else None


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_viewers_look_engineers_change(plant: Plant) -> None:
    assert {method.name: method.role for method in plant.api.methods()} == {
        "sensors.list": Role.VIEWER,
        "sensors.reload": Role.ENGINEER,
        "sensors.calibrate": Role.ENGINEER,
    }


class TestReload:
    async def test_wires_and_then_the_guard_read_again(self, plant: Plant) -> None:
        plant.map_file.write_text(MAP.replace("{buffer: v_bus_a}", "{buffer: v_bus_a}, scale: 1.02"))
        result = await plant.api.reload(NoParams(), ALICE)
        assert (result.message, result.digest) == ("10 channels are in force", plant.digest)
        assert plant.asked == ["wires alice", "adopt_settings alice"]
        assert (await plant.lines())["v_bus_a"].value == pytest.approx(277.0 * 1.02)

    async def test_files_with_a_mistake_are_told_to_nobody(self, plant: Plant) -> None:
        plant.map_file.write_text(MAP.replace("scale: 0.1", "scale: 0"))
        with pytest.raises(Refused, match=r"sensors\.top_oil_c\.scale") as refused:
            await plant.api.reload(NoParams(), ALICE)
        assert refused.value.code == "CONFIG"
        assert plant.asked == []

    async def test_what_wires_refuses_is_not_asked_of_the_guard(self, plant: Plant) -> None:
        plant.refuses["wires"] = "no, said wires"
        with pytest.raises(Refused, match="no, said wires; nothing was changed"):
            await plant.api.reload(NoParams(), ALICE)
        assert plant.asked == ["wires alice"]

    async def test_a_guard_that_refuses_after_all_is_said_plainly(self, plant: Plant) -> None:
        plant.refuses["adopt_settings"] = "the breaker is too slow"
        with pytest.raises(
            Refused, match="wires works by what was read, v2g-guard tick does not: the breaker"
        ) as error:
            await plant.api.reload(NoParams(), ALICE)
        assert error.value.code == "HALF_RELOADED"

    async def test_only_one_change_at_a_time(self, plant: Plant) -> None:
        async def meanwhile() -> None:
            with pytest.raises(Refused, match="the phase is being calibrated; try again") as refused:
                await plant.api.reload(NoParams(), ALICE)
            assert refused.value.code == "BUSY"

        await plant.changes.alone("the phase is being calibrated", meanwhile)
        await plant.api.reload(NoParams(), ALICE)


class TestCalibration:
    @pytest.mark.parametrize(
        ("name", "gain", "reference", "unit"),
        [("v_bus_a", 0.97, 277.0, "V"), ("v_inv_b", 1.04, 277.0, "V"), ("i_v2g_c", 0.95, 12.0, "A")],
    )
    async def test_a_channel_of_the_buffer_is_measured_written_adopted_and_right(
        self, plant: Plant, name: str, gain: float, reference: float, unit: str
    ) -> None:
        plant.gains[name] = gain
        result = await plant.calibrate(name, reference, unit)
        assert result.changed
        assert result.before == pytest.approx(reference * gain)
        assert result.after == pytest.approx(reference, rel=1e-5)
        assert (result.factor_before, result.factor_after) == (1.0, pytest.approx(1 / gain, rel=1e-5))
        assert result.by == "alice, Bob answers for it"
        assert plant.dropin == {
            "calibration": {
                "sensors": {
                    name: {
                        "factor": result.factor_after,
                        "reference": f"{reference:g} {unit}",
                        "measured": f"{reference * gain:.6g} {unit}",
                        "by": "alice, Bob answers for it",
                        "at": result.at,
                    }
                }
            }
        }
        assert plant.asked == ["adopt_settings alice"]
        assert plant.audited[0]["acknowledged_by"] == "Bob"
        line = (await plant.lines())[name]
        assert line.factor == result.factor_after
        assert line.factor_from == result.file
        assert line.calibrated_by == result.by

    async def test_a_temperature_goes_by_wires_only(self, plant: Plant) -> None:
        plant.gains["top_oil_c"] = 0.95
        result = await plant.calibrate("top_oil_c", 65.2, "°C")
        assert result.after == pytest.approx(65.2, abs=0.1)
        assert plant.asked == ["wires alice"]

    async def test_the_same_reference_again_changes_nothing(self, plant: Plant) -> None:
        plant.gains["v_bus_a"] = 0.97
        first = await plant.calibrate("v_bus_a", 277.0, "V")
        written = plant.dropin
        plant.asked.clear()
        again = await plant.calibrate("v_bus_a", 277.1, "V")
        assert not again.changed
        assert "no change: it is within 0.277 V of the reference" in again.words
        assert again.factor_after == first.factor_after
        assert (plant.dropin, plant.asked, again.file) == (written, [], "")

    async def test_a_second_calibration_builds_on_the_first(self, plant: Plant) -> None:
        plant.gains["v_bus_a"] = 0.97
        await plant.calibrate("v_bus_a", 277.0, "V")
        plant.gains["v_bus_a"] = 0.98
        result = await plant.calibrate("v_bus_a", 277.0, "V")
        assert (result.factor_before, result.factor_after) == (
            pytest.approx(1 / 0.97, rel=1e-5),
            pytest.approx(1 / 0.98, rel=1e-5),
        )

    @pytest.mark.parametrize(
        ("name", "reference", "unit", "code", "words"),
        [
            ("v_bus_x", 277.0, "V", "UNKNOWN_SENSOR", "there are top_oil_c, ambient_c"),
            ("v_bus_a", 277.0, "A", "WRONG_UNIT", "measured in V, not in A: give the reference like 277V"),
            ("top_oil_c", 12.0, "°C", "NEAR_ZERO", "Adjust offset in .*sensor_map.conf:2 by hand"),
            ("v_bus_a", float("nan"), "V", "NEAR_ZERO", "too near zero"),
            ("v_bus_a", 200.0, "V", "FACTOR_OUT_OF_RANGE", "wiring, another phase or a wrong ratio"),
            ("v_bus_a", -277.0, "V", "FACTOR_OUT_OF_RANGE", "outside 0.9 to 1.1"),
            ("i_v2g_c", 1.0, "A", "NEAR_ZERO", "at least 5 A"),
            ("v_evse1_a", 277.0, "V", "RMS_NOT_TOLD", "does not tell the RMS value of v_evse1_a"),
            ("door", 1.0, "V", "NO_FACTOR", "is a contact"),
            (f"pilot_high_v@{E1}", 12.0, "V", "NO_FACTOR", "IEC 61851-1"),
            ("ambient_c", 25.0, "°C", "NOT_MEASURED", "ambient_c is not measured: cannot be read"),
        ],
    )
    async def test_what_cannot_be_calibrated_is_refused_with_the_reason(
        self, plant: Plant, name: str, reference: float, unit: str, code: str, words: str
    ) -> None:
        with pytest.raises(Refused, match=words) as refused:
            await plant.calibrate(name, reference, unit)
        assert refused.value.code == code
        assert (plant.dropin, plant.asked) == (None, [])

    async def test_a_voltage_that_is_not_there_is_near_zero(self, plant: Plant) -> None:
        plant.gains["v_inv_b"] = 0.0
        with pytest.raises(Refused, match="what is measured, 0 V, is too near zero"):
            await plant.calibrate("v_inv_b", 277.0, "V")

    async def test_without_a_name_or_a_live_guard_nothing_is_done(self, plant: Plant) -> None:
        with pytest.raises(Refused, match="qualified person"):
            await plant.calibrate("v_bus_a", 277.0, "V", person=" ")
        plant.guard_changes["measured"] = False
        with pytest.raises(Refused, match="no measurement"):
            await plant.calibrate("v_bus_a", 270.0, "V")
        plant.connected = False
        with pytest.raises(Refused, match="v2g-guard-wires is not connected"):
            await plant.calibrate("top_oil_c", 66.0, "°C")
        assert plant.dropin is None

    async def test_an_unsteady_current_is_refused(self, plant: Plant) -> None:
        plant.noise["i_v2g_c"] = 0.3
        with pytest.raises(Refused, match=r"not steady: 0\.6 A between") as refused:
            await plant.calibrate("i_v2g_c", 12.5, "A")
        assert refused.value.code == "NOT_STEADY"

    @pytest.mark.parametrize("name", ["v_bus_a", "top_oil_c"])
    async def test_what_does_not_hold_is_taken_back(self, plant: Plant, name: str) -> None:
        reference = {"v_bus_a": 270.0, "top_oil_c": 63.0}[name]
        before = plant.digest
        # What is measured moves away while it is calibrated.
        apply = plant.api._apply

        async def moved(*arguments: Any) -> Any:
            adopted = await apply(*arguments)
            plant.truth[name] *= 1.02
            return adopted

        plant.api._apply = moved  # type: ignore[method-assign]
        with pytest.raises(Refused, match="The calibration was taken back") as refused:
            await plant.calibrate(name, reference, "V" if name == "v_bus_a" else "°C")
        assert refused.value.code == "NOT_CALIBRATED"
        assert plant.dropin is None
        assert plant.digest == before
        assert plant.asked == [{"v_bus_a": "adopt_settings alice", "top_oil_c": "wires alice"}[name]] * 2

    @pytest.mark.parametrize(("name", "who"), [("v_bus_a", "adopt_settings"), ("top_oil_c", "wires")])
    async def test_what_cannot_be_taken_back_is_said(self, plant: Plant, name: str, who: str) -> None:
        apply = plant.api._apply

        async def moved(*arguments: Any) -> Any:
            adopted = await apply(*arguments)
            plant.truth[name] *= 1.02
            plant.refuses[who] = "gone"
            return adopted

        plant.api._apply = moved  # type: ignore[method-assign]
        with pytest.raises(Refused, match="still works by what it said: gone") as refused:
            await plant.calibrate(name, plant.truth[name] * 0.97, "V" if name == "v_bus_a" else "°C")
        assert refused.value.code == "NOT_TAKEN_BACK"
        assert plant.dropin is None

    @pytest.mark.parametrize(("name", "who"), [("v_bus_a", "adopt_settings"), ("top_oil_c", "wires")])
    async def test_what_is_not_adopted_is_taken_back(self, plant: Plant, name: str, who: str) -> None:
        plant.refuses[who] = "not today"
        unit = "V" if name == "v_bus_a" else "°C"
        with pytest.raises(Refused, match="did not adopt it: not today; nothing was changed"):
            await plant.calibrate(name, plant.truth[name] * 1.02, unit)
        assert plant.dropin is None

    @pytest.mark.parametrize(
        ("old", "new"), [("{buffer: v_bus_a}", "{buffer: v_bus_a}, scale: 1.02"), ("scale: 0.1", "scale: 0.2")]
    )
    async def test_hand_edits_that_are_not_in_force_come_first(self, plant: Plant, old: str, new: str) -> None:
        plant.map_file.write_text(MAP.replace(old, new))
        with pytest.raises(Refused, match="v2g-tool sensors reload") as refused:
            await plant.calibrate("v_bus_a", 270.0, "V")
        assert refused.value.code == "NOT_ADOPTED"
        assert plant.dropin is None
        await plant.api.reload(NoParams(), ALICE)
        assert (await plant.calibrate("v_inv_b", 280.0, "V")).changed


class TestList:
    async def test_each_channel_has_value_quality_and_source(self, plant: Plant) -> None:
        lines = await plant.lines()
        assert (lines["v_bus_a"].value, lines["v_bus_a"].unit, lines["v_bus_a"].quality) == (277.0, "V", "good")
        assert lines["top_oil_c"].value == pytest.approx(65.2)
        assert lines["top_oil_c"].source == "192.0.2.10:502 unit 1 input register 0"
        assert (lines["ambient_c"].quality, lines["ambient_c"].words) == ("old", "cannot be read")
        assert lines["v_evse1_a"].quality == "not told"
        assert (lines["door"].position, lines["relay"].position) == ("healthy", "closed")
        assert lines["door"].factor is None
        assert lines["top_oil_c"].scale_from.endswith("sensor_map.conf:2")
        assert lines[f"pilot_high_v@{E1}"].quality == "lost"

    async def test_open_unknown_and_implausible_are_said(self, plant: Plant) -> None:
        plant.guard_changes |= {"interlocks_open": Interlock.DOOR, "relay_closed": None}
        plant.gains |= {"v_bus_a": 3.0, "top_oil_c": 2.0}
        lines = await plant.lines()
        assert (lines["door"].position, lines["relay"].position, lines["relay"].quality) == ("open", "unknown", "lost")
        assert lines["v_bus_a"].quality == "implausible"
        assert "outside 0..600" in lines["v_bus_a"].words

    async def test_a_silent_guard_and_wires_leave_nothing_good(self, plant: Plant) -> None:
        plant.guard_changes["as_of_s"] = plant.clock.monotonic_s() - 1.0
        plant.connected = False
        lines = await plant.lines()
        assert {line.quality for line in lines.values()} == {"lost"}
        assert all(line.words for line in lines.values())

    async def test_files_that_say_something_else_are_remarked(self, plant: Plant) -> None:
        good = MAP.replace("{buffer: v_bus_a}", "{buffer: v_bus_a}, scale: 1.02")
        plant.map_file.write_text(good)
        assert "v2g-tool sensors reload" in (await plant.api.list(NoParams(), ALICE)).remarks[0]
        plant.map_file.write_text(good.replace("scale: 1.02", "scale: 0"))
        result = await plant.api.list(NoParams(), ALICE)
        assert "sensors.v_bus_a.scale" in result.remarks[0]
        assert len(result.sensors) == 10
