-- The report of each monitoring check as one JSON document, and the MLflow run that it is attached to. All times are UTC.
-- Run again it changes nothing.
CREATE TABLE IF NOT EXISTS check_report (
    check_id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY COMMENT 'that of the drift report',
    use_case VARCHAR(48) NOT NULL,
    as_of DATETIME(6) NOT NULL,
    severity VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'none, warning, drift or unknown',
    document JSON NOT NULL,
    mlflow_experiment_id VARCHAR(64) NULL,
    mlflow_run_id VARCHAR(64) NULL COMMENT 'NULL: not attached yet, as MLflow was away; a later check attaches it',
    created_at DATETIME(6) NOT NULL,
    KEY by_use_case (use_case, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
