"""What the SECC listens on, from the configuration and its key files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pyiso15118.events import ControlMode, EnergyService, McsConnector, MobilityNeedsMode
from pyiso15118.security import Pki, TlsError, TlsProfile, write_credential, write_trust_anchor
from v2g.config.crosscheck import suspicions
from v2g.config.schema import AcEvse, Config, Paths, TlsProfileName
from v2g.config.schema import Pki as PkiConfig
from v2g.orchestrator.endpoints import build_endpoints


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(not_before=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def strict(config_of: Callable[..., Config], pki: Pki, tmp_path: Path) -> Config:
    folder = tmp_path / "keys"
    folder.mkdir()
    files = write_credential(pki.secc("SECC1"), folder, "secc")
    trust = write_trust_anchor(pki.oem_root, folder, "oem")
    section = PkiConfig(strict_chain=str(files.chain), strict_key=str(files.key), strict_trust=str(trust))
    return msgspec.structs.replace(config_of(2), pki=section, paths=Paths(state_dir=str(tmp_path)))


def test_strict_evses_get_one_context_and_their_own_ratings(strict: Config) -> None:
    first, second = build_endpoints(strict).usable
    assert first.tls is second.tls is not None
    assert first.profile is TlsProfile.STRICT
    assert not first.allow_plain
    assert (first.evse_id, first.tcp_port, second.tcp_port) == ("US*V2G*E1", 15118, 15119)
    assert first.config.limits.max_discharge_power_w == 22_000.0
    assert first.config.timers.sequence_charge_loop_s == 0.5


def test_each_service_is_offered_dynamic_first_then_scheduled_with_price_levels_then_with_the_stations_needs(
    strict: Config,
) -> None:
    offers = build_endpoints(strict).usable[0].config.services
    assert [offer.service for offer in offers] == [EnergyService.DC_BPT, EnergyService.DC]
    for offer in offers:
        assert [(way.id, way.control_mode, way.mobility_needs_mode, way.pricing) for way in offer.parameter_sets] == [
            (1, ControlMode.DYNAMIC, MobilityNeedsMode.BY_EVCC, 0),
            (2, ControlMode.SCHEDULED, MobilityNeedsMode.BY_EVCC, 2),
            (3, ControlMode.DYNAMIC, MobilityNeedsMode.BY_SECC, 0),
        ]


def test_an_evse_of_mcs_offers_megawatts_by_the_services_and_the_connector_of_mcs(strict: Config) -> None:
    ccs, mcs = strict.dc_evses
    mcs = msgspec.structs.replace(
        mcs,
        connector="mcs",
        max_voltage_v=1250.0,
        max_current_a=3000.0,
        max_charge_w=3_750_000.0,
        max_discharge_w=3_000_000.0,
    )
    config = msgspec.structs.replace(strict, evses=(ccs, mcs))
    assert not [text for text in suspicions(config) if "evses[1]" in text]
    beside, secc = (endpoint.config for endpoint in build_endpoints(config).usable)
    assert [offer.service for offer in beside.services] == [EnergyService.DC_BPT, EnergyService.DC]
    assert [offer.service for offer in secc.services] == [EnergyService.MCS_BPT, EnergyService.MCS]
    assert (secc.limits.max_charge_power_w, secc.limits.max_discharge_power_w) == (3_750_000.0, 3_000_000.0)
    assert (secc.limits.max_charge_current_a, secc.limits.max_voltage_v) == (3_000.0, 1_250.0)
    for offer in secc.services:
        assert len(offer.parameter_sets) == 3
        for way in offer.parameter_sets:
            connector = next(p for p in way.to_message(offer.service).Parameter if p.Name == "Connector")
            assert connector.intValue == McsConnector.MCS


def test_raised_loop_timeout_reaches_the_machine(strict: Config) -> None:
    config = msgspec.structs.replace(strict, secc=msgspec.structs.replace(strict.secc, charge_loop_timeout_s=2.0))
    assert build_endpoints(config).usable[0].config.timers.sequence_charge_loop_s == 2.0


def test_key_open_to_others_is_refused_with_the_remedy(strict: Config) -> None:
    Path(strict.pki.strict_key).chmod(0o644)
    with pytest.raises(TlsError, match="chmod 600"):
        build_endpoints(strict)


def test_missing_key_is_named(strict: Config) -> None:
    Path(strict.pki.strict_key).unlink()
    with pytest.raises(TlsError, match=r"secc.*cannot be read"):
        build_endpoints(strict)


def test_password_file_open_to_others_is_refused(strict: Config, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o640)
    section = msgspec.structs.replace(strict.pki, key_password_file=str(password))
    with pytest.raises(TlsError, match="open to others"):
        build_endpoints(msgspec.structs.replace(strict, pki=section))


def test_password_file_that_is_a_link_is_refused(strict: Config, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    password = tmp_path / "password"
    password.symlink_to(secret)
    section = msgspec.structs.replace(strict.pki, key_password_file=str(password))
    with pytest.raises(TlsError, match="is a symbolic link"):
        build_endpoints(msgspec.structs.replace(strict, pki=section))


def test_plain_is_refused_unless_it_is_allowed(config_of: Callable[..., Config]) -> None:
    config = config_of(1, tls="plain")
    assert build_endpoints(config).usable[0].allow_plain
    with pytest.raises(TlsError, match="test mode"):
        build_endpoints(msgspec.structs.replace(config, pki=PkiConfig()))


def test_a_missing_certificate_keeps_only_the_evses_of_its_profile_away(strict: Config) -> None:
    first, second = strict.evses
    config = msgspec.structs.replace(strict, evses=(first, msgspec.structs.replace(second, tls=TlsProfileName.COMPAT)))
    built = build_endpoints(config)
    assert [endpoint.evse_id for endpoint in built.usable] == ["US*V2G*E1"]
    assert list(built.problems) == ["US*V2G*E2"]
    assert "compat" in built.problems["US*V2G*E2"]
    assert "systemctl reload v2g-orchestrator" in built.problems["US*V2G*E2"]


@pytest.mark.parametrize("allowed", [True, False])
def test_an_ac_evse_offers_bidirectional_service_only_where_the_site_allows_discharge(
    strict: Config, allowed: bool
) -> None:
    section = {
        "id": "US*V2G*E3",
        "interface": "lo",
        "kind": "AC",
        "phases": 1,
        "rotation": "b",
        "max_charge_w": 7_000.0,
        "allow_discharge": allowed,
        "ac": {"modbus": {"host": "192.0.2.1"}},
    }
    config = msgspec.structs.replace(strict, evses=(msgspec.convert(section, AcEvse),))
    (endpoint,) = build_endpoints(config).usable
    services = [offer.service for offer in endpoint.config.services]
    assert services == ([EnergyService.AC_BPT, EnergyService.AC] if allowed else [EnergyService.AC])
    assert endpoint.config.services[0].parameter_sets[0].connector == 1
    assert endpoint.config.services[0].parameter_sets[0].nominal_voltage_v == 277
    limits = endpoint.config.ac_limits
    assert limits is not None
    assert limits.max_charge_power.total == 7_000.0
    assert limits.max_discharge_power.total == (pytest.approx(32 * 277.0) if allowed else 0.0)
