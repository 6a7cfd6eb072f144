"""HTML pages of one file and charts as inline SVG: they open without a script and without a network."""
