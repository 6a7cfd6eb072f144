"""What MariaDB accounts beside the platform's own one may do."""
