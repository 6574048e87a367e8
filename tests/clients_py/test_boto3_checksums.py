"""Checksums: every algorithm, in headers and trailers, for whole objects and for parts.

The expected values are computed with Python's implementations (zlib, hashlib) or, where Python has none, from the
polynomial.
"""

import base64
import hashlib
import zlib

import pytest
from data import MIB, some_bytes
from errors import s3_error


def crc_by_bits(data, polynomial, width):
    """A reflected CRC whose initial value and final XOR are all ones, from a table that is computed bit by bit."""
    ones = (1 << width) - 1
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (polynomial if n & 1 else 0)
        table.append(n)
    crc = ones
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return (crc ^ ones).to_bytes(width // 8, "big")


DIGESTS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    # The polynomials of Castagnoli and of NVM Express, with their bits reversed.
    "CRC32C": lambda data: crc_by_bits(data, 0x82F63B78, 32),
    "CRC64NVME": lambda data: crc_by_bits(data, 0x9A6C9329AC4BC9B5, 64),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
ALGORITHMS = sorted(DIGESTS)


def encoded(algorithm, data):
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


def test_the_implementations_here_give_the_catalogues_check_values():
    # The check values for "123456789" of the "Catalogue of parametrised CRC algorithms".
    assert DIGESTS["CRC32C"](b"123456789").hex() == "e3069283"
    assert DIGESTS["CRC64NVME"](b"123456789").hex() == "ae8b14860a799888"


# boto3 computes these by itself. The others need an extra library, so the tests compute and pass the value.
SELF_COMPUTED = ["CRC32", "SHA1", "SHA256"]


@pytest.mark.parametrize("algorithm", SELF_COMPUTED)
def test_a_checksum_that_the_client_computes_is_kept(s3, bucket, algorithm):
    body = some_bytes(300_000)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == encoded(algorithm, body)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[f"Checksum{algorithm}"] == encoded(algorithm, body)
    assert got["ChecksumType"] == "FULL_OBJECT"
    assert got["Body"].read() == body


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_in_a_header_is_kept(s3, bucket, algorithm):
    body = some_bytes(100_000)
    name = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, **{name: encoded(algorithm, body)})
    assert put[name] == encoded(algorithm, body)
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name] == put[name]
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag", "StorageClass"]
    )
    assert attributes["Checksum"][name] == put[name]
    assert attributes["ObjectSize"] == len(body)
    assert attributes["ETag"] == hashlib.md5(body).hexdigest()
    assert attributes["StorageClass"] == "STANDARD"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_checksum_stores_nothing(s3, bucket, algorithm):
    wrong = encoded(algorithm, b"something else")
    with s3_error("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"body", **{f"Checksum{algorithm}": wrong})
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


def test_checksums_are_returned_only_when_asked_for(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ChecksumAlgorithm="SHA256")
    plain = s3.head_object(Bucket=bucket, Key="k")
    assert not [name for name in plain if name.startswith("Checksum")]


def test_content_md5(s3, bucket):
    right = base64.b64encode(hashlib.md5(b"body").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ContentMD5=right)
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with s3_error("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="new", Body=b"body", ContentMD5=wrong)
    with s3_error("InvalidDigest", 400):
        s3.put_object(Bucket=bucket, Key="new", Body=b"body", ContentMD5="not base64 of 16 bytes")
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="new")


def test_a_copy_keeps_the_checksum_or_gets_another(s3, bucket):
    body = some_bytes(200_000)
    s3.put_object(Bucket=bucket, Key="a", Body=body, ChecksumAlgorithm="SHA256")
    source = {"Bucket": bucket, "Key": "a"}
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source)
    head = s3.head_object(Bucket=bucket, Key="b", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == encoded("SHA256", body)


def upload_parts(s3, bucket, key, bodies, algorithm, checksum_type):
    """Uploads parts, each with a checksum, and returns the answer to CompleteMultipartUpload."""
    name = f"Checksum{algorithm}"
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key=key, ChecksumAlgorithm=algorithm, ChecksumType=checksum_type
    )
    assert upload["ChecksumAlgorithm"] == algorithm
    assert upload["ChecksumType"] == checksum_type
    parts = []
    for number, body in enumerate(bodies, start=1):
        part = s3.upload_part(
            Bucket=bucket,
            Key=key,
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=body,
            **{name: encoded(algorithm, body)},
        )
        assert part[name] == encoded(algorithm, body)
        parts.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
    )


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_checksums_of_parts(s3, bucket, algorithm):
    # AWS, "Checking object integrity": the checksum of the concatenated checksums of the parts,
    # a hyphen, and the number of parts.
    bodies = [some_bytes(5 * MIB, 1), some_bytes(5 * MIB, 2), some_bytes(1_000, 3)]
    name = f"Checksum{algorithm}"
    expected = encoded(algorithm, b"".join(DIGESTS[algorithm](body) for body in bodies)) + "-3"
    done = upload_parts(s3, bucket, "k", bodies, algorithm, "COMPOSITE")
    assert done[name] == expected
    assert done["ChecksumType"] == "COMPOSITE"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (expected, "COMPOSITE")
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])
    parts = attributes["ObjectParts"]
    assert parts["TotalPartsCount"] == 3
    assert [p["Size"] for p in parts["Parts"]] == [len(b) for b in bodies]
    assert [p[name] for p in parts["Parts"]] == [encoded(algorithm, b) for b in bodies]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums_of_parts(s3, bucket, algorithm):
    bodies = [some_bytes(5 * MIB, 4), some_bytes(1_000, 5)]
    done = upload_parts(s3, bucket, "k", bodies, algorithm, "FULL_OBJECT")
    expected = encoded(algorithm, b"".join(bodies))
    assert (done[f"Checksum{algorithm}"], done["ChecksumType"]) == (expected, "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == expected


@pytest.mark.parametrize(
    ("algorithm", "checksum_type"),
    [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")],
)
def test_combinations_that_aws_does_not_have_are_refused(s3, bucket, algorithm, checksum_type):
    with s3_error("InvalidRequest", 400):
        s3.create_multipart_upload(
            Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=checksum_type
        )


def test_a_wrong_checksum_of_a_part(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    with s3_error("BadDigest", 400):
        s3.upload_part(
            Bucket=bucket,
            Key="k",
            UploadId=upload["UploadId"],
            PartNumber=1,
            Body=b"body",
            ChecksumSHA256=encoded("SHA256", b"other"),
        )
    parts = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload["UploadId"])
    assert "Parts" not in parts
