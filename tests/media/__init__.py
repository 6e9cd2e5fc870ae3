"""Makers of small files as people really have them."""
