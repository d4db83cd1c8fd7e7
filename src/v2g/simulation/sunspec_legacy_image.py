"""The simulated inverter by the older SunSpec models: 1, 103, 120, 121, 122, 123 and 124 from address 40000.

SunSpec counts injected power positive; the sign turns here, as in :mod:`v2g.simulation.sunspec_image`. The device
keeps its power as near to zero as the window of its rates allows; both rates are percentages of WChaMax.
"""

from __future__ import annotations

import math
import threading

from v2g.hardware.sunspec.codec import ModelImage, load_model
from v2g.simulation.inverter import SimInverter
from v2g.simulation.sunspec_registers import SunSpecRegisters, power_exponent

MODELS = (1, 103, 120, 121, 122, 123, 124)
_OFF, _STARTING, _RUNNING, _FAULT, _STANDBY = 1, 3, 4, 7, 8
_PV_AND_STORAGE = 82
_OPERATING = 0b111
_CHARGE, _DISCHARGE = 0b01, 0b10
_GRID = 1
_SCALES: dict[int, dict[str, int]] = {
    103: {"A_SF": -1, "V_SF": -1, "Hz_SF": -2, "PF_SF": -1, "WH_SF": 0, "Tmp_SF": -1},
    120: {"ARtg_SF": -1, "PFRtg_SF": -2},
    121: {"VRef_SF": -1, "VRefOfs_SF": -1, "WGra_SF": 0},
    123: {"WMaxLimPct_SF": -2, "OutPFSet_SF": -3},
    124: {"WChaDisChaGra_SF": 0, "InOutWRte_SF": -2},
}
_POWER_SCALES = {
    103: ("W_SF", "VA_SF", "VAr_SF", "DCW_SF"),
    120: ("WRtg_SF", "VARtg_SF", "VArRtg_SF", "MaxChaRte_SF", "MaxDisChaRte_SF"),
    121: ("WMax_SF", "VAMax_SF"),
    124: ("WChaMax_SF",),
}
_ALARM_BITS = {"GROUND_FAULT": 0, "AC_DISCONNECT": 2, "GRID_DISCONNECT": 4, "OVER_TEMP": 7, "AC_UNDER_VOLT": 11}
_OTHER_ALARM = 15


