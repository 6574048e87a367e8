"""Test data: random bytes, so that a block or range in the wrong place makes a comparison fail."""

import random

MIB = 1024 * 1024


def some_bytes(length, seed=1):
    """`length` random bytes; the same seed gives the same bytes."""
    return random.Random(seed).randbytes(length)
