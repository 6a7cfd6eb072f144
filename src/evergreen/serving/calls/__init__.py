"""What calls a service: the clients, and what they have in common."""
