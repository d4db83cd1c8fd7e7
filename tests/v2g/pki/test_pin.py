"""Where a PIN is taken from, and that it shows itself nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from v2g.pki.model import PkiError
from v2g.pki.pin import CREDENTIAL, Pin, PinSource, pin_source


def write(path: Path, content: bytes = b"271828\n", mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_the_pin_stands_alone_in_its_file(tmp_path: Path) -> None:
    assert pin_source(str(write(tmp_path / "pin"))).read().reveal() == "271828"


def test_blanks_belong_to_a_pin_and_the_end_of_the_line_does_not(tmp_path: Path) -> None:
    assert pin_source(str(write(tmp_path / "pin", b" a b \r\n"))).read().reveal() == " a b "


@pytest.mark.parametrize("content", [b"", b"\n", b"1234\n5678\n", b"12\x0034", b"\xff\xfe", b"1" * 256])
def test_what_is_no_pin_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "pin", content)
    with pytest.raises(PkiError, match=r"put the PIN alone in it") as refused:
        pin_source(str(path)).read()
    assert "1234" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "pin", mode=mode)
    with pytest.raises(PkiError, match=f"chmod 600 {path}"):
        pin_source(str(path)).read()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "pin"
    link.symlink_to(write(tmp_path / "elsewhere"))
    with pytest.raises(PkiError, match="symbolic link"):
        pin_source(str(link)).read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "pin")
    os.chown(path, 65534, 65534)
    with pytest.raises(PkiError, match="belongs to nobody"):
        pin_source(str(path)).read()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match=str(tmp_path / "pin")):
        pin_source(str(tmp_path / "pin")).read()


def test_without_a_file_the_pin_is_the_credential_of_systemd(tmp_path: Path) -> None:
    # As systemd lays it: the mask of its access list stands where the group's bits are.
    write(tmp_path / CREDENTIAL, mode=0o440)
    source = pin_source("", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert source.read().reveal() == "271828"
    assert str(tmp_path) not in source.description


@pytest.mark.parametrize("mode", [0o444, 0o460, 0o404])
def test_a_credential_that_systemd_did_not_lay_so_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path / CREDENTIAL, mode=mode)
    with pytest.raises(PkiError, match="LoadCredential"):
        pin_source("", {"CREDENTIALS_DIRECTORY": str(tmp_path)}).read()


def test_a_credential_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / CREDENTIAL).symlink_to(write(tmp_path / "elsewhere", mode=0o400))
    with pytest.raises(PkiError, match="LoadCredential"):
        pin_source("", {"CREDENTIALS_DIRECTORY": str(tmp_path)}).read()


def test_without_file_and_credential_the_remedy_names_both() -> None:
    with pytest.raises(PkiError, match=r"LoadCredential=.*pki\.token\.pin_file"):
        pin_source("", {})


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(PkiError, match="absolute"):
        pin_source("pin")


def test_a_pin_shows_itself_only_when_asked_by_name() -> None:
    pin = Pin("271828")
    assert "271828" not in f"{pin!r} {pin} {vars(type(pin))}"
    assert not hasattr(pin, "__dict__")


def test_the_stamp_of_a_source_changes_when_the_file_is_written_or_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "pin")
    source = PinSource(path, credential=False)
    first = source.stamp()
    assert source.stamp() == first
    os.utime(path, ns=(1, 1))
    second = source.stamp()
    write(tmp_path / "new").replace(path)
    os.utime(path, ns=(1, 1))
    assert len({first, second, source.stamp()}) == 3
