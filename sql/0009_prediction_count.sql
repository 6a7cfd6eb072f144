-- Logged predictions counted by the bins of their version's reference profile, hour by hour. The process that loads
-- rows into a prediction log adds their counts in the same transaction. All times are UTC. Run again it changes nothing.

-- A version's profile has rows for groups of the training data too (declared slices). Rows of before are of all rows.
ALTER TABLE reference_profile
    ADD COLUMN IF NOT EXISTS slice VARCHAR(320) NOT NULL DEFAULT '' COMMENT '"" is all rows, else FEATURE=GROUP'
        AFTER model_version,
    ADD COLUMN IF NOT EXISTS slice_low DOUBLE NULL COMMENT 'of a group of numbers: the least value, NULL: none',
    ADD COLUMN IF NOT EXISTS slice_high DOUBLE NULL COMMENT 'of a group of numbers: less than this, NULL: no bound',
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (use_case, model_version, slice, feature);

-- One row per version, channel and hour in which predictions were made. Whoever adds counts locks it first, so that
-- several services add them one after the other.
CREATE TABLE IF NOT EXISTS prediction_hour (
    use_case VARCHAR(48) NOT NULL,
    model_version INT NOT NULL,
    channel VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hour DATETIME NOT NULL COMMENT 'its beginning',
    row_count BIGINT NOT NULL COMMENT 'rows that were logged',
    counted BIGINT NOT NULL DEFAULT 0 COMMENT 'those of them that are in prediction_count; fewer without a profile',
    profile CHAR(32) CHARACTER SET ascii NULL COMMENT 'digest of the bins that they were counted by',
    PRIMARY KEY (use_case, model_version, channel, hour)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- Rows by bin. A row holds all bins of a feature: one row per bin took five times as long to write and ten times as long
-- to read. The view below has one row per bin.
CREATE TABLE IF NOT EXISTS prediction_count (
    use_case VARCHAR(48) NOT NULL,
    model_version INT NOT NULL,
    channel VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hour DATETIME NOT NULL COMMENT 'its beginning',
    slice VARCHAR(320) NOT NULL,
    feature VARCHAR(48) NOT NULL,
    counts JSON NOT NULL COMMENT 'rows by bin, in the order of reference_profile.counts',
    PRIMARY KEY (use_case, model_version, channel, hour, slice, feature)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

-- For Grafana and SQL: one row per bin, with the bin's name and how many rows of the training data it has. Bins are
-- numbered from 0; the name of a bin of numbers is its upper end. Rows that a service refused for a value of the feature
-- are a bin of their own without a number, version and reference, because they reached no model.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW prediction_count_bin AS
SELECT
    c.use_case, c.model_version, c.channel, c.hour, c.slice, c.feature, b.position - 1 AS bin,
    CASE
        WHEN b.position = JSON_LENGTH(c.counts) THEN '(missing)'
        WHEN p.kind = 'category' AND b.position = JSON_LENGTH(c.counts) - 1 THEN '(other)'
        WHEN p.kind = 'category' THEN JSON_VALUE(p.bins, CONCAT('$[', b.position - 1, ']'))
        WHEN b.position = JSON_LENGTH(c.counts) - 1 THEN '(above)'
        ELSE CONCAT('<= ', JSON_VALUE(p.bins, CONCAT('$[', b.position - 1, ']')))
    END AS bin_name,
    b.row_count,
    CAST(JSON_VALUE(p.counts, CONCAT('$[', b.position - 1, ']')) AS SIGNED) AS reference_rows
FROM prediction_count c
JOIN JSON_TABLE(c.counts, '$[*]' COLUMNS (position FOR ORDINALITY, row_count BIGINT PATH '$')) b
LEFT JOIN reference_profile p
    ON p.use_case = c.use_case AND p.model_version = c.model_version AND p.slice = c.slice AND p.feature = c.feature
UNION ALL
SELECT
    r.use_case, NULL, 'online', TIMESTAMP(DATE(r.window_end), MAKETIME(HOUR(r.window_end), 0, 0)), '', r.field, NULL, '(refused)',
    r.row_count, NULL
FROM refused_count r;
