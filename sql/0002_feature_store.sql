-- What the feature store remembers beside its rows. All times are UTC. Run again it changes nothing.

-- Each ingest: what was read and by which code.
ALTER TABLE ingest_run
    ADD COLUMN IF NOT EXISTS inputs JSON NULL COMMENT 'per part: the files or the query, with digests and rows held back',
    ADD COLUMN IF NOT EXISTS declaration CHAR(64) CHARACTER SET ascii NULL COMMENT 'digest of the declaration',
    ADD COLUMN IF NOT EXISTS code_version VARCHAR(100) NULL,
    ADD COLUMN IF NOT EXISTS seconds DOUBLE NULL COMMENT 'from the start of extract to the end of load';

-- Rows that broke a row-level check, kept as they came, where the use case allows partial loads.
CREATE TABLE IF NOT EXISTS quarantine (
    ingest_run_id CHAR(36) CHARACTER SET ascii NOT NULL,
    part VARCHAR(100) NOT NULL,
    source_row BIGINT NOT NULL COMMENT 'of the rows read, from 1',
    reasons JSON NOT NULL,
    content JSON NOT NULL,
    PRIMARY KEY (ingest_run_id, part, source_row)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- One row per table of a use case: counted up in the transaction of every change that Evergreen makes to it, so
-- that a reader knows when nothing has changed; and how far back its system versions still reach.
CREATE TABLE IF NOT EXISTS store_state (
    table_name VARCHAR(64) NOT NULL PRIMARY KEY,
    changes BIGINT NOT NULL DEFAULT 0,
    history_from DATETIME(6) NULL COMMENT 'system versions that ended before are deleted; NULL: all are kept'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- A column that the declaration dropped or gave another type: renamed, its values kept.
CREATE TABLE IF NOT EXISTS retired_column (
    table_name VARCHAR(64) NOT NULL,
    column_name VARCHAR(64) NOT NULL COMMENT 'its name while it was declared',
    retired_as VARCHAR(64) NOT NULL COMMENT 'its name now',
    column_type VARCHAR(64) NOT NULL,
    retired_at DATETIME(6) NOT NULL,
    PRIMARY KEY (table_name, retired_as)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- A training set is (query, as of, content digest): with the moment of the system's clock at which it was read,
-- the very same rows can be read again.
ALTER TABLE training_run
    ADD COLUMN IF NOT EXISTS dataset_query JSON NULL COMMENT 'which columns of which tables, joined how',
    ADD COLUMN IF NOT EXISTS dataset_read_at DATETIME(6) NULL COMMENT 'system time of the rows';
