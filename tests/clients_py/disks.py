"""Disks of a size of our own: tmpfs mounts (tmpfs(5)), for which tests run as root."""

import contextlib
import errno
import subprocess


@contextlib.contextmanager
def small(tmp_path, sizes):
    """A directory on a disk of its own for each name in `sizes`, which tells the bytes."""
    with contextlib.ExitStack() as stack:
        directories = {}
        for name, size in sizes.items():
            directory = tmp_path / "disks" / name
            directory.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "cairn-test", directory], check=True)
            # A process that still has files open there is gone soon; the mount must not stay for it.
            stack.callback(subprocess.run, ["umount", "--lazy", directory], check=True)
            directories[name] = directory
        yield directories


def fill(directory):
    """Takes all the space that is left on a disk; returns what gives it back."""
    ballast = directory / "ballast"
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # Closing tries once more to write what is left.
            with contextlib.suppress(OSError):
                file.close()
    return ballast.unlink
