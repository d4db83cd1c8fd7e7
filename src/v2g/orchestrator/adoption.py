"""A change of settings: written to a drop-in, adopted by ``tick`` and read back (or read by ``wires``), or undone."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2g.clock import Clock
from v2g.config.loader import Loaded, load
from v2g.config.problems import ConfigError
from v2g.config.protection import grid_settings, settings_digest
from v2g.config.writer import dropin_path, read_dropin, restore_dropin, write_dropin
from v2g.control.server import Caller, Refused
from v2g.grid.settings import SettingsError, SettingsUnset
from v2g.guard.link import Reloaded
from v2g.orchestrator.guard_link import GuardLink

READ_BACK_S = 2.0
"""So long the guard may take until its status shows the settings that it has adopted."""
_READ_BACK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Adopted:
    """What holds now. ``undo`` takes it back, in the file and in who adopted it."""

    loaded: Loaded
    undo: Callable[[], Awaitable[None]]


class Adoption:
    """Changes below ``config_dir/conf.d``; whoever calls lets one be finished before the next."""

    def __init__(self, link: GuardLink, config_dir: Path, clock: Clock) -> None:
        self.config_dir = config_dir
        self._link = link
        self._clock = clock

    async def load(self) -> Loaded:
        return await load_settings(self.config_dir)

    async def apply(self, name: str, changes: Mapping[str, Any], caller: Caller) -> Adopted:
        """Write, let ``tick`` adopt it, read back. Raises :class:`Refused`, with everything as it was."""

        async def adopt(loaded: Loaded) -> str:
            digest = _digest(loaded)
            reply = await self._link.command("adopt_settings", caller)
            return reply.message if not reply.accepted else await self._read_back(reply.digest, digest)

        async def again() -> str:
            reply = await self._link.command("adopt_settings", caller)
            return "" if reply.accepted else reply.message

        return await self._apply(name, changes, "the guard", adopt, again)

    async def apply_to_wires(
        self, name: str, changes: Mapping[str, Any], reload: Callable[[], Awaitable[Reloaded]]
    ) -> Adopted:
        """Write, and let ``wires`` read it. Raises :class:`Refused`, with everything as it was."""

        async def again() -> str:
            answer = await reload()
            return "" if answer.accepted else answer.message

        return await self._apply(name, changes, "v2g-guard-wires", lambda _: again(), again)

    async def _apply(
        self,
        name: str,
        changes: Mapping[str, Any],
        who: str,
        adopt: Callable[[Loaded], Awaitable[str]],
        again: Callable[[], Awaitable[str]],
    ) -> Adopted:
        """``adopt``: why ``who`` does not; empty when he does. ``again``: as much, of what was before."""
        file = dropin_path(self.config_dir, name)
        try:
            before = await asyncio.to_thread(read_dropin, self.config_dir, name)
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"{file} cannot be read: {error}", code="CONFIG") from None

        async def restore() -> None:
            try:
                await asyncio.to_thread(restore_dropin, self.config_dir, name, before)
            except OSError as error:
                raise Refused(
                    f"{who} did not adopt what {file} says now, and it cannot be taken back: {error.strerror}; "
                    "correct it by hand before the guard restarts",
                    code="NOT_TAKEN_BACK",
                ) from None

        async def undo() -> None:
            await restore()
            if problem := await again():
                raise Refused(
                    f"{file} is taken back, and {who} still works by what it said: {problem}; put that right, then "
                    "v2g-tool sensors reload",
                    code="NOT_TAKEN_BACK",
                )

        loaded = await write_settings(self.config_dir, name, changes)
        try:
            problem = await adopt(loaded)
        except BaseException:
            await restore()
            raise
        if problem:
            await restore()
            # It may have been adopted all the same, and not shown.
            await again()
            raise Refused(f"{who} did not adopt it: {problem}; nothing was changed", code="SETTINGS_REFUSED")
        return Adopted(loaded, undo)

    async def _read_back(self, answered: str, wanted: str) -> str:
        """Why the guard's settings are not the wanted ones; empty when its status shows them."""
        if answered != wanted:
            return f"it answers with settings {answered or 'of no digest'} instead of {wanted}"
        until_s = self._clock.monotonic_s() + READ_BACK_S
        while (shown := self._link.status().settings_digest) != wanted:
            if self._clock.monotonic_s() > until_s:
                return f"its status shows settings {shown or 'of no digest'} instead of {wanted}"
            await asyncio.sleep(_READ_BACK_EVERY_S)
        return ""


def now_iso(clock: Clock) -> str:
    """When a person changed something, for people: UTC, ISO 8601, to the second."""
    return datetime.datetime.fromtimestamp(clock.unix_s(), datetime.UTC).isoformat(timespec="seconds")


async def load_settings(config_dir: Path) -> Loaded:
    """As the files are now. Raises :class:`Refused`."""
    try:
        return await asyncio.to_thread(load, config_dir)
    except ConfigError as error:
        raise Refused(str(error), code="CONFIG") from None


async def write_settings(config_dir: Path, name: str, changes: Mapping[str, Any]) -> Loaded:
    """Into the drop-in ``name``, checked first. Raises :class:`Refused`, with nothing changed."""
    try:
        return await asyncio.to_thread(write_dropin, config_dir, changes, name)
    except ConfigError as error:
        raise Refused(f"nothing was changed: {error}", code="SETTINGS_REFUSED") from None
    except OSError as error:
        raise Refused(
            f"{dropin_path(config_dir, name)} cannot be written: {error.strerror}; the daemon's user has to own the "
            "directory conf.d",
            code="NOT_WRITABLE",
        ) from None


def _digest(loaded: Loaded) -> str:
    try:
        grid_settings(loaded.config)
        return settings_digest(loaded.config, loaded.sensors)
    except SettingsUnset as error:
        raise Refused(f"nothing was changed: {error} (--confirm-unverified)", code="UNCONFIRMED") from None
    except SettingsError as error:
        raise Refused(f"nothing was changed: {error}", code="SETTINGS_REFUSED") from None
