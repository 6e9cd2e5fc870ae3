"""Slow plain versions of the rules that the package computes fast."""
