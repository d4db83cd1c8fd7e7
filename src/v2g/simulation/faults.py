"""What can be made to go wrong in the plant, as data: from the plant socket or a scenario file.

``{"fault": "frequency", "hz": 62.5}``. A fault may carry ``for_s``: it clears itself after that time. Devices are
named ``inverter <EVSE id>``, ``dc <EVSE id>``, ``ac <EVSE id>`` and ``transducers``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from v2g.simulation.switchgear import Stuck

_BUILT_IN = Path(__file__).parent / "scenarios"


class FaultError(ValueError):
    """A fault that cannot be applied; the message says why and what is known."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """Base. ``for_s``: seconds until the fault clears itself; None: until ``clear``."""

    for_s: float | None = None


class Stall(Fault, frozen=True, kw_only=True, tag="stall"):
    """The device accepts connections and requests and never answers."""

    device: str


class Late(Fault, frozen=True, kw_only=True, tag="late"):
    """The device answers after ``delay_s``."""

    device: str
    delay_s: float = 2.0


class Garbage(Fault, frozen=True, kw_only=True, tag="garbage"):
    """The device answers with bytes that are not Modbus."""

    device: str


class Disconnect(Fault, frozen=True, kw_only=True, tag="disconnect"):
    """The device is gone from the network."""

    device: str


class Refuse(Fault, frozen=True, kw_only=True, tag="refuse"):
    """The device answers every request with a Modbus exception."""

    device: str
    exception: int = 4


class WrongUnit(Fault, frozen=True, kw_only=True, tag="wrong_unit"):
    """The device answers as another unit than it was asked."""

    device: str
    unit: int = 99


class WrongLength(Fault, frozen=True, kw_only=True, tag="wrong_length"):
    """The device answers a read with ``by`` registers more (or less, below zero) than asked for."""

    device: str
    by: int = -1


class Tear(Fault, frozen=True, kw_only=True, tag="tear"):
    """Values that span more than one register are shown half old, half new, in every ``every``-th read."""

    device: str
    every: int = 3


class Lie(Fault, frozen=True, kw_only=True, tag="lie"):
    """The device shows these values instead of the truth, in the point's own unit and sign."""

    device: str
    values: dict[str, float]


class Deaf(Fault, frozen=True, kw_only=True, tag="deaf"):
    """The inverter accepts and shows set-points and does not act on them."""

    evse_id: str


class NoReversion(Fault, frozen=True, kw_only=True, tag="no_reversion"):
    """The inverter's reversion timer does not count."""

    evse_id: str


class InverterTrip(Fault, frozen=True, kw_only=True, tag="inverter_trip"):
    """The inverter stops with a fault of its own."""

    evse_id: str
    text: str = "OVER_TEMP"


class EvseTrip(Fault, frozen=True, kw_only=True, tag="evse_trip"):
    """The EVSE stops with a fault of its own, in the words of its register map."""

    evse_id: str
    text: str = "emergency stop pressed"


class SensorLoss(Fault, frozen=True, kw_only=True, tag="sensor_loss"):
    """``top_oil_c``, ``ambient_c``, ``winding_c``, ``winding_stress_mpa``, or a waveform channel such as ``v_bus_a``.

    Or the whole waveform buffer: ``waveform`` (its writer lives and writes no more), ``waveform_writer`` (it ended;
    when the fault clears, another one makes a new buffer), ``waveform_frozen`` (the last samples again and again).
    """

    sensor: str


class BreakerStuck(Fault, frozen=True, kw_only=True, tag="breaker_stuck"):
    """The V2G breaker does not follow: ``closed`` does not open, ``open`` does not close (and opens)."""

    state: Stuck = Stuck.CLOSED


class Frequency(Fault, frozen=True, kw_only=True, tag="frequency"):
    """Step to ``hz``, or a ramp of ``ramp_hz_s``."""

    hz: float
    ramp_hz_s: float | None = None


