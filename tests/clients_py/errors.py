"""Assertions about S3 errors, by the codes and statuses of AWS (API reference, "Error responses")."""

import contextlib

import botocore.exceptions


@contextlib.contextmanager
def s3_error(code, status):
    """Asserts that the `with` block fails with this S3 error code and this HTTP status."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        got = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        assert got == (code, status), error
    else:
        raise AssertionError(f"no error, but expected {code} ({status})")


def outcome(call, *args, **kwargs):
    """The error code of a call, or "ok"."""
    try:
        call(*args, **kwargs)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"
