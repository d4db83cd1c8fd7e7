"""Parameters and results of ``config.set`` (engineer), ``config.restore`` (engineer), ``config.reload`` (engineer) and
``config.diff`` (viewer)."""

from __future__ import annotations

from typing import Any

import msgspec

from v2g.control.messages import Params


class ConfigSetParams(Params, frozen=True, kw_only=True):
    """As people type it: ``{"dispatch.dwell_s": "5min"}``; ``unset``: taken back to what other files say."""

    changes: dict[str, str] = msgspec.field(default_factory=dict)
    unset: tuple[str, ...] = ()


class ConfigRestoreParams(Params, frozen=True, kw_only=True):
    """``number`` of the backup of the drop-in ``name``."""

    name: str
    number: int


class ConfigChange(msgspec.Struct, frozen=True, kw_only=True):
    """``before`` and ``after``: of the setting at ``path``, as JSON has them. ``place``: file and line that say it,
    empty for a default. ``takes``: ``reload``, ``restart of …`` or a command."""

    path: str
    before: Any
    after: Any
    place: str
    takes: str
    in_force: bool


class ConfigDiffResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say and the daemon does not go by. ``problems``: why the files could not be loaded."""

    config_dir: str
    changes: tuple[ConfigChange, ...] = ()
    restart: tuple[str, ...] = ()
    """Services, in the order in which they are restarted."""
    problems: tuple[str, ...] = ()


class ConfigSetResult(msgspec.Struct, frozen=True, kw_only=True):
    """``changes``: what was asked for and is other than before. ``waiting``: of other settings that wait as well."""

    file: str
    backup: str = ""
    """What the file was before; empty where there was none."""
    changes: tuple[ConfigChange, ...] = ()
    waiting: tuple[ConfigChange, ...] = ()
    restart: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class ConfigReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """``changes`` that are in force now, ``waiting`` for a restart of ``restart`` or a command."""

    changes: tuple[ConfigChange, ...] = ()
    waiting: tuple[ConfigChange, ...] = ()
    restart: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    """What was read anew besides: sensors, certificates, the mesh."""
    warnings: tuple[str, ...] = ()
