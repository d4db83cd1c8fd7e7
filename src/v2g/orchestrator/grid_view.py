"""The grid settings as people see them: what the configuration says beside what the guard has in force. Pure."""

from __future__ import annotations

from v2g.config.crosscheck_guard import guard_suspicions
from v2g.config.loader import Loaded
from v2g.config.protection import grid_settings, settings_digest
from v2g.control.messages import ElementLine, GridSettingsResult
from v2g.grid import profiles
from v2g.grid.settings import GridSettings, SettingsError, TripSetting
from v2g.guard.status import GuardStatus, Permit

UNVERIFIED = "*"
_ENTER_SERVICE = ("v_lo_pu", "v_hi_pu", "f_lo_hz", "f_hi_hz", "delay_s", "ramp_s", "random_delay_s")


def describe(loaded: Loaded, guard: GuardStatus) -> GridSettingsResult:
    """``guard`` of whatever age."""
    config = loaded.config
    known = guard.permit is not Permit.GUARD_STALE
    in_force = guard.settings_digest if known else ""
    relay: dict[str, float | str | bool | None] = {
        "setting_pu": config.relay.setting_pu,
        "delay_s": config.relay.delay_s,
        "feedback_path": config.relay.feedback_path,
        "closed": guard.relay_closed if known else None,
    }
    try:
        settings = grid_settings(config)
    except SettingsError as error:
        return GridSettingsResult(
            profile=config.grid.profile,
            standard="",
            verified=False,
            confirmed=config.grid.confirm_unverified,
            nominal_frequency_hz=config.grid.nominal_frequency_hz,
            elements=(),
            enter_service={},
            sync={},
            relay=relay,
            adjusted=(),
            remarks=tuple(text for text in guard_suspicions(config) if text != str(error)),
            digest="",
            in_force=in_force,
            problem=str(error),
            profiles=_profiles(),
        )
    service = settings.enter_service
    return GridSettingsResult(
        profile=settings.profile,
        standard=settings.standard,
        verified=settings.verified,
        confirmed=config.grid.confirm_unverified,
        nominal_frequency_hz=settings.nominal_frequency_hz,
        elements=tuple(_element(settings, setting) for setting in settings.trips.elements),
        enter_service={name: float(getattr(service, name)) for name in _ENTER_SERVICE},
        sync={"df_hz": settings.sync.df_hz, "dv_pu": settings.sync.dv_pu, "dtheta_deg": settings.sync.dtheta_deg},
        relay=relay,
        adjusted=settings.adjusted,
        remarks=tuple(dict.fromkeys(guard_suspicions(config))),
        digest=settings_digest(config, loaded.sensors),
        in_force=in_force,
        profiles=_profiles(),
    )


def _element(settings: GridSettings, setting: TripSetting) -> ElementLine:
    threshold, time_s = profiles.ranges(settings.profile, setting.element)
    return ElementLine(
        element=setting.element,
        quantity=setting.quantity.value,
        side=setting.side.value,
        threshold=setting.threshold,
        time_s=setting.time_s,
        timing=setting.timing.value,
        clause=setting.clause,
        threshold_range=threshold,
        time_range_s=time_s,
    )


def _profiles() -> tuple[str, ...]:
    return tuple(name if profiles.is_verified(name) else name + UNVERIFIED for name in profiles.names())