class LegacyImage(SunSpecRegisters):
    """For one :class:`SimInverter`."""

    def __init__(self, inverter: SimInverter, serial: str, lock: threading.RLock) -> None:
        super().__init__({number: ModelImage.blank(load_model(number)) for number in MODELS}, MODELS, lock)
        self._inverter = inverter
        self._enabled = False
        self._identify("V2G-Storage-22", serial)
        self._write_ratings()

    def _show(self, now_s: float) -> None:
        self._inverter.check_timer(now_s)
        if self._enabled and not self._inverter.enabled:
            self._enabled = False
            self._open_window()
        self._write_measurements(now_s)
        self._images[122].set("ECPConn", int(self._inverter.connected))

    def _take(self, number: int, names: list[str], now_s: float) -> bool:
        image = self._images[number]
        if number == 121 and "WGra" in names:
            self._inverter.ramp_pct_s = max(1.0, image.number("WGra") or 0.0)
        if number == 123:
            self._inverter.permit_service = image.integer("Conn") == 1
            self._inverter.limit_enabled = image.integer("WMaxLim_Ena") == 1
            self._inverter.limit_pct = min(100.0, image.number("WMaxLimPct") or 0.0)
        if number == 124:
            out_pct, in_pct = image.number("OutWRte"), image.number("InWRte")
            if out_pct is None or in_pct is None:
                return False
            self._take_rates(out_pct, in_pct, image.integer("StorCtl_Mod") or 0, now_s)
        return True

    def _take_rates(self, out_pct: float, in_pct: float, mode: int, now_s: float) -> None:
        inverter, base_w = self._inverter, self._inverter.rated_w
        most_w = in_pct / 100.0 * base_w if mode & _CHARGE else base_w
        least_w = -out_pct / 100.0 * base_w if mode & _DISCHARGE else -base_w
        inverter.setpoint_w = max(least_w, min(most_w, 0.0))
        inverter.reversion_s = self._images[124].integer("InOutWRte_RvrtTms") or 0
        inverter.enable(mode != 0, now_s)
        self._enabled = mode != 0

    def _open_window(self) -> None:
        storage = self._images[124]
        for name, value in (("StorCtl_Mod", 0), ("OutWRte", 100), ("InWRte", 100)):
            storage.set(name, value)

    def _write_ratings(self) -> None:
        inverter, rated_w = self._inverter, self._inverter.rated_w
        for number, scales in _SCALES.items():
            for name, exponent in scales.items():
                self._images[number].set(name, exponent)
        for number, names in _POWER_SCALES.items():
            for name in names:
                self._images[number].set(name, power_exponent(rated_w))
        values: dict[int, dict[str, float]] = {
            120: {
                "DERTyp": _PV_AND_STORAGE,
                "WRtg": rated_w,
                "VARtg": rated_w,
                **{f"VArRtgQ{quadrant}": rated_w for quadrant in (1, 2, 3, 4)},
                "ARtg": rated_w / inverter.nominal_voltage_v / 3.0,
                "MaxChaRte": inverter.max_charge_w,
                "MaxDisChaRte": inverter.max_discharge_w,
            },
            121: {"WMax": rated_w, "VRef": inverter.nominal_voltage_v, "VRefOfs": 0, "VAMax": rated_w, "WGra": 100},
            122: {"PVConn": 0, "StorConn": _OPERATING, "ECPConn": 0},
            123: {"Conn": 1, "WMaxLimPct": 100, "WMaxLim_Ena": 0, "OutPFSet": 1, "OutPFSet_Ena": 0, "VArPct_Ena": 0},
            124: {
                "WChaMax": rated_w,
                "WChaGra": 100,
                "WDisChaGra": 100,
                "InOutWRte_WinTms": 0,
                "InOutWRte_RvrtTms": 0,
                "InOutWRte_RmpTms": 0,
                "ChaGriSet": _GRID,
            },
        }
        for number, points in values.items():
            for name, value in points.items():
                self._images[number].set(name, value)
        self._open_window()

    def _write_measurements(self, now_s: float) -> None:
        inverter, measure = self._inverter, self._images[103]
        state = _RUNNING if abs(inverter.power_w) > 50.0 else _STANDBY
        if not inverter.connected:
            state = _STARTING if inverter.enter_service_remaining_s(now_s) > 0 else _OFF
        events = 0
        if inverter.voltage_v < 0.5 * inverter.nominal_voltage_v and not inverter.connected:
            events |= 1 << _ALARM_BITS["GRID_DISCONNECT"]
        if inverter.tripped is not None:
            state = _FAULT
            events |= 1 << _ALARM_BITS.get(inverter.tripped, _OTHER_ALARM)
        apparent_va = math.hypot(inverter.power_w, inverter.reactive_var)
        phase_a = min(3000.0, abs(inverter.power_w) / 3.0 / max(inverter.voltage_v, 1.0))
        for name, value in (
            ("W", -inverter.power_w),
            ("VA", apparent_va),
            ("VAr", 0.0 - inverter.reactive_var),
            ("PF", 100.0 * abs(inverter.power_w) / apparent_va if apparent_va > 0 else 100.0),
            ("Hz", inverter.frequency_hz),
            ("WH", inverter.exported_wh),
            ("DCW", 0.0 - inverter.dc_power_w(inverter.power_w)),
            ("TmpCab", 25.0),
            ("TmpSnk", inverter.bridge.temperature_c),
            ("A", min(3000.0, 3.0 * phase_a)),
            ("St", state),
            ("Evt1", events),
            ("Evt2", 0),
        ):
            measure.set(name, value)
        for phase, pair in (("A", "AB"), ("B", "BC"), ("C", "CA")):
            measure.set(f"Aph{phase}", phase_a)
            measure.set(f"PhVph{phase}", inverter.voltage_v)
            measure.set(f"PPVph{pair}", inverter.voltage_v * 3**0.5)
