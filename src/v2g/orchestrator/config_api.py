"""The methods ``config.set``, ``config.restore``, ``config.reload`` and ``config.diff`` of the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from v2g.config.backups import backups
from v2g.config.comparison import Difference, differences, settings_of
from v2g.config.edit import EditError, edits, unset_keys
from v2g.config.loader import Loaded, load
from v2g.config.problems import ConfigError
from v2g.config.reload_rules import to_restart
from v2g.config.writer import OPERATOR_DROPIN, dropin_path, read_dropin, restore_backup, restore_dropin
from v2g.control.messages import NoParams
from v2g.control.messages_config import (
    ConfigDiffResult,
    ConfigRestoreParams,
    ConfigSetParams,
    ConfigSetResult,
)
from v2g.control.server import Caller, Method, Refused, Role
from v2g.orchestrator.adoption import load_settings, write_settings
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.reload import Reload, changes_of

Write = Callable[[], Awaitable[Loaded]]
MOST_CHANGES = 200


class ConfigApi:
    """What is refused raises :class:`Refused` and has changed nothing, but where it says so."""

    def __init__(self, reload: Reload, changes: Changes) -> None:
        self._reload = reload
        self._changes = changes
        self._dir = reload.config_dir

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("config.diff", Role.VIEWER, NoParams, self.diff),
            Method("config.set", Role.ENGINEER, ConfigSetParams, self.set),
            Method("config.restore", Role.ENGINEER, ConfigRestoreParams, self.restore),
            Method("config.reload", Role.ENGINEER, NoParams, self._reload.reload),
        )

    async def diff(self, params: NoParams, caller: Caller) -> ConfigDiffResult:
        try:
            loaded = await asyncio.to_thread(load, self._dir)
        except ConfigError as error:
            return ConfigDiffResult(config_dir=str(self._dir), problems=tuple(map(str, error.problems)))
        found = await self._reload.waiting(loaded)
        return ConfigDiffResult(
            config_dir=str(self._dir),
            changes=changes_of(found, loaded, in_force=lambda each: False),
            restart=to_restart(each.rule for each in found),
        )

    async def set(self, params: ConfigSetParams, caller: Caller) -> ConfigSetResult:
        """Into the operator's drop-in, all of it or nothing; in force at once where nothing else waits for a reload."""
        if not params.changes and not params.unset:
            raise Refused("there is nothing to change", code="BAD_SETTING")
        if len(params.changes) + len(params.unset) > MOST_CHANGES:
            raise Refused(f"more than {MOST_CHANGES} settings at once are not taken", code="BAD_SETTING")
        return await self._changes.alone("a setting is being changed", lambda: self._set(params, caller))

    async def restore(self, params: ConfigRestoreParams, caller: Caller) -> ConfigSetResult:
        """A drop-in as it was before a change."""
        return await self._changes.alone("a drop-in is being restored", lambda: self._restore(params, caller))

    async def _set(self, params: ConfigSetParams, caller: Caller) -> ConfigSetResult:
        before = await load_settings(self._dir)
        try:
            wanted: dict[str, Any] = {
                each.key: each.value for each in edits(tuple(params.changes.items()), before.config)
            }
            taken = await asyncio.to_thread(unset_keys, params.unset, before)
        except EditError as error:
            raise Refused(f"nothing was changed: {error}", code="BAD_SETTING") from None
        if both := sorted(set(wanted) & set(taken)):
            raise Refused(f"nothing was changed: {both[0]} is set and unset at once", code="BAD_SETTING")
        return await self._change(
            before, OPERATOR_DROPIN, lambda: write_settings(self._dir, OPERATOR_DROPIN, wanted | taken), caller
        )

    async def _restore(self, params: ConfigRestoreParams, caller: Caller) -> ConfigSetResult:
        before = await load_settings(self._dir)

        async def write() -> Loaded:
            try:
                return await asyncio.to_thread(restore_backup, self._dir, params.name, params.number)
            except ConfigError as error:
                raise Refused(f"nothing was changed: {error}", code="SETTINGS_REFUSED") from None
            except ValueError as error:
                raise Refused(str(error), code="NO_BACKUP") from None
            except OSError as error:
                where = dropin_path(self._dir, params.name)
                raise Refused(f"{where} cannot be written: {error.strerror or error}", code="NOT_WRITABLE") from None

        return await self._change(before, params.name, write, caller)

    async def _change(self, before: Loaded, name: str, write: Write, caller: Caller) -> ConfigSetResult:
        other = await self._reload.waiting(before)
        text = await asyncio.to_thread(read_dropin, self._dir, name)
        loaded = await write()
        touched = await asyncio.to_thread(lambda: differences(settings_of(before.config), settings_of(loaded.config)))
        kinds = {each.rule.live for each in touched if each.rule.live is not None}
        # What people edited by hand and did not ask for yet must not come into force along with this.
        alone = not any(each.rule.live is not None for each in other)
        if kinds and alone:
            try:
                await self._reload.take(loaded, kinds, caller)
            except Refused as error:
                await self._take_back(name, text, error)
                raise Refused(f"nothing was changed: {error}", code=error.code) from None
        return await self._told(before, loaded, name, touched)

    async def _take_back(self, name: str, text: str | None, error: Refused) -> None:
        try:
            await asyncio.to_thread(restore_dropin, self._dir, name, text)
        except OSError as failure:
            raise Refused(
                f"{error}; and {dropin_path(self._dir, name)} cannot be taken back: {failure.strerror}: correct it by "
                "hand before the guard restarts",
                code="NOT_TAKEN_BACK",
            ) from None
        if error.code == "HALF_RELOADED":
            raise Refused(
                f"{error}; {dropin_path(self._dir, name)} is as it was: v2g-config reload puts that in force again",
                code="HALF_RELOADED",
            ) from None

    async def _told(
        self, before: Loaded, loaded: Loaded, name: str, touched: tuple[Difference, ...]
    ) -> ConfigSetResult:
        file = dropin_path(self._dir, name)
        kept = await asyncio.to_thread(backups, file.parent, name)
        waiting = await self._reload.waiting(loaded)
        now, late = {each.path for each in touched}, {each.path for each in waiting}
        return ConfigSetResult(
            file=str(file),
            backup=str(kept[0].path) if kept else "",
            changes=changes_of(touched, loaded, in_force=lambda each: each.path not in late),
            waiting=changes_of(
                tuple(each for each in waiting if each.path not in now), loaded, in_force=lambda each: False
            ),
            restart=to_restart(each.rule for each in waiting),
            remarks=tuple(text for text in map(str, loaded.warnings) if text not in map(str, before.warnings)),
        )
