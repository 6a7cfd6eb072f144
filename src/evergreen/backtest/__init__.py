"""The past replayed under a policy: what would have been retrained when, at what cost, and how good the
answers would have been."""
