from __future__ import annotations

import grp
import os
import pwd

import pytest

from v2g.config.schema import Roles
from v2g.control.roles import Role, group_names, role_of, system_lookup


@pytest.mark.parametrize(
    ("uid", "member_of", "role"),
    [
        (0, set(), Role.ENGINEER),
        (500, set(), Role.ENGINEER),
        (1000, set(), Role.NONE),
        (1000, {"wheel"}, Role.NONE),
        (1000, {"v2g-viewer"}, Role.VIEWER),
        (1000, {"v2g-utility", "v2g-viewer"}, Role.UTILITY),
        (1000, {"v2g-viewer", "v2g-operator"}, Role.OPERATOR),
        (1000, {"v2g-engineer"}, Role.ENGINEER),
    ],
)
def test_the_highest_group_counts(uid: int, member_of: set[str], role: Role) -> None:
    assert role_of(uid, frozenset(member_of), Roles(), own_uid=500) is role


def test_an_empty_group_name_is_nobody() -> None:
    roles = Roles(operator="", utility="")
    assert role_of(1000, frozenset({""}), roles, own_uid=500) is Role.NONE
    assert set(group_names(roles)) == {Role.VIEWER, Role.ENGINEER}


def test_the_user_database_tells_name_and_groups() -> None:
    user, groups = system_lookup(os.getuid())
    assert user == pwd.getpwuid(os.getuid()).pw_name
    assert grp.getgrgid(pwd.getpwuid(os.getuid()).pw_gid).gr_name in groups


def test_an_unknown_user_is_in_no_group() -> None:
    assert system_lookup(3_999_999_999) == ("uid 3999999999", frozenset())
