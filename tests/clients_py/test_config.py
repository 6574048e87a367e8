"""Settings from flags, environment, file and defaults; `cairn config show`; help texts."""

import json
import re
import subprocess

import harness
import pytest
from data import MIB, some_bytes
from harness import run_cairn

PARTS = ["server", "gateway", "metanode", "datanode"]
SECRET = "a secret that nobody must see, ever"


def show(part, *args, env=None):
    done = run_cairn(["config", "show", part, "--json", *args], env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def setting(part, name, *args, env=None):
    (found,) = [s for s in show(part, *args, env=env)["settings"] if s["name"] == name]
    return found["value"], found["source"], found["from"]


def complaint(done):
    assert done.returncode == 1, (done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("cairn: "), done.stderr
    return lines[0]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cairn.toml"

    def write(text):
        path.write_text(text)
        return ["--config", str(path)]

    write.path = path
    return write


@pytest.mark.parametrize("part", PARTS)
def test_every_option_of_a_part_is_shown(part):
    told = run_cairn([part, "--help"]).stdout
    options = set(re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)", told, re.M)) - {"help", "version"}
    assert len(options) > 10
    assert {s["name"] for s in show(part)["settings"]} == options


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(file):
    config = file("replication = 2\n[metanode]\nblock-size = '1MiB'\n")
    assert setting("metanode", "replication") == ("3", "default", None)
    assert setting("metanode", "replication", *config) == ("2", "file", f"{file.path}: replication")
    assert setting("metanode", "block-size", *config) == ("1MiB", "file", f"{file.path}: metanode.block-size")
    assert setting("server", "block-size", *config) == ("8MiB", "default", None)
    env = {"CAIRN_REPLICATION": "4"}
    assert setting("metanode", "replication", *config, env=env) == ("4", "environment", "CAIRN_REPLICATION")
    flag = [*config, "--replication", "5"]
    assert setting("metanode", "replication", *flag, env=env) == ("5", "flag", "--replication")
    # An environment variable can name the file, too.
    assert setting("server", "replication", env={"CAIRN_CONFIG": str(file.path)})[0] == "2"


def test_secrets_are_not_shown(file):
    config = file(f"cluster-secret = '{SECRET}'\n")
    env = {"CAIRN_ROOT_ACCESS_KEY": "root", "CAIRN_ROOT_SECRET_KEY": SECRET}
    for args in (["--json"], []):
        done = run_cairn(["config", "show", "metanode", *args, *config], env)
        assert SECRET not in done.stdout and "(hidden)" in done.stdout
        assert "CAIRN_ROOT_SECRET_KEY" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("replicaton = 2", ["replicaton", "replication"]),
        ("[metanode]\nbuffer-memory = '1GiB'", ["[metanode]", "buffer-memory"]),
        ("[metanod]\nreplication = 2", ["metanod", "metanode"]),
        ("replication = [1, 2]", ["replication", "single"]),
        ("replication = ", ["cairn.toml"]),
    ],
)
def test_unknown_settings_in_the_file_are_named_with_a_suggestion(file, text, words):
    for command in (["config", "show", "metanode"], ["metanode", "--listen", "127.0.0.1:0"]):
        done = run_cairn([*command, *file(text)])
        assert done.returncode == 1 and all(word in done.stderr for word in words), done.stderr


