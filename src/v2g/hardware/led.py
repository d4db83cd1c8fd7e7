"""A light of the kernel's LED class: ``/sys/class/leds/<name>`` with ``brightness``, ``max_brightness``, ``trigger``.

Flashing is the kernel's (trigger ``timer``) where it has it; else whoever shows the light keeps it going.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Final

from v2g.hardware.ports import DeviceError

LEDS: Final = Path("/sys/class/leds")
HALF_PERIOD_S: Final = 0.25
_TIMER: Final = "timer"


class Light(enum.StrEnum):
    OFF = "off"
    STEADY = "steady"
    FLASHING = "flashing"


class Led:
    """``name``: as below ``/sys/class/leds``, like ``green:heartbeat``."""

    def __init__(self, name: str, directory: Path = LEDS) -> None:
        self.name = name
        self._path = directory / name
        self._light: Light | None = None
        self._by_kernel = False
        self._on = False
        self._changed_at_s = 0.0

    @property
    def present(self) -> bool:
        return self.name not in (".", "..") and (self._path / "brightness").exists()

    def show(self, light: Light, now_s: float) -> None:
        """Call it about ten times a second. Writes only what changes.

        Raises :class:`~v2g.hardware.ports.DeviceError`; the next call tries again.
        """
        if not self.present:
            self._light = None
            raise DeviceError(f"LED {self.name}: there is none of this name below {self._path.parent}")
        try:
            if light is not self._light:
                self._light = None
                self._begin(light, now_s)
                self._light = light
            elif light is Light.FLASHING and not self._by_kernel and now_s - self._changed_at_s >= HALF_PERIOD_S:
                self._put(not self._on, now_s)
        except OSError as error:
            raise DeviceError(
                f"LED {self.name}: {error.filename or self._path}: {error.strerror or error}: it has to be writable "
                "for this service (its user by a udev rule, its directory by ReadWritePaths= in a drop-in)"
            ) from None
        except ValueError as error:
            raise DeviceError(f"LED {self.name}: {self._path / 'max_brightness'}: {error}") from None

    def _begin(self, light: Light, now_s: float) -> None:
        triggers = self._triggers()
        self._by_kernel = light is Light.FLASHING and _TIMER in triggers
        if not triggers.get("none", True):
            self._write("trigger", "none")
        self._put(light is not Light.OFF, now_s)
        if self._by_kernel:
            self._write("trigger", _TIMER)
            self._set_pace()

    def _triggers(self) -> dict[str, bool]:
        """Name -> whether it is chosen; empty: this light has none."""
        try:
            words = (self._path / "trigger").read_text(encoding="ascii", errors="replace").split()
        except FileNotFoundError:
            return {}
        return {word.strip("[]"): word.startswith("[") for word in words}

    def _set_pace(self) -> None:
        # The kernel makes these files with the trigger, as root's: without them it flashes at its own pace.
        for name in ("delay_on", "delay_off"):
            try:
                self._write(name, str(round(HALF_PERIOD_S * 1e3)))
            except OSError:
                return

    def _put(self, on: bool, now_s: float) -> None:
        self._write("brightness", self._full() if on else "0")
        self._on, self._changed_at_s = on, now_s

    def _full(self) -> str:
        try:
            text = (self._path / "max_brightness").read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return "1"
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"{text[:20]!r} is no brightness")
        return text

    def _write(self, name: str, value: str) -> None:
        # No file is made: what is not there is no light.
        with os.fdopen(os.open(self._path / name, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC), "wb") as file:
            file.write(f"{value}\n".encode())
