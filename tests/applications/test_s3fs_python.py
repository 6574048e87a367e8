"""s3fs for Python: the file system that pandas, dask and zarr use."""

import pytest
import s3fs
from data import MIB, some_bytes
from harness import ACCESS_KEY, REGION, SECRET_KEY


@pytest.fixture
def files(server):
    # s3fs caches instances by their arguments, and directory listings in them. Each test needs a new instance.
    s3fs.S3FileSystem.clear_instance_cache()
    return s3fs.S3FileSystem(
        key=ACCESS_KEY,
        secret=SECRET_KEY,
        endpoint_url=server.endpoint,
        client_kwargs={"region_name": REGION},
        default_block_size=5 * MIB,
    )


def test_files_are_written_read_listed_copied_and_deleted(files, bucket):
    body = some_bytes(17 * MIB)
    with files.open(f"{bucket}/a/large", "wb") as file:
        file.write(body)
    files.pipe({f"{bucket}/a/{n}": b"x" * n for n in range(20)})
    assert files.info(f"{bucket}/a/large")["size"] == len(body)
    assert files.cat_ranges([f"{bucket}/a/large"] * 2, [5, 16 * MIB], [10, 17 * MIB]) == [body[5:10], body[16 * MIB :]]
    with files.open(f"{bucket}/a/large", "rb") as file:
        file.seek(-10, 2)
        assert file.read() == body[-10:]
    # To append to a file of 5 MiB or more, s3fs copies it as the first part of an upload.
    with files.open(f"{bucket}/a/large", "ab") as file:
        file.write(b"more")
    assert files.cat(f"{bucket}/a/large") == body + b"more"
    assert sorted(files.find(bucket)) == sorted([f"{bucket}/a/large", *(f"{bucket}/a/{n}" for n in range(20))])
    files.mv(f"{bucket}/a/large", f"{bucket}/b/moved")
    assert files.ls(f"{bucket}/b") == [f"{bucket}/b/moved"] and not files.exists(f"{bucket}/a/large")
    files.cp(f"{bucket}/a", f"{bucket}/c", recursive=True)
    assert files.glob(f"{bucket}/c/1*") == [f"{bucket}/c/1", *(f"{bucket}/c/{n}" for n in range(10, 20))]
    files.rm(f"{bucket}/a", recursive=True)
    files.invalidate_cache()
    assert not files.exists(f"{bucket}/a/3") and files.exists(f"{bucket}/c/3")


def test_metadata_tags_and_links(files, bucket):
    files.pipe(f"{bucket}/k", b"x")
    files.setxattr(f"{bucket}/k", colour="red")
    assert files.getxattr(f"{bucket}/k", "colour") == "red"
    files.put_tags(f"{bucket}/k", {"team": "blue"})
    assert files.get_tags(f"{bucket}/k") == {"team": "blue"}
    assert files.url(f"{bucket}/k").startswith("http://")
