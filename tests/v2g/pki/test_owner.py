"""Root prepares the directory, and what is done in it then is done by its owner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from v2g.pki.model import PkiError
from v2g.pki.owner import become_owner

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root becomes another user: needs root")


def become(directory: Path, user: str = "nobody") -> str:
    """Of a process of its own: who it is afterwards, what it was told, and whose a file is that it makes."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from v2g.pki.owner import become_owner\n"
        "words = become_owner(Path(sys.argv[1]), sys.argv[2])\n"
        "Path(sys.argv[1], 'made').touch()\n"
        "print(os.getresuid(), os.getresgid(), os.getgroups(), words, sep='|')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(directory), user], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


@as_root
def test_a_new_directory_is_the_daemons_and_so_is_the_rest_of_the_work() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        directory = Path(folder) / "v2g"
        groups = os.getgrouplist("nobody", NOBODY)
        assert become(directory) == f"{(NOBODY,) * 3}|{(NOBODY,) * 3}|{groups}|"
        assert directory.stat().st_uid == (directory / "made").stat().st_uid == NOBODY
        assert directory.stat().st_mode & 0o777 == 0o750


@as_root
def test_a_directory_of_another_user_stays_his_whoever_the_daemon_is(tmp_path: Path) -> None:
    for each in (tmp_path, *tmp_path.parents[:3]):
        each.chmod(0o755)
    directory = tmp_path / "ssl"
    directory.mkdir()
    os.chown(directory, 1, 1)
    assert become(directory).startswith("(1, 1, 1)|(1, 1, 1)|")
    assert directory.stat().st_uid == 1


@as_root
def test_who_may_not_look_into_the_directory_is_told_so_and_nothing_breaks(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from pyiso15118.security import TlsProfile\n"
        "from support.pki_site import make_config\n"
        "from v2g.pki.overview import overview\n"
        f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n"
        "print(*overview(make_config(Path(sys.argv[1])), TlsProfile.STRICT, 1.8e9).problems, sep='\\n')\n"
    )
    for each in (tmp_path, *tmp_path.parents[:3]):
        each.chmod(0o755)
    (tmp_path / "ssl").mkdir(mode=0o700)
    tests = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent / 'src'}"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout
    assert f"certificate file {tmp_path}/ssl/chain.pem cannot be read: Permission denied: run this as root" in said
    assert f"private key {tmp_path}/ssl/private.key cannot be read: Permission denied" in said


@as_root
def test_root_does_not_work_where_others_may_lay_links(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    tmp_path.chmod(0o770)
    with pytest.raises(PkiError, match="chmod go-w"):
        become_owner(tmp_path, "no-such-user")


@as_root
def test_a_used_directory_of_root_stays_so_and_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    said = become(tmp_path)
    assert said.startswith("(0, 0, 0)|")
    assert f"chown -R nobody: {tmp_path}" in said
    assert become(tmp_path, "no-such-user").endswith("|")
