-- What a decision to retrain was made of: its inputs, every check, what triggered it and the window of rows to train on.
-- A training keeps the window that was chosen for it. NULL in rows of before. Run again it changes nothing.
ALTER TABLE retrain_decision
    ADD COLUMN IF NOT EXISTS trigger_name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'drift, quality, schedule, new_data, manual, ...',
    ADD COLUMN IF NOT EXISTS inputs JSON NULL COMMENT 'what the governor knew',
    ADD COLUMN IF NOT EXISTS checks JSON NULL COMMENT 'each rule of the policy with its result and reason',
    ADD COLUMN IF NOT EXISTS training_window JSON NULL COMMENT 'which rows a retraining is to use';
ALTER TABLE training_run
    ADD COLUMN IF NOT EXISTS trigger_name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'what led to the training',
    ADD COLUMN IF NOT EXISTS training_window JSON NULL COMMENT 'the window of rows that was chosen for it';
-- The governor decides once as of a moment; a training by hand as of the same one is a decision of its own.
ALTER TABLE retrain_decision
    ADD INDEX IF NOT EXISTS by_use_case (use_case, as_of),
    DROP INDEX IF EXISTS once;
