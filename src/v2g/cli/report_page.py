"""The report as one page of HTML that needs nothing else: no script, no font, no picture from anywhere. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from v2g.cli.render import span
from v2g.cli.report_data import Summary, Vehicle
from v2g.cli.report_events import Events
from v2g.cli.report_plots import Limits, plots
from v2g.cli.report_svg import svg, text
from v2g.control.guard_words import trip_words
from v2g.telemetry import catalogue

MARK: Final = '<meta name="generator" content="v2g-orchestrator report"/>'
"""By this a file is known as one of ours."""
MOST_ROWS: Final = 100
_STYLE: Final = """
:root{color-scheme:light}
body{font:15px/1.45 system-ui,sans-serif;color:#1c2833;background:#fff;margin:0 auto;max-width:62rem;padding:1rem}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #c5ccd3}
p{margin:.4rem 0}.note{color:#52606d}.bad{color:#8f1d0c;font-weight:600}
.plot{width:100%;height:auto;margin:.5rem 0;font-family:system-ui,sans-serif}
.plot .t{font-size:14px;font-weight:600;fill:#1c2833}.plot .n{font-size:11px;text-anchor:end;fill:#3a4754}
.plot .x{font-size:11px;text-anchor:middle;fill:#3a4754}.plot .l{font-size:11px}
table{border-collapse:collapse;width:100%;margin:.4rem 0;font-size:.88rem}
th,td{text-align:left;vertical-align:top;padding:.22rem .5rem;border-bottom:1px solid #dfe3e7;overflow-wrap:break-word}
th{font-weight:600;background:#f4f6f8}.r{text-align:right;white-space:nowrap}
.a{overflow-wrap:anywhere;min-width:6rem}.m{overflow-wrap:anywhere;min-width:13rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.4rem 0}dt{color:#52606d}dd{margin:0}
@media print{body{max-width:none;padding:0;font-size:11px}h2{break-after:avoid}.plot,tr{break-inside:avoid}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    use: str
    subject: str
    until_unix_s: float
    days_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``events`` and ``certificates`` None: there is no configuration that says where they are."""

    site: str
    transformer: str
    summary: Summary
    limits: Limits
    made_at_unix_s: float
    history: str
    events: Events | None = None
    certificates: Sequence[Certificate] | None = None
    certificate_problems: Sequence[str] = ()
    versions: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = field(default=())


def page(report: Report) -> str:
    title = f"{report.site}: {_moment(report, report.summary.window.since_s)} to {_moment(report, _until(report))}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">',
            "<head>",
            '<meta charset="utf-8"/>',
            MARK,
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>",
            f"<title>{text(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{text(report.site)}</h1>",
            f"<p>{text(_headline(report))}</p>",
            *(f'<p class="note">{text(note)}</p>' for note in report.notes),
            *_body(report),
            "</body>",
            "</html>",
            "",
        ]
    )


def _body(report: Report) -> Iterator[str]:
    if not report.summary.minutes:
        yield (
            f'<p class="bad">Nothing was recorded in this time. {text(report.history)} holds no minute of it: the '
            "daemon did not run, or history.path names another file.</p>"
        )
    else:
        yield "<h2>In short</h2>"
        yield from _figures(report)
        yield "<h2>Course</h2>"
        for number, plot in enumerate(plots(report.summary, report.limits)):
            yield svg(plot, number)
        yield from _days(report)
        yield from _vehicles(report)
    yield from _trips(report)
    yield from _events(report)
    yield from _certificates(report)
    yield "<h2>Versions</h2>"
    yield _list([*report.versions, ("history", report.history)])


def _headline(report: Report) -> str:
    window = report.summary.window
    length = span(window.until_s - window.since_s)
    zone = f"{datetime.fromtimestamp(window.since_s, UTC).astimezone(report.summary.zone):%Z}"
    return (
        f"Transformer {report.transformer}, {_moment(report, window.since_s)} to {_moment(report, _until(report))} "
        f"({length}, times {zone}). Made {_moment(report, report.made_at_unix_s)}."
    )


def _figures(report: Report) -> Iterator[str]:
    summary, limits = report.summary, report.limits
    window = summary.window
    possible = max(1, round((window.until_s - window.since_s) / 60.0))
    facts: list[tuple[str, str]] = []
    if summary.hottest.value is not None:
        of = "" if limits.hot_spot_c is None else f" of {limits.hot_spot_c:g} °C"
        over = " ABOVE ITS LIMIT" if limits.hot_spot_c is not None and summary.hottest.value > limits.hot_spot_c else ""
        facts.append(
            (
                "highest hot spot",
                f"{summary.hottest.value:.1f} °C{of}{over}, {_moment(report, summary.hottest.unix_s)}",
            )
        )
    if summary.most_loaded.value is not None:
        facts.append(
            ("highest load", f"K = {summary.most_loaded.value:.2f}, {_moment(report, summary.most_loaded.unix_s)}")
        )
    if summary.ageing_min:
        share = "" if limits.life_h is None else f", {100.0 * summary.ageing_h / limits.life_h:.3g} % of its life"
        facts.append(
            (
                "insulation aged by",
                f"{summary.ageing_h:.2f} h in the {summary.ageing_min / 60.0:.1f} h that were counted{share}",
            )
        )
    facts += [
        ("charged", f"{summary.charged_wh / 1e3:.2f} kWh"),
        ("discharged", f"{summary.discharged_wh / 1e3:.2f} kWh"),
        ("vehicles", str(len(summary.vehicles))),
        ("trips", str(len(summary.trips))),
    ]
    frequency = summary.series["frequency_hz"]
    if frequency.lowest is not None and frequency.highest is not None:
        facts.append(("frequency", f"{frequency.lowest:.3f} to {frequency.highest:.3f} Hz"))
    recorded = f"{summary.minutes} of {possible} minutes ({100.0 * summary.minutes / possible:.1f} %)"
    facts.append(("recorded", recorded + ("" if summary.minutes >= possible else "; what is missing is shaded")))
    yield _list(facts)


def _days(report: Report) -> Iterator[str]:
    days = [report.summary.days[name] for name in sorted(report.summary.days)]
    yield "<h2>By day</h2>"
    yield _table(
        ("day", "highest hot spot", "highest K", "aged", "charged", "discharged", "trips", "minutes recorded"),
        [
            (
                day.name,
                "" if day.hot_spot_c is None else f"{day.hot_spot_c:.1f} °C",
                "" if day.k_pu is None else f"{day.k_pu:.2f}",
                f"{day.ageing_h:.2f} h",
                f"{day.charged_wh / 1e3:.2f} kWh",
                f"{day.discharged_wh / 1e3:.2f} kWh",
                str(day.trips),
                str(day.minutes),
            )
            for day in days
        ],
        numbers=range(1, 8),
    )


def _vehicles(report: Report) -> Iterator[str]:
    yield "<h2>Energy by vehicle</h2>"
    found = sorted(
        report.summary.vehicles.values(), key=lambda each: (-(each.charged_wh + each.discharged_wh), each.name)
    )
    if not found:
        yield "<p>No vehicle was connected.</p>"
        return
    yield _table(
        ("vehicle", "at", "connected", "charged", "discharged", "SoC first", "SoC last"),
        [_vehicle(each) for each in found[:MOST_ROWS]],
        numbers=range(2, 7),
        anything=(0, 1),
    )
    if rest := found[MOST_ROWS:]:
        charged, discharged = sum(each.charged_wh for each in rest), sum(each.discharged_wh for each in rest)
        yield (
            f'<p class="note">And {len(rest)} more vehicles: charged {charged / 1e3:.2f} kWh, discharged '
            f"{discharged / 1e3:.2f} kWh.</p>"
        )


def _vehicle(vehicle: Vehicle) -> tuple[str, ...]:
    evses = sorted(vehicle.evses)
    where = ", ".join(evses[:3]) + (f" and {len(evses) - 3} more" if len(evses) > 3 else "")
    return (
        vehicle.name,
        where,
        span(vehicle.minutes * 60.0),
        f"{vehicle.charged_wh / 1e3:.2f} kWh",
        f"{vehicle.discharged_wh / 1e3:.2f} kWh",
        "" if vehicle.soc_first_pct is None else f"{vehicle.soc_first_pct:.0f} %",
        "" if vehicle.soc_last_pct is None else f"{vehicle.soc_last_pct:.0f} %",
    )


def _trips(report: Report) -> Iterator[str]:
    yield "<h2>Trips</h2>"
    trips = report.summary.trips
    if not trips:
        yield "<p>None.</p>"
        return
    yield _table(
        ("when", "element", "what happened"),
        [
            (
                _moment(report, trip.unix_s, seconds=True),
                trip.element,
                trip_words(trip.element, trip.value, trip.unit, trip.phase),
            )
            for trip in trips[-MOST_ROWS:]
        ],
        anything=(1, 2),
    )
    if len(trips) > MOST_ROWS:
        yield f'<p class="note">And {len(trips) - MOST_ROWS} before them: v2g-tool thermal history --of trips.</p>'


def _events(report: Report) -> Iterator[str]:
    yield "<h2>Warnings and errors</h2>"
    events = report.events
    if events is None:
        yield '<p class="note">Not told: there is no configuration that says where the logs are (--config).</p>'
        return
    for problem in events.problems:
        yield f'<p class="bad">{text(problem)}</p>'
    kinds = events.sorted_kinds()
    if kinds:
        yield _table(
            ("code", "level", "log", "times", "first", "last", "meaning", "last message"),
            [
                (
                    kind.code,
                    kind.level.lower(),
                    kind.log,
                    str(kind.count),
                    _short_moment(report, kind.first),
                    _short_moment(report, kind.last),
                    entry.meaning if (entry := catalogue.find(kind.code)) is not None else "",
                    _cut(kind.message),
                )
                for kind in kinds[:MOST_ROWS]
            ],
            numbers=range(3, 4),
            anything=(0,),
            messages=(7,),
        )
    else:
        yield "<p>None.</p>"
    if len(kinds) > MOST_ROWS or events.left_out:
        yield f'<p class="note">And {max(0, len(kinds) - MOST_ROWS)} more kinds: v2g-tool log --level warning.</p>'
    yield f'<p class="note">{events.lines} lines of the logs were read. v2g-tool explain CODE tells what to do.</p>'
    if events.starts:
        yield "<h2>Starts and ends of the daemon</h2>"
        yield _table(
            ("when", "what", "message"),
            [(_log_moment(report, at), code, _cut(message)) for at, code, message in events.starts],
            anything=(2,),
        )


def _certificates(report: Report) -> Iterator[str]:
    yield "<h2>Certificates</h2>"
    for problem in report.certificate_problems:
        yield f'<p class="bad">{text(problem)}</p>'
    if report.certificates is None:
        yield '<p class="note">Not told: there is no configuration that says where they are (--config).</p>'
        return
    if not report.certificates:
        yield "<p>None.</p>"
        return
    soonest = sorted(report.certificates, key=lambda each: each.until_unix_s)
    yield _table(
        ("use", "subject", "until", "days left"),
        [
            (
                each.use,
                each.subject,
                f"{datetime.fromtimestamp(each.until_unix_s, UTC):%Y-%m-%d}",
                f"{each.days_left:.0f}" if each.days_left >= 0 else "EXPIRED",
            )
            for each in soonest[:MOST_ROWS]
        ],
        numbers=range(3, 4),
        anything=(1,),
    )


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: range = range(0),
    anything: Collection[int] = (),
    messages: Collection[int] = (),
) -> str:
    """``numbers``: columns that stand to the right; ``anything``: columns with words of others, which may be long and
    without a space; ``messages``: those that also need room."""
    styles = {**dict.fromkeys(anything, "a"), **dict.fromkeys(messages, "m"), **dict.fromkeys(numbers, "r")}

    def cell(tag: str, number: int, words: str) -> str:
        style = f' class="{styles[number]}"' if number in styles else ""
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{style}>{text(words)}</{tag}>"

    lines = ["<table><thead><tr>", *(cell("th", n, words) for n, words in enumerate(head)), "</tr></thead><tbody>"]
    for row in rows:
        lines.append("<tr>" + "".join(cell("td", n, words) for n, words in enumerate(row)) + "</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _list(facts: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts) + "</dl>"


def _until(report: Report) -> float:
    return report.summary.window.until_s


def _moment(report: Report, unix_s: float, *, seconds: bool = False) -> str:
    local = datetime.fromtimestamp(unix_s, UTC).astimezone(report.summary.zone)
    return f"{local:%Y-%m-%d %H:%M:%S}" if seconds else f"{local:%Y-%m-%d %H:%M}"


def _log_moment(report: Report, at: str) -> str:
    return _moment(report, datetime.fromisoformat(at).timestamp(), seconds=True)


def _short_moment(report: Report, at: str) -> str:
    return _log_moment(report, at)[5:]


def _cut(words: str, most: int = 300) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
