"""Cairn's tables of S3's operations, compared with AWS's service model and with the answers of a server.

The model is botocore's `service-2.json`, from which AWS's SDKs are generated. The gateway dispatches requests by the
tables, and `cairn s3-operations` prints them.
"""

import gzip
import json
import pathlib
import subprocess

import botocore
import pytest
from errors import s3_error
from harness import BINARY, ROOT
from raw import UNSIGNED, Raw

# Operations of the model that Cairn's tables have under another name, or not at all.
ELSEWHERE = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",  # deprecated name of the same request
    "GetBucketNotification": "GetBucketNotificationConfiguration",  # deprecated name of the same request
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",  # deprecated name of the same request
    "PutBucketNotification": "PutBucketNotificationConfiguration",  # deprecated name of the same request
    # Its endpoint is the control endpoint of directory buckets, which Cairn does not have. It is the same request as this:
    "ListDirectoryBuckets": "ListBuckets",
    # Its endpoint is that of Object Lambda, whose host name is no valid bucket name.
    "WriteGetObjectResponse": None,
}

# Operations of S3 Control, whose model is another one. It has these names without "Account".
OF_S3_CONTROL = {"DeleteAccountPublicAccessBlock", "GetAccountPublicAccessBlock", "PutAccountPublicAccessBlock"}

# Members of the model that Cairn's tables do not have, with the reason.
WITHOUT = {
    # A member for the control endpoint of directory buckets, which Cairn does not have.
    ("ListDirectoryBuckets", "query", "max-directory-buckets"),
}


ACCOUNT_PATH = "/v20180820/configuration/publicAccessBlock"


def model():
    directory = pathlib.Path(botocore.__file__).parent / "data/s3/2006-03-01"
    packed = directory / "service-2.json.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else (directory / "service-2.json").read_bytes()
    return json.loads(text)


MODEL = model()
SHAPES = MODEL["shapes"]


@pytest.fixture(scope="module")
def table():
    text = subprocess.run([BINARY, "s3-operations"], capture_output=True, check=True, text=True).stdout
    return {operation["name"]: operation for operation in json.loads(text)["operations"]}


def elements(shape, path, seen=()):
    """Yields the paths of all leaves of a document."""
    shape_name, shape = shape, SHAPES[shape]
    if shape_name in seen:
        return
    if shape["type"] == "list":
        yield from elements(shape["member"]["shape"], path, seen)
    elif shape["type"] == "structure" and shape["members"]:
        for name, member in shape["members"].items():
            inner = SHAPES[member["shape"]]
            below = f"{path}/{member.get('locationName', name)}"
            if inner["type"] == "list" and not (inner.get("flattened") or member.get("flattened")):
                below += f"/{inner['member'].get('locationName', 'member')}"
            yield from elements(member["shape"], below, (*seen, shape_name))
    else:
        yield path


def members(name):
    """Yields (place, name) of each member of an operation of the model."""
    shape = SHAPES[MODEL["operations"][name]["input"]["shape"]] if "input" in MODEL["operations"][name] else {}
    for member_name, member in shape.get("members", {}).items():
        sent_as = member.get("locationName", member_name)
        match member.get("location"):
            case "header":
                yield "header", sent_as.lower()
            case "headers":
                yield "header prefix", sent_as.lower()
            case "querystring":
                yield "query", sent_as
            case None if shape.get("payload") == member_name and SHAPES[member["shape"]]["type"] == "structure":
                for path in elements(member["shape"], sent_as):
                    yield "element", path


def is_covered(operation, place, name):
    """Whether the table declares a member, or an unsupported element that contains it."""
    if any((when["in"], when["name"]) == (place, name) for when in operation["when"]):
        return True
    for member in operation["members"]:
        if member["in"] == place and member["name"] == name:
            return True
        within = place == "element" and name.startswith(member["name"] + "/")
        if within and member["in"] == "element" and member["support"] == "missing":
            return True
    return False


def test_every_operation_of_the_model_is_declared(table):
    for name, operation in MODEL["operations"].items():
        ours = ELSEWHERE.get(name, name)
        if ours is None:
            continue
        assert ours in table, name
        method, path = operation["http"]["method"], operation["http"]["requestUri"].partition("?")[0]
        resource = {"/": "SERVICE", "/{Bucket}": "BUCKET", "/{Bucket}/{Key+}": "OBJECT"}[path]
        assert (table[ours]["method"], table[ours]["resource"]) == (method, resource), name
        subresources = {part.partition("=")[0] for part in operation["http"]["requestUri"].partition("?")[2].split("&")}
        declared = {when["name"] for when in table[ours]["when"]} | {m["name"] for m in table[ours]["members"]}
        # An operation that is not built needs only the selectors that distinguish it from others.
        assert subresources - {""} <= declared or not table[ours]["built"], name
    unknown = set(table) - set(MODEL["operations"]) - OF_S3_CONTROL
    assert not unknown, f"not in the model: {unknown}"
    assert ELSEWHERE.keys() <= MODEL["operations"].keys(), "an exception that is none"


