"""``v2g-tool explain``: a code of the logs in words."""

from __future__ import annotations

import textwrap

import click

from v2g.cli.common import fail, print_json, say
from v2g.telemetry import catalogue
from v2g.telemetry.catalogue_entry import Entry

_NAME = "v2g-tool explain"
_WIDTH = 100
_EXIT_UNKNOWN = 1


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("code", nargs=-1)
@click.option("--list", "as_list", is_flag=True, help="Every code with the beginning of its meaning.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def explain(code: tuple[str, ...], as_list: bool, as_json: bool) -> None:
    """What a code of the logs means, what the daemon does then, and what to do.

    CODE is as in the log, in any case: TRIP, ov2, "Phase Mismatch"; or a whole line of a log, pasted in quotes.

    \b
    Examples:
      v2g-tool explain 0xEF22
      v2g-tool explain SECC_TIMEOUT
      v2g-tool explain 'Phase Mismatch'
      v2g-tool explain '2026-01-31T02:14:07.123Z ERROR: SECC_TIMEOUT US*V2G*E1'
      v2g-tool explain --list

    Exit codes: 0 explained. 1 no such code. 2 not understood.
    """
    if as_list == bool(code):
        raise click.UsageError("name one code, or give --list")
    if as_list:
        if as_json:
            print_json([_as_json(entry) for entry in catalogue.ENTRIES])
        else:
            click.echo("\n".join(_line(entry) for entry in catalogue.ENTRIES))
        return
    text = " ".join(code)
    entry = catalogue.find(text)
    if entry is None:
        close = catalogue.suggestions(text)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        if as_json:
            print_json({"error": {"code": "UNKNOWN_CODE", "message": f"{text!r} is not known", "close": close}})
        fail(
            _NAME,
            f"no code of our logs is in {textwrap.shorten(text, _WIDTH, placeholder=' …')!r}{hint} (--list shows all)",
            _EXIT_UNKNOWN,
        )
    if as_json:
        print_json(_as_json(entry))
    else:
        say(_text(entry))


def _text(entry: Entry) -> str:
    title = entry.code + (f" ({', '.join(entry.also)})" if entry.also else "")
    parts = [("Meaning", entry.meaning), ("The daemon", entry.daemon), ("What to do", entry.remedy)]
    if entry.clause:
        parts.append(("Clause", entry.clause))
    return "\n".join([title, *(_paragraph(name, text) for name, text in parts)])


def _paragraph(name: str, text: str) -> str:
    return textwrap.fill(text.strip(), _WIDTH, initial_indent=f"  {name + ':':<12}", subsequent_indent=" " * 14)


def _line(entry: Entry) -> str:
    return f"{entry.code:<26}{textwrap.shorten(entry.meaning, _WIDTH - 26, placeholder=' …')}"


def _as_json(entry: Entry) -> dict[str, object]:
    return {
        "code": entry.code,
        "also": entry.also,
        "meaning": entry.meaning,
        "daemon": entry.daemon.strip(),
        "remedy": entry.remedy,
        "clause": entry.clause,
    }
