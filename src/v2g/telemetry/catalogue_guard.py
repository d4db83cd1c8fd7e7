"""Catalogue: what the guard sees, does and is told, besides trips."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_STARTS_OVER = "Opens the breaker; enter service starts over once the cause is gone."
_ENTER = "IEEE 1547-2018 4.10, Table 4"

GUARD: tuple[Entry, ...] = (
    Entry(
        "FREQUENCY_WARNING",
        "The frequency is more than grid.alarm_window_hz (0.5 Hz) away from nominal.",
        "Warns, and lets no new discharge begin until ten seconds after the frequency is back; vehicles that exchange "
        "power go on. It never trips. The window of 0.5 Hz is for alarm and for entering service. IEEE 1547-2018 has "
        "a DER operate continuously from 58.8 to 61.2 Hz and ride through 57.0 to 61.8 Hz for 299 s: one that trips "
        "at 59.5 Hz breaches it, and takes generation away just when the grid lacks it. Trips are UF1, UF2, OF1, OF2.",
        "None, unless the utility asks. Often: compare the frequency with a second meter.",
        "IEEE 1547-2018 6.5.1 Table 18, 6.5.2 Table 19, 4.10.2 Table 4",
        ("0.5 Hz", "frequency window"),
    ),
    Entry(
        "FREQUENCY_BACK",
        "The frequency is inside the alarm window again.",
        "Lets discharge begin after ten seconds more.",
        NOTHING,
        "IEEE 1547-2018 4.10.2",
    ),
    Entry(
        "VOLTAGE_WARNING",
        "A phase is outside the continuous operating region (0.88 to 1.10 per unit of nominal in IEEE 1547).",
        "Warns. Whether power goes on is the ride-through region's matter, whether it trips the element's.",
        "If it recurs: tap of the transformer, load of the feeder, the utility. High while vehicles discharge: "
        "functions.volt_watt or volt_var.",
        "IEEE 1547-2018 6.4.2, Tables 14 to 16",
    ),
    Entry("VOLTAGE_BACK", "Every phase is inside the continuous region again.", "Goes on.", NOTHING),
    Entry(
        "RIDE_THROUGH",
        "A disturbance began or ended while in service: voltage or frequency left continuous operation without a trip.",
        "Keeps the breaker closed. In mandatory and permissive operation power goes on; in momentary cessation and "
        "cease it is zero until the voltage is back.",
        "None. The line of its end has duration and extremes, for the utility.",
        "IEEE 1547-2018 6.4.2 and 6.5.2, Tables 14 to 16 and 19",
    ),
    Entry(
        "PHASE_JUMP",
        "The grid's phase angle has jumped: a switching in the network.",
        "Rides through, up to 20 degrees in the positive sequence and 60 degrees in one phase; frequency and its rate "
        "are not believed until it has left the window.",
        NOTHING,
        "IEEE 1547-2018 6.5.2",
    ),
    Entry(
        "ENTER_SERVICE",
        "The breaker was commanded closed after the grid held the enter-service window for its delay, or it waits for "
        "what the line names.",
        "Closes when the conditions hold; then power ramps up.",
        "While it waits: v2g-tool status shows what for and how long.",
        _ENTER,
    ),
    Entry(
        "TRIP_RESET",
        "A person has released the trip latch.",
        "Enter service begins.",
        NOTHING,
        _ENTER,
    ),
    Entry(
        "TRIP_RESET_REFUSED",
        "A trip reset was asked for while the enter-service conditions do not hold.",
        "Stays tripped.",
        "The line names the condition; ask again when it holds.",
        _ENTER,
    ),
    Entry(
        "TRIP_LATCHED",
        "The guard has started and finds a trip of before.",
        "Keeps the breaker open.",
        "Find the cause of that trip, then v2g-control trip reset.",
    ),
    Entry(
        "TRIP_NOT_KEPT",
        "The trip could not be written to the state directory.",
        "Stays tripped, but a restart would forget it.",
        "Make the path named writable for user v2g-guard; look at the disk.",
    ),
    Entry(
        "WAVEFORM_STALE",
        "There are no fresh, believable samples of the grid: the writer is late, gone or torn, or a channel is stuck, "
        "clipped or not a number. The line says which.",
        "Opens the breaker within the clearing times: what is not measured cannot be protected.",
        "Check the sampling process and waveform.buffer_path; then the transducer of the channel named.",
    ),
    Entry(
        "WAVEFORM_BACK",
        "The grid is measured again.",
        "Enter service starts over.",
        NOTHING,
        _ENTER,
    ),
    Entry(
        "CURRENTS_DEAD",
        "A transformer current channel shows no noise at all beside a live bus.",
        "The load counts as unknown: no V2G power.",
        "Check the current transformer, its shorting link and the converter. A current transformer must never be "
        "opened under load.",
    ),
    Entry("CURRENTS_BACK", "The transformer currents are measured again.", "Uses them again.", NOTHING),
    Entry(
        "GUARD_STALLED",
        "The guard or the whole host stood still; the breaker's watchdog may have opened it.",
        _STARTS_OVER,
        "Look for what took the processor: GUARD_NOT_REALTIME at the start, suspend, a virtual machine's pause.",
    ),
    Entry(
        "BREAKER_OPENED_BY_ITSELF",
        "It is held closed and its contact says open, or nothing.",
        _STARTS_OVER,
        "A relay, a person or its driver has opened it; with no word at all, check the feedback's wiring.",
        also=("BREAKER_OPENED",),
    ),
    Entry(
        "BREAKER_FAILED_TO_OPEN",
        "It is commanded open and its contact still says closed after its opening time.",
        "Stops every inverter and opens every contactor in its place.",
        "Open it by hand, keep it locked, repair it. Check breaker.opening_time_s if it opens late.",
        "IEEE 1547-2018 6.4.1",
    ),
    Entry(
        "BREAKER_OPENED_LATE",
        "The breaker that failed to open is open now.",
        "Goes on as after any opening.",
        "It was too slow to protect: test it before it serves again.",
    ),
    Entry(
        "RELAY_SETTING",
        "The hardware over-voltage relay is set above 1.10 per unit, or its setting is not stated.",
        "Refuses discharge.",
        "Set the relay to at most 1.10 per unit and state relay.setting_pu and relay.delay_s.",
    ),
    Entry(
        "RELAY_FEEDBACK",
        "The hardware relay's feedback is missing.",
        "Refuses discharge.",
        "Check relay.feedback_path, the contact's wiring and the driver of the input.",
    ),
    Entry(
        "RELAY_FAILED",
        "The voltage exceeded the hardware relay's setting for its delay and it did not open.",
        "Refuses discharge until the relay has been seen open.",
        "Repair or replace the relay, then v2g-tool --test-relay.",
    ),
    Entry(
        "RELAY_OPEN",
        "The hardware relay has opened.",
        _STARTS_OVER,
        "It resets by itself or by hand; why it opened is in the lines before.",
    ),
    Entry("RELAY_CLOSED", "The hardware relay is closed again.", "Enter service starts over.", NOTHING),
    Entry("RELAY_BACK", "A reason to refuse discharge for the hardware relay is gone.", "Permits it again.", NOTHING),
    Entry(
        "RELAY_TEST_BEGAN",
        "A person tests the hardware relay.",
        "Keeps the breaker open, for ten minutes at most.",
        "Follow v2g-tool --test-relay to its end.",
    ),
    Entry("RELAY_TEST_OPENED", "The hardware relay was seen to open in the test.", "Counts it as proved.", NOTHING),
    Entry("RELAY_TEST_ENDED", "The relay test has ended.", "Enter service starts over.", NOTHING),
    Entry(
        "PHASE_UNKNOWN",
        "The phase angle of an inverter cannot be measured, so it is not watched.",
        "Goes on with what is measured at the feeder.",
        "Check inverter.voltage_channels and the channels of the waveform buffer.",
    ),
    Entry(
        "PERMIT_SERVICE_GIVEN",
        "A person has given permit service.",
        "Enter service begins.",
        NOTHING,
        "IEEE 1547-2018 4.10.3",
    ),
    Entry(
        "PERMIT_SERVICE_WITHDRAWN",
        "A person has withdrawn permit service.",
        "Ceases to energise within 2 s and opens the breaker, also across restarts.",
        "v2g-control permit on gives it again.",
        "IEEE 1547-2018 4.10.3",
    ),
    Entry(
        "PERMIT_SERVICE_NOT_KEPT",
        "The withdrawal could not be written.",
        "Obeys it, but a restart would give permit service again.",
        "Make the path named writable for user v2g-guard.",
    ),
    Entry(
        "INTERLOCK_OPEN",
        "The contact of an interlock (emergency stop, door, winding stress) is open.",
        "Opens the breaker and latches; an interlock that is open at the start does the same.",
        "The line names it; its own entry has what to do: v2g-tool explain EMERGENCY_STOP.",
    ),
    Entry(
        "INTERLOCK_LOST",
        "The contact of an interlock tells no position: no file, or not told for 0.5 s.",
        _STARTS_OVER + " Nothing is latched.",
        "Check the path in sensor_map.conf, the contact's wiring and the driver of the input; for one that is read "
        "over Modbus, that v2g-guard wires runs.",
    ),
    Entry(
        "INTERLOCK_BACK",
        "The contact of an interlock is healthy again.",
        "Stays open while a trip is latched; else enter service starts over.",
        "After an emergency stop or an open door: v2g-control trip reset.",
    ),
    Entry(
        "LOCKOUT_ON",
        "A person has locked out the V2G breaker, or a lock of before stands at the start.",
        "Opens the breaker and every contactor and keeps them open, also across restarts. No trip reset releases it.",
        "Who locked takes his lock away: v2g-tool lockout off. It is no isolation: open the isolator and put a padlock "
        "on it as well.",
    ),
    Entry(
        "LOCKOUT_OFF",
        "A lock was taken away by its owner, or by an engineer in his place.",
        "While others stand the breaker stays open; after the last one enter service starts over.",
        NOTHING,
    ),
    Entry(
        "LOCKOUT_NOT_KEPT",
        "A lock could not be written to the state directory.",
        "Obeys it, but a restart would forget it.",
        "Make the path named writable for user v2g-guard, then lock again.",
    ),
    Entry(
        "NO_SETTINGS",
        "There are no grid settings in force: none are verified for this frequency, or they are not confirmed.",
        "Keeps the breaker open.",
        "Name grid.profile and, where it is an example, have a person confirm it (--confirm-unverified). IEEE 1547 is "
        "for 60 Hz and is never scaled.",
    ),
    Entry("SETTINGS", "The settings that the guard protects by, at its start.", "Uses them.", NOTHING),
    Entry("SETTINGS_REMARK", "A remark on the settings in force.", "Uses them.", "Read it, and decide."),
    Entry(
        "SETTINGS_ADOPTED",
        "An engineer has changed the guard's settings.",
        "Protects by them from now on; the digest tells them apart.",
        "Compare the digest with v2g-tool grid.",
    ),
    Entry(
        "SETTINGS_REFUSED",
        "Changed settings were refused: outside their ranges, or contradictory.",
        "Nothing has changed.",
        "The line names value, clause and range.",
    ),
    Entry(
        "CLEARING_TIMES_NOT_KEPT",
        "waveform.allow_slow is set: the clearing times of IEEE 1547 are not kept.",
        "Protects, later than the standard asks.",
        "For simulation and trials only; remove allow_slow at a grid.",
        "IEEE 1547-2018 6.4.1 and 6.5.1",
    ),
    Entry(
        "GUARD_NOT_REALTIME",
        "The host does not grant real-time priority or locked memory.",
        "Runs, and may be late under load.",
        "Use the unit file as it ships: LimitRTPRIO, LimitMEMLOCK, CAP_SYS_NICE.",
    ),
    Entry(
        "GUARD_SETTINGS",
        "The configuration's grid settings cannot be used.",
        "The tick ends; the breaker is open.",
        "Correct what the line names; v2g-orchestrator --check-config checks it.",
    ),
    Entry(
        "GUARD_TICK_FAILED",
        "The tick could not start: another one runs, or a path cannot be used.",
        "Ends; the breaker is open. systemd starts it again.",
        "The line names what to put right.",
    ),
    Entry(
        "GUARD_TICK_ENDED",
        "The tick was stopped; the line has its lateness.",
        "The breaker is commanded open.",
        "systemctl start v2g-guard-tick.",
    ),
    Entry(
        "GUARD_BACKGROUND",
        "A job beside the tick (a log line, a state file) failed.",
        "The tick goes on.",
        "The line has the reason, usually the disk.",
    ),
    Entry("PERMIT_GRANTED", "The guard permits energy to flow.", "Orders are carried out.", NOTHING),
)
