"""The promises of the block store about nodes and replicas, in clusters whose parts are separate processes.

docs/block-store.md lists the promises and the test of each.
"""

import concurrent.futures
import hashlib
import pathlib
import re
import subprocess
import time

import damage
import pytest
from data import MIB, some_bytes
from harness import wait_until
from raw import UNSIGNED, Raw

# One block, which is large enough for a dedicated segment.
LENGTH = 4 * MIB


def body(n, length=LENGTH):
    return some_bytes(length, n)


def put(client, n, length=LENGTH):
    answer = client.put_object(Bucket="bucket", Key=f"{n}", Body=body(n, length))
    assert answer["ETag"] == f'"{hashlib.md5(body(n, length)).hexdigest()}"'


def get(client, n, length=LENGTH):
    assert client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() == body(n, length)


def state(cluster, datanode):
    return (cluster.node(datanode) or {}).get("state")


def replicas(cluster, datanode):
    return (cluster.node(datanode) or {}).get("replicas", 0)


def directory(cluster, n):
    return cluster.data_directory(f"datanode{n}")


def test_a_datanode_that_is_started_takes_part_without_being_announced(make):
    cluster = make(datanodes=2)
    client = cluster.client()
    added = cluster.add_datanode()
    # The datanode logs that it is ready when it has registered, or one heartbeat interval after that.
    wait_until(lambda: state(cluster, added) == "live", "the new datanode to be live")
    put(client, 1)
    wait_until(lambda: replicas(cluster, added) == 1, "a replica on the new datanode")
    for datanode in cluster.datanodes[:2]:
        datanode.kill()
    get(client, 1)


@pytest.mark.parametrize(
    "harm",
    [pathlib.Path.unlink, damage.flip_bit, damage.truncate],
    ids=["missing", "wrong bytes", "wrong length"],
)
def test_replicas_that_a_datanode_lost_while_it_was_down_are_restored(make, harm):
    cluster = make(datanodes=3, env={"CAIRN_REPORT_AGE": "2s"})
    client = cluster.client()
    for n in range(3):
        put(client, n)
    wait_until(cluster.fully_replicated, "three replicas of each block")
    victim = cluster.datanodes[1]
    victim.kill()
    harm(damage.segments(directory(cluster, 1), least=MIB)[0])
    victim.restart()
    # Only a read finds a flipped bit, so a scrub reads the replicas.
    wait_until(lambda: state(cluster, victim) == "live", "the datanode to be back")
    cluster.admin("scrub", "start")
    with cluster.events() as events:
        events.wait_for("BlockRepaired")
    wait_until(cluster.fully_replicated, "three replicas of each block")
    for datanode in (cluster.datanodes[0], cluster.datanodes[2]):
        datanode.kill()
    for n in range(3):
        get(client, n)


def test_what_was_deleted_while_a_datanode_was_away_is_deleted_there_too(make):
    cluster = make(datanodes=3, env={"CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"})
    client = cluster.client()
    put(client, 1)
    put(client, 2)
    wait_until(cluster.fully_replicated, "three replicas of each block")
    cluster.datanodes[1].kill()
    client.delete_object(Bucket="bucket", Key="1")
    wait_until(lambda: cluster.status()["blocks"] == 1, "the block to be given up")
    # The restart drops the metanode's soft state. It must find out about the replica from SQL and the block report.
    cluster.metanode.kill()
    cluster.metanode.restart()
    cluster.datanodes[1].restart()
    wait_until(lambda: len(damage.segments(directory(cluster, 1), least=MIB)) == 1, "its replica to go")
    get(client, 2)


def test_a_metanode_killed_at_any_time_loses_no_acknowledged_write(make):
    cluster = make(datanodes=3)
    acknowledged = {}

    def write(writer):
        client = cluster.client()
        for n in range(writer * 1000, writer * 1000 + 400):
            if stopped:
                return
            try:
                put(client, n, 10_000)
            except Exception:  # noqa: BLE001 - any error is right while the metanode is away
                continue
            acknowledged[n] = True

    stopped = False
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, writer) for writer in range(6)]
        for _ in range(4):
            before = len(acknowledged)
            wait_until(lambda before=before: len(acknowledged) > before + 20, "writes to go on")
            cluster.metanode.kill()
            cluster.metanode.restart()
        stopped = True
        for writer in writers:
            writer.result()
    wait_until(lambda: [state(cluster, node) for node in cluster.datanodes] == ["live"] * 3, "all to be live")
    client = cluster.client()
    for n in acknowledged:
        get(client, n, 10_000)


