"""``v2g-config reference``: what each setting means, from the schema."""

from __future__ import annotations

import click

from v2g.cli.common import fail, print_json
from v2g.cli.completion import complete_path
from v2g.cli.manners import WIDEST_HELP, columns

_NAME = "v2g-config"


@click.command("reference")
@click.argument("path", required=False, shell_complete=complete_path)
@click.option("--markdown", "form", flag_value="markdown", help="As tables for a document.")
@click.option("--man", "form", flag_value="man", help="As the manual page v2g.yaml(5).")
@click.option("--json", "form", flag_value="json", help="As JSON.")
def reference(path: str | None, form: str | None) -> None:
    """What each setting means, or those at and below PATH: type, unit, range, default, and what a change takes.

    \b
    Examples:
      v2g-config reference dispatch
      v2g-config reference 'evses[].inverter'
      v2g-config reference dispatch.dwell_s
      v2g-config reference --markdown

    Exit codes: 0 shown. 1 there is no such setting. 2 not understood.
    """
    from v2g.config import reference as settings
    from v2g.config.edit import suggestions

    if form == "man":
        from v2g.cli.man_config import configuration_page

        if path is not None:
            raise click.UsageError("--man is the whole page: give it without PATH")
        click.echo(configuration_page(), nl=False)
        return
    found = settings.of_path(path)
    if not found:
        close = suggestions(path or "")
        fail(_NAME, f"there is no setting {path!r}" + (f"; is {' or '.join(close)} meant?" if close else ""), 1)
    if form == "markdown":
        click.echo(settings.markdown(found))
    elif form == "json":
        print_json({each.path: _plain(each) for each in found if not each.is_section})
    else:
        click.echo(settings.text(found, min(columns() or WIDEST_HELP, 100)))


def _plain(entry: object) -> dict[str, str]:
    from v2g.config.reference import Entry

    assert isinstance(entry, Entry)  # noqa: S101
    fields = ("kind", "unit", "default", "range", "text", "only")
    return {name: value for name in fields if (value := getattr(entry, name))} | {"takes": entry.rule.words}