@pytest.mark.parametrize("name", sorted(MODEL["operations"]))
def test_every_member_of_the_model_is_handled_or_refused(name, table):
    ours = table.get(ELSEWHERE.get(name, name))
    if ours is None or not ours["built"]:
        return  # The whole operation is refused, which another test checks.
    missing = [
        (place, member)
        for place, member in members(name)
        if not is_covered(ours, place, member) and (name, place, member) not in WITHOUT
    ]
    assert not missing
    needed = {(name, *member) for member in members(name)}
    assert {exception for exception in WITHOUT if exception[0] == name} <= needed, "an exception that is none"


def test_the_tables_have_no_members_beside_those_of_the_model(table):
    """A member that AWS does not define for the operation is ignored, so the tables have none, except those marked `extra`."""
    of_bodies = {"content-md5", "content-length", "x-amz-sdk-checksum-algorithm"}
    wrong = []
    for name, operation in table.items():
        if not operation["built"] or name in OF_S3_CONTROL:
            continue
        known = set(members(name))
        for member in operation["members"]:
            if member["extra"]:
                if (member["in"], member["name"]) in known:
                    wrong.append((name, member["name"]))
                continue
            is_digest = member["name"] in of_bodies or member["name"].startswith("x-amz-checksum-")
            if operation["body"] and is_digest:
                continue
            is_above = member["in"] == "element" and any(path.startswith(member["name"] + "/") for _, path in known)
            if (member["in"], member["name"]) not in known and not is_above:
                wrong.append((name, member["name"]))
    assert not wrong


def test_the_page_is_generated_from_the_tables():
    text = subprocess.run([BINARY, "s3-operations", "--markdown"], capture_output=True, check=True, text=True).stdout
    assert (ROOT / "docs/s3.md").read_text() == text


# The tests from here on compare the tables with the answers of a server.


@pytest.fixture
def raw(server):
    return Raw(server.port)


def target(operation, bucket):
    path = {"SERVICE": "/", "BUCKET": f"/{bucket}", "OBJECT": f"/{bucket}/k", "ACCOUNT": ACCOUNT_PATH}[
        operation["resource"]
    ]
    query, headers = [], {"x-amz-account-id": "000000000000"} if operation["resource"] == "ACCOUNT" else {}
    for when in operation["when"]:
        if when["in"] == "header":
            headers[when["name"]] = f"/{bucket}/k"
        else:
            query.append(f"{when['name']}={when.get('value', '')}")
    return path, "&".join(query), headers


def test_missing_operations_are_refused_by_name(raw, bucket, table):
    for name, operation in table.items():
        if operation["built"]:
            continue
        path, query, headers = target(operation, bucket)
        answer = raw.send(operation["method"], path, query, headers, payload=UNSIGNED)
        assert (answer.status, answer.code) == (501, "NotImplemented"), name
        assert name.encode() in answer.body
    # None of the requests deleted the bucket.
    assert raw.send("HEAD", f"/{bucket}").status == 200


def test_missing_members_are_refused_by_name(raw, bucket, table):
    """Each operation answers 501 to each header that its table declares as missing, and names the header."""
    sent = 0
    for name, operation in table.items():
        if not operation["built"]:
            continue
        path, query, headers = target(operation, bucket)
        for member in operation["members"]:
            values = member["values"]["missing"]
            if member["in"] != "header" or (member["support"] != "missing" and not values):
                continue
            for value in values or ["1"]:
                answer = raw.send(operation["method"], path, query, {**headers, member["name"]: value}, payload=UNSIGNED)
                assert answer.status == 501, (name, member["name"], value, answer)
                if operation["method"] != "HEAD":
                    assert answer.code == "NotImplemented"
                    assert f"<Header>{member['name']}</Header>".encode() in answer.body
                sent += 1
    assert sent > 100


