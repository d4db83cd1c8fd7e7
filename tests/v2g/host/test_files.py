from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from v2g.host.files import replace_file


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"a long first content")
    replace_file(path, b"short")
    assert path.read_bytes() == b"short"
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "gone" / "state.json", b"x")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
def test_what_another_user_has_put_in_the_temporarys_place_is_not_what_is_renamed(tmp_path: Path) -> None:
    planted = tmp_path / f".state.json.{os.getpid()}"
    planted.touch()
    planted.chmod(0o666)
    os.chown(planted, 54_321, -1)
    replace_file(tmp_path / "state.json", b"x")
    assert (tmp_path / "state.json").stat().st_uid == 0