def sent(process, peers):
    """The bytes that a process has sent to the ports of `peers` over connections that are still open (ss(8))."""
    listing = subprocess.run(["ss", "-tinpHO"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in listing.splitlines() if f"pid={process.pid}," in line]
    to_peers = [line for line in lines if int(line.split()[4].rsplit(":", 1)[1]) in {p.port for p in peers}]
    return sum(int(found.group(1)) for line in to_peers if (found := re.search(r"bytes_sent:(\d+)", line)))


def test_the_gateway_sends_each_byte_once_and_datanodes_pass_it_on(make):
    cluster = make(datanodes=3)
    gateway, nodes = cluster.gateways[0], cluster.datanodes
    length = 40 * MIB
    put(cluster.client(), 1, length)
    assert length <= sent(gateway, nodes) < 1.1 * length
    assert 2 * length <= sum(sent(node, nodes) for node in nodes) < 2.2 * length
    assert [replicas(cluster, node) for node in nodes] == [5, 5, 5]


def test_during_a_restart_of_the_metanode_requests_get_slow_down_and_retries_succeed(make):
    cluster = make(datanodes=3)
    put(cluster.client(), 0, 100_000)
    patient = cluster.client(retries={"mode": "standard", "total_max_attempts": 12})
    codes = set()

    def insist(n):
        for round in range(10):
            put(patient, n * 100 + round, 100_000)
            get(patient, n * 100 + round, 100_000)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        insisting = [pool.submit(insist, n) for n in range(1, 5)]
        cluster.metanode.kill()
        away_until = time.monotonic() + 5
        hasty = cluster.client()
        while time.monotonic() < away_until:
            for call in (lambda: put(hasty, 9_000, 1_000), lambda: get(hasty, 0, 100_000)):
                with pytest.raises(hasty.exceptions.ClientError) as error:
                    call()
                answer = error.value.response
                codes.add((answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]))
        cluster.metanode.restart()
        for future in insisting:
            future.result(timeout=120)
    assert codes == {(503, "SlowDown")}


def test_datanodes_register_again_with_a_metanode_that_does_not_know_them(make):
    cluster = make(datanodes=2)
    before = {node["node"]: node["incarnation"] for node in cluster.status()["nodes"]}
    cluster.metanode.kill()
    cluster.metanode.restart()
    with cluster.events() as events:
        heard = [events.wait_for("NodeRegistered") for _ in before]
    assert {event["node"]: event["incarnation"] - 1 for event in heard} == before
    put(cluster.client(), 1)
    get(cluster.client(), 1)


def test_a_silent_datanode_is_stale_then_dead_gets_nothing_and_is_not_waited_for(make):
    cluster = make(datanodes=4, env={"CAIRN_DEAD_AFTER": "8s"})
    client = cluster.client()
    for n in range(4):
        put(client, n)
    silent = cluster.datanodes[0]
    silent.suspend()
    try:
        wait_until(lambda: state(cluster, silent) == "stale", "the datanode to be stale")
        held = replicas(cluster, silent)
        gateway = cluster.gateways[0]
        mark = len(gateway.log())
        for n in range(10, 16):
            put(client, n)
        for n in range(4):
            get(client, n)
        # The gateway sent no request to the stale datanode: it would log a fault for each time-out.
        assert "fault" not in gateway.log()[mark:]
        assert replicas(cluster, silent) == held
        wait_until(lambda: state(cluster, silent) == "dead", "the datanode to be dead")
        wait_until(cluster.fully_replicated, "its replicas to be made elsewhere")
    finally:
        silent.resume()
    wait_until(lambda: state(cluster, silent) == "live", "the datanode to be back")


