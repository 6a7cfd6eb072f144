-- What a registered version of a model was when a training registered it. All times are UTC. Run again it changes
-- nothing.

-- A service compares a version with it before the version answers: its file, its signature, and the answers to rows of
-- the training set. A version that was registered by hand in MLflow, or before this table, has none.
CREATE TABLE IF NOT EXISTS model_record (
    use_case VARCHAR(48) NOT NULL,
    model_version INT NOT NULL,
    mlflow_run_id VARCHAR(64) NOT NULL COMMENT 'numbers begin anew with a new registered model, runs do not',
    digest CHAR(64) CHARACTER SET ascii NOT NULL COMMENT 'SHA-256 of the model''s file',
    size_bytes BIGINT NOT NULL COMMENT 'of that file',
    signature_digest CHAR(64) CHARACTER SET ascii NOT NULL COMMENT 'SHA-256 of its inputs and classes',
    golden_rows JSON NULL COMMENT 'rows of the training set, the answers to them, the tolerance; NULL: none kept',
    recorded_at DATETIME(6) NOT NULL,
    PRIMARY KEY (use_case, model_version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