def test_config_show_refuses_conflicting_settings_as_the_part_does(tmp_path):
    for part, args, words in (
        ("metanode", ["--dead-after", "1s"], "--dead-after must be longer than stale-after"),
        ("server", ["--replication", "2", "--min-replicas", "3"], "--min-replicas must be from 1 to replication"),
        ("datanode", ["--own-segment-min", "1GiB"], "--own-segment-min must not be above --segment-size"),
    ):
        assert words in complaint(run_cairn(["config", "show", part, *args]))
    listen = ["--listen", "127.0.0.1:0", "--cluster-secret", "x" * 32]
    assert "--dead-after" in complaint(run_cairn(["metanode", "--dead-after", "1s", *listen]))
    data = ["--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    assert "--dead-after" in complaint(run_cairn(["server", "--dead-after", "1s", *data]))


def test_a_missing_file_is_named(tmp_path):
    missing = str(tmp_path / "nothing.toml")
    assert missing in complaint(run_cairn(["config", "show", "server", "--config", missing]))


def test_a_server_runs_with_the_settings_of_its_file(tmp_path, file):
    """Sizes, times and a table of storage classes from the file take effect in the parts."""
    config = file(
        "datanodes = 3\nblock-size = '1MiB'\nheartbeat-interval = '200ms'\n"
        "[server.storage-class]\nREDUCED_REDUNDANCY = 1\n"
    )
    assert setting("server", "storage-class", *config)[0] == "REDUCED_REDUNDANCY=1"
    cairn = harness.Cairn(tmp_path)
    args = ["server", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *config]
    try:
        cairn.gateways.append(cairn.run("server", args, harness.credentials()))
        client = cairn.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="a", Body=some_bytes(2 * MIB))
        client.put_object(
            Bucket="bucket", Key="b", Body=some_bytes(MIB), StorageClass="REDUCED_REDUNDANCY"
        )
        for key, expected in (("a", [(MIB, 3), (MIB, 3)]), ("b", [(MIB, 1)])):
            command = ["admin", "where", f"s3://bucket/{key}", "--json", "--data-dir", str(tmp_path / "data")]
            extents = json.loads(run_cairn(command).stdout)["extents"]
            assert [(e["length"], e["replication"]) for e in extents] == expected
    finally:
        cairn.stop()
    cairn.check()


def test_admin_reads_address_and_secret_from_the_file(start, file):
    cluster = start("cluster", datanodes=1, replication=1)
    (secret,) = cluster.secret.values()
    config = file(f"metanode = '{cluster.metanode.url}'\ncluster-secret = '{secret}'\n")
    done = run_cairn(["admin", "node", "list", "--json", *config])
    assert done.returncode == 0 and len(json.loads(done.stdout)) == 1, done.stderr


@pytest.mark.parametrize("part", PARTS)
def test_help_is_found_however_it_is_asked_for(part):
    """Cairn's predecessor refused `main datanode -help`: the help for a part must be found in each of these ways."""
    asked = [run_cairn(line) for line in ([part, "--help"], [part, "-h"], [part, "-help"], ["help", part])]
    for done in asked:
        assert done.returncode == 0 and f"Usage: cairn {part}" in done.stdout
    full, short = asked[0].stdout, asked[1].stdout
    # Only the long help has the advanced options. Every option has a description.
    assert "advanced" in full and "advanced" not in short and "--streams-max" not in short
    for option in re.findall(r"^ +--[a-z-]+.*\n +(\S.*)", full, re.M):
        assert len(option.split()) > 2, option


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["datanod"], "datanode"),
        (["datanode", "--dat-dir", "x"], "--data-dir"),
        (["admin", "stats"], "status"),
        (["admin", "node", "drian", "x"], "drain"),
        (["admin", "worker", "pause", "repairs"], "repair"),
        (["config", "show", "sever"], "server"),
    ],
)
def test_a_typo_is_answered_with_a_suggestion(line, meant):
    done = run_cairn(line)
    assert done.returncode == 2 and f"'{meant}'" in done.stderr, done.stderr


def test_every_command_of_operators_has_help_and_json():
    def walk(path):
        done = run_cairn([*path, "--help"])
        assert done.returncode == 0 and done.stdout.strip(), path
        listed = re.search(r"^Commands:\n((?: +.*\n)+)", done.stdout, re.M)
        commands = re.findall(r"^  (\w[\w-]*)", listed.group(1), re.M) if listed else []
        for command in commands:
            if command != "help":
                yield from walk([*path, command])
        if not commands:
            yield path, done.stdout

    found = dict((" ".join(path[1:]), told) for path, told in walk(["admin"]))
    assert {"status", "node drain", "node can-stop", "fsck", "where", "balance start", "scrub start", "events"} <= set(found)
    assert all("--json" in told and "Usage: " in told for told in found.values())
    for destructive in ("node drain", "node remove"):
        assert "--dry-run" in found[destructive] and "--yes" in found[destructive]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_scripts_that_know_the_commands(shell):
    script = run_cairn(["completions", shell]).stdout
    assert "can-stop" in script and "datanode" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
