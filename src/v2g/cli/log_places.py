"""Where the logs of this installation are, and who may read them: also with a configuration that cannot be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from v2g.cli.common import fail
from v2g.cli.daemons import DEFAULT_CONFIG_DIR
from v2g.control.client import DEFAULT_SOCKET, simulation_dirs

DEFAULT_LOG_DIR = Path("/var/log/v2g")
VIEWERS = "v2g-viewer"


@dataclass(frozen=True, slots=True)
class LogPlace:
    """``group``: who becomes a member of it may read."""

    path: Path
    group: str = VIEWERS


def log_place(given: Path | None, config_dir: Path, name: str) -> LogPlace:
    """``given``, else beside the socket of ``$V2G_SOCKET``, else as the configuration says, else of a simulation of
    this user (which stderr then says). Ends the command where another configuration was named and cannot be used."""
    if given is not None:
        return LogPlace(given)
    if (socket := os.environ.get("V2G_SOCKET")) and (beside := Path(socket).parent / "log").is_dir():
        return LogPlace(beside)
    if config_dir != DEFAULT_CONFIG_DIR or (config_dir / "v2g.yaml").exists():
        return _configured(config_dir, name)
    if not DEFAULT_SOCKET.exists():
        for directory in simulation_dirs():
            try:
                if directory.lstat().st_uid == os.getuid() and (directory / "log").is_dir():
                    click.echo(f"(logs of the simulation in {directory})", err=True)
                    return LogPlace(directory / "log")
            except OSError:
                continue
    return LogPlace(DEFAULT_LOG_DIR)


def _configured(config_dir: Path, name: str) -> LogPlace:
    from v2g.config.loader import ConfigError, load
    from v2g.config.paths import run_paths

    try:
        config = load(config_dir).config
    except (ConfigError, OSError) as error:
        if config_dir != DEFAULT_CONFIG_DIR:
            fail(name, f"the configuration in {config_dir} cannot be used: {error}; or name the logs with --dir", 1)
        click.echo(
            f"{name}: the configuration cannot be used, so the logs are looked for in {DEFAULT_LOG_DIR}", err=True
        )
        return LogPlace(DEFAULT_LOG_DIR)
    return LogPlace(run_paths(config).log_dir, config.control.roles.viewer or VIEWERS)
