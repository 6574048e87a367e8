"""A Docker registry that keeps its images in a bucket; skopeo pushes and pulls."""

import gzip
import hashlib
import io
import json
import socket
import subprocess
import tarfile
import urllib.request

import pytest
import tools
from data import MIB, some_bytes
from harness import ACCESS_KEY, REGION, SECRET_KEY, wait_until

OCI = "application/vnd.oci.image"


@pytest.fixture
def registry(server, bucket, tmp_path):
    program = tools.need("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "version": 0.1,
        "storage": {
            "s3": {
                "accesskey": ACCESS_KEY,
                "secretkey": SECRET_KEY,
                "region": REGION,
                "regionendpoint": server.endpoint,
                "bucket": bucket,
                "secure": False,
                "chunksize": 5 * MIB,
            },
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
        "log": {"level": "warn"},
    }
    # The registry reads YAML, of which JSON is a subset.
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    command = [program, "serve", str(tmp_path / "registry.yml")]
    with open(tmp_path / "registry.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, "the registry")
        assert process.poll() is None, (tmp_path / "registry.log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def answers(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).status == 200
    except OSError:
        return False


def image(directory, layers):
    """Writes an OCI image layout whose layers hold one file each; returns the digest of its manifest."""

    def blob(body, kind):
        digest = hashlib.sha256(body).hexdigest()
        (directory / f"blobs/sha256/{digest}").write_bytes(body)
        return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(body)}

    (directory / "blobs/sha256").mkdir(parents=True)
    tars = []
    for n, body in enumerate(layers):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo(f"file{n}")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
        tars.append(buffer.getvalue())
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [blob(gzip.compress(tar, 1, mtime=0), "layer.v1.tar+gzip") for tar in tars],
    }
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return index["manifests"][0]["digest"]


def test_an_image_is_pushed_inspected_pulled_and_deleted(registry, tmp_path, s3, bucket):
    # The large layer takes several parts. The registry copies each finished upload to its final key.
    digest = image(tmp_path / "image", [some_bytes(17 * MIB), b"small"])
    skopeo = tools.Tool([tools.need("skopeo"), "--insecure-policy"], {"HOME": str(tmp_path)}, tmp_path)
    name = f"docker://{registry}/some/image:latest"
    skopeo.run("copy", "--dest-tls-verify=false", f"oci:{tmp_path}/image", name)
    found = json.loads(skopeo.run("inspect", "--tls-verify=false", name).stdout)
    assert found["Digest"] == digest and found["RepoTags"] == ["latest"]
    skopeo.run("copy", "--src-tls-verify=false", name, f"oci:{tmp_path}/pulled:latest")
    blobs = sorted((tmp_path / "image/blobs/sha256").iterdir())
    pulled = sorted((tmp_path / "pulled/blobs/sha256").iterdir())
    assert [(b.name, b.read_bytes()) for b in blobs] == [(b.name, b.read_bytes()) for b in pulled]
    # The second push sends no layers, because the registry already has them.
    skopeo.run("copy", "--dest-tls-verify=false", f"oci:{tmp_path}/image", f"docker://{registry}/some/image:again")
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    skopeo.run("delete", "--tls-verify=false", name)
    assert skopeo.run("inspect", "--tls-verify=false", name, check=False).returncode != 0
