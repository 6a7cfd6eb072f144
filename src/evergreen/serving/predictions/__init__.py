"""The service's side of the prediction log: the writer thread, and the spool on disk."""
