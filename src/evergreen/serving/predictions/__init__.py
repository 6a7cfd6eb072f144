"""The service's side of the prediction log: a spool on local disk, and the way of its rows to MariaDB."""