def test_with_too_few_datanodes_writes_are_queued_for_repair_or_refused(make):
    cluster = make(datanodes=1)
    client = cluster.client()
    # With one datanode a block can have one replica only, so the write succeeds with one.
    put(client, 1)
    second = cluster.add_datanode()
    cluster.add_datanode()
    wait_until(lambda: cluster.fully_replicated() and replicas(cluster, second) == 1, "a replica on every node")
    second.kill()
    wait_until(lambda: state(cluster, second) == "dead", "the datanode to be dead")
    # With two of three datanodes the write succeeds, and the block is queued for repair.
    put(client, 2)
    assert not cluster.fully_replicated()
    cluster.datanodes[2].kill()
    with pytest.raises(client.exceptions.ClientError) as error:
        put(client, 3)
    answer = error.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
    # The message names the reason, so that an operator can act on it.
    assert "datanode" in answer["Error"]["Message"]
    for datanode in cluster.datanodes[1:]:
        datanode.restart()
    wait_until(cluster.fully_replicated, "what was queued to be completed")
    cluster.datanodes[0].kill()
    for n in (1, 2):
        get(client, n)


def test_repair_continues_after_a_restart_of_the_metanode(make):
    # The low rate makes the restart happen during the repair.
    cluster = make(datanodes=4, env={"CAIRN_REPAIR_RATE": "8MiB"})
    client = cluster.client()
    for n in range(16):
        put(client, n)
    wait_until(cluster.fully_replicated, "three replicas of each block")
    victim = max(cluster.datanodes, key=lambda node: replicas(cluster, node))
    victim.kill()
    with cluster.events() as events:
        events.wait_for("BlockRepaired")
    assert not cluster.fully_replicated()
    cluster.metanode.kill()
    cluster.metanode.restart()
    # Only silence makes a node dead, and a restarted metanode begins to measure it anew.
    wait_until(lambda: state(cluster, victim) == "dead", "the datanode to be dead")
    wait_until(cluster.fully_replicated, "three replicas of each block on those that are left", 120)
    others = [node for node in cluster.datanodes if node is not victim]
    for datanode in others[:2]:
        datanode.kill()
    for n in range(16):
        get(client, n)


def test_surplus_replicas_are_deleted_when_a_datanode_comes_back(make):
    cluster = make(datanodes=4, env={"CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"})
    client = cluster.client()
    for n in range(8):
        put(client, n)
    victim = cluster.datanodes[0]
    victim.kill()
    wait_until(lambda: state(cluster, victim) == "dead", "the datanode to be dead")
    wait_until(cluster.fully_replicated, "three replicas on those that are left")
    victim.restart()

    def as_many_as_wanted():
        files = sum(len(damage.segments(directory(cluster, n), least=MIB)) for n in range(4))
        return files == sum(replicas(cluster, node) for node in cluster.datanodes) == 8 * 3

    wait_until(as_many_as_wanted, "the replicas beyond three to go")
    assert cluster.fully_replicated()
    for n in range(8):
        get(client, n)


def utilisation(cluster):
    """The used share of each node's capacity, by address."""
    used = {}
    for node in cluster.status()["nodes"]:
        volumes = node["volumes"]
        used[node["address"]] = sum(v["used"] for v in volumes) / sum(v["capacity"] for v in volumes)
    return used


def test_blocks_are_moved_to_an_empty_datanode_until_all_are_equally_full(make):
    cluster = make(datanodes=3, replication=2, env={"CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"})
    client = cluster.client()
    for n in range(40):
        put(client, n)
    added = cluster.add_datanode()

    def balanced():
        used = utilisation(cluster)
        mean = sum(used.values()) / len(used)
        # The balancer's threshold is a tenth of the mean. A block is another twentieth, because moves are whole blocks.
        return mean > 0 and all(abs(part - mean) <= 0.15 * mean for part in used.values())

    with cluster.events() as events:
        events.wait_for("MoveStarted", timeout=120)
        wait_until(balanced, "the nodes to be alike", 120)
        events.wait_for("BalanceIdle", timeout=120)
    assert cluster.fully_replicated()
    assert replicas(cluster, added) >= 15
    # The balancer then starts no more moves.
    held = [replicas(cluster, node) for node in cluster.datanodes]
    status = cluster.admin_json("balance", "status")
    assert status["moves_in_flight"] == 0 and status["nodes_outside"] == 0
    assert [replicas(cluster, node) for node in cluster.datanodes] == held
    for n in range(40):
        get(client, n)


