-- A slice is named feature=value: a feature has up to 48 characters, a category up to 255. InnoDB widens the column
-- without a copy of the table. Run again it changes nothing.
ALTER TABLE drift_metric
    MODIFY COLUMN slice VARCHAR(320) NOT NULL COMMENT 'empty: all rows; else feature=value';
