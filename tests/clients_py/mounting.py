"""Directories that programs mount through FUSE."""

import contextlib
import os
import subprocess
import time

import pytest
import tools
from harness import wait_until

MOUNT_SECONDS = 30
UNMOUNT_TRIES = 100


@contextlib.contextmanager
def mounted(point, start):
    """Calls `start()`, which starts a process that mounts `point`, and unmounts at the end of the `with` block."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("this machine has no /dev/fuse")
    unmount = tools.need("fusermount3")
    point.mkdir()
    process = start()
    try:
        wait_until(lambda: os.path.ismount(point) or process.poll() is not None, "the mount", MOUNT_SECONDS)
        if process.poll() is not None:
            pytest.fail(f"it did not mount: {process.stderr.read().decode()}")
        yield point
    finally:
        # The mount is busy until the program has finished its uploads.
        for _ in range(UNMOUNT_TRIES):
            if subprocess.run([unmount, "-u", str(point)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run([unmount, "-uz", str(point)], capture_output=True)
        process.wait(MOUNT_SECONDS)
