"""Catalogue: grid codes that vehicles' inverters are handed."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_STANDARD = "ISO 15118-20 Amendment 1, IEEE 1547-2018"

DER: tuple[Entry, ...] = (
    Entry(
        "DER_CODE_SENT",
        "A vehicle's own inverter was handed the grid code of its EVSE (evses[].der), or a change of it.",
        "Goes on by the guard's own settings besides: the vehicle's word that it keeps to the code proves nothing.",
        "What AC_DER_IEC has no words for the guard alone sees to; where the vehicle can, offer it AC_DER_SAE.",
        _STANDARD,
    ),
    Entry(
        "DER_CODE_WAITS",
        "The grid code was changed by what AC_DER_IEC cannot say in its charge loop.",
        "Keeps the session; the vehicle goes by the code it was handed before.",
        "Pause its session where the change must not wait (v2g-control stop for its EVSE); else nothing.",
        _STANDARD,
    ),
    Entry(
        "DER_OUT_OF_SERVICE",
        "A vehicle's inverter left service by its own word: a trip of the grid code, or one of its own.",
        "Tells it zero and gives its share to others until it is in service again.",
        "After a disturbance of the grid: nothing, it comes back after its delay. Without one: look at its alarm, and "
        "at the voltage at its EVSE.",
        _STANDARD,
    ),
    Entry("DER_IN_SERVICE", "A vehicle's inverter is in service again.", "Counts on it again.", NOTHING, _STANDARD),
    Entry(
        "DER_FUNCTIONS_OFF",
        "A vehicle's inverter says that it does not carry out functions of the grid code it was handed.",
        "Keeps the session: no requirement of the standard ends it. The guard protects by its own settings.",
        "Where the network operator asks for them, end its session and set der.protocol: none at its EVSE, or "
        "allow_discharge: false.",
        _STANDARD,
    ),
)
