"""Manual pages: made of the same text as the help, and clean roff."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from v2g.cli.man import pages, write
from v2g.cli.programs import PROGRAMS, every_command
from v2g.cli.roff import escape, tagged, title, verbatim
from v2g.cli.teaching import help_of
from v2g.config.reference import reference

PAGES = pages()


def test_there_is_a_page_for_every_program_and_every_verb_of_the_large_ones() -> None:
    for program in PROGRAMS:
        assert f"man{program.section}/{program.name}.{program.section}" in PAGES
    for place in ("man8/v2g-tool-grid.8", "man8/v2g-config-set.8", "man1/v2g-control-dispatch.1", "man5/v2g.yaml.5"):
        assert place in PAGES


@pytest.mark.parametrize("place", sorted(PAGES))
def test_a_page_is_ascii_with_the_sections_that_people_look_for(place: str) -> None:
    text = PAGES[place]
    assert text.isascii()
    heads = re.findall(r'^\.SH "(.*)"$', text, re.M)
    assert heads[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    assert heads[-1] == "SEE ALSO"
    assert "EXAMPLES" in heads
    if not place.startswith("man5/"):
        assert "EXIT STATUS" in heads
    name = Path(place).name.rpartition(".")[0]
    assert re.search(rf"^{re.escape(escape(name))} \\- \S", text, re.M), "the line that apropos reads"


def test_every_example_and_every_setting_is_on_a_page() -> None:
    everything = "\n".join(PAGES.values())
    for found in every_command():
        for example in help_of(found.command).examples:
            assert f"\n{escape(example.command)}\n" in everything, example.command
    settings = PAGES["man5/v2g.yaml.5"]
    for entry in reference():
        assert escape(entry.path) in settings


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_roff_has_nothing_to_complain_of() -> None:
    together = "".join(PAGES.values())
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-z"], input=together, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_what_is_to_be_copied_comes_out_as_it_went_in() -> None:
    line = "v2g-tool explain 'Phase Mismatch' --x=~/a^b`c\\d"
    page = title("x", 8, "y", "z") + verbatim([".dot", line, "'quote", "- dash"]) + tagged("t", "").strip()
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou"], input=page, capture_output=True, text=True, check=True
    )
    shown = [each.strip() for each in done.stdout.splitlines()]
    assert {".dot", line, "'quote", "- dash"} <= set(shown)


def test_pages_are_written_where_they_belong(tmp_path: Path) -> None:
    written = write(tmp_path / "man")
    assert {path.relative_to(tmp_path / "man").as_posix() for path in written} == set(PAGES)
    assert (tmp_path / "man" / "man8" / "v2g-tool.8").read_text() == PAGES["man8/v2g-tool.8"]
