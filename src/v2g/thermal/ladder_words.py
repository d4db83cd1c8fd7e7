"""What the sensor ladder says of top-oil and winding: the thing, what is assumed, the remedy. Pure.

Words are stable but for figures.
"""

from __future__ import annotations

from v2g.thermal.sensor_watch import Health, SensorReport

NEVER_MEASURED = "top-oil was never measured: no V2G power; check the top-oil transducer and top_oil_c in sensor_map"


def hot_words(by_k: float) -> str:
    return (
        f"top oil is {by_k:.0f} K hotter than load and ambient explain: measurement taken; check cooling and the "
        "top-oil transducer"
    )


def top_oil_words(
    report: SensorReport, *, explained_c: float, was_measured: bool, shadow_counts: bool, settled_k: float | None
) -> list[str]:
    """``explained_c``: counted without the reading; ``settled_k``: by how much the model proved wrong, or None."""
    read_c, health = report.read, report.health
    if not was_measured:
        return [report.words, NEVER_MEASURED] if read_c is not None and report.words else [NEVER_MEASURED]
    if read_c is None:
        return ["no top-oil temperature: the thermal model runs on load and ambient alone"]
    if health is Health.STUCK:
        return [
            f"top-oil transducer reads {read_c:.1f} °C and does not move, load and ambient explain "
            f"{explained_c:.1f} °C: not used; check the top-oil transducer (frozen, loose, driver)"
        ]
    if health is Health.JUMPED and read_c > explained_c:
        return [hot_words(read_c - explained_c)]
    if health is not Health.OK:
        return [report.words]
    if shadow_counts:
        return [
            f"top-oil transducer reads {read_c:.1f} °C, measured load and ambient explain {explained_c:.1f} °C: "
            "the hotter one counts; check the top-oil transducer (frozen, loose, scale), and if it is right, the "
            "nameplate values and the ambient transducer"
        ]
    if settled_k is not None:
        return [
            f"top-oil departs by {settled_k:+.0f} K from what load and ambient explain, and has settled there: "
            "correct top_oil_rise_k and loss_ratio_r (v2g-tool thermal calibrate), or look for sun, wind and "
            "blocked coolers"
        ]
    return []


def winding_words(report: SensorReport, *, explained_c: float, shadow_counts: bool) -> list[str]:
    if report.health is Health.LOST:
        return ["no winding temperature: the gradient learned before is assumed; check the winding transducer"]
    if report.health is Health.JUMPED and report.read is not None and report.read > explained_c:
        return [f"winding transducer jumped to {report.read:.1f} °C: the hotter one counts; check it and cooling"]
    if report.health not in (Health.OK, Health.NEVER_SEEN):
        return [report.words]
    if shadow_counts:
        return [
            "winding transducer reads less than load explains: the hotter one counts; check the winding "
            "transducer, and if it is right, hot_spot_gradient_k"
        ]
    return []
