"""A group whose heavy commands are loaded when they run, so that ``--help`` and the others stay light."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Later:
    """The command ``attribute`` of ``module``; ``help`` is the line that the group's ``--help`` shows."""

    module: str
    attribute: str
    help: str


class LazyGroup(click.Group):
    """Its commands, and those of ``later`` by name."""

    def __init__(self, *args: Any, later: Mapping[str, Later], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._later = dict(later)

    @property
    def verbs(self) -> tuple[str, ...]:
        return tuple(sorted((*self.commands, *self._later)))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        later = self._later.get(cmd_name)
        if later is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(later.module), later.attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(len(name) for name in self.verbs)
        rows = self._rows(limit)
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Of the names alone: nothing is loaded for it."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in self._rows(60) if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def _rows(self, limit: int) -> list[tuple[str, str]]:
        return [
            (
                name,
                self._later[name].help if name in self._later else self.commands[name].get_short_help_str(limit),
            )
            for name in self.verbs
            if name in self._later or not self.commands[name].hidden
        ]
