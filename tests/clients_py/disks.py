"""Small disks as tmpfs mounts (tmpfs(5)). Mounting needs root."""

import contextlib
import errno
import subprocess


@contextlib.contextmanager
def small(tmp_path, sizes):
    """Mounts a disk for each name in `sizes`, which maps names to bytes; yields the directories by name."""
    with contextlib.ExitStack() as stack:
        directories = {}
        for name, size in sizes.items():
            directory = tmp_path / "disks" / name
            directory.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "cairn-test", directory], check=True)
            # Lazy, because a process of the test may still have files open there for a moment.
            stack.callback(subprocess.run, ["umount", "--lazy", directory], check=True)
            directories[name] = directory
        yield directories


def fill(directory):
    """Fills a disk completely; returns a function that frees the space again."""
    ballast = directory / "ballast"
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # `close` writes the buffered bytes again, and fails for the same reason.
            with contextlib.suppress(OSError):
                file.close()
    return ballast.unlink
