"""Catalogue: the trip elements, and trips themselves."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import Entry

_OPENS = "Opens the breaker, commands every inverter to zero and latches the trip, also across restarts."
_GRID_BACK = (
    "Wait until the grid is back inside the enter-service window, then v2g-control trip reset. If it trips again and "
    "again, compare power_quality.log with the utility's records."
)
_OVER_VOLTAGE = (
    "Wait until the voltage is back, then v2g-control trip reset. If it recurs while vehicles discharge, the feeder's "
    "impedance is too high for the power: lower max_discharge_w, or enable functions.volt_watt or volt_var."
)
_V_CLAUSE = "IEEE 1547-2018 6.4.1, Tables 11 to 13"
_F_CLAUSE = "IEEE 1547-2018 6.5.1, Table 18"

TRIPS: tuple[Entry, ...] = (
    Entry(
        "TRIP",
        "A protection element has operated: the quantity stayed beyond its threshold for its clearing time, less the "
        "breaker's opening time.",
        _OPENS,
        "Read element, phase, value and limit in the line; v2g-tool explain ELEMENT says more. "
        "v2g-control trip reset releases the latch once the enter-service conditions hold.",
        "IEEE 1547-2018 6.4.1 and 6.5.1",
    ),
    Entry("OV1", "Over-voltage, first element: moderate and slow.", _OPENS, _OVER_VOLTAGE, _V_CLAUSE),
    Entry(
        "OV2",
        "Over-voltage, second element: above 1.20 per unit, cleared within 0.16 s in every category.",
        _OPENS,
        _OVER_VOLTAGE,
        _V_CLAUSE,
    ),
    Entry("UV1", "Under-voltage, first element: a sag that lasted too long.", _OPENS, _GRID_BACK, _V_CLAUSE),
    Entry("UV2", "Under-voltage, second element: a deep sag or a dead bus.", _OPENS, _GRID_BACK, _V_CLAUSE),
    Entry("OF1", "Over-frequency, first element: 61.2 Hz for 300 s by default.", _OPENS, _GRID_BACK, _F_CLAUSE),
    Entry("OF2", "Over-frequency, second element: 62.0 Hz for 0.16 s by default.", _OPENS, _GRID_BACK, _F_CLAUSE),
    Entry("UF1", "Under-frequency, first element: 58.5 Hz for 300 s by default.", _OPENS, _GRID_BACK, _F_CLAUSE),
    Entry("UF2", "Under-frequency, second element: 56.5 Hz for 0.16 s by default.", _OPENS, _GRID_BACK, _F_CLAUSE),
    Entry(
        "U>",
        "Over-voltage of a European example profile; where the profile says so, of the ten-minute mean.",
        _OPENS,
        _OVER_VOLTAGE,
    ),
    Entry("U>>", "Fast over-voltage of a European example profile.", _OPENS, _OVER_VOLTAGE),
    Entry("U<", "Under-voltage of a European example profile.", _OPENS, _GRID_BACK),
    Entry("U<<", "Fast under-voltage of a European example profile.", _OPENS, _GRID_BACK),
    Entry("f>", "Over-frequency of a European example profile.", _OPENS, _GRID_BACK),
    Entry("f<", "Under-frequency of a European example profile.", _OPENS, _GRID_BACK),
    Entry("f<2", "Second, faster under-frequency element of the G99 example profile.", _OPENS, _GRID_BACK),
    Entry(
        "LOM",
        "Loss of mains: the input says that the upstream switch is open (or cannot be read), or, in a profile that has "
        "it, the frequency changed too fast.",
        _OPENS + " An unintentional island must not live for longer than 2 s.",
        "Close the upstream switch, or repair the input at protection.mains_input_path; then v2g-control trip reset.",
        "IEEE 1547-2018 8.1",
        ("Loss of mains",),
    ),
    Entry(
        "50",
        "Instantaneous (definite-time) over-current of the place named: the V2G feeder or the transformer.",
        _OPENS,
        "Find and clear the fault before v2g-control trip reset. Check protection.feeder or .transformer "
        "instantaneous_pu against the inverters' short-circuit current and the transformer's inrush.",
        also=("50 feeder", "50 transformer"),
    ),
    Entry(
        "51",
        "Inverse-time over-current of the place named: beyond pick-up for longer than its curve allows.",
        _OPENS + " Before that, from 100 % of rating on, power is curtailed.",
        "Find the load or the fault, then v2g-control trip reset. Curve and pick-up: protection.feeder, .transformer.",
        also=("51 feeder", "51 transformer"),
    ),
    Entry(
        "PHASE_MISMATCH",
        "With the breaker closed, the inverter side of a phase stood at another angle than the grid side for the set "
        "number of cycles. The breaker's two sides are the same node then: it is a swapped or wrongly wired phase or "
        "transducer.",
        _OPENS,
        "Check the wiring of the phase named: inverter-side and bus voltage transducers, rotation and polarity. A "
        "steady small angle is the transducers' own: measure it with v2g-tool --calibrate-pll. Then "
        "v2g-control trip reset.",
        "Limit by default: IEEE 1547-2018 4.10.4, Table 5",
        ("Phase Mismatch",),
    ),
    Entry(
        "EMERGENCY_STOP",
        "The emergency stop was pressed: its contact was open for two ticks (20 ms).",
        _OPENS + " Inverters go to zero and every contactor opens; vehicles' sessions end.",
        "Find out who pressed it and why, release it, then v2g-control trip reset; while it is pressed a reset is "
        "refused.",
        also=("emergency stop",),
    ),
    Entry(
        "DOOR",
        "The door's contact was open for two ticks (20 ms).",
        _OPENS,
        "See that nobody is inside, close it, then v2g-control trip reset.",
    ),
    Entry(
        "WINDING_STRESS",
        "The winding's mechanical stress was beyond interlocks.winding_stress_limit_mpa for "
        "interlocks.winding_stress_s.",
        _OPENS,
        "Compare the sensor with a second one, have the transformer examined, then v2g-control trip reset.",
    ),
    Entry(
        "LATCH_FILE",
        "The file that keeps a trip across restarts could not be read; a trip may have been latched.",
        "Treats it as a trip: the breaker stays open.",
        "Look into power_quality.log for what had tripped, repair the state directory, then v2g-control trip reset.",
    ),
)
