"""Champion against challenger: which version of a trial is better, by intervals that hold at every look."""
