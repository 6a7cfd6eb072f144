-- What people were told: one row per alert, kept until it is delivered to every target. All times are UTC. Run again it
-- changes nothing.
CREATE TABLE IF NOT EXISTS alert (
    id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY COMMENT 'follows from use case, kind, subject and as_of',
    use_case VARCHAR(48) NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'drift, stale_data, rejected_candidate, ...',
    subject VARCHAR(191) NOT NULL COMMENT 'which version, view or trial; of one kind and subject an alert is not repeated soon',
    severity VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'warning or error',
    title VARCHAR(255) NOT NULL,
    body TEXT NOT NULL,
    as_of DATETIME(6) NOT NULL COMMENT 'the moment of the check',
    raised_at DATETIME(6) NOT NULL,
    status VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'pending, sent, failed or no_target',
    attempts INT NOT NULL DEFAULT 0,
    tried_at DATETIME(6) NULL COMMENT 'the last attempt',
    results JSON NULL COMMENT 'by target: "sent", or why not',
    KEY by_use_case (use_case, raised_at),
    KEY by_thing (use_case, kind, subject, raised_at),
    KEY by_status (status, raised_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
