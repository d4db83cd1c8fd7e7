"""Catalogue: signals of the utility, and the OpenADR VTN."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import Entry

_LIST = "v2g-control signal list shows the signals, what they mean together, and the VTN."

UTILITY: tuple[Entry, ...] = (
    Entry(
        "OPENADR_DOWN",
        "The OpenADR VTN does not answer, refuses, or answers what cannot be read; the line says which.",
        "Tries again, ever less often, every five minutes at the latest. Its signals hold until their own ends.",
        "Look at the line: name, certificate (utility.openadr.ca), client_id and client_secret_file, program. " + _LIST,
        "OpenADR 3.1",
    ),
    Entry(
        "OPENADR_UP",
        "The OpenADR VTN answered, for the first time or again.",
        "Follows its events.",
        _LIST,
        "OpenADR 3.1",
    ),
    Entry(
        "OPENADR_NOTE",
        "Something of an OpenADR event is not followed: its payload type, units, times or targets.",
        "Goes by the rest of the events.",
        "Have the event corrected at the VTN, or the setting named changed. " + _LIST,
        "OpenADR 3.1",
    ),
    Entry(
        "SIGNAL",
        "Somebody gave a signal over the control socket; the line says who, and what it asks for.",
        "Goes by it until its end.",
        "Nothing needs to be done. " + _LIST,
    ),
    Entry(
        "SIGNALS_DROPPED",
        "Signals that operators gave before a restart could not be read, or are not plausible.",
        "Goes on without them.",
        "Give them again with v2g-control signal set. " + _LIST,
    ),
    Entry(
        "SIGNALS_NOT_KEPT",
        "The file of the operators' signals cannot be written.",
        "Goes by the signals, and would forget them with a restart.",
        "Free the disk, or correct the rights of the state directory.",
    ),
    Entry(
        "SIGNALS_RESTORED",
        "Signals that operators gave before a restart stand again, until their own ends.",
        "Goes by them.",
        _LIST,
    ),
    Entry(
        "SIGNAL_WITHDRAWN",
        "Somebody ended a signal before its time; the line says who.",
        "Goes on without it.",
        "Nothing; give another one if it is still meant. " + _LIST,
    ),
    Entry(
        "SIGNAL_EXPIRED",
        "A signal reached its end.",
        "Goes on without it.",
        "Nothing; give another one if it is still meant. " + _LIST,
    ),
)
