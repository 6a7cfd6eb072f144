-- A trial may compare two registered versions, neither of them the champion (an A/B test). Run again it changes nothing.
ALTER TABLE model_trial
    ADD COLUMN IF NOT EXISTS rival_version INT NULL COMMENT 'the second version on trial; NULL: the champion is compared with',
    ADD COLUMN IF NOT EXISTS rival_run_id VARCHAR(64) NULL COMMENT 'the MLflow run of that version',
    MODIFY COLUMN mode VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'shadow, canary or ab',
    MODIFY COLUMN share DOUBLE NOT NULL COMMENT 'of the keys, that each version on trial answers';
