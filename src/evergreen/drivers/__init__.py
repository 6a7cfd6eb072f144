"""The drivers that reach MariaDB and MySQL: mysqlclient, which is compiled and fast, and PyMySQL."""
