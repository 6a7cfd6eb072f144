-- Columns of named states become VARCHAR, whose values the code checks: another state then needs no change of a
-- table. All times are UTC. Run again it changes nothing.

-- Which migrations of Evergreen's own columns each table made of a declaration has had: see
-- store/tables/generated_migrations.py.
CREATE TABLE IF NOT EXISTS generated_table_migration (
    table_name VARCHAR(64) NOT NULL,
    number INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    applied_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
    PRIMARY KEY (table_name, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- MODIFY copies the table and blocks its writers meanwhile. These two hold a row per run, and one per feature of a
-- model, so that the copy takes a fraction of a second.
ALTER TABLE ingest_run MODIFY COLUMN status VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;
ALTER TABLE reference_profile MODIFY COLUMN kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;
