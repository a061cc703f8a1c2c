"""Comparisons, speed, planning and checks; scripts run from the source folder: `python -m benchmarks.ROOM.SCRIPT`."""
