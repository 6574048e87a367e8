//! The migrations that this binary contains.
//!
//! The list is written by hand. The macro of sqlx would read the folder, but to run the macro the compiler builds SQLite and an
//! asynchronous runtime a second time, and that made the first build longer.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The file of `migrations/sqlite` with this number and these words in its name: number, words, text.
macro_rules! file {
    ($number:literal, $words:literal, $name:literal) => {
        ($number, $words, include_str!(concat!("../../../migrations/sqlite/", $name)))
    };
}

/// The files of `migrations/sqlite` in their order. A database remembers number, words and checksum of each that it has, so
/// a file that was released never changes. (0005 was never used.)
const FILES: [(i64, &str, &str); 17] = [
    file!(1, "initial", "0001_initial.sql"),
    file!(2, "block manager", "0002_block_manager.sql"),
    file!(3, "totals", "0003_totals.sql"),
    file!(4, "generation", "0004_generation.sql"),
    file!(6, "names", "0006_names.sql"),
    file!(7, "sets", "0007_sets.sql"),
    file!(8, "iam", "0008_iam.sql"),
    file!(9, "bucket configurations", "0009_bucket_configurations.sql"),
    file!(10, "versions", "0010_versions.sql"),
    file!(11, "access", "0011_access.sql"),
    file!(12, "object locks", "0012_object_locks.sql"),
    file!(13, "extent lists", "0013_extent_lists.sql"),
    file!(14, "lifecycle", "0014_lifecycle.sql"),
    file!(15, "counters", "0015_counters.sql"),
    file!(16, "quotas", "0016_quotas.sql"),
    file!(17, "ordinals", "0017_ordinals.sql"),
    file!(18, "packs", "0018_packs.sql"),
];

/// All migrations, in their order.
pub(super) fn all() -> Vec<Migration> {
    FILES.iter().map(|&(number, words, sql)| migration(number, words, sql)).collect()
}

/// Applies the migrations that a database lacks.
pub(super) fn migrator() -> Migrator {
    Migrator::with_migrations(all())
}

fn migration(number: i64, words: &'static str, sql: &'static str) -> Migration {
    Migration::new(number, words.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_in_the_list_under_its_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/sqlite");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed = FILES.map(|(number, words, _)| format!("{number:04}_{}.sql", words.replace(' ', "_")));
        assert_eq!(listed.to_vec(), files);
    }

    /// A database refuses a migration whose checksum is not the one with which it was applied. The expected value is that
    /// of the tool sha384sum, which is what the macro of sqlx wrote too.
    #[test]
    fn the_checksum_of_a_migration_is_sha384_of_its_file() {
        let checksum = "4919731b10a7666a3f2887a19eee4c8bc86e32962988729391f96ce7d7b6fbeaaaedb42e58b8059c84c41497b03546f4";
        let hex: String = all()[0].checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, checksum);
    }
}
