-- Rows are counted by the writer, in memory, and each counter that changed is written once before a commit (store/counters).
DROP TRIGGER blocks_inserted;
DROP TRIGGER blocks_deleted;
DROP TRIGGER replicas_inserted;
DROP TRIGGER replicas_deleted;
DROP TRIGGER deletions_inserted;
DROP TRIGGER deletions_deleted;
DROP TRIGGER repairs_inserted;
DROP TRIGGER repairs_deleted;
DROP TRIGGER repairs_changed;
