"""Damage to the files of a datanode (docs/datanode-format.md), as failing disks do it."""

import random


def segments(directory, least=0):
    """The segment files in a datanode's directory that are longer than `least` bytes, sorted by path. A running datanode may
    remove any of them at any time."""
    found = [*directory.glob("own/*/*"), *directory.glob("shared/*.segment")]
    return sorted(path for path in found if length(path) > least)


def length(path):
    """The length of a file in bytes; -1 if it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def flip_bit(path, offset=None, seed=1):
    """Flips one bit of the byte at `offset` from the end, or of a random byte in the second half of the file."""
    size = path.stat().st_size
    at = size - offset if offset else random.Random(seed).randrange(size // 2, size)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def truncate(path):
    """Cuts the second half off the file."""
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
