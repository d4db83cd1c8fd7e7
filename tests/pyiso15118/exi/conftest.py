"""Messages of any type, drawn from its declaration."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from pyiso15118.exi.declarations import Struct
from support.random_messages import structs_of

Structs = Callable[..., st.SearchStrategy[Struct]]


@pytest.fixture(scope="session")
def structs() -> Structs:
    """A strategy for the values of a type; strings are made of ``alphabet``, any character by default."""

    def strategy(cls: type[Struct], alphabet: str | None = None) -> st.SearchStrategy[Struct]:
        return structs_of(
            cls, st.characters(exclude_categories=["Cs"]) if alphabet is None else st.sampled_from(alphabet)
        )

    return strategy
