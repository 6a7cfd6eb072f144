"""How a promoted version goes live, is tried before, and is taken back."""
