"""``v2g-tool install`` and ``uninstall``: configuration, users, directories, units; what was done, line by line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v2g import __version__
from v2g.cli.common import fail, print_json
from v2g.cli.manners import confirm, reader_gone, yes_option

if TYPE_CHECKING:
    from v2g.host.install.plan import Line

_INSTALL = "v2g-tool install"
_UNINSTALL = "v2g-tool uninstall"
_root_option = click.option(
    "--root",
    "root_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/"),
    help="Lay out files only, below DIR: for an image. [default: this host]",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


_COMPLETION = {
    "bash": "bash-completion/completions/{name}",
    "zsh": "zsh/site-functions/_{name}",
    "fish": "fish/vendor_completions.d/{name}.fish",
}
"""Below the share directory, where each shell looks by itself."""


_MANY = ("/usr/share/", "/usr/local/share/")
"""Files there are told by the directory."""


class _Told:
    """The lines so far: shown at once, or kept for JSON."""

    def __init__(self, as_json: bool) -> None:
        self.lines: list[Line] = []
        self._as_json = as_json
        self._many: tuple[str, str, int] = ("", "", 0)
        self.reader_gone = False

    def __call__(self, line: Line) -> None:
        self.lines.append(line)
        if self._as_json:
            return
        *folder, name = line.path.rpartition("/")
        if line.path.startswith(_MANY) and name and not line.note:
            many = (line.did, "".join(folder))
            if self._many[:2] != many:
                self.close()
                self._many = (*many, 0)
            self._many = (*many, self._many[2] + 1)
            return
        self.close()
        self._show(line.did, line.path, line.note)

    def end(self) -> None:
        """The work is done. Ends the process where nobody reads what it did."""
        self.close()
        if self.reader_gone:
            reader_gone()

    def close(self) -> None:
        """Show what was gathered."""
        did, folder, count = self._many
        if count:
            self._show(did, folder, f"{count} file{'s' if count > 1 else ''}")
        self._many = ("", "", 0)

    def _show(self, did: str, path: str, note: str) -> None:
        if self.reader_gone:
            return
        try:
            click.echo(f"{did:<10}  {path}" + (f"  ({note})" if note else ""))
            sys.stdout.flush()
        except OSError:
            # Nobody reads on, or it goes to a full disk: no reason to stop half-way.
            self.reader_gone = True

    @property
    def changed(self) -> int:
        return sum(line.changed for line in self.lines)

    def as_json(self) -> list[dict[str, Any]]:
        return [{"did": str(o.did), "path": o.path, "note": o.note, "changed": o.changed} for o in self.lines]


@click.command()
@_root_option
@click.option(
    "--prefix",
    type=click.Path(path_type=Path, file_okay=False),
    help="The commands are in PREFIX/bin. [default: /opt/v2g/current, /usr, or where this command is]",
)
@click.option("--start", is_flag=True, help="And enable and start the daemons, once the configuration is yours.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@_json_option
def install(root_dir: Path, prefix: Path | None, start: bool, dry_run: bool, as_json: bool) -> None:
    """Lay out /etc/v2g, users, groups, directories, units, log rotation; say what was done.

    \b
    Examples:
      sudo v2g-tool install
      v2g-tool install --dry-run
      sudo v2g-tool install --start
      v2g-tool install --root image/ --prefix /opt/v2g/current

    A file that you edited is never overwritten: a newer one is put beside it, as v2g.yaml.new. Run again, it changes
    nothing, or goes on where it was stopped. What it put there is in /var/lib/v2g-install/manifest.json; v2g-tool
    uninstall removes exactly that.

    Exit codes: 0 done. 1 refused or failed. 2 not understood.
    """
    from v2g.host.install.commands import command_dir
    from v2g.host.install.errors import InstallError
    from v2g.host.install.installation import Wish
    from v2g.host.install.installation import install as lay_out
    from v2g.host.install.root import Root
    from v2g.host.install.source import shipped

    root = Root(root_dir)
    if not root.is_host and start:
        raise click.UsageError("--start is for this host, --root for an image: give one of them")
    if prefix is not None and not prefix.is_absolute():
        raise click.UsageError("--prefix is a path from the root, as the daemons will see it: /opt/v2g/current")
    told = _Told(as_json)
    try:
        commands = command_dir() if prefix is None else prefix / "bin"
        wish = Wish(
            shipped=shipped(),
            commands=commands,
            version=__version__,
            made=_generated(commands, told),
            start=start,
            dry_run=dry_run,
        )
        lay_out(root, wish, told)
    except InstallError as error:
        _failed(_INSTALL, str(error), told, as_json)
    told.end()
    steps = _next_steps(root.is_host, start)
    if as_json:
        print_json(
            {"root": str(root.directory), "dry_run": dry_run, "changed": told.changed, "lines": told.as_json()}
            | {"commands": str(commands), "next": list(steps)}
        )
        return
    if told.changed == 0:
        click.echo("Nothing to change: everything is as it should be.")
    elif dry_run:
        click.echo(f"{told.changed} things would be changed; nothing was.")
    else:
        click.echo(f"{told.changed} things were changed. Next:")
        for step in steps:
            click.echo(f"  {step}")


@click.command()
@_root_option
@click.option("--purge", is_flag=True, help="And configuration, keys, state, logs, and the users that install made.")
@yes_option
@_json_option
def uninstall(root_dir: Path, purge: bool, yes: bool, as_json: bool) -> None:
    """Stop and disable the daemons and remove what install put there.

    \b
    Examples:
      sudo v2g-tool uninstall
      sudo v2g-tool uninstall --purge --yes

    Sessions are drained as by a stop. Files that you edited stay and are named, as do configuration, keys, state and
    logs, unless --purge takes them. Rules of the firewall that are in force stay so till the next boot.

    Exit codes: 0 done. 1 refused or failed. 2 not understood.
    """
    from v2g.host.install.errors import InstallError
    from v2g.host.install.removal import uninstall as take_away
    from v2g.host.install.root import Root

    root = Root(root_dir)
    where = "this host" if root.is_host else str(root.directory)
    also = ", with its configuration, keys, state, logs and users" if purge else ""
    confirm(f"Remove v2g-orchestrator from {where}{also}?", yes)
    told = _Told(as_json)
    try:
        found = take_away(root, purge, told)
    except InstallError as error:
        _failed(_UNINSTALL, str(error), told, as_json)
    told.end()
    if as_json:
        print_json({"root": str(root.directory), "purge": purge, "changed": told.changed, "lines": told.as_json()})
    elif not found:
        click.echo(f"Nothing to remove: v2g-tool install has put nothing on {where}.")
    else:
        click.echo(f"{told.changed} things were removed.")


def _generated(commands: Path, told: _Told) -> dict[str, bytes]:
    """Manual pages and completion, below the share directory that goes with the commands."""
    from v2g.host.install.plan import Did, Line

    share = "/usr/share" if commands == Path("/usr/bin") else "/usr/local/share"
    try:
        from v2g.cli.completion import SHELLS, script
        from v2g.cli.man import pages
        from v2g.cli.programs import PROGRAMS

        found = {f"{share}/man/{place}": text.encode() for place, text in pages().items()}
        for shell in SHELLS:
            for program in PROGRAMS:
                place = _COMPLETION[shell].format(name=program.name)
                found[f"{share}/{place}"] = (script(shell, program.name) + "\n").encode()
    except ImportError as error:
        # The daemons need none of it.
        told(Line(Did.NOTE, f"{share}/man", f"no manual pages and no completion: {error}"))
        return {}
    return found


def _next_steps(is_host: bool, started: bool) -> tuple[str, ...]:
    if not is_host:
        return ("edit etc/v2g/v2g.yaml in the image, or on the controller after its first boot",)
    if started:
        return ("v2g-tool status", "journalctl -u v2g-orchestrator")
    return (
        "edit /etc/v2g/v2g.yaml and /etc/v2g/sensor_map.conf; what each line means is in them",
        "v2g-orchestrator --check-config",
        "v2g-tool preflight",
        "sudo v2g-tool install --start",
    )


def _failed(name: str, text: str, told: _Told, as_json: bool) -> None:
    told.close()
    if as_json:
        print_json({"error": {"code": "INSTALL_FAILED", "message": text}, "lines": told.as_json()})
    elif told.changed:
        text += f"\n{name}: {told.changed} things were done before that and are recorded; run it again to go on"
    fail(name, text, 1)


if __name__ == "__main__":
    sys.exit(install())
