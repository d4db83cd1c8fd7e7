"""Named profiles of grid settings, their ranges of adjustability, and the one function that resolves them."""

from __future__ import annotations

from collections.abc import Mapping

from v2g.grid.settings import GridSettings

IEEE1547_NOMINAL_HZ = 60.0

TripChange = Mapping[str, float]
"""``{"threshold": 1.15, "time_s": 5.0}`` or a part of it."""


def names() -> tuple[str, ...]:
    """``ieee1547-I``, ``ieee1547-II``, ``ieee1547-III``, ``simulation``, ``vde-ar-n-4105``, ``g99``, ``en50549-1``."""
    raise NotImplementedError


def resolve(
    *,
    nominal_frequency_hz: float,
    profile: str = "",
    category: str = "III",
    confirmed: bool = False,
    trips: Mapping[str, TripChange] | None = None,
    enter_service: Mapping[str, float] | None = None,
    rated_kva: float = 0.0,
) -> GridSettings:
    """The settings in force.

    ``profile`` empty means ``ieee1547-<category>`` at 60 Hz and nothing at any other frequency: IEEE 1547 is never
    scaled. ``confirmed``: a person takes an unverified profile upon himself (``--confirm-unverified``). ``trips`` adjusts
    elements by name, ``enter_service`` fields of :class:`EnterServiceSettings` by name; both within the profile's ranges
    (IEEE 1547: its tables as amended by 1547a-2020; profiles without stated ranges cannot be adjusted).
    ``rated_kva``: aggregate rating of the DER, for the synchronisation limits and the randomised delay.

    Raises :class:`~v2g.grid.settings.SettingsUnset` where no profile is named at a frequency other than 60 Hz, or an
    unverified one is not confirmed; :class:`~v2g.grid.settings.SettingsError` for an unknown profile (names the known),
    one of another frequency, an unknown element, and a value outside its range (names clause and range).
    """
    raise NotImplementedError


def widest(category: str) -> GridSettings:
    """IEEE 1547 with every element at the end of its range that trips last; for ride-through tests."""
    raise NotImplementedError


def islanding_test(category: str) -> GridSettings:
    """The trip settings under which unintentional islanding is tested (IEEE 1547.1)."""
    raise NotImplementedError


def only(settings: GridSettings, elements: tuple[str, ...]) -> GridSettings:
    """The same with only these trip elements; for tests of a single one."""
    raise NotImplementedError
