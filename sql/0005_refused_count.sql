-- Requests that a service refused for their values, counted by field: a shift beyond the declared limits shows here
-- and not in the prediction log. Rows are appended only. All times are UTC. Run again it changes nothing.
CREATE TABLE IF NOT EXISTS refused_count (
    id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY COMMENT 'made by the service, so that a count is kept once',
    use_case VARCHAR(48) NOT NULL,
    field VARCHAR(100) NOT NULL,
    kind VARCHAR(100) NOT NULL COMMENT 'why, such as missing or greater_than_equal',
    row_count BIGINT NOT NULL,
    window_start DATETIME(6) NOT NULL,
    window_end DATETIME(6) NOT NULL COMMENT 'the rows were refused after the start and up to the end',
    service VARCHAR(191) NOT NULL COMMENT 'the process that counted',
    KEY by_use_case (use_case, window_end)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
