"""Files that hold a secret: every way in which one must not be used, and the command that puts it right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyiso15118.security.private_file import LONGEST_SECRET, PrivateFileError, check_private, read_private

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: needs root")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "private.key"
    path.write_bytes(b"secret\n")
    path.chmod(0o600)
    return path


def test_a_private_file_is_read(secret: Path) -> None:
    check_private(secret)
    assert read_private(secret) == b"secret\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777])
def test_a_file_open_to_others_is_refused_with_the_chmod_to_run(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    with pytest.raises(PrivateFileError) as refused:
        check_private(secret)
    assert str(refused.value) == f"private key {secret} is open to others (mode {mode:04o}): chmod 600 {secret}"


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_what_the_owner_may_do_is_his_own_matter(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    check_private(secret)


def test_a_symbolic_link_is_refused_wherever_it_leads(secret: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.key"
    link.symlink_to(secret)
    with pytest.raises(PrivateFileError, match=r"link\.key is a symbolic link"):
        read_private(link)


def test_a_directory_of_links_is_no_link_to_the_file(secret: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").symlink_to(tmp_path)
    assert read_private(tmp_path / "etc" / secret.name) == b"secret\n"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: object) -> None:
    path = tmp_path / "private.key"
    make(path, 0o600)  # type: ignore[operator]
    with pytest.raises(PrivateFileError, match="no regular file"):
        read_private(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrivateFileError, match=r"password .*/none cannot be read: No such file"):
        read_private(tmp_path / "none", "password")


def test_a_file_too_long_for_a_secret_is_refused(secret: Path) -> None:
    secret.write_bytes(b"x" * (LONGEST_SECRET + 1))
    with pytest.raises(PrivateFileError, match="more than 65536 bytes"):
        read_private(secret)


@as_root
def test_root_takes_files_of_the_directorys_owner_and_of_nobody_else(secret: Path) -> None:
    os.chown(secret, NOBODY, NOBODY)
    with pytest.raises(PrivateFileError, match=rf"belongs to nobody: chown root {secret}"):
        check_private(secret)
    os.chown(secret.parent, NOBODY, NOBODY)
    check_private(secret)


def as_nobody(path: Path) -> str:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from pyiso15118.security.private_file import PrivateFileError, check_private\n"
        f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n"
        "try:\n"
        "    check_private(Path(sys.argv[1]))\n"
        "except PrivateFileError as error:\n"
        "    print(error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


@pytest.fixture
def reachable(secret: Path) -> Path:
    """By other users, down from the root directory."""
    for each in secret.parents:
        if each.owner() == "root" and str(each) != "/" and str(each) != "/tmp":
            each.chmod(0o755)
    return secret


@as_root
@pytest.mark.parametrize(
    ("owner", "mode", "words"),
    [
        (NOBODY, 0o600, ""),
        (0, 0o600, "cannot be read: Permission denied: chown nobody {}"),
        (NOBODY, 0o000, "cannot be read: Permission denied: chmod 600 {}"),
        (1, 0o644, "belongs to daemon: chown nobody {}"),
        (0, 0o644, "is open to others (mode 0644): chmod 600 {}"),
    ],
)
def test_another_user_is_told_what_root_has_to_run(reachable: Path, owner: int, mode: int, words: str) -> None:
    reachable.chmod(mode)
    os.chown(reachable, owner, owner)
    said = as_nobody(reachable)
    assert said == (f"private key {reachable} {words.format(reachable)}" if words else "")