def test_a_drained_datanode_can_be_taken_away(make):
    cluster = make(datanodes=4, env={"CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"})
    client = cluster.client()
    for n in range(8):
        put(client, n)
    leaving = max(cluster.datanodes, key=lambda node: replicas(cluster, node))
    node = cluster.node(leaving)["node"]
    cluster.admin("node", "drain", node, "--yes")
    with cluster.events() as events:
        events.wait_for("NodeDrained", node=node)
    wait_until(lambda: not damage.segments(cluster.data_directory(leaving.name), least=MIB), "its files to go")
    assert cluster.admin_json("node", "can-stop", node)["safe"]
    leaving.stop()
    assert cluster.fully_replicated()
    cluster.admin("node", "remove", node, "--yes")
    assert cluster.node(leaving) is None
    for n in range(8):
        get(client, n)


def test_a_drain_that_cannot_go_on_says_why_and_can_be_taken_back(make):
    cluster = make(datanodes=3)
    client = cluster.client()
    put(client, 1)
    wait_until(cluster.fully_replicated, "three replicas")
    node = cluster.node(cluster.datanodes[0])["node"]
    cluster.admin("node", "drain", node, "--yes")
    progress = wait_until(
        lambda: (p := cluster.admin_json("node", "show", node)["progress"])["obstacles"] and p,
        "the reason why nothing moves",
    )
    assert progress["blocks"] == 1 and not progress["drained"]
    cluster.admin("node", "return", node)
    assert cluster.node(cluster.datanodes[0])["admin_state"] == {"state": "in_service"}
    assert cluster.fully_replicated()


def test_a_datanode_in_maintenance_is_not_repaired_until_it_is_over(make):
    cluster = make(datanodes=4)
    client = cluster.client()
    for n in range(6):
        put(client, n)
    wait_until(cluster.fully_replicated, "three replicas of each block")
    away = max(cluster.datanodes, key=lambda node: replicas(cluster, node))
    node = cluster.node(away)["node"]
    held = replicas(cluster, away)
    cluster.admin("node", "maintain", node, "--for", "10m")
    away.stop()
    # Three times CAIRN_DEAD_AFTER, which is 3 s here.
    wait_until(lambda: cluster.node(away)["last_contact_ms"] > 9_000, "the datanode to be silent for long")
    status = cluster.status()
    assert status["under_replicated"] == status["repairs_in_flight"] == 0
    assert replicas(cluster, away) == held
    for n in range(6):
        get(client, n)
    # When the maintenance has ended, the node counts as dead, and repair copies its blocks.
    cluster.admin("node", "maintain", node, "--for", "1s")
    with cluster.events() as events:
        events.wait_for("MaintenanceExpired", node=node)
        events.wait_for("BlockRepaired")
    wait_until(cluster.fully_replicated, "three replicas on the others")


