"""The prediction log: every served prediction, and later its outcome."""
