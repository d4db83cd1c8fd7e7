from __future__ import annotations

import os
import pwd

from v2g.host.users import commanders


def test_root_this_process_and_the_named_user_may_command() -> None:
    other = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.getuid()))
    assert commanders(other.pw_name) == {0, os.getuid(), other.pw_uid}


def test_a_user_that_does_not_exist_adds_nobody() -> None:
    assert commanders("no-such-user") == commanders("") == {0, os.getuid()}
