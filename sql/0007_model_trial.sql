-- Trials of a challenger beside the champion: one row each, closed once when the trial ends. Services follow the row of
-- their use case that is not closed. All times are UTC. Run again it changes nothing.
CREATE TABLE IF NOT EXISTS model_trial (
    id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY,
    use_case VARCHAR(48) NOT NULL,
    mode VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'shadow or canary',
    champion_version INT NOT NULL COMMENT 'when the trial began; another champion ends it',
    challenger_version INT NOT NULL,
    challenger_run_id VARCHAR(64) NOT NULL COMMENT 'the MLflow run of that version',
    share DOUBLE NOT NULL COMMENT 'of the keys, that a canary''s challenger answers',
    limits JSON NOT NULL COMMENT 'beyond which the trial ends by itself',
    started_at DATETIME(6) NOT NULL,
    ends_at DATETIME(6) NOT NULL COMMENT 'when it ends at the latest',
    started_by VARCHAR(255) NOT NULL,
    ended_at DATETIME(6) NULL COMMENT 'NULL: it runs',
    outcome VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'passed, failed, no_verdict or stopped',
    reason TEXT NULL,
    ended_by VARCHAR(255) NULL,
    KEY by_use_case (use_case, started_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
