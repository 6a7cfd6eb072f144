"""Commands of whoever runs an installation for others: keys, accounts, backups, deployments."""
