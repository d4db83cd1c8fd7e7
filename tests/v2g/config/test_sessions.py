"""The section ``sessions``: bounds, and EVSEs that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from v2g.config.loader import ConfigError, load

Configure = Callable[..., Path]


def test_a_site_that_says_nothing_pauses(configure: Configure) -> None:
    sessions = load(configure()).config.sessions
    assert (sessions.on_stop, sessions.notification_delay_s, sessions.resume_within_h) == ("pause", 5, 24.0)


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("sessions: {on_stop: halt}", "sessions.on_stop", "pause"),
        ("sessions: {notification_delay_s: 0}", "sessions.notification_delay_s", "at least 1"),
        ("sessions: {notification_delay_s: 11}", "sessions.notification_delay_s", "at most 10"),
        ("sessions: {resume_within_h: 169}", "sessions.resume_within_h", "at most 168"),
        ("sessions: {never_pause: [US*V2G*E77]}", "sessions.never_pause[0]", "is no EVSE of this site"),
    ],
)
def test_what_cannot_be_is_named_with_its_remedy(configure: Configure, text: str, path: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(configure(site=text))
    problems = caught.value.problems
    assert [problem.path for problem in problems] == [path]
    assert reason in f"{problems[0].reason} {problems[0].remedy}"


def test_an_evse_whose_vehicles_never_pause(configure: Configure) -> None:
    config = load(configure(site="sessions: {never_pause: [US*V2G*E1]}")).config
    assert config.sessions.never_pause == ("US*V2G*E1",)
