"""What a person can put right about an update."""

from __future__ import annotations


class FirmwareError(Exception):
    """The text names thing, place and remedy. Nothing of what runs was changed by it."""
