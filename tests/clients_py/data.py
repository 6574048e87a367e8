"""Test data: bytes that differ from place to place, so that a misplaced block shows."""

import random

MIB = 1024 * 1024


def some_bytes(length, seed=1):
    """`length` bytes that are the same for the same seed."""
    return random.Random(seed).randbytes(length)
