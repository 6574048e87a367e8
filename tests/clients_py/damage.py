"""What disks do to files (docs/datanode-format.md): bits that flip, files that vanish."""

import random


def segments(directory, least=0):
    """The files of a datanode's directory that hold blocks, in the order of their names."""
    found = [*directory.glob("own/*/*"), *directory.glob("shared/*.segment")]
    return sorted(path for path in found if path.stat().st_size > least)


def flip_bit(path, offset=None, seed=1):
    """Flips one bit, at `offset` from the end or anywhere in the second half; the length stays."""
    size = path.stat().st_size
    at = size - offset if offset else random.Random(seed).randrange(size // 2, size)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def truncate(path):
    """Takes away the second half."""
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
