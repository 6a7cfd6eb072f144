"""What people do beside the loop: bring a table of their own, and look at the data."""
