"""Who may call a service, under which name, and from which web pages."""
