"""Signal level attenuation: what an EVSE's modem measured of a vehicle's sounds, by carrier group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GROUPS = 58
"""Carrier groups of HomePlug Green PHY between 1.8 and 28 MHz. A message may bear fewer, never more than 255."""
FIRST_MHZ, LAST_MHZ = 1.8, 28.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attenuation:
    """Averages over ``sounds`` sounds, each group in dB ≥ 0, the EVSE's calibration offset taken off.

    ``average_db`` is the mean of all groups: what vehicles choose by (ISO 15118-3 A.9).
    """

    groups_db: tuple[float, ...]
    sounds: int

    @property
    def average_db(self) -> float:
        """The mean of all groups (dB)."""
        return sum(self.groups_db) / len(self.groups_db) if self.groups_db else 0.0


def group_mhz(group: int, count: int = GROUPS) -> tuple[float, float]:
    """Edges of a carrier group, in MHz, taken as equally wide."""
    width = (LAST_MHZ - FIRST_MHZ) / count
    return FIRST_MHZ + group * width, FIRST_MHZ + (group + 1) * width


def averaged(profiles: Sequence[Sequence[int]], offset_db: float) -> Attenuation:
    """Of raw profiles (``CM_ATTEN_PROFILE.IND``, one a sound) with as many groups each; ``offset_db`` is subtracted.

    ValueError without a profile, or where they differ in length.
    """
    if not profiles or any(len(profile) != len(profiles[0]) for profile in profiles):
        raise ValueError("profiles to average must be there and have as many groups each")
    count = len(profiles)
    groups = tuple(max(0.0, sum(values) / count - offset_db) for values in zip(*profiles, strict=True))
    return Attenuation(groups_db=groups, sounds=count)