def test_values_that_aws_does_not_list_are_400(raw, bucket, table):
    """Each header with a fixed list of values in AWS's model is refused with 400 for any other value."""
    sent = 0
    for name, operation in table.items():
        path, query, headers = target(operation, bucket)
        for member in operation["members"]:
            if member["in"] != "header" or not (member["values"]["missing"] or member["values"]["done"]):
                continue
            answer = raw.send(operation["method"], path, query, {**headers, member["name"]: "jUnK"}, payload=UNSIGNED)
            assert answer.status == 400, (name, member["name"], answer)
            sent += 1
    assert sent > 25


# For each supported member a wrong value, and AWS's error code for it. The error proves that the gateway reads the member.
WRONG = {
    ("header", "content-md5"): ("x", "InvalidDigest"),
    ("header", "if-match"): ('"0"', None),
    ("header", "x-amz-checksum-crc32"): ("AAAAAQ==", None),
    ("header", "x-amz-checksum-crc32c"): ("AAAAAQ==", None),
    ("header", "x-amz-checksum-crc64nvme"): ("AAAAAAAAAAE=", None),
    ("header", "x-amz-checksum-sha1"): ("x", None),
    ("header", "x-amz-checksum-sha256"): ("x", None),
    ("header", "x-amz-copy-source"): ("x", "InvalidArgument"),
    ("header", "x-amz-copy-source-if-match"): ('"0"', "PreconditionFailed"),
    ("header", "x-amz-copy-source-if-unmodified-since"): ("Thu, 01 Jan 1970 00:00:00 GMT", "PreconditionFailed"),
    ("header", "x-amz-copy-source-range"): ("x", "InvalidArgument"),
    ("header", "x-amz-expected-bucket-owner"): ("111122223333", "AccessDenied"),
    ("header", "x-amz-source-expected-bucket-owner"): ("111122223333", "AccessDenied"),
    ("header", "x-amz-account-id"): ("111122223333", "AccessDenied"),
    ("header", "x-amz-confirm-remove-self-bucket-access"): ("x", "InvalidArgument"),
    ("header", "x-amz-grant-full-control"): ("x", "InvalidArgument"),
    ("header", "x-amz-grant-read"): ("x", "InvalidArgument"),
    ("header", "x-amz-grant-read-acp"): ("x", "InvalidArgument"),
    ("header", "x-amz-grant-write"): ("x", "InvalidArgument"),
    ("header", "x-amz-grant-write-acp"): ("x", "InvalidArgument"),
    ("header", "x-amz-max-parts"): ("x", "InvalidArgument"),
    ("header", "x-amz-mp-object-size"): ("x", "InvalidRequest"),
    ("header", "x-amz-object-attributes"): ("x", "InvalidArgument"),
    ("header", "x-amz-part-number-marker"): ("x", "InvalidArgument"),
    ("header", "x-amz-rename-source"): ("%zz", "InvalidArgument"),
    ("header", "x-amz-rename-source-if-match"): ('"0"', "PreconditionFailed"),
    ("header", "x-amz-rename-source-if-none-match"): ("*", "PreconditionFailed"),
    ("header", "x-amz-rename-source-if-modified-since"): ("Fri, 01 Jan 2100 00:00:00 GMT", "PreconditionFailed"),
    ("header", "x-amz-rename-source-if-unmodified-since"): ("Thu, 01 Jan 1970 00:00:00 GMT", "PreconditionFailed"),
    ("header", "x-amz-client-token"): ("x" * 65, "InvalidArgument"),
    ("header", "x-amz-storage-class"): ("JUNK", "InvalidStorageClass"),
    ("header", "x-amz-tagging"): ("a=1&a=2", "InvalidArgument"),
    ("header", "x-amz-bypass-governance-retention"): ("true", "InvalidArgument"),
    ("header", "x-amz-object-lock-retain-until-date"): ("x", "InvalidArgument"),
    ("header", "x-cairn-block-size"): ("x", "InvalidArgument"),
    ("query", "encoding-type"): ("x", "InvalidArgument"),
    ("query", "max-keys"): ("x", "InvalidArgument"),
    ("query", "max-parts"): ("x", "InvalidArgument"),
    ("query", "max-uploads"): ("x", "InvalidArgument"),
    ("query", "max-buckets"): ("x", "InvalidArgument"),
    ("query", "fetch-owner"): ("x", "InvalidArgument"),
    ("query", "partNumber"): ("x", "InvalidArgument"),
    ("query", "part-number-marker"): ("x", "InvalidArgument"),
    ("query", "versionId"): ("x", "InvalidArgument"),
    ("query", "version-id-marker"): ("x", "InvalidArgument"),
}
# Members that change the answer or the stored object and have no wrong value. Other tests send them.
SHOWN = {
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
    "x-amz-meta-", "content-length", "range", "if-range", "if-modified-since", "if-none-match", "if-unmodified-since",
    "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-none-match", "response-cache-control",
    "response-content-disposition", "response-content-encoding", "response-content-language",
    "response-content-type", "response-expires", "delimiter", "prefix", "marker", "start-after", "key-marker",
    "upload-id-marker", "continuation-token", "bucket-region", "id",
}  # fmt: skip


