"""Trains networks side by side, and compares them on the same cases."""