def test_an_upload_survives_the_restart_of_every_part(make):
    cluster = make(datanodes=3)
    client = cluster.client()
    upload = client.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    bodies = [some_bytes(6 * MIB, n) for n in range(4)]
    parts = []
    for number, part in enumerate([cluster.gateways[0], cluster.metanode, *cluster.datanodes[:1]], 1):
        answer = cluster.client().upload_part(
            Bucket="bucket", Key="k", UploadId=upload, PartNumber=number, Body=bodies[number - 1]
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        part.kill()
        part.restart()
    for datanode in cluster.datanodes[1:]:
        datanode.kill()
        datanode.restart()
    everybody = cluster.datanodes
    wait_until(lambda: [state(cluster, n) for n in everybody] == ["live"] * 3, "all to be live")
    answer = cluster.client().upload_part(
        Bucket="bucket", Key="k", UploadId=upload, PartNumber=4, Body=bodies[3]
    )
    parts.append({"PartNumber": 4, "ETag": answer["ETag"]})
    cluster.client().complete_multipart_upload(
        Bucket="bucket", Key="k", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert cluster.client().get_object(Bucket="bucket", Key="k")["Body"].read() == b"".join(bodies)


def test_a_write_uses_other_datanodes_when_all_of_its_grant_are_down(make):
    # With these times the killed datanodes stay live for the metanode during the whole test.
    slow = {"CAIRN_STALE_AFTER": "10m", "CAIRN_DEAD_AFTER": "20m"}
    cluster = make(datanodes=6, env=slow)
    client = cluster.client()
    for datanode in cluster.datanodes[:3]:
        datanode.kill()
    assert {node["state"] for node in cluster.status()["nodes"]} == {"live"}
    for n in range(12):
        put(client, n)
        get(client, n)


def test_an_upload_whose_datanode_dies_before_the_commit_has_all_its_replicas(make):
    """The first block is on two datanodes, and one of them is dead when the object is committed. The commit listed both as
    holders: a client got 200 for an object that had one replica instead of two."""
    cluster = make(datanodes=4, replication=2)
    raw = Raw(cluster.port)
    whole = some_bytes(12 * MIB)
    put = raw.sign("PUT", "/bucket/k", payload=UNSIGNED, unsigned=[("content-length", str(len(whole)))])

    def holders():
        """The datanodes whose heartbeats report space for a whole block as used."""
        used = {
            node["address"]: sum(volume["used"] for volume in node["volumes"])
            for node in cluster.status()["nodes"]
        }
        return [datanode for datanode in cluster.datanodes if used.get(datanode.url, 0) >= 8 * MIB]

    with raw.connect() as connection:
        connection.write(put.head + whole[: 9 * MIB])
        wait_until(lambda: len(holders()) == 2, "the first block to be stored")
        dead = holders()[0]
        dead.kill()
        wait_until(lambda: state(cluster, dead) == "dead", "the datanode to be dead")
        # With repair paused, only the gateway can restore the second replica.
        cluster.admin("worker", "pause", "repair")
        connection.write(whole[9 * MIB :])
        answer = connection.answer("PUT")
    assert answer.status == 200, answer
    assert cluster.client().get_object(Bucket="bucket", Key="k")["Body"].read() == whole
    status = cluster.status()
    assert (status["under_replicated"], status["missing"]) == (0, 0), status


def test_blocks_of_a_client_that_hangs_up_are_gone_soon(make):
    # The gateway releases its grants. If it did not, the leases would keep the blocks for ten minutes.
    cluster = make(datanodes=3)
    raw = Raw(cluster.port)
    length = 40 * MIB
    put = raw.sign("PUT", "/bucket/k", payload=UNSIGNED, unsigned=[("content-length", str(length))])
    with raw.connect() as connection:
        connection.write(put.head + some_bytes(20 * MIB))
        wait_until(lambda: damage.segments(directory(cluster, 0), least=MIB), "blocks to be stored")
    wait_until(
        lambda: not any(damage.segments(directory(cluster, n), least=MIB) for n in range(3)),
        "the blocks to be deleted",
    )


def test_blocks_of_a_gateway_that_died_are_gone_after_the_lease(make):
    cluster = make(datanodes=3, env={"CAIRN_LEASE": "5s", "CAIRN_LEASE_SLACK": "1s"})
    raw = Raw(cluster.port)
    length = 40 * MIB
    put = raw.sign("PUT", "/bucket/k", payload=UNSIGNED, unsigned=[("content-length", str(length))])
    with raw.connect() as connection:
        connection.write(put.head + some_bytes(20 * MIB))
        wait_until(lambda: damage.segments(directory(cluster, 0), least=MIB), "blocks to be stored")
        cluster.gateways[0].kill()
    wait_until(
        lambda: not any(damage.segments(directory(cluster, n), least=MIB) for n in range(3)),
        "the blocks to be deleted",
    )
