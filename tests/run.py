#!/usr/bin/env python3
"""Runs every suite of tests and sums them up.

    tests/run.py                  all suites
    tests/run.py rust python      some suites
    tests/run.py --fast           every crate's own tests, without clusters of processes and without Python clients
    tests/run.py --crate NAME     tests of one crate
    tests/run.py --python WORDS   the Python tests whose names match WORDS (an expression of pytest -k)

Suites:

    rust           every crate's own tests, and Rust's S3 clients against the release binary
    python         real clients, bad clients, faults, memory: tests/clients_py
    applications   programs that keep their data in S3: tests/applications
    compose        the Dockerfile and compose.yaml: tests/compose

The suites run in two lanes, so that a suite that mostly waits runs beside one that mostly computes. The output of each
suite is printed as it comes, with the suite's name in front, and kept under .test/. A suite that cannot be built counts as
one failure. The last lines name the tests that failed and say why; the very last one is `N passed, N failed, N skipped`.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOGS = ROOT / ".test"
# The last lines of a run stay readable, and a message of pytest may have thousands of characters.
REASON_MAX = 600
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PYTHON = ROOT / ".venv/bin/python"
# The applications need other versions of libraries that the SDKs need too.
APPLICATIONS_PYTHON = ROOT / ".venv-applications/bin/python"


@dataclasses.dataclass
class Result:
    """The result of a suite."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0
    note: str = ""
    names: list = dataclasses.field(default_factory=list)  # of the tests that failed


def run(name, command):
    """Runs a command, prints its output and appends it to a log; returns the exit code and the output."""
    print(f"{name} | + {' '.join(map(str, command))}", flush=True)
    env = os.environ | {"CAIRN_BIN": str(TARGET / "release/cairn")}
    text = []
    with (
        open(LOGS / f"{name}.log", "a") as log,
        subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as child,
    ):
        for line in child.stdout:
            print(f"{name} | {line.rstrip()}", flush=True)
            log.write(line)
            text.append(line)
    return child.returncode, "".join(text)


def build():
    """Builds the release binary, which the clients test; returns whether it was built."""
    code, _ = run("build", ["cargo", "build", "--release", "--locked", "--package", "cairn"])
    return code == 0


def nextest(text):
    """The counts of cargo-nextest's summary: `10 tests run: 9 passed (1 slow), 1 failed, 2 skipped`."""
    result = Result()
    for line in re.findall(r"Summary \[.*", text):
        for count, what in re.findall(r"(\d+) (passed|failed|timed out|skipped|exec failed)", line):
            field = what if what in ("passed", "skipped") else "failed"
            setattr(result, field, getattr(result, field) + int(count))
    # A test that failed is named when it fails and once more at the end.
    result.names = sorted(set(re.findall(r"^ *(?:FAIL|TIMEOUT|SIG\w+) \[[^]]*\] (?:\([^)]*\) )?(.+)$", text, re.MULTILINE)))
    return result


def cargo_test(text):
    """The counts of libtest: `test result: ok. 3 passed; 0 failed; 1 ignored; …`, one per binary."""
    result = Result()
    for passed, failed, ignored in re.findall(r"(\d+) passed; (\d+) failed; (\d+) ignored", text):
        result.passed += int(passed)
        result.failed += int(failed)
        result.skipped += int(ignored)
    return result


def cargo_tests(selection):
    """Runs the Rust tests that `selection` chooses, with cargo-nextest if it is installed."""
    if shutil.which("cargo-nextest"):
        command = ["cargo", "nextest", "run", *selection, "--locked", "--no-fail-fast", "--color=never"]
        command += ["--status-level=fail", "--final-status-level=fail"]
        code, text = run("rust", command)
        result = nextest(text)
    else:
        code, text = run("rust", ["cargo", "test", *selection, "--locked", "--no-fail-fast"])
        result = cargo_test(text)
    if code != 0 and result.failed == 0:
        result.failed, result.note = 1, "did not run to its end"
    return result


def reason(outcome):
    """Why a test failed, in one line of at most REASON_MAX characters: its beginning and its end, where a long one says
    what was expected and what was found."""
    text = " ".join((outcome.get("message") or "").split())
    half = REASON_MAX // 2
    return text if len(text) <= REASON_MAX else f"{text[:half]} … {text[-half:]}"


