"""Makers of small files of the kinds that people really have."""
