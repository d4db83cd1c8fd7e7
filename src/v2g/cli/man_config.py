"""The manual page of the configuration, ``v2g.yaml(5)``, from the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from v2g import __version__
from v2g.cli.roff import bold, escape, heading, italic, line, paragraph, subheading, tagged, title, verbatim
from v2g.config.reference import Entry, reference, value_words

_ABOUT: Final = (
    "The configuration of one distribution transformer and the vehicles below it. v2g.yaml is read first, then the "
    "drop-ins conf.d/*.yaml in the order of their names: maps merge, entries of lists that have an id merge by it, "
    "everything else is replaced. A key that nobody knows is a mistake, and with a mistake no daemon starts.",
    "Commands never edit v2g.yaml: v2g-config set writes conf.d/90-operator.yaml, calibrations write "
    "conf.d/80-calibration.yaml. The files before a change are kept in conf.d/.backup (v2g-config backup list).",
    "Units are in the names: _w is W, _kva kVA, _v V, _a A, _s seconds, _h hours, _c °C, _k K, _pct per cent, _pu per "
    "unit, _deg degrees. On the command line values may have units: 10kW, 5min, 3%.",
    "[] stands for the entries of a list, of which v2g-config names one by its id or its position; NAME for a key that "
    "is chosen freely. In force by says what a change of the setting takes: a reload (systemctl reload "
    "v2g-orchestrator, or v2g-config reload), or a restart of the services that are named.",
)


def configuration_page() -> str:
    return "".join(
        [
            title("v2g.yaml", 5, f"v2g-orchestrator {__version__}", "V2G orchestrator"),
            heading("NAME"),
            line("v2g.yaml - configuration of a V2G orchestrator"),
            heading("SYNOPSIS"),
            paragraph(italic("/etc/v2g/v2g.yaml"), italic("/etc/v2g/conf.d/*.yaml")),
            heading("DESCRIPTION"),
            *(paragraph(escape(each)) for each in _ABOUT),
            heading("SETTINGS"),
            *(part for entry in reference() for part in _entry(entry)),
            heading("EXAMPLES"),
            *(verbatim([each]) for each in _EXAMPLES),
            heading("SEE ALSO"),
            line("v2g-config(8), v2g-orchestrator(8), v2g-tool(8)"),
        ]
    )


_EXAMPLES: Final = (
    "v2g-config show dispatch",
    "v2g-config set dispatch.dwell_s 5min",
    "v2g-config reference dispatch.dwell_s",
    "v2g-orchestrator --check-config",
)


def _entry(entry: Entry) -> Iterator[str]:
    if entry.is_section:
        yield subheading(entry.path)
        if entry.text:
            yield paragraph(escape(entry.text))
        return
    default = "required" if entry.default == "required" else f"default {entry.default}"
    facts = f"{value_words(entry)}; {default}. In force by: {entry.rule.words}."
    yield tagged(bold(entry.path), f"{entry.text} ({facts[0].upper()}{facts[1:]})" if entry.text else facts)
