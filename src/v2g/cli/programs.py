"""All commands of this controller, and what is below each."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import click


@dataclass(frozen=True, slots=True)
class Program:
    """``section`` of the manual: 1 for what operators use, 8 for what engineers and systemd use."""

    name: str
    module: str
    section: int

    def load(self) -> click.Command:
        command = importlib.import_module(self.module).cli
        assert isinstance(command, click.Command)  # noqa: S101
        return command


PROGRAMS: Final = (
    Program("v2g-control", "v2g.cli.control", 1),
    Program("v2g-tool", "v2g.cli.tool", 8),
    Program("v2g-config", "v2g.cli.config", 8),
    Program("v2g-cert-manager", "v2g.cli.cert_manager", 8),
    Program("v2g-orchestrator", "v2g.cli.orchestrator", 8),
    Program("v2g-guard", "v2g.cli.guard", 8),
    Program("kplc-driver", "v2g.cli.kplc_driver", 8),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A command with the words that call it: ``("v2g-tool", "grid", "set")``."""

    words: tuple[str, ...]
    command: click.Command
    context: click.Context

    @property
    def name(self) -> str:
        return " ".join(self.words)


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[Found]:
    """A command and all below it, without those that are hidden."""
    settings = command.context_settings if parent is None else {}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    above = () if parent is None else tuple(parent.command_path.split())
    yield Found((*above, name), command, context)
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            below = command.get_command(context, verb)
            if below is not None and not below.hidden:
                yield from walk(below, verb, context)


def every_command() -> Iterator[Found]:
    for program in PROGRAMS:
        yield from walk(program.load(), program.name)
