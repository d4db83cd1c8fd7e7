"""Catalogue: power quality."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_TELLS = "Tells it, with value and limit; nothing trips on power quality. "

QUALITY: tuple[Entry, ...] = (
    Entry(
        "THD_HIGH",
        "Total harmonic distortion of the bus voltage, of the fundamental, above power_quality.thd_v_limit_pct for a "
        "second.",
        _TELLS,
        "See whether it falls when the vehicles stop: if so look at TRD_HIGH and HARMONIC_HIGH, else at other loads or "
        "the utility.",
    ),
    Entry("THD_BACK", "The voltage distortion is within its limit again.", "Tells duration and worst value.", NOTHING),
    Entry(
        "TRD_HIGH",
        "Total rated-current distortion of the V2G feeder, sqrt(Irms^2 - I1^2) over RATED current, above "
        "power_quality.trd_limit_pct.",
        _TELLS,
        "Find the inverter by stopping them one by one; a wrong rated current (protection.feeder.rated_a) shows too.",
        "IEEE 1547-2018 7.3",
    ),
    Entry("TRD_BACK", "The current distortion is within its limit again.", "Tells duration and worst value.", NOTHING),
    Entry(
        "HARMONIC_HIGH",
        "One harmonic of the V2G feeder's current, order= in the line, above its own limit in per cent of rated "
        "current. What lies within 5 Hz belongs to the harmonic.",
        _TELLS,
        "As for TRD_HIGH. Orders that the voltage has too may be the grid's: compare harmonics_v_pct.",
        "IEEE 1547-2018 7.3",
    ),
    Entry("HARMONIC_BACK", "The harmonic is within its limit again.", "Tells duration and worst value.", NOTHING),
    Entry(
        "RAPID_VOLTAGE_CHANGE",
        "The one-cycle RMS of a phase moved by more than power_quality.rapid_change_limit_pct of nominal within one "
        "second.",
        _TELLS,
        "If it comes with a step of the vehicles' power: lower their ramp or the power. Else: motor starts, switching.",
        "IEEE 1547-2018 7.2.2",
    ),
    Entry(
        "FLICKER_HIGH",
        "Flicker severity over ten minutes (Pst) or two hours (Plt) above its limit, severity= in the line. Measured "
        "by IEC 61000-4-15; ten minutes with a dip in them do not count.",
        _TELLS,
        "Power that goes up and down is the usual cause: compare with the orders and set-points of the time.",
        "IEEE 1547-2018 7.2.3",
    ),
    Entry("FLICKER_BACK", "The flicker is within its limit again.", "Tells duration and worst value.", NOTHING),
    Entry(
        "UNBALANCE_HIGH",
        "Negative over positive sequence of the voltage above 2 %.",
        _TELLS,
        "Single-phase load on one phase, a blown fuse, or a transducer with a wrong scale.",
        "EN 50160 (IEEE 1547 has no limit)",
    ),
    Entry("UNBALANCE_BACK", "The unbalance is within its limit again.", "Tells duration and worst value.", NOTHING),
    Entry(
        "DC_INJECTION",
        "Direct current of the V2G feeder above 0.5 % of rated current.",
        _TELLS,
        "An inverter's current sensor drifts, or our own transducer does: compare at zero power with the breaker open.",
        "IEEE 1547-2018 7.1",
    ),
    Entry("DC_INJECTION_BACK", "The direct current is within its limit again.", "Tells duration.", NOTHING),
    Entry(
        "HARMONIC_FILTER",
        "An inverter's harmonic filter (PWM carrier frequency or vendor's level) was moved and has come to rest; the "
        "line has the THD of the V2G feeder's current, of the fundamental, before and after.",
        "Moves it up a step at a time while the THD exceeds the threshold, back when less will do, when the threshold "
        "is lifted, when the switches are too hot, or when nothing is measured for a minute.",
        "Nothing needs to be done. v2g-tool harmonics shows the spectrum; v2g-tool --set-harmonic-filter sets the "
        "threshold.",
    ),
    Entry(
        "HARMONIC_FILTER_LIMITED",
        "The THD exceeds the threshold and an inverter's filter goes no further, for the reason in the line: its "
        "temperature limit, an unknown temperature, the end of its range, or a device that refuses.",
        "Leaves it where it is and tries again when the reason is gone; the other inverters go on.",
        "Temperature: less power, or better cooling. Unknown temperature: map switch_temperature_c. End of range: the "
        "distortion may be the grid's; compare with v2g-tool harmonics --quantity v. Device: comms.log has its words.",
    ),
    Entry(
        "PQ_SUMMARY",
        "The interval of power_quality.summary_every_s: lowest/mean/highest of voltage, frequency, THD, TRD, unbalance "
        "and direct current; Pst and Plt of phases A/B/C; events by code; how much of it was measured; up to which "
        "harmonic the sample rate allows. pst_disturbed: the ten minutes held a dip.",
        "Writes one line an interval, and one at its end.",
        NOTHING,
        "IEEE 1547-2018 Table 3 and clause 7",
    ),
    Entry(
        "PQ_NOT_MEASURED",
        "Power quality is not measured: there are no samples, or they cannot be believed.",
        "Waits; summaries say how much was measured. Protection is not touched: that is the tick's.",
        "Check the sampling process and waveform.buffer_path.",
    ),
    Entry("PQ_MEASURED", "Power quality is measured again.", "Goes on; flicker settles for a minute.", NOTHING),
    Entry(
        "QUALITY_NOT_PUBLISHED",
        "quality.json could not be written into the run directory.",
        "Goes on measuring; status shows no power quality.",
        "Make the directory writable for user v2g-guard.",
    ),
    Entry(
        "GUARD_QUALITY_ENDED",
        "The power quality process was stopped.",
        "Wrote a last summary.",
        "systemctl start v2g-guard-quality.",
    ),
)
