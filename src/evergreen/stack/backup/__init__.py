"""Backups of the embedded stack, written while it runs or stands, and restored into a home that is made anew.

`create.py` has the order of a backup's parts and the reasons for it, `restore.py` how a home is made of them.
`drop.py` drops a use case, after a backup.
"""
