-- Health of data and service, a row per check and finding: freshness, contracts, skew, refused requests, the prediction
-- log. All times are UTC. Run again it changes nothing.
CREATE TABLE IF NOT EXISTS health_finding (
    report_id CHAR(36) CHARACTER SET ascii NOT NULL COMMENT 'that of the drift report of the same moment',
    position INT NOT NULL COMMENT 'in the report, from 0',
    use_case VARCHAR(48) NOT NULL,
    as_of DATETIME(6) NOT NULL,
    what VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'freshness, contract, skew, ...',
    subject VARCHAR(191) NOT NULL COMMENT 'which view, feature, field or service; empty: the whole use case',
    value DOUBLE NULL,
    limit_value DOUBLE NULL,
    severity VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ok, warning, error or unknown',
    sentence TEXT NOT NULL,
    PRIMARY KEY (report_id, position),
    KEY by_use_case (use_case, as_of),
    KEY by_what (use_case, what, subject, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
