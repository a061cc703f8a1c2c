"""Measurements of the structures in one mask: volume, surface and thickness, in mm."""
