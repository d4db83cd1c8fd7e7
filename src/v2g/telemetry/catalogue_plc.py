"""Codes of powerline links: SLAC, modems, kplc-driver."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

PLC: tuple[Entry, ...] = (
    Entry(
        "0xEF22",
        "A PLC handshake failed: the vehicle and the EVSE were not matched, or their modems found no link. The line "
        "names the step, the vehicle, its attenuation if it was measured, and what is likely.",
        "Serves nobody at this EVSE. The vehicle may begin again; where it does not, kplc-driver shows state F on the "
        "pilot for 4 s, up to two times, so that it begins anew; then it waits for the plug to be pulled.",
        "As the line says. v2g-tool plc --evse ID --watch shows attenuation by carrier group and the last matchings. "
        "Above 20 dB look at the cable, the pilot contact, the ferrite and the modem's coupling.",
        "ISO 15118-3 A.9",
        ("EF22", "PLC handshake failed", "SLAC failed"),
    ),
    Entry(
        "PLC_MATCHING",
        "One stage of a vehicle's matching: it asks, it was heard with so many dB, it is matched; or it is matched at "
        "a neighbour and was only heard here.",
        "Goes on with the next stage.",
        NOTHING,
        "ISO 15118-3 A.9",
    ),
    Entry(
        "PLC_LINK",
        "The powerline link to a vehicle is up: its modem is in the EVSE's network.",
        "Serves SDP and ISO 15118 at this EVSE to this vehicle, and to nobody else; its MAC is in the firewall's set "
        "of the link.",
        NOTHING,
    ),
    Entry(
        "PLC_LINK_LOST",
        "The powerline link to a vehicle that was up is gone: two looks at the network in a row did not find its "
        "modem, it was unplugged, or the EVSE's modem is lost or kplc-driver stops.",
        "Takes the power to zero, ends the session, withdraws the MAC from the firewall, and gives the modem a new "
        "key.",
        "After an unplugging nothing. Else look at attenuation and PHY rates before it: v2g-tool plc --evse ID.",
    ),
    Entry(
        "PLC_ATTENUATION",
        "A vehicle is matched, and attenuated by more than plc.warn_db (20 dB unless it is set otherwise).",
        "Serves it; the link may break when the power stage runs.",
        "Clean the pilot contact, look at the cable, the ferrite and the modem's coupling; compare other vehicles at "
        "this EVSE and this vehicle at others. Where all are high here, set evses[].plc.calibration_db.",
        "ISO 15118-3 A.9",
    ),
    Entry(
        "PLC_MODEM",
        "The powerline modem of an EVSE was found, with its version, or is lost: it does not answer, or its interface "
        "is gone or down.",
        "Matches no vehicle there while it is lost, ends what is linked, and looks for it again, at pauses that grow "
        "from 1 s to 30 s.",
        "Look at the modem's power and cable; kplc-driver --check says whether its interface can be used; "
        "systemctl restart kplc-driver resets it.",
    ),
    Entry(
        "PLC_NOT_ADMITTED",
        "The firewall did not take the MAC of a vehicle that is linked into the set of its link.",
        "Tries again every 2 s. As long as rules with this set are in force, the vehicle reaches neither SDP nor ISO "
        "15118.",
        "As the line says; v2g-tool firewall status shows the rules that are in force.",
    ),
    Entry(
        "PLC_DRIVER",
        "kplc-driver was not heard for more than a second, or is heard again.",
        "Serves nobody at EVSEs with a powerline link, and ends the sessions there.",
        "systemctl status kplc-driver; it is started again by itself.",
    ),
    Entry(
        "PLC_NOT_MATCHED",
        "Something that is not the vehicle matched at this EVSE asks for SDP or opens a connection there.",
        "Answers nothing, and closes the connection.",
        "If it comes back, look for a device or a neighbour's vehicle on the line; with the interface in "
        "firewall.plc_interfaces it does not come so far.",
    ),
    Entry(
        "PLC_KEY_LEFT",
        "kplc-driver ended, and a modem did not confirm the key that nobody has: its vehicle may stay in its network.",
        "Serves nobody there until kplc-driver runs again, which gives it another key.",
        "Start kplc-driver; look at the modem if it does not answer then either.",
    ),
    Entry(
        "PLC_UNKNOWN_EVSE",
        "The orchestrator tells kplc-driver the pilot of an EVSE that is not in the configuration it was started with.",
        "Does not use it.",
        "systemctl restart kplc-driver after a change of EVSEs.",
    ),
    Entry(
        "PLC_PEER_REFUSED",
        "A process of a user that may not do so has connected to kplc-driver's socket.",
        "Closes the connection.",
        "See which process it is; the orchestrator runs as control.daemon_user.",
    ),
    Entry("PLC_PEER_REPLACED", "A newer orchestrator took the older one's place.", "Obeys the newer.", NOTHING),
    Entry(
        "PLC_PEER_GARBAGE",
        "What the orchestrator sent to kplc-driver could not be read.",
        "Closes the connection; the orchestrator connects anew.",
        "If it comes back: are both of the same version? Restart both.",
    ),
    Entry(
        "PLC_PEER_STUCK",
        "The orchestrator did not read what kplc-driver tells.",
        "Closes the connection; the orchestrator connects anew.",
        "If it comes back, the host is overloaded, or the orchestrator hangs.",
    ),
    Entry(
        "PLC_DRIVER_FAILED",
        "kplc-driver could not serve its socket, and has ended.",
        "Nobody is matched; systemd starts it again.",
        "As the line says.",
    ),
    Entry("PLC_DRIVER_STARTED", "kplc-driver has begun.", "Resets and keys its modems.", NOTHING),
    Entry("PLC_DRIVER_ENDED", "kplc-driver has ended as asked, or has nothing to do.", "Matches nobody.", NOTHING),
    Entry(
        "PLC_DRIVER_ERROR",
        "Something in kplc-driver failed that should not be able to.",
        "Goes on.",
        "Report it with the line and what happened before it.",
    ),
)
