/* What SQLite itself does in a second: look-ups of single rows, and inserts that are committed one by one, with the settings of the metanode. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static sqlite3 *db;

static void run(const char *sql) {
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, error);
        exit(1);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
    return statement;
}

int main(int argc, char **argv) {
    if (argc != 2 || sqlite3_open(argv[1], &db) != SQLITE_OK) return 1;
    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("CREATE TABLE objects (bucket INTEGER, key BLOB, value BLOB, PRIMARY KEY (bucket, key)) WITHOUT ROWID");
    run("BEGIN");
    sqlite3_stmt *insert = prepare("INSERT INTO objects VALUES (1, ?1, zeroblob(200))");
    char key[16];
    const int rows = 100000;
    for (int n = 0; n < rows; n++) {
        int length = snprintf(key, sizeof key, "%08d", n);
        sqlite3_bind_blob(insert, 1, key, length, SQLITE_TRANSIENT);
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    run("COMMIT");
    sqlite3_stmt *find = prepare("SELECT value FROM objects WHERE bucket = 1 AND key = ?1");
    double began = now();
    int done = 0;
    while (now() - began < 2) {
        int length = snprintf(key, sizeof key, "%08d", rand() % rows);
        sqlite3_bind_blob(find, 1, key, length, SQLITE_TRANSIENT);
        sqlite3_step(find);
        sqlite3_reset(find);
        done++;
    }
    printf("SQLite, look-ups of one row: %.0f a second\n", done / (now() - began));
    began = now();
    done = 0;
    while (now() - began < 2) {
        int length = snprintf(key, sizeof key, "n%08d", done);
        sqlite3_bind_blob(insert, 1, key, length, SQLITE_TRANSIENT);
        sqlite3_step(insert);
        sqlite3_reset(insert);
        done++;
    }
    printf("SQLite, inserts committed one by one: %.0f a second\n", done / (now() - began));
    return 0;
}
