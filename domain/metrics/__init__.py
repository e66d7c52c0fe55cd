"""Aggregations, one file each."""