class Voltage(Fault, frozen=True, kw_only=True, tag="voltage"):
    """Step to ``pu`` of nominal: one value, or one for each of the phases a, b, c."""

    pu: float | list[float]


class PhaseJump(Fault, frozen=True, kw_only=True, tag="phase_jump"):
    """A jump of the phase angle, one value or three."""

    degrees: float | list[float]


class PhaseOffset(Fault, frozen=True, kw_only=True, tag="phase_offset"):
    """The inverter-side voltage transducers show an angle that leads the truth by ``degrees``: one value or three.

    ``evse_id``: those at its inverter's own terminals; None: the feeder's.
    """

    degrees: float | list[float]
    evse_id: str | None = None


class PhaseSwap(Fault, frozen=True, kw_only=True, tag="phase_swap"):
    """Two conductors between breaker and inverters are exchanged: ``{phases: [b, c]}``; with ``evse_id`` only there."""

    phases: tuple[Literal["a", "b", "c"], Literal["a", "b", "c"]]
    evse_id: str | None = None


class RelayFault(Fault, frozen=True, kw_only=True, tag="relay"):
    """The hardware over-voltage relay: ``state`` closed does not open any more, open does not close and opens;
    ``feedback: false``: its position is not told."""

    state: Stuck = Stuck.NO
    feedback: bool = True


class RelayTest(Fault, frozen=True, kw_only=True, tag="relay_test"):
    """The relay's test button is held: it measures 105 % of its setting."""


class MainsLoss(Fault, frozen=True, kw_only=True, tag="mains_loss"):
    """The upstream switch opens: an island, or a dead bus. ``told: false``: the loss-of-mains input says nothing."""

    told: bool = True


class InsulationLoss(Fault, frozen=True, kw_only=True, tag="insulation"):
    """The resistance between the DC conductors and earth."""

    evse_id: str
    ohm: float = 20_000.0


class ContactorStuck(Fault, frozen=True, kw_only=True, tag="contactor"):
    """The EVSE's contactors: ``open`` do not close, ``closed`` are welded."""

    evse_id: str
    state: Stuck


class PilotFault(Fault, frozen=True, kw_only=True, tag="pilot"):
    """The control pilot at the EVSE: what is given replaces the truth. ``lost``: the device measures none any more."""

    evse_id: str
    high_v: float | None = None
    low_v: float | None = None
    duty_pct: float | None = None
    frequency_hz: float | None = None
    earth_ohm: float | None = None
    lost: bool = False


class Overdraw(Fault, frozen=True, kw_only=True, tag="overdraw"):
    """An AC vehicle that takes (or gives, below zero) this power whatever it is told."""

    evse_id: str
    power_w: float


class Interlock(Fault, frozen=True, kw_only=True, tag="interlock"):
    """``emergency_stop`` pressed, ``door`` open; ``told: false``: its contact is not told any more."""

    name: Literal["emergency_stop", "door"]
    told: bool = True


class Distortion(Fault, frozen=True, kw_only=True, tag="distortion"):
    """Harmonic distortion of an inverter's current at its normal carrier frequency, share of the fundamental."""

    thd: float
    evse_id: str | None = None
    """None: of every inverter."""


class SwitchTemperature(Fault, frozen=True, kw_only=True, tag="switch_temperature"):
    """The inverter's switches are at this temperature, whatever they carry."""

    evse_id: str
    temperature_c: float


class Efficiency(Fault, frozen=True, kw_only=True, tag="efficiency"):
    """The inverter's efficiency, 0..1, both directions."""

    evse_id: str
    value: float


class SensorGain(Fault, frozen=True, kw_only=True, tag="sensor_gain"):
    """A transducer shows ``gain`` times the truth: a waveform channel, a temperature or the winding stress."""

    sensor: str
    gain: float


class PreCharge(Fault, frozen=True, kw_only=True, tag="precharge"):
    """The output settles at ``gain`` times its target."""

    evse_id: str
    gain: float = 0.85


