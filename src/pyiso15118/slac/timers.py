"""Timers and constants of ISO 15118-3 Annex A that the machines use, by their names there, in seconds.

The standard was not at hand. "two": two open implementations (pyslac, EVerest) have the same value; "one": one of them;
"captures": seen in recordings. Each may be raised by configuration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSlacTimers:
    """Of the EVSE. Seconds, each > 0."""

    tt_evse_slac_init_s: float = 50.0
    """From a vehicle on the pilot to its first CM_SLAC_PARM.REQ: 20..50 s (two)."""
    tt_match_sequence_s: float = 0.4
    """From one message of a matching to the next that is due (two)."""
    tt_match_response_s: float = 0.2
    """For CM_ATTEN_CHAR.RSP; then CM_ATTEN_CHAR.IND is sent again (two)."""
    tt_evse_match_mnbc_s: float = 0.6
    """From the first CM_START_ATTEN_CHAR.IND; told to the vehicle in units of 100 ms (two)."""
    tp_evse_avg_atten_calc_s: float = 0.05
    """From the last sound to CM_ATTEN_CHAR.IND: 100 ms at most (one); 50 ms in captures."""
    tt_evse_match_session_s: float = 10.0
    """From CM_ATTEN_CHAR.RSP to CM_SLAC_MATCH.REQ or CM_VALIDATE.REQ (two)."""
    tt_match_join_s: float = 12.0
    """From CM_SLAC_MATCH.CNF to the modems' link (one)."""
    tt_matching_repetition_s: float = 10.0
    """After a failed matching the vehicle may begin again by itself for this long (one)."""
    tt_evse_vald_toggle_s: float = 3.5
    """Longest time that toggles are counted, whatever the vehicle announces; nobody else is validated meanwhile."""
    vald_settle_s: float = 0.1
    """After the announced time a toggle that was made within it may still be on its way to us; ours."""
    key_retry_s: float = 2.0
    """Until a key that the modem refused is followed by another; ours."""
    t_step_ef_s: float = 4.0
    """State E or F on the pilot after a failure, at least (two)."""
    match_retries: int = 2
    """Of CM_ATTEN_CHAR.IND, and of whole matchings before the failure is final (C_EV_match_retry; one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvSlacTimers:
    """Of the vehicle. Seconds, each > 0."""

    tt_match_response_s: float = 0.2
    """For an answer to a request; then it is sent again (two)."""
    match_retries: int = 2
    """Of each request (C_EV_match_retry; one)."""
    tt_matching_repetition_s: float = 10.0
    """Failed matchings are begun again for this long (one)."""
    tt_matching_rate_s: float = 0.4
    """Between two of them (one)."""
    tp_ev_batch_msg_interval_s: float = 0.03
    """Between CM_START_ATTEN_CHAR.INDs and sounds: 20..50 ms (one; captures 20..31 ms)."""
    tt_ev_atten_results_s: float = 1.2
    """From the first CM_START_ATTEN_CHAR.IND on CM_ATTEN_CHAR.INDs are waited for (two)."""
    start_atten_char_inds: int = 3
    """C_EV_start_atten_char_inds (one)."""
    tt_match_join_s: float = 12.0
    """From CM_SLAC_MATCH.CNF to the modems' link (one)."""
    vald_toggle_s: float = 0.3
    """Each half of a B-C-B toggle: 200..400 ms (T_vald_state_duration)."""
    tt_ev_vald_toggle_s: float = 3.5
    """Longest time of toggling that CM_VALIDATE.REQ can announce."""
