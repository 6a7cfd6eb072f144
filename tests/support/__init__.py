"""What several tests share: servers of their own, small declarations, rows, and waiting without sleeping."""