class Ambience(Fault, frozen=True, kw_only=True, tag="set"):
    """No fault, but conditions: what is given is set."""

    base_load_w: float | None = None
    """Negative: customers feed in. Its reactive power follows by the power factor."""
    power_factor: float | None = None
    base_load_var: float | None = None
    """Holds until a power factor is set."""
    harmonic_5: float | None = None
    """Share of the base load's fundamental current, 0..1."""
    harmonic_7: float | None = None
    ambient_c: float | None = None
    top_oil_c: float | None = None
    winding_c: float | None = None
    winding_stress_mpa: float | None = None


class Profile(Fault, frozen=True, kw_only=True, tag="profile"):
    """No fault, but conditions over thermal time: ``base_load_w: [[minute, W], ...]``, straight lines between.

    Minutes count from now; after the last point its value stays. A ``set`` of the same condition ends it.
    """

    base_load_w: list[tuple[float, float]] | None = None
    ambient_c: list[tuple[float, float]] | None = None


class Clear(Fault, frozen=True, kw_only=True, tag="clear"):
    """End every fault (conditions stay)."""


AnyFault = (
    Stall
    | Late
    | Garbage
    | Disconnect
    | Refuse
    | WrongUnit
    | WrongLength
    | Tear
    | Lie
    | Deaf
    | NoReversion
    | InverterTrip
    | EvseTrip
    | SensorLoss
    | BreakerStuck
    | Frequency
    | Voltage
    | PhaseJump
    | PhaseOffset
    | PhaseSwap
    | RelayFault
    | RelayTest
    | MainsLoss
    | InsulationLoss
    | ContactorStuck
    | PilotFault
    | Overdraw
    | Interlock
    | Distortion
    | SwitchTemperature
    | Efficiency
    | SensorGain
    | PreCharge
    | Ambience
    | Profile
    | Clear
)


def parse_fault(data: Any) -> AnyFault:
    """A fault from plain JSON or YAML values. Raises :class:`FaultError`."""
    try:
        fault: AnyFault = msgspec.convert(data, AnyFault)
    except msgspec.ValidationError as error:
        raise FaultError(f"{data!r}: {error}") from error
    return fault


class ScenarioStep(msgspec.Struct, frozen=True, kw_only=True):
    """``at_s`` seconds after the plant's start."""

    at_s: float
    fault: AnyFault


def find_scenario(name: str) -> Path:
    """The file ``name``, or the built-in scenario of that name. Raises :class:`FaultError`."""
    path = Path(name)
    if path.is_file():
        return path
    built_in = {file.stem: file for file in sorted(_BUILT_IN.glob("*.yaml"))}
    if name not in built_in:
        raise FaultError(f"scenario {name!r}: neither a file nor a built-in one ({', '.join(built_in)})")
    return built_in[name]


def load_scenario(path: Path) -> tuple[ScenarioStep, ...]:
    """A YAML list of ``- {at: 12.0, fault: frequency, hz: 62.5}``, in order of time.

    Raises :class:`FaultError` naming file, entry and reason.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FaultError(f"scenario {path}: {error}") from error
    if data is None:
        return ()
    if not isinstance(data, list):
        raise FaultError(f"scenario {path}: must be a list of entries '- {{at: 12.0, fault: ...}}'")
    steps = []
    for number, entry in enumerate(data, start=1):
        if not isinstance(entry, dict) or "at" not in entry:
            raise FaultError(f"scenario {path}, entry {number}: needs 'at' (seconds from the start) and 'fault'")
        fields = {str(key): value for key, value in entry.items()}
        at_s = fields.pop("at")
        if isinstance(at_s, bool) or not isinstance(at_s, int | float) or at_s < 0:
            raise FaultError(f"scenario {path}, entry {number}: 'at' must be a number of seconds >= 0, not {at_s!r}")
        try:
            steps.append(ScenarioStep(at_s=float(at_s), fault=parse_fault(fields)))
        except FaultError as error:
            raise FaultError(f"scenario {path}, entry {number}: {error}") from error
    return tuple(sorted(steps, key=lambda step: step.at_s))
