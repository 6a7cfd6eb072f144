-- Quality of predictions by day, and what a version's hold-out tells of its errors. All times are UTC. Run again it
-- changes nothing.

-- Realised metrics are computed anew for a day when outcomes of its predictions come, so rows are replaced.
CREATE TABLE IF NOT EXISTS quality_metric (
    use_case VARCHAR(48) NOT NULL,
    model_version INT NOT NULL,
    day DATE NOT NULL COMMENT 'on which the predictions were made',
    slice VARCHAR(191) NOT NULL COMMENT 'empty for all predictions, or feature=value',
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'realised or estimated',
    metric VARCHAR(100) NOT NULL,
    value DOUBLE NULL COMMENT 'NULL: undefined',
    low DOUBLE NULL COMMENT 'the ends of the 95 % interval',
    high DOUBLE NULL,
    row_count BIGINT NOT NULL COMMENT 'predictions with an outcome; of an estimate all',
    as_of DATETIME(6) NOT NULL COMMENT 'what was known at that moment',
    PRIMARY KEY (use_case, day, model_version, slice, kind, metric),
    KEY by_moment (use_case, kind, as_of)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- Written when a version is registered; quality without labels is estimated from it. Versions of before have none.
CREATE TABLE IF NOT EXISTS error_profile (
    use_case VARCHAR(48) NOT NULL,
    model_version INT NOT NULL,
    profile JSON NOT NULL COMMENT 'regions of rows, and how often or how far the version errs there',
    PRIMARY KEY (use_case, model_version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
