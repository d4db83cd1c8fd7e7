"""The simulated inverter on the wire: SunSpec models 1, 701 to 712, 714 and 715 from address 40000.

SunSpec counts injected power positive; the sign turns here and nowhere else in the simulation.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from v2g.hardware.sunspec.codec import ModelImage, load_model, load_repeated
from v2g.simulation import sunspec_curves
from v2g.simulation.inverter import SimInverter
from v2g.simulation.inverter_functions import PowerFactor
from v2g.simulation.sunspec_curves import StoredCurves
from v2g.simulation.sunspec_registers import SunSpecRegisters, power_exponent

MODELS = (1, 701, 702, 703, 704, *sunspec_curves.MODELS, 714, 715)
_RUNNING, _STANDBY, _STARTING, _FAULT, _OFF = 3, 7, 2, 6, 0
_THREE_PHASE = 2
_WATTS, _W_MAX_PCT, _VARS = 1, 0, 4
_SWITCHES = ("WSetEna", "WSetRvrtTms", "WMaxLimPctEna", "VarSetEna", "VarSetRvrtTms", "PFWInjEna", "PFWAbsEna")
_ALARM_BITS = {"GROUND_FAULT": 0, "AC_DISCONNECT": 2, "GRID_DISCONNECT": 4, "OVER_TEMP": 7, "AC_UNDER_VOLT": 11}
_MANUFACTURER_ALARM = 16
_VEHICLE_PORT, _PORT_ON = 2, 1
_REMOTE = 0
_HEARTBEAT_WRAP = 0x7FFFFFFF


class SunSpecImage(SunSpecRegisters):
    """For one :class:`SimInverter`. ``without_models``: what this device does not have."""

    def __init__(
        self,
        inverter: SimInverter,
        serial: str,
        lock: threading.RLock,
        without_models: frozenset[int] = frozenset(),
    ) -> None:
        self._inverter = inverter
        self.curves = StoredCurves(inverter.functions)
        images = {number: self.curves.images.get(number) or ModelImage.blank(load_model(number)) for number in MODELS}
        images[714] = ModelImage.blank(load_repeated(714, (1,)))
        super().__init__(images, [number for number in MODELS if number not in without_models], lock)
        self._identify("V2G-BiDi-22", serial)
        self._write_ratings()
        self._takers: dict[str, Callable[[float, float], None]] = {
            "704.WSet": self._take_wset,
            "704.WSetPct": self._take_wset_pct,
            "704.WSetEna": self._take_enable,
            "704.WSetRvrt": self._take_revert,
            "704.WSetPctRvrt": self._take_revert_pct,
            "704.WSetEnaRvrt": self._take_revert_enable,
            "704.WSetRvrtTms": self._take_reversion_time,
            "704.WMaxLimPctEna": self._take_limit_enable,
            "704.WMaxLimPct": self._take_limit,
            "704.WRmp": self._take_ramp,
            "703.ES": self._take_permit,
            "703.ESDlyTms": self._take_delay,
            "703.ESVHi": self._take_high_voltage,
            "703.ESVLo": self._take_low_voltage,
            "703.ESHzHi": self._take_high_frequency,
            "703.ESHzLo": self._take_low_frequency,
            "703.ESRndTms": self._take_random,
            "703.ESRmpTms": self._take_service_ramp,
            "704.AntiIslEna": self._take_anti_islanding,
            "704.VarSet": self._take_var,
            "704.VarSetEna": self._take_var_enable,
            "704.VarSetRvrt": self._take_var_revert,
            "704.VarSetEnaRvrt": self._take_var_revert_enable,
            "704.VarSetRvrtTms": self._take_var_reversion_time,
            "715.ControllerHb": self._take_heartbeat,
            "702.WChaRteMax": self._take_max_charge,
            "702.WDisChaRteMax": self._take_max_discharge,
        }

    def _show(self, now_s: float) -> None:
        self.curves.settle(now_s)
        self._write_measurements(now_s)
        self._write_ports()
        self._write_controls(now_s)
        self._write_heartbeat(now_s)

    def _take(self, number: int, names: list[str], now_s: float) -> bool:
        if number in self.curves.images:
            for name in names:
                self.curves.written(number, name, now_s)
            return True
        # A switch comes after the values that it brings into force.
        for name in sorted(names, key=lambda name: name in _SWITCHES):
            if name.startswith("PFW"):
                self._take_power_factor(name)
            taker = self._takers.get(f"{number}.{name}")
            if taker is None:
                continue
            value = self._images[number].number(name)
            if value is None:
                return False
            taker(value, now_s)
        return True

    def _writable(self, number: int, name: str) -> bool:
        own = super()._writable(number, name)
        return own and (number not in self.curves.images or self.curves.writable(number, name))

    # ---- what is shown ------------------------------------------------------------------------------------------

    def _write_ratings(self) -> None:
        inverter, capacity = self._inverter, self._images[702]
        exponent = power_exponent(inverter.rated_w)
        for image, names in (
            (capacity, ("W_SF", "VA_SF", "Var_SF")),
            (self._images[701], ("W_SF", "VA_SF", "Var_SF")),
            (self._images[714], ("DCW_SF",)),
        ):
            for name in names:
                image.set(name, exponent)
        for name in ("WMaxRtg", "VAMaxRtg", "WChaRteMaxRtg", "WDisChaRteMaxRtg", "VAChaRteMaxRtg", "VADisChaRteMaxRtg"):
            capacity.set(name, inverter.rated_w)
        capacity.set("WMax", inverter.rated_w)
        capacity.set("VAMax", inverter.rated_w)
        for name in ("VarMaxInjRtg", "VarMaxAbsRtg"):
            capacity.set(name, inverter.rated_w)
        capacity.set("WChaRteMax", inverter.max_charge_w)
        capacity.set("WDisChaRteMax", inverter.max_discharge_w)
        capacity.set("V_SF", -1)
        capacity.set("A_SF", -1)
        capacity.set("VNomRtg", inverter.nominal_voltage_v)
        capacity.set("AMaxRtg", inverter.rated_w / inverter.nominal_voltage_v / 3.0)
        capacity.set("AbnOpCatRtg", 2)
        capacity.set("CtrlModes", 0b11)
        measure = self._images[701]
        for name, exponent in (
            ("V_SF", -1),
            ("A_SF", -1),
            ("Hz_SF", -3),
            ("PF_SF", -3),
            ("TotWh_SF", 0),
            ("Tmp_SF", -1),
        ):
            measure.set(name, exponent)
        measure.set("ACType", _THREE_PHASE)
        control = self._images[704]
        scales = (("WSet_SF", 0), ("WSetPct_SF", -1), ("WMaxLimPct_SF", -1), ("VarSet_SF", 0), ("PF_SF", -3))
        for name, exponent in scales:
            control.set(name, exponent)
        control.set("VarSetMod", _VARS)
        control.set("WSetMod", _WATTS)
        control.set("WSetPct", 0)
        control.set("WSetPctRvrt", 0)
        service = self._images[703]
        service.set("V_SF", -1)
        service.set("Hz_SF", -2)
        ports = self._images[714]
        for name, value in (("Tmp_SF", -1), ("PrtAlrms", 0), ("NPrt", 1), ("Prt[1].ID", 1)):
            ports.set(name, value)
        for name, value in (("PrtTyp", _VEHICLE_PORT), ("DCSta", _PORT_ON), ("DCAlrm", 0)):
            ports.set(f"Prt[1].{name}", value)
        ports.set("Prt[1].IDStr", "vehicle")
        for name in ("ControllerHb", "AlarmReset"):
            self._images[715].set(name, 0)
        self._images[715].set("LocRemCtl", _REMOTE)

    def _write_measurements(self, now_s: float) -> None:
        inverter, measure = self._inverter, self._images[701]
        faulty, running = inverter.tripped is not None, abs(inverter.power_w) > 50.0
        state = _RUNNING if running else _STANDBY
        if not inverter.connected:
            state = _STARTING if inverter.enter_service_remaining_s(now_s) > 0 else _OFF
        alarms = 0
        # While it rides through it is no fault to have no voltage.
        if inverter.voltage_v < 0.5 * inverter.nominal_voltage_v and not inverter.connected:
            alarms |= 1 << _ALARM_BITS["GRID_DISCONNECT"]
        if faulty:
            state = _FAULT
            alarms |= 1 << _ALARM_BITS.get(inverter.tripped or "", _MANUFACTURER_ALARM)
        measure.set("St", 0 if faulty else 1)
        measure.set("InvSt", state)
        measure.set("ConnSt", int(inverter.connected))
        measure.set("Alrm", alarms)
        measure.set("W", -inverter.power_w)
        apparent_va = math.hypot(inverter.power_w, inverter.reactive_var)
        measure.set("VA", apparent_va)
        measure.set("Var", 0.0 - inverter.reactive_var)
        measure.set("PF", abs(inverter.power_w) / apparent_va if apparent_va > 0 else 1.0)
        live_v = max(inverter.voltage_v, 1.0)
        phase_w = inverter.power_w / 3.0
        measure.set("A", min(3000.0, abs(inverter.power_w) / live_v))
        measure.set("LNV", inverter.voltage_v)
        measure.set("LLV", inverter.voltage_v * 3**0.5)
        measure.set("Hz", inverter.frequency_hz)
        measure.set("TmpSw", inverter.bridge.temperature_c)
        measure.set("TotWhInj", inverter.exported_wh)
        measure.set("TotWhAbs", inverter.imported_wh)
        for phase in ("L1", "L2", "L3"):
            measure.set(f"W{phase}", -phase_w)
            measure.set(f"A{phase}", min(3000.0, abs(phase_w) / live_v))
            measure.set(f"V{phase}", inverter.voltage_v)

    def _write_ports(self) -> None:
        ports, dc_w = self._images[714], self._inverter.dc_power_w(self._inverter.power_w)
        ports.set("DCW", 0.0 - dc_w)
        ports.set("Prt[1].DCW", 0.0 - dc_w)
        ports.set("Prt[1].Tmp", self._inverter.bridge.temperature_c)

    def _write_heartbeat(self, now_s: float) -> None:
        # A device whose own supervision is dead has no heart to show either.
        if not self._inverter.reversion_dead:
            self._images[715].set("DERHb", int(now_s) % _HEARTBEAT_WRAP)
        self._images[715].set("AlarmReset", 0)

    def _write_controls(self, now_s: float) -> None:
        inverter, control, service = self._inverter, self._images[704], self._images[703]
        inverter.check_timer(now_s)
        control.set("WSetEna", int(inverter.enabled))
        control.set("WSet", -inverter.setpoint_w)
        control.set("WSetRvrt", -inverter.revert_setpoint_w)
        control.set("WSetEnaRvrt", int(inverter.revert_enabled))
        control.set("WSetRvrtTms", inverter.reversion_s)
        control.set("WSetRvrtRem", inverter.reversion_remaining_s(now_s))
        control.set("WMaxLimPctEna", int(inverter.limit_enabled))
        control.set("WMaxLimPct", inverter.limit_pct)
        control.set("WRmp", inverter.ramp_pct_s)
        reactive = inverter.functions.var_set
        control.set("AntiIslEna", int(inverter.anti_islanding))
        control.set("VarSetEna", int(reactive.enabled))
        control.set("VarSet", reactive.var)
        control.set("VarSetRvrt", reactive.revert_var)
        control.set("VarSetEnaRvrt", int(reactive.revert_enabled))
        control.set("VarSetRvrtTms", reactive.reversion_s)
        control.set("VarSetRvrtRem", reactive.remaining_s(now_s))
        for group, factor in self._power_factors().items():
            control.set(f"{group}Ena", int(factor.enabled))
            control.set(f"{group}.PF", factor.pf)
            control.set(f"{group}.Ext", 0 if factor.over_excited else 1)
        service.set("ESRndTms", inverter.enter_service_random_s)
        service.set("ESRmpTms", inverter.enter_service_ramp_s)
        service.set("ES", int(inverter.permit_service))
        service.set("ESVHi", inverter.enter_service_high_pu * 100.0)
        service.set("ESVLo", inverter.enter_service_low_pu * 100.0)
        service.set("ESHzHi", inverter.enter_service_high_hz)
        service.set("ESHzLo", inverter.enter_service_low_hz)
        service.set("ESDlyTms", inverter.enter_service_delay_s)
        service.set("ESDlyRemTms", inverter.enter_service_remaining_s(now_s))

    # ---- what is taken ------------------------------------------------------------------------------------------

    def _mode_is_percent(self) -> bool:
        return self._images[704].integer("WSetMod") == _W_MAX_PCT

    def _take_wset(self, value: float, now_s: float) -> None:
        if not self._mode_is_percent():
            self._inverter.setpoint_w = 0.0 - value

    def _take_wset_pct(self, value: float, now_s: float) -> None:
        if self._mode_is_percent():
            self._inverter.setpoint_w = -value / 100.0 * self._inverter.rated_w

    def _take_enable(self, value: float, now_s: float) -> None:
        self._inverter.enable(value == 1, now_s)

    def _take_revert(self, value: float, now_s: float) -> None:
        self._inverter.revert_setpoint_w = 0.0 - value

    def _take_revert_pct(self, value: float, now_s: float) -> None:
        if self._mode_is_percent():
            self._inverter.revert_setpoint_w = -value / 100.0 * self._inverter.rated_w

    def _take_revert_enable(self, value: float, now_s: float) -> None:
        self._inverter.revert_enabled = value == 1

    def _take_reversion_time(self, value: float, now_s: float) -> None:
        self._inverter.arm_reversion(int(value), now_s)

    def _take_limit_enable(self, value: float, now_s: float) -> None:
        self._inverter.limit_enabled = value == 1

    def _take_limit(self, value: float, now_s: float) -> None:
        self._inverter.limit_pct = min(100.0, value)

    def _take_ramp(self, value: float, now_s: float) -> None:
        self._inverter.ramp_pct_s = max(1.0, value)

    def _power_factors(self) -> dict[str, PowerFactor]:
        functions = self._inverter.functions
        return {"PFWInj": functions.pf_injecting, "PFWAbs": functions.pf_absorbing}

    def _take_power_factor(self, name: str) -> None:
        """Whatever was written of a group: all of it is looked at again. A factor of 0 or above 1 is no factor."""
        control = self._images[704]
        for group, factor in self._power_factors().items():
            if not name.startswith(group):
                continue
            pf = control.number(f"{group}.PF")
            factor.pf = pf if pf is not None and 0.0 < pf <= 1.0 else factor.pf
            factor.over_excited = control.integer(f"{group}.Ext") != 1
            factor.enabled = control.integer(f"{group}Ena") == 1

    def _take_var(self, value: float, now_s: float) -> None:
        self._inverter.functions.var_set.var = value

    def _take_var_enable(self, value: float, now_s: float) -> None:
        self._inverter.functions.var_set.enabled = value == 1
        self._inverter.functions.var_set.start_timer(now_s)

    def _take_var_revert(self, value: float, now_s: float) -> None:
        self._inverter.functions.var_set.revert_var = value

    def _take_var_revert_enable(self, value: float, now_s: float) -> None:
        self._inverter.functions.var_set.revert_enabled = value == 1

    def _take_var_reversion_time(self, value: float, now_s: float) -> None:
        self._inverter.functions.var_set.reversion_s = int(value)
        self._inverter.functions.var_set.start_timer(now_s)

    def _take_anti_islanding(self, value: float, now_s: float) -> None:
        self._inverter.anti_islanding = value == 1

    def _take_random(self, value: float, now_s: float) -> None:
        self._inverter.enter_service_random_s = value

    def _take_service_ramp(self, value: float, now_s: float) -> None:
        self._inverter.enter_service_ramp_s = value

    def _take_heartbeat(self, value: float, now_s: float) -> None:
        self._inverter.beat(now_s)

    def _take_permit(self, value: float, now_s: float) -> None:
        self._inverter.permit_service = value == 1

    def _take_delay(self, value: float, now_s: float) -> None:
        self._inverter.enter_service_delay_s = value

    def _take_high_voltage(self, value: float, now_s: float) -> None:
        self._inverter.enter_service_high_pu = value / 100.0

    def _take_low_voltage(self, value: float, now_s: float) -> None:
        self._inverter.enter_service_low_pu = value / 100.0

    def _take_high_frequency(self, value: float, now_s: float) -> None:
        self._inverter.enter_service_high_hz = value

    def _take_low_frequency(self, value: float, now_s: float) -> None:
        self._inverter.enter_service_low_hz = value

    def _take_max_charge(self, value: float, now_s: float) -> None:
        self._inverter.max_charge_w = min(self._inverter.rated_w, value)

    def _take_max_discharge(self, value: float, now_s: float) -> None:
        self._inverter.max_discharge_w = min(self._inverter.rated_w, value)
