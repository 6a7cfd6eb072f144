"""Logged predictions by the bins of a reference profile: from counts that were kept, or counted anew."""
