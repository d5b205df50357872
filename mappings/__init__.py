"""Mapping tables and pinned schemas: data only."""
