"""`cairn bench`: workloads against a real server, what it reports, and that it notices wrong bytes."""

import http.server
import json
import os
import re
import subprocess
import threading

import pytest
from harness import ACCESS_KEY, BINARY, REGION, SECRET_KEY

KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION}
SHORT = ["--duration", "1s", "--warm-up", "0s", "--concurrency", "4"]


def bench(workload, endpoint, *options, env=None):
    line = [BINARY, "bench", workload, "--endpoint", endpoint, *SHORT, *options]
    return subprocess.run(line, env=os.environ | KEYS | (env or {}), capture_output=True, text=True, timeout=120)


def report(workload, endpoint, *options, code=0):
    done = bench(workload, endpoint, "--json", *options)
    assert done.returncode == code, done.stderr + done.stdout[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("workload", "options", "operations"),
    [
        ("put", ["--size", "1KiB..64KiB"], {"put"}),
        ("get", ["--size", "20KiB:3,300KiB:1", "--objects", "20"], {"get"}),
        ("range-get", ["--size", "1MiB", "--range", "10KiB", "--objects", "5"], {"range-get"}),
        ("stat", ["--size", "1KiB", "--objects", "20"], {"stat"}),
        ("list", ["--size", "0", "--objects", "50"], {"list"}),
        ("delete", ["--objects", "200"], {"delete"}),
        ("delete", ["--objects", "200", "--batch", "50"], {"delete"}),
        ("multipart", ["--size", "6MiB", "--part-size", "5MiB"], {"multipart"}),
        ("versioned", ["--size", "1KiB", "--keys", "5", "--objects", "30"], {"put", "get-version", "list-versions", "delete"}),
        ("mixed", ["--size", "4KiB", "--objects", "50", "--list", "5"], {"get", "stat", "put", "delete", "list"}),
    ],
)
def test_each_workload_works_and_leaves_nothing(server, workload, options, operations):
    found = report(workload, server.gateways[0].url, "--bucket", "bench-it", *options)
    (target,) = found["targets"]
    assert {one["operation"] for one in target["operations"]} == operations
    assert (target["damage"], target["left"]) == ([], None)
    for one in target["operations"]:
        assert one["requests"] > 0 and one["failures"] == {}, one
        latency = one["latency"]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99_9"] <= latency["max"]
        assert sum(second["requests"] for second in one["per_second"]) == one["requests"]
    if workload == "delete":
        assert target["operations"][0]["items"] == 200
    names = [bucket["Name"] for bucket in server.client().list_buckets()["Buckets"]]
    assert "bench-it" not in names


def test_an_existing_bucket_and_what_is_in_it_stay(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="cairn-bench/mine", Body=b"mine")
    report("put", server.gateways[0].url, "--bucket", bucket, "--size", "1KiB")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["cairn-bench/mine"]
    report("put", server.gateways[0].url, "--bucket", bucket, "--size", "1KiB", "--keep")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] > 1


def test_bodies_may_be_signed(server):
    assert report("put", server.gateways[0].url, "--sign-bodies", "--size", "10KiB")["targets"][0]["operations"]


def test_servers_are_compared_in_turns_and_their_processes_measured(server, tmp_path):
    url, pid = server.gateways[0].url, server.gateways[0].pid
    page = tmp_path / "report.html"
    other = f"endpoint={url},name=again,bucket=bench-other,pid={pid}"
    options = ["--compare", other, "--rounds", "3", "--pid", str(pid), "--size", "4KiB", "--objects", "20"]
    found = report("get", url, "--html", str(page), *options)
    assert [target["name"] for target in found["targets"]] == [url.removeprefix("http://"), "again"]
    for target in found["targets"]:
        assert target["server"]["cpu_seconds"] > 0 and target["server"]["memory"] > 1 << 20
    figures = {one["figure"]: one for one in found["comparisons"]}
    assert set(figures) == {"requests-per-second", "latency-p50", "latency-p99", "server-cpu-per-request"}
    for one in figures.values():
        assert one["low"] <= one["median"] <= one["high"] and len(one["pairs"]) <= 3
    text = page.read_text()
    assert text.count("<svg") == 2 and "again" in text
    # It needs nothing from elsewhere.
    assert not re.search(r"(src|href)=", text)


def test_options_that_make_no_sense_are_refused_in_words(server):
    url = server.gateways[0].url
    for workload, options, words in [
        ("put", ["--size", "5KiB..1KiB"], "from a smaller one"),
        ("put", ["--size", "many"], "64KiB"),
        ("put", ["--range", "1KiB"], "--range"),
        ("mixed", ["--get", "0", "--stat", "0", "--put", "0", "--delete", "0"], "weight"),
        ("put", ["--compare", "name=x"], "endpoint"),
        ("put", ["--compare", f"endpoint={url},colour=red"], "colour"),
        ("put", ["--pid", "4194304999"], "there is no process 4194304999"),
        ("put", ["--secret-key-file", "/nowhere"], "/nowhere"),
    ]:
        done = bench(workload, url, *options)
        assert words in done.stderr, (options, done.stderr)
        assert done.returncode != 0 and done.stdout == ""
    done = bench("put", url, env={"AWS_SECRET_ACCESS_KEY": ""})
    assert (done.returncode, "AWS_SECRET_ACCESS_KEY" in done.stderr) == (1, True)
    done = bench("put", "http://127.0.0.1:1")
    assert (done.returncode, "127.0.0.1:1: cannot make the bucket" in done.stderr) == (1, True), done.stderr
    done = bench("put", url, env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert done.returncode == 1 and "403" in done.stderr


class Forgetful(http.server.BaseHTTPRequestHandler):
    """A server that keeps nothing of an object but its length, and says so with zeros."""

    protocol_version = "HTTP/1.1"
    lengths = {}

    def answer(self, status, body=b"", length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.answer(200)

    def do_PUT(self):
        length = int(self.headers["Content-Length"])
        self.rfile.read(length)
        self.lengths[self.path] = length
        self.answer(200)

    def do_GET(self):
        if "list-type" in self.path:
            return self.answer(200, b"<ListBucketResult/>")
        return self.answer(200, bytes(self.lengths[self.path]))

    def log_message(self, *_):
        pass


def test_wrong_bytes_are_noticed():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        found = report("get", endpoint, "--size", "1KiB", "--objects", "3", code=2)
        server.shutdown()
    (target,) = found["targets"]
    assert target["operations"][0]["failures"].keys() == {"damaged"}
    assert "is not what was written" in target["damage"][0]
