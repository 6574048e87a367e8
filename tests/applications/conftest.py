"""The settings with which applications reach the store, in addition to the fixtures of `stores`."""

import pytest
from harness import ACCESS_KEY, REGION, SECRET_KEY

pytest_plugins = ["stores"]


@pytest.fixture
def storage_options(server):
    """The options that the `object_store` crate understands, as Delta Lake, Polars and LanceDB pass them on."""
    return {
        "aws_endpoint": server.endpoint,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "aws_region": REGION,
        "allow_http": "true",
    }
