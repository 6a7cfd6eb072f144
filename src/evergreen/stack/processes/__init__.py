"""The processes of the stack: a server's life, the supervisor, the warden, ports, logs and restarts."""
