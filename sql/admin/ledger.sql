-- The ledger: who became champion, when, instead of whom, and why. Append-only, because the platform's own user may
-- read and add lines and nothing else. MariaDB cannot take a part of a database's rights away again, so the ledger has
-- a database of its own. An administrator runs this; run again it changes nothing.

CREATE DATABASE IF NOT EXISTS `{ledger}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS `{ledger}`.promotion (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at DATETIME(6) NOT NULL,
    use_case VARCHAR(48) NOT NULL,
    action ENUM('promote', 'reject', 'rollback', 'approve', 'deny', 'external', 'erase') NOT NULL,
    from_version INT NULL,
    to_version INT NULL,
    training_run_id CHAR(36) CHARACTER SET ascii NULL,
    mlflow_run_id VARCHAR(64) NULL,
    actor VARCHAR(255) NOT NULL,
    reason TEXT NOT NULL,
    verdict JSON NULL,
    UNIQUE KEY once (use_case, action, training_run_id, mlflow_run_id, to_version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

GRANT SELECT, INSERT ON `{ledger}`.promotion TO '{user}'@'{host}';
