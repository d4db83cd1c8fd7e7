"""The work of decoding, counted in bits, so that no clock decides."""

from __future__ import annotations


class CountedInt(int):
    """A decoder's input; counts the bits that shifting and masking it moves."""

    moved: list[int]

    def __rshift__(self, by: int) -> int:
        rest = int(self) >> by  # a negative ``by`` is refused and moves nothing
        self.moved[0] += rest.bit_length()
        return rest

    def __and__(self, mask: int) -> CountedInt:
        self.moved[0] += min(self.bit_length(), mask.bit_length())
        return counted(int(self) & mask, self.moved)


def counted(value: int, moved: list[int]) -> CountedInt:
    """``value``, adding what it moves to ``moved[0]``."""
    number = CountedInt(value)
    number.moved = moved
    return number
