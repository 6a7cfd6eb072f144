"""The outermost layer of a service: which requests reach it, how large, how slow, and under which id."""
