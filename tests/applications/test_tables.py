"""Table formats and data frames: Delta Lake with concurrent writers, LanceDB, Polars."""

import concurrent.futures

import deltalake
import lancedb
import polars
import pyarrow

WRITERS = 8
COMMITS = 5
ROWS = 100


def test_delta_lake_loses_no_commit_of_eight_writers(bucket, storage_options):
    where = f"s3://{bucket}/delta"
    # With this option `If-None-Match: *` is the only lock between concurrent commits.
    options = storage_options | {"conditional_put": "etag"}

    def rows(writer, commit):
        return pyarrow.table({"writer": [writer] * ROWS, "n": range(commit * ROWS, (commit + 1) * ROWS)})

    deltalake.write_deltalake(where, rows(-1, 0), storage_options=options)

    def write(writer):
        for commit in range(COMMITS):
            deltalake.write_deltalake(
                where,
                rows(writer, commit),
                mode="append",
                storage_options=options,
                commit_properties=deltalake.CommitProperties(max_commit_retries=100),
            )

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    table = deltalake.DeltaTable(where, storage_options=options)
    assert table.version() == WRITERS * COMMITS
    found = sorted(zip(*table.to_pyarrow_table().to_pydict().values(), strict=True))
    writers = [(writer, n) for writer in range(WRITERS) for n in range(COMMITS * ROWS)]
    assert found == [(-1, n) for n in range(ROWS)] + writers
    table.delete("writer = 3")
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert deltalake.DeltaTable(where, storage_options=options).to_pyarrow_table().num_rows == (
        len(found) - COMMITS * ROWS
    )


def test_lancedb_adds_searches_changes_and_reopens(bucket, storage_options):
    db = lancedb.connect(f"s3://{bucket}/lance", storage_options=storage_options)
    data = [{"id": n, "vector": [float(n), float(n % 10)], "text": f"row {n}"} for n in range(500)]
    table = db.create_table("vectors", data=data[:250])
    table.add(data[250:])
    nearest = table.search([123.0, 3.0]).limit(1).to_list()
    assert nearest[0]["id"] == 123
    table.delete("id >= 400")
    table.update(where="id = 7", values={"text": "changed"})
    table.optimize()
    again = lancedb.connect(f"s3://{bucket}/lance", storage_options=storage_options).open_table("vectors")
    assert again.count_rows() == 400
    assert again.search().where("id = 7").to_list()[0]["text"] == "changed"
    db.drop_table("vectors")
    assert list(db.list_tables().tables) == []


def test_polars_writes_scans_and_reads_only_what_it_needs(bucket, storage_options):
    rows = 50_000
    frame = polars.DataFrame({"n": range(rows), "even": [n % 2 == 0 for n in range(rows)]})
    where = f"s3://{bucket}/frames/one.parquet"
    frame.write_parquet(where, storage_options=storage_options, row_group_size=5_000)
    lazy = polars.scan_parquet(f"s3://{bucket}/frames/*.parquet", storage_options=storage_options)
    assert lazy.filter(polars.col("even")).select(polars.col("n").sum()).collect().item() == sum(range(0, rows, 2))
    lazy.filter(polars.col("n") < 10).sink_parquet(
        f"s3://{bucket}/frames/two.parquet", storage_options=storage_options
    )
    two = polars.read_parquet(f"s3://{bucket}/frames/two.parquet", storage_options=storage_options)
    assert two["n"].to_list() == list(range(10))
