"""A test PKI in files is complete, private, and nowhere near the real one."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from pyiso15118.security import Role, TlsProfile, TrustAnchors, client_context, server_context, validate_chain
from support.pki_site import NOW, make_config
from v2g.clock import SystemClock
from v2g.config.schema_pki import KeyKind
from v2g.pki.bundle import read_bundle, read_chain, to_pem
from v2g.pki.key_home import key_home_for
from v2g.pki.lab_ca import LabNames, write_lab_ca
from v2g.pki.model import PkiError
from v2g.pki.provisioning import Provisioner

NAMES = LabNames(secc_ids=("LAB*SECC*1",), evccids=("WMIV2G0001", "WMIV2G0002"))
STRICT = TlsProfile.STRICT


@pytest.fixture(params=list(KeyKind))
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_lab_ca(tmp_path / "lab", NAMES, request.param, NOW, tmp_path / "ssl")
    return tmp_path / "lab"


def ders(path: Path) -> list[bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding

    return [c.public_bytes(Encoding.DER) for c in read_chain(path)]


def test_each_leaf_is_valid_for_its_role_under_its_own_root(lab: Path) -> None:
    for leaf, root, role in (
        ("secc-LAB-SECC-1", "v2g-root", Role.SECC),
        ("vehicle-WMIV2G0001", "oem-root", Role.VEHICLE),
        ("vehicle-WMIV2G0002", "oem-root", Role.VEHICLE),
        ("provisioning", "oem-root", Role.OEM_PROVISIONING),
        ("contract", "mo-root", Role.CONTRACT),
        ("cps", "v2g-root", Role.CPS),
    ):
        first, *subs = ders(lab / f"{leaf}.pem")
        anchors = TrustAnchors.from_pem((lab / f"{root}.pem").read_bytes())
        assert validate_chain(first, subs, anchors, role=role, profile=STRICT, at_unix_s=NOW).role is role


def test_every_key_is_private_and_said_to_be_no_production(lab: Path) -> None:
    keys = list(lab.glob("*.key"))
    assert len(keys) >= 13
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert stat.S_IMODE(lab.stat().st_mode) == 0o700
    text = (lab / "README.txt").read_text()
    assert "NOT FOR PRODUCTION" in text
    for path in lab.iterdir():
        assert path.name == "README.txt" or path.name in text, path.name


def test_tls_takes_its_files(lab: Path) -> None:
    server_context(STRICT, lab / "secc-LAB-SECC-1.pem", lab / "secc-LAB-SECC-1.key", [lab / "vehicle-roots.pem"])
    client_context(STRICT, lab / "vehicle-WMIV2G0001.pem", lab / "vehicle-WMIV2G0001.key", [lab / "v2g-root.pem"])


def test_it_stays_out_of_the_real_directory_and_of_whatever_is_used(tmp_path: Path) -> None:
    real = tmp_path / "ssl"
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    (tmp_path / "link").symlink_to(real)
    real.mkdir()
    for output, words in (
        (real, "where the certificate of this controller is"),
        (real / "lab", "where the certificate of this controller is"),
        (tmp_path / "link", "where the certificate of this controller is"),
        (tmp_path / "used", "is not empty"),
        (tmp_path / "used" / "file" / "x", "cannot be written to"),
    ):
        with pytest.raises(PkiError, match=words):
            write_lab_ca(output, NAMES, KeyKind.P521, NOW, real)
    assert list(real.iterdir()) == []


@pytest.mark.parametrize("names", [("x" * 65,), ("a*b", "a/b")], ids=["too long", "one file name for both"])
def test_names_that_cannot_be_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(PkiError):
        write_lab_ca(tmp_path / "lab", LabNames(secc_ids=names, evccids=("V",)), KeyKind.P521, NOW, tmp_path / "ssl")


def test_an_id_cannot_lead_out_of_the_directory(tmp_path: Path) -> None:
    write_lab_ca(tmp_path / "lab", LabNames(secc_ids=("../../x",), evccids=("..",)), KeyKind.P521, NOW, tmp_path / "s")
    assert {path.name for path in tmp_path.iterdir()} == {"lab"}


def test_openssl_signs_our_request_as_the_readme_says(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    lab, clock = tmp_path / "lab", SystemClock()
    write_lab_ca(lab, NAMES, KeyKind.P521, clock.unix_s(), tmp_path / "ssl")
    config = make_config(tmp_path)
    provisioner = Provisioner(config, STRICT, key_home_for(config, STRICT), lambda ca: None, clock, lambda _: None)
    bundle = read_bundle(lab / "v2g-root.pem", clock.unix_s())
    provisioner.provision(bundle, read_bundle(lab / "vehicle-roots.pem", clock.unix_s()))
    words = (
        f"openssl x509 -req -in {tmp_path}/ssl/request.csr -copy_extensions copy -days 90 -sha512 -CA cpo-sub-ca.pem "
        "-CAkey cpo-sub-ca.key -CAcreateserial -out leaf.pem"
    )
    assert "-copy_extensions copy -days 90 -sha512" in (lab / "README.txt").read_text()
    subprocess.run(words.split(), cwd=lab, check=True, capture_output=True, timeout=30)
    received = (*read_chain(lab / "leaf.pem"), *read_chain(lab / "cpo-sub-ca.pem"))
    provisioner.install(received, bundle)
    installed = x509.load_pem_x509_certificates((tmp_path / "ssl/chain.pem").read_bytes())
    assert to_pem(installed) == to_pem(received)
