"""Clean rows on their way into tables: sorted, compared with what is known, loaded in one transaction."""
