"""Files of any format, encoding, compression and place, as Arrow batches."""