def pytest(name, directory, python=PYTHON, options=()):
    report = LOGS / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", directory, f"--junit-xml={report}", "--durations=10", *options]
    code, _ = run(name, command)
    result = Result()
    if report.exists():
        tree = xml.etree.ElementTree.parse(report).getroot()
        result.names = [
            f"{case.get('classname')}::{case.get('name')}: {reason(outcome)}"
            for case in tree.iter("testcase")
            for outcome in case
            if outcome.tag in ("failure", "error")
        ]
        for suite in tree.iter("testsuite"):
            count = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
            result.failed += count["failures"] + count["errors"]
            result.skipped += count["skipped"]
            result.passed += count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    if code != 0 and result.failed == 0:
        result.failed, result.note = 1, f"pytest ended with {code}"
    return result


SUITES = {
    "rust": lambda: cargo_tests(["--workspace"]),
    "python": lambda: pytest("python", "tests/clients_py"),
    "applications": lambda: pytest("applications", "tests/applications", APPLICATIONS_PYTHON),
    "compose": lambda: pytest("compose", "tests/compose"),
}

# The suites of a lane run one after another. The Python clients take as long as all others together.
LANES = [["python"], ["rust", "applications", "compose"]]


def run_lane(names):
    return {name: timed(SUITES[name]) for name in names}


def timed(suite):
    began = time.monotonic()
    result = suite()
    result.seconds = time.monotonic() - began
    return result


def run_some(arguments):
    """Runs the tests that the arguments choose; returns results by name."""
    if arguments.fast:
        # cargo's default members are all crates except those that test whole clusters and SDK clients.
        return {"fast": timed(lambda: cargo_tests([]))}
    if arguments.crate is not None:
        return {arguments.crate: timed(lambda: cargo_tests(["--package", arguments.crate]))}
    built = timed(lambda: Result(failed=0 if build() else 1))
    if built.failed:
        return {"build": built}
    words = ["-k", arguments.python]
    return {"build": built, "python": timed(lambda: pytest("python", "tests/clients_py", options=words))}


def run_suites(names):
    unknown = set(names) - SUITES.keys()
    if unknown:
        sys.exit(f"no such suite: {', '.join(unknown)}; there are {', '.join(SUITES)}")
    results = {"build": timed(lambda: Result(failed=0 if build() else 1))}
    if results["build"].failed:
        results["build"].note = "the release binary does not build"
        return results
    lanes = [[name for name in lane if not names or name in names] for lane in LANES]
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        for done in pool.map(run_lane, lanes):
            results |= done
    return results


def parse(line):
    parser = argparse.ArgumentParser(description="Runs tests and sums them up.")
    parser.add_argument("suites", nargs="*", help=f"some of {', '.join(SUITES)}; all by default")
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--fast", action="store_true", help="every crate's own tests")
    some.add_argument("--crate", metavar="NAME", help="tests of one crate")
    some.add_argument("--python", metavar="WORDS", help="the Python tests whose names match")
    arguments = parser.parse_args(line)
    if "" in (arguments.crate, arguments.python):
        parser.error("name what is to run: make test-crate C=cairn-gateway, make test-python K=presigned")
    return arguments


def main(line):
    arguments = parse(line)
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir()
    began = time.monotonic()
    some = arguments.fast or arguments.crate is not None or arguments.python is not None
    results = run_some(arguments) if some else run_suites(arguments.suites)

    print("\nsuite         passed  failed  skipped    time")
    for name, r in results.items():
        print(f"{name:12}  {r.passed:6}  {r.failed:6}  {r.skipped:7}  {r.seconds:5.0f} s  {r.note}")
    passed, failed, skipped = (
        sum(getattr(r, field) for r in results.values()) for field in ("passed", "failed", "skipped")
    )
    print(f"all together: {time.monotonic() - began:.0f} s")
    # At the end, where whoever sees only the last lines of the output finds it.
    for name, r in results.items():
        for test in r.names:
            print(f"failed: {name}: {test}")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
