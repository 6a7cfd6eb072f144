-- The platform's own tables. All times are UTC. Run again it changes nothing.

CREATE TABLE IF NOT EXISTS schema_migration (
    name VARCHAR(100) NOT NULL PRIMARY KEY,
    applied_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- One row per (use case, as_of, source): the id is derived from them, so a rerun finds its own row.
CREATE TABLE IF NOT EXISTS ingest_run (
    id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY,
    use_case VARCHAR(48) NOT NULL,
    as_of DATETIME(6) NOT NULL COMMENT 'what the source had recorded until then',
    interval_start DATETIME(6) NOT NULL COMMENT 'exclusive start of the extracted interval',
    source_override VARCHAR(1024) NOT NULL DEFAULT '',
    status ENUM('extracting', 'extracted', 'validated', 'loaded', 'failed') NOT NULL,
    rows_in BIGINT NULL,
    rows_loaded BIGINT NULL,
    rows_rejected BIGINT NULL,
    report JSON NULL,
    digest CHAR(64) CHARACTER SET ascii NULL,
    started_at DATETIME(6) NOT NULL,
    finished_at DATETIME(6) NULL,
    KEY by_use_case (use_case, status, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- Rows on their way from extract to validate to load, which may run on different machines: Parquet chunks.
CREATE TABLE IF NOT EXISTS ingest_batch (
    ingest_run_id CHAR(36) CHARACTER SET ascii NOT NULL,
    part VARCHAR(100) NOT NULL,
    chunk INT NOT NULL,
    row_count BIGINT NOT NULL,
    payload LONGBLOB NOT NULL,
    PRIMARY KEY (ingest_run_id, part, chunk)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS training_run (
    id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY,
    use_case VARCHAR(48) NOT NULL,
    as_of DATETIME(6) NOT NULL,
    reason VARCHAR(255) NOT NULL,
    status VARCHAR(32) NOT NULL,
    dataset_digest CHAR(64) CHARACTER SET ascii NULL,
    dataset_rows BIGINT NULL,
    params JSON NULL,
    metrics JSON NULL,
    verdict JSON NULL,
    mlflow_run_id VARCHAR(64) NULL,
    model_version INT NULL,
    started_at DATETIME(6) NOT NULL,
    finished_at DATETIME(6) NULL,
    UNIQUE KEY once (use_case, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- The ledger: append-only.
CREATE TABLE IF NOT EXISTS promotion (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at DATETIME(6) NOT NULL,
    use_case VARCHAR(48) NOT NULL,
    action ENUM('promote', 'reject', 'rollback') NOT NULL,
    from_version INT NULL,
    to_version INT NULL,
    training_run_id CHAR(36) CHARACTER SET ascii NULL,
    actor VARCHAR(255) NOT NULL,
    reason TEXT NOT NULL,
    verdict JSON NULL,
    UNIQUE KEY once (use_case, action, training_run_id, to_version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS reference_profile (
    use_case VARCHAR(48) NOT NULL,
    model_version INT NOT NULL,
    feature VARCHAR(48) NOT NULL,
    kind ENUM('numeric', 'category') NOT NULL,
    bins JSON NOT NULL,
    counts JSON NOT NULL,
    PRIMARY KEY (use_case, model_version, feature)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS drift_report (
    id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY,
    use_case VARCHAR(48) NOT NULL,
    as_of DATETIME(6) NOT NULL,
    model_version INT NULL,
    window_start DATETIME(6) NULL,
    window_end DATETIME(6) NULL,
    row_count BIGINT NOT NULL,
    drifted BOOL NULL COMMENT 'NULL: too few rows for a verdict',
    report JSON NULL,
    UNIQUE KEY once (use_case, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS retrain_decision (
    id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY,
    use_case VARCHAR(48) NOT NULL,
    as_of DATETIME(6) NOT NULL,
    retrain BOOL NOT NULL,
    reason TEXT NOT NULL,
    drift_report_id CHAR(36) CHARACTER SET ascii NULL,
    created_at DATETIME(6) NOT NULL,
    UNIQUE KEY once (use_case, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
