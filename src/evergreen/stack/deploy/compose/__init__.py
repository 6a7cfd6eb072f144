"""docker-compose.yml, a module per kind of container."""
