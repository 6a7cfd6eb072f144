"""The error profile of a version: what its hold-out tells of where it errs, in one row of MariaDB.

Quality without labels is estimated from it: `partition` divides the rows into regions by conditions that SQL
can evaluate as well, `profile` has what is known of each region, `build` makes it in a training.
"""
