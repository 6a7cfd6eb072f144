"""The service's writer of the prediction log, and the rows on disk that MariaDB has not taken yet."""
