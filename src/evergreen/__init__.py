"""Evergreen keeps models fresh: an MLOps Level 1 platform."""

__version__ = "0.1.0"
