#!/usr/bin/env python3
"""What it takes to complete, copy and rename an object of 5 GiB, next to one of 400 MiB in the same run.

    benches/large_objects.py [--rounds N]

None of them writes a block: the number of blocks is compared before and after. The times are those of the client, for one request
after the other, and contain its signature, the connection and the commit's sync.
"""

import argparse
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import cairn_bench  # noqa: E402
import harness  # noqa: E402
from data import MIB, some_bytes  # noqa: E402

BUCKET = "large"
PARTS = 80


def timed(work, **request):
    """Milliseconds that a request takes."""
    began = time.monotonic()
    work(**request)
    return (time.monotonic() - began) * 1000


def begin(client, key, part):
    """Begins an upload and gives it its parts; returns the request that completes it."""
    upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    names = {"Bucket": BUCKET, "Key": key, "UploadId": upload}
    done = [{"PartNumber": number, "ETag": part(names, number)} for number in range(1, PARTS + 1)]
    return names | {"MultipartUpload": {"Parts": done}}


def uploaded(client, content):
    """A part that is sent."""
    return lambda names, number: client.upload_part(**names, PartNumber=number, Body=content)["ETag"]


def copied(client, source, size):
    """A part that is a copy of the same bytes of another object."""

    def part(names, number):
        span = f"bytes={(number - 1) * size}-{number * size - 1}"
        of = {"CopySource": f"{BUCKET}/{source}", "CopySourceRange": span, "PartNumber": number}
        return client.upload_part_copy(**names, **of)["CopyPartResult"]["ETag"]

    return part


def measure(store, client, part_size, rounds):
    """The median times, in milliseconds, for an object of PARTS parts of this size."""
    name = f"of-{part_size}"
    client.complete_multipart_upload(**begin(client, name, uploaded(client, some_bytes(part_size, 1))))
    size = client.head_object(Bucket=BUCKET, Key=name)["ContentLength"]
    assert size == PARTS * part_size
    before = store.status()["blocks"]
    times = {"complete": [], "copy": [], "rename": []}
    for number in range(rounds):
        upload = begin(client, f"{name}-completed-{number}", copied(client, name, part_size))
        times["complete"].append(timed(client.complete_multipart_upload, **upload))
        copy = f"{name}-copied-{number}"
        times["copy"].append(timed(client.copy_object, Bucket=BUCKET, Key=copy, CopySource=f"{BUCKET}/{name}"))
        renamed = {"Bucket": BUCKET, "Key": f"{name}-renamed-{number}", "RenameSource": copy}
        times["rename"].append(timed(client.rename_object, **renamed))
    assert store.status()["blocks"] == before, "a block was written"
    return {what: statistics.median(values) for what, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="of which the median is shown")
    options = parser.parse_args()
    with cairn_bench.running(harness.start_server, BUCKET) as store:
        client = store.client()
        small = measure(store, client, 5 * MIB, options.rounds)
        large = measure(store, client, 64 * MIB, options.rounds)
    print(f"{'':>10}{'400 MiB':>12}{'5 GiB':>12}{'ratio':>10}")
    for what in small:
        print(f"{what:>10}{small[what]:9.1f} ms{large[what]:9.1f} ms{large[what] / small[what]:8.2f} ×")


if __name__ == "__main__":
    main()
