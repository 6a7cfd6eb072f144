-- The ledger: who became champion, when, instead of whom, and why. Append-only, because the platform's own user may
-- read and add lines and nothing else. MariaDB cannot take a part of a database's rights away again, so the ledger has
-- a database of its own. An administrator runs this; run again it brings a ledger of before up to date, and changes
-- nothing else.

CREATE DATABASE IF NOT EXISTS `{ledger}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS `{ledger}`.promotion (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at DATETIME(6) NOT NULL,
    recorded_at TIMESTAMP(6) NULL,
    use_case VARCHAR(48) NOT NULL,
    action VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    from_version INT NULL,
    to_version INT NULL,
    training_run_id CHAR(36) CHARACTER SET ascii NULL,
    mlflow_run_id VARCHAR(64) NULL,
    actor VARCHAR(255) NOT NULL,
    reason TEXT NOT NULL,
    verdict JSON NULL,
    UNIQUE KEY once (use_case, action, training_run_id, mlflow_run_id, to_version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- `at` is what the writer says, `recorded_at` when MariaDB wrote the line. Lines of before this column have none.
ALTER TABLE `{ledger}`.promotion ADD COLUMN IF NOT EXISTS recorded_at TIMESTAMP(6) NULL AFTER at;

-- An ENUM in ledgers of before. The table has a line per decision, so that the copy takes a fraction of a second.
ALTER TABLE `{ledger}`.promotion MODIFY COLUMN action VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;

-- MariaDB numbers and dates each line, whatever the session has set: any user may SET insert_id, which AUTO_INCREMENT
-- follows, and SET timestamp, which CURRENT_TIMESTAMP follows and SYSDATE does not. It runs with the definer's rights.
CREATE OR REPLACE DEFINER = {definer} TRIGGER `{ledger}`.promotion_recorded
BEFORE INSERT ON `{ledger}`.promotion FOR EACH ROW
SET NEW.id = (SELECT COALESCE(MAX(line.id), 0) + 1 FROM `{ledger}`.promotion line), NEW.recorded_at = SYSDATE(6);

-- Every column but the two that MariaDB sets. Ledgers of before have a right to insert into all of them, which is
-- taken away; there is always a right to take away from, for else that would be an error.
GRANT SELECT ON `{ledger}`.promotion TO '{user}'@'{host}';
REVOKE INSERT ON `{ledger}`.promotion FROM '{user}'@'{host}';
GRANT INSERT (at, use_case, action, from_version, to_version, training_run_id, mlflow_run_id, actor, reason, verdict)
    ON `{ledger}`.promotion TO '{user}'@'{host}';
