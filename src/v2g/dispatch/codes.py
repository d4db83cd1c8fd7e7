"""What a limit's source is called in a shortfall: one table, read from the top, first match wins."""

from __future__ import annotations

from typing import Final

from v2g.dispatch.orders import Mode

NO_VEHICLE: Final = "no vehicle"
GUARD: Final = "guard"
DISCHARGE_TEST: Final = "discharge test"
PREFLIGHT: Final = "preflight"
NO_LIMIT: Final = "no limit known"

_CODES: Final[tuple[tuple[str, str], ...]] = (
    ("contradiction", "CONTRADICTION"),
    ("no limit known", "LIMIT_UNKNOWN"),
    ("no permit", "NO_PERMIT"),
    (f"{GUARD}:", "GUARD_BLOCK"),
    (f"{DISCHARGE_TEST}:", "LOW_EFFICIENCY"),
    (f"{PREFLIGHT}:", "PREFLIGHT_FAIL"),
    ("no vehicle", "NO_VEHICLE"),
    ("order", "INVALID_ORDER"),
    ("min-SoC", "MIN_SOC"),
    ("SoC implausible", "SOC_IMPLAUSIBLE"),
    ("max-SoC", "MAX_SOC"),
    ("vehicle full", "VEHICLE_FULL"),
    ("vehicle", "VEHICLE_LIMIT"),
    ("inverter rating", "INVERTER_RATING"),
    ("reversion", "NO_REVERSION"),
    ("inverter", "INVERTER_FAULT"),
    ("EVSE", "EVSE_LIMIT"),
    ("transformer current", "PHASE_CURRENT"),
    ("feeder current", "PHASE_CURRENT"),
    ("unbalance", "UNBALANCE"),
    ("waits for its turn", "WAITS"),
    ("others wait", "WAITS"),
    ("utility", "UTILITY_LIMIT"),
    ("OpenADR", "UTILITY_LIMIT"),
)


def shortfall_code(source: str, mode: Mode) -> str:
    """The code of a source that kept an order of this mode from its power.

    ====================  =====================================  ==============================================
    source                code                                   meaning
    ====================  =====================================  ==============================================
    ``thermal …``         ``REVERSE_FLOW_DENIED`` (discharge),   the transformer is or would become too hot, or
                          ``FORWARD_FLOW_DENIED`` (charge)       its thermal state is unknown or too old
    ``… expired``         ``LIMIT_EXPIRED``                      a limit is older than it may be
    ``contradiction: …``  ``CONTRADICTION``                      limits exclude each other
    ``no limit known``    ``LIMIT_UNKNOWN``                      nobody states a limit in this direction
    ``no permit …``       ``NO_PERMIT``                          the guard forbids energy to flow
    ``guard: …``          ``GUARD_BLOCK``                        the guard refuses this direction, a start, or a part
    ``discharge test: …`` ``LOW_EFFICIENCY``                     the EVSE's discharge test measured a low efficiency
    ``preflight: …``      ``PREFLIGHT_FAIL``                     a check of the preflight failed: see its words
    ``no vehicle …``      ``NO_VEHICLE``                         nobody to serve the order
    ``order …``           ``INVALID_ORDER``                      its power is not a magnitude in W
    ``min-SoC …``         ``MIN_SOC``                            the battery is at its minimum, or it is unknown
    ``SoC implausible …`` ``SOC_IMPLAUSIBLE``                    the state of charge contradicts the meter
    ``max-SoC …``         ``MAX_SOC``                            charged to the site's maximum
    ``vehicle full``      ``VEHICLE_FULL``                       the vehicle takes no more energy
    ``vehicle …``         ``VEHICLE_LIMIT``                      the vehicle's own limits of power and current
    ``inverter rating``   ``INVERTER_RATING``                    the device's rating, or the site's below it
    ``reversion …``       ``NO_REVERSION``                       the inverter would not go to zero by itself
    ``inverter …``        ``INVERTER_FAULT``                     the device reports a fault or is not connected
    ``EVSE …``            ``EVSE_LIMIT``                         configured limits of the EVSE
    ``transformer …``,    ``PHASE_CURRENT``                      the current of one phase of transformer or feeder
    ``feeder current …``
    ``unbalance …``       ``UNBALANCE``                          phases may not differ more
    ``waits …``,          ``WAITS``                              not all can have their minimum power at once
    ``others wait …``
    ``utility …``,        ``UTILITY_LIMIT``                      a cap or floor of the utility
    ``OpenADR …``
    anything else         ``LIMITED``                            see the source
    ====================  =====================================  ==============================================
    """
    if source.startswith("thermal"):
        return "REVERSE_FLOW_DENIED" if mode is Mode.DISCHARGE else "FORWARD_FLOW_DENIED"
    if source.endswith(" expired"):
        return "LIMIT_EXPIRED"
    for prefix, code in _CODES:
        if source.startswith(prefix):
            return code
    return "LIMITED"
