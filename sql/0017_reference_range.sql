-- The range of each number in a version's training data: what lies far beyond it is told as an outlier, which bins do
-- not show. Rows of before have none. Run again it changes nothing.
ALTER TABLE reference_profile
    ADD COLUMN IF NOT EXISTS range_low DOUBLE NULL COMMENT 'the least number in the training rows, NULL: not known',
    ADD COLUMN IF NOT EXISTS range_high DOUBLE NULL COMMENT 'the greatest number in the training rows';
