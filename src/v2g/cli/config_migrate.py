"""``v2g-config migrate``: files of an earlier schema, brought forward on the disk."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from v2g.cli.common import fail, print_json
from v2g.cli.daemons import config_option, problems

_NAME = "v2g-config"


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@config_option
def migrate(dry_run: bool, as_json: bool, config_dir: Path) -> None:
    """Bring files of an earlier schema forward on the disk: comments stay, and what a file was is kept beside it.

    The daemons read such files as they are, so that there is no haste; an older version reads them no more afterwards.

    \b
    Examples:
      v2g-config migrate --dry-run
      v2g-config migrate

    Exit codes: 0 done, or nothing to do. 1 refused or failed, with every mistake. 2 not understood.
    """
    from v2g.config.migrate_files import moves, write
    from v2g.config.problems import ConfigError

    try:
        found = moves(config_dir)
        if not dry_run:
            write(found)
    except ConfigError as error:
        problems(_NAME, error)
        sys.exit(1)
    except UnicodeDecodeError as error:
        fail(_NAME, f"a file in {config_dir} is no UTF-8 ({error.reason}): save it as UTF-8", 1)
    except OSError as error:
        fail(_NAME, f"{error.filename or config_dir}: {error.strerror}; nothing is lost, run it again as root", 1)
    if as_json:
        print_json(
            [
                {"file": str(each.file), "from": each.version, "to": each.newest, "backup": str(each.backup)}
                for each in found
            ]
        )
        return
    for each in found:
        done = "would be" if dry_run else "is"
        click.echo(f"{each.file}: {done} of schema {each.newest}, was {each.version}; before: {each.backup}")
        for words in each.words:
            click.echo(f"  {words}")
    if not found:
        click.echo("every file is of the newest schema: nothing to do")
