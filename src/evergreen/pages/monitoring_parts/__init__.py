"""The parts of the page of a monitoring check, each drawn from the check's JSON document."""
