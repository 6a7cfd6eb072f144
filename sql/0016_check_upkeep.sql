-- What a check keeps for the next one, and what upkeep drops of old checks. Run again it changes nothing.
ALTER TABLE health_finding
    ADD COLUMN IF NOT EXISTS counters JSON NULL COMMENT 'totals of the service at the check, from which the next one subtracts';
ALTER TABLE check_report
    MODIFY COLUMN document JSON NULL COMMENT 'NULL: dropped by upkeep, as EVERGREEN_CHECK_DAYS says';
