-- The ledger moves into a database of its own ({ledger}, made by sql/admin/ledger.sql), where this user may add lines
-- and change none. What was written so far goes with it. Run again it changes nothing.

INSERT INTO `{ledger}`.promotion
    (at, use_case, action, from_version, to_version, training_run_id, mlflow_run_id, actor, reason, verdict)
SELECT line.at, line.use_case, line.action, line.from_version, line.to_version, line.training_run_id,
    training.mlflow_run_id, line.actor, line.reason, line.verdict
FROM promotion line
LEFT JOIN training_run training ON training.id = line.training_run_id
WHERE NOT EXISTS (
    SELECT 1 FROM `{ledger}`.promotion taken
    WHERE taken.use_case = line.use_case AND taken.action = line.action AND taken.at = line.at
        AND taken.training_run_id <=> line.training_run_id AND taken.to_version <=> line.to_version
)
ORDER BY line.id;

DROP TABLE promotion;