def test_supported_members_are_read(raw, bucket, s3, table):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for name, operation in table.items():
        if not operation["built"]:
            continue
        path, query, headers = target(operation, bucket)
        query = query.replace("uploadId=", f"uploadId={upload}").replace("partNumber=", "partNumber=1")
        for member in operation["members"]:
            is_listed = member["values"]["missing"] or member["values"]["done"]
            if member["support"] in ("missing", "moot") or member["in"] == "element" or is_listed:
                continue
            place = "query" if member["in"] == "query" else "header"
            if (place, member["name"]) not in WRONG:
                assert member["name"] in SHOWN, f"{name} {member['name']}: no proof that it is looked at"
                continue
            value, code = WRONG[place, member["name"]]
            asked = {
                "GetObjectAttributes": {"x-amz-object-attributes": "ETag"},
                "RenameObject": {"x-amz-rename-source": "k"},
            }.get(name, {})
            if place == "query":
                more = "&".join(filter(None, [query, f"{member['name']}={value}"]))
                answer = raw.send(operation["method"], path, more, {**asked, **headers}, payload=UNSIGNED)
            else:
                sent = {**asked, **headers, member["name"]: value}
                if member["name"] == "x-amz-source-expected-bucket-owner" or member["name"].startswith("x-amz-copy"):
                    sent = {**headers, member["name"]: value}
                answer = raw.send(operation["method"], path, query, sent, payload=UNSIGNED)
            assert answer.status >= 400, (name, member["name"], answer)
            if code and operation["method"] != "HEAD":
                assert answer.code == code, (name, member["name"], answer)


def test_a_write_with_an_unknown_subresource_is_refused(raw, bucket, s3):
    """A subresource that Cairn did not know was ignored: `PUT /bucket/key?futureThing` replaced the object by the body, and
    `DELETE /bucket/key?futureThing` deleted it."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    for query in ("futureThing", "futureThing=1", "futureThing=", "annotation&annotationName=a", "policyStatus"):
        for method in ("PUT", "DELETE", "POST"):
            for path in (f"/{bucket}/k", f"/{bucket}/new", f"/{bucket}", "/another-bucket"):
                answer = raw.send(method, path, query, body=b"new" if method == "PUT" else b"")
                assert (answer.status, answer.code) == (501, "NotImplemented"), (method, path, query)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    with s3_error("404", 404):
        s3.head_object(Bucket=bucket, Key="new")
    assert raw.send("HEAD", "/another-bucket").status == 404
    # A read ignores the unknown subresource, as AWS does.
    assert raw.send("GET", f"/{bucket}/k", "futureThing=1").body == b"old"


def test_headers_that_aws_would_ignore_are_ignored(raw, bucket, s3):
    """AWS's C++ SDK sends x-amz-api-version with every request. Cairn refused the header, so that no request of this SDK
    succeeded, not even HeadBucket."""
    headers = {
        "x-amz-api-version": "2006-03-01",
        "x-amz-te": "append-md5",
        "x-amz-fwd-status": "200",
        "x-amz-something-new": "x",
        "x-amz-rename-me": "x",
    }
    assert raw.send("HEAD", f"/{bucket}", headers=headers).status == 200
    assert raw.send("PUT", f"/{bucket}/k", headers=headers, body=b"body").status == 200
    assert raw.send("GET", f"/{bucket}/k", headers=headers).body == b"body"
    assert raw.send("GET", f"/{bucket}", "list-type=2", headers=headers).status == 200
    assert raw.send("DELETE", f"/{bucket}/k", headers=headers).status == 204


def test_a_copy_source_is_never_ignored(raw, bucket, s3):
    s3.put_object(Bucket=bucket, Key="source", Body=b"source")
    headers = {"x-amz-copy-source": f"/{bucket}/source"}
    for method, query in (("POST", "uploads"), ("POST", "uploadId=x"), ("DELETE", ""), ("PUT", "tagging")):
        answer = raw.send(method, f"/{bucket}/k", query, headers)
        assert (answer.status, answer.code) == (501, "NotImplemented"), (method, query)
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert raw.send("PUT", f"/{bucket}/k", headers=headers).status == 200
