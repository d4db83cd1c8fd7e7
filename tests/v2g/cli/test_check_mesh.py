"""``--check-config`` of a controller in a mesh: what it would join as, and why it could not."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from support.mesh_pki import MeshPki
from v2g.cli import orchestrator

SHIPPED = Path(__file__).parents[3] / "etc" / "v2g"


@dataclass
class Site:
    """The shipped configuration with a mesh, and what its authority makes."""

    folder: Path
    pki: MeshPki
    mesh: dict[str, Any] = field(
        default_factory=lambda: {
            "network": "grid-7",
            "node": "tr-12",
            "groups": [{"id": "feeder", "import_kw": 200}],
            "members": [{"id": "tr-11", "group": "feeder", "rated_kw": 250}, {"id": "tr-12", "group": "feeder"}],
            "neighbours": [{"node": "tr-11", "address": "tls/tr-11.example:7447"}],
        }
    )

    def __post_init__(self) -> None:
        self.mesh["members"][1]["rated_kw"] = 250
        shutil.copytree(SHIPPED, self.folder / "v2g")
        (self.folder / "v2g" / "conf.d").mkdir(exist_ok=True)
        self.dir = self.folder / "mesh"
        self.dir.mkdir()

    def install(self, name: str, **options: Any) -> None:
        files = self.pki.node(name, **options)
        for source in (files.chain, files.key, files.ca):
            shutil.copy(source, self.dir / source.name)

    def check(self, *, hosts: dict[str, list[str]] | None = None, **fields: Any) -> str:
        section = {**self.mesh, "dir": str(self.dir), **fields}
        firewall = {"hosts": {"tr-11.example": ["10.4.0.11"]} if hosts is None else hosts}
        (self.folder / "v2g" / "conf.d" / "50-mesh.yaml").write_text(
            yaml.safe_dump({"mesh": section, "firewall": firewall})
        )
        result = CliRunner().invoke(orchestrator.cli, ["--check-config", "--config", str(self.folder / "v2g")])
        assert result.exit_code == 0, result.output
        return "\n".join(line for line in result.stdout.splitlines()[1:] if "mesh" in line)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, MeshPki(tmp_path / "ca", time.time()))


def test_a_member_with_its_files_is_told_in_one_line(site: Site) -> None:
    site.install("tr-12", addresses=("tr-12",))
    assert site.check() == "  mesh         tr-12 in grid-7, 2 members, 1 neighbours, 1 of them dialled by us"


def test_without_a_mesh_nothing_is_said_of_one(site: Site) -> None:
    result = CliRunner().invoke(orchestrator.cli, ["--check-config", "--config", str(site.folder / "v2g")])
    assert result.exit_code == 0
    assert "mesh" not in "".join(result.stdout.splitlines()[1:])


def test_a_region_and_its_gateway_are_told(site: Site) -> None:
    site.install("tr-12", addresses=("tr-12",))
    north = {
        "region_group": "feeder",
        "groups": [{"id": "country"}],
        "members": [
            {"id": "r1", "group": "country", "rated_kw": 500, "speakers": ["tr-12"]},
            {"id": "r2", "group": "country", "rated_kw": 500, "speakers": ["tr-99"]},
        ],
    }
    assert "tr-12 in grid-7, region r1, gateway to 2 regions" in site.check(
        region="r1", gateways=["tr-12"], north=north
    )


def test_a_certificate_of_another_name_is_told_with_both(site: Site) -> None:
    site.install("tr-13")
    text = site.check()
    assert "could not join" in text
    assert "'tr-12' (mesh.node)" in text
    assert "CN=tr-13" in text
    assert "counts with its rating" in text


def test_files_that_are_not_there_yet_do_not_fail_the_check_and_have_their_remedy(site: Site) -> None:
    text = site.check()
    assert f"{site.dir}/ca.pem" in text
    assert "mesh-request" in text


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [("tr-12", {"days": 0.5}, "expired"), ("tr-12", {"kind": "P-521"}, "P-256, P-384 or Ed25519")],
)
def test_what_no_member_would_take_is_told(site: Site, name: str, options: dict[str, Any], told: str) -> None:
    site.install(name, **options)
    text = site.check()
    assert "could not join" in text
    assert told in text


def test_a_key_that_others_may_read_is_told(site: Site) -> None:
    site.install("tr-12")
    (site.dir / "private.key").chmod(0o644)
    assert "is open to others (mode 0644): chmod 600" in site.check()


def test_a_revoked_certificate_is_told(site: Site) -> None:
    site.install("tr-12")
    shutil.copytree(site.pki.revoke("tr-12"), site.dir / "crl")
    assert "revoked" in site.check()


def test_a_certificate_that_ends_soon_is_told(site: Site) -> None:
    site.install("tr-12", addresses=("tr-12",), days=14.5)
    assert "our certificate ends in 13.5 days" in site.check()
    site.install("tr-12", addresses=("tr-12",), days=15.5)
    assert "ends in" not in site.check()


def test_an_address_that_the_certificate_has_not_is_told(site: Site) -> None:
    site.install("tr-12", addresses=("TR-12.example", "10.4.0.12", "2001:db8::12"))
    shown = site.check(listen=["tls/[2001:DB8:0::12]:7447", "tls/10.4.0.12:7447", "tls/127.0.0.1:7448", "tls/[::]:1"])
    assert "which our certificate does not name" not in shown
    shown = site.check(listen=["tls/10.4.0.13:7447"])
    assert "mesh.listen has 10.4.0.13, which our certificate does not name (tr-12.example, 10.4.0.12, " in shown


def test_a_certificate_without_addresses_cannot_be_dialled(site: Site) -> None:
    site.install("tr-12", addresses=())
    assert "names no address (subject alternative name): nobody can dial us" in site.check()
    assert "names no address" not in site.check(listen=[])


def test_a_neighbour_that_the_firewall_cannot_make_a_rule_of_is_told(site: Site) -> None:
    site.install("tr-12", addresses=("tr-12",))
    text = site.check(hosts={})
    assert "v2g-tool firewall would make no rules: mesh.neighbours[0].address: 'tr-11.example' is a host name" in text
    assert "firewall.hosts: {tr-11.example: [192.0.2.7]}" in text


def test_a_port_that_stays_open_to_anybody_is_told(site: Site) -> None:
    site.install("tr-12", addresses=("tr-12",))
    neighbours = [{"node": "tr-11"}]
    assert "port 7447 is open to anybody, for tr-11 dial us" in site.check(neighbours=neighbours)
    assert "anybody" not in site.check(neighbours=neighbours, hosts={"tr-11": ["10.4.0.11"]})
