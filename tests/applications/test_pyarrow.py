"""pyarrow's S3FileSystem, which uses AWS's SDK for C++."""

import pyarrow
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest
from data import MIB, some_bytes
from harness import ACCESS_KEY, REGION, SECRET_KEY


@pytest.fixture
def files(server):
    return pyarrow.fs.S3FileSystem(
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
        scheme="http",
        endpoint_override=server.endpoint.removeprefix("http://"),
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )


def test_buckets_and_directories(files):
    files.create_dir("arrow-bucket/a/b", recursive=True)
    kinds = {info.path: info.type for info in files.get_file_info(["arrow-bucket", "arrow-bucket/a", "nowhere"])}
    directory, nothing = pyarrow.fs.FileType.Directory, pyarrow.fs.FileType.NotFound
    assert kinds == {"arrow-bucket": directory, "arrow-bucket/a": directory, "nowhere": nothing}
    files.delete_dir("arrow-bucket")
    assert files.get_file_info("arrow-bucket").type == nothing


def test_streams_copies_and_moves(files, bucket):
    body = some_bytes(23 * MIB)
    with files.open_output_stream(f"{bucket}/dir/large", metadata={"Content-Type": "text/x-large"}) as out:
        for at in range(0, len(body), MIB):
            out.write(body[at : at + MIB])
    files.copy_file(f"{bucket}/dir/large", f"{bucket}/dir/copy")
    files.move(f"{bucket}/dir/copy", f"{bucket}/moved")
    with files.open_input_file(f"{bucket}/moved") as file:
        assert file.size() == len(body)
        file.seek(20 * MIB)
        assert file.read(1_000) == body[20 * MIB : 20 * MIB + 1_000]
    with files.open_input_stream(f"{bucket}/dir/large") as stream:
        assert stream.read() == body
        assert stream.metadata()["Content-Type"] == b"text/x-large"
    found = files.get_file_info(pyarrow.fs.FileSelector(bucket, recursive=True))
    assert {info.base_name: info.size for info in found if info.is_file} == {"large": len(body), "moved": len(body)}
    files.delete_dir_contents(f"{bucket}/dir")
    assert files.get_file_info(f"{bucket}/dir/large").type == pyarrow.fs.FileType.NotFound


def test_a_partitioned_dataset(files, bucket):
    rows = 20_000
    table = pyarrow.table({"n": range(rows), "part": [f"p{n % 7}" for n in range(rows)]})
    pyarrow.dataset.write_dataset(
        table, f"{bucket}/set", filesystem=files, format="parquet", partitioning=["part"], partitioning_flavor="hive"
    )
    found = pyarrow.dataset.dataset(f"{bucket}/set", filesystem=files, partitioning="hive")
    assert found.count_rows() == rows
    part = found.to_table(filter=pyarrow.dataset.field("part") == "p3", columns=["n"])
    assert sorted(part["n"].to_pylist()) == list(range(3, rows, 7))
