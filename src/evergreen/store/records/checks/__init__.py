"""What monitoring checks found and decided, and whom it was told."""
