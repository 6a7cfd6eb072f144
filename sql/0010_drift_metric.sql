-- The figures of drift checks, a row each, for charts and SQL beside the report of the check (drift_report). Rows are
-- appended only. All times are UTC. Run again it changes nothing.
CREATE TABLE IF NOT EXISTS drift_metric (
    check_id CHAR(36) CHARACTER SET ascii NOT NULL COMMENT 'drift_report.id',
    slice VARCHAR(255) NOT NULL COMMENT 'empty: all rows; else feature=value',
    feature VARCHAR(100) NOT NULL COMMENT 'empty: of no single feature; __prediction__: what the model answered',
    metric VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'psi, js_distance, g_test_p, ks_p, ...',
    use_case VARCHAR(48) NOT NULL,
    model_version INT NOT NULL,
    as_of DATETIME(6) NOT NULL COMMENT 'the moment of the check',
    value DOUBLE NULL COMMENT 'NULL: cannot be computed',
    limit_value DOUBLE NULL COMMENT 'what the value is compared with',
    severity VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'none, unknown, warning or drift',
    PRIMARY KEY (check_id, slice, feature, metric),
    KEY by_use_case (use_case, metric, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
