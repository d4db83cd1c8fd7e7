"""What the commands share that start a process of the controller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from v2g.cli.common import EXIT_CONFIG, fail

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_CONFIG_DIR = Path("/etc/v2g")
CONFIG_VARIABLE = "V2G_CONFIG"


def config_option(command: F) -> F:
    return click.option(
        "--config",
        "config_dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_CONFIG_DIR,
        show_default=True,
        envvar=CONFIG_VARIABLE,
        help=f"Directory with v2g.yaml and conf.d/; also ${CONFIG_VARIABLE}.",
    )(command)


def run_configured(name: str, run: Callable[[Path], int], config_dir: Path) -> int:
    """``run(config_dir)``; what a person can put right ends in one text instead of a traceback."""
    from v2g.config.problems import ConfigError
    from v2g.control.endpoint import EndpointError
    from v2g.host import coredump

    if (problem := coredump.forbid()) is not None:
        click.echo(f"{name}: {problem}", err=True)
    try:
        return run(config_dir)
    except ConfigError as error:
        problems(name, error)
        return EXIT_CONFIG
    except EndpointError as error:
        fail(name, str(error), 1)


def problems(name: str, error: Any) -> None:
    """Every problem of a configuration, on stderr."""
    count = len(error.problems)
    click.echo(f"{name}: the configuration has {count} problem{'s' if count != 1 else ''}:", err=True)
    for problem in error.problems:
        click.echo(str(problem), err=True)
