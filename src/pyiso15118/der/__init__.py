"""A vehicle as a distributed energy resource: the grid code it is handed, what it can do, and what it reports.

Values and checks only. How AC_DER_IEC and AC_DER_SAE say them is in :mod:`pyiso15118.der.iec` and
:mod:`pyiso15118.der.sae`, which bring the message types and are imported where such a session runs.
"""

from pyiso15118.der.checks import check_grid_code, check_nameplate, check_state, grid_code_problem
from pyiso15118.der.functions import (
    DerAlarm,
    DerFunction,
    functions_of,
    iec_bits,
    iec_functions,
    sae_bits,
    sae_functions,
)
from pyiso15118.der.values import (
    Cessation,
    DerNameplate,
    DerState,
    EnterService,
    FrequencyDroop,
    GridCode,
    PowerFactor,
    Ratings,
    TripCurves,
    TripPoint,
    VoltVar,
    VoltWatt,
    WattVar,
)

__all__ = [
    "Cessation",
    "DerAlarm",
    "DerFunction",
    "DerNameplate",
    "DerState",
    "EnterService",
    "FrequencyDroop",
    "GridCode",
    "PowerFactor",
    "Ratings",
    "TripCurves",
    "TripPoint",
    "VoltVar",
    "VoltWatt",
    "WattVar",
    "check_grid_code",
    "check_nameplate",
    "check_state",
    "functions_of",
    "grid_code_problem",
    "iec_bits",
    "iec_functions",
    "sae_bits",
    "sae_functions",
]
