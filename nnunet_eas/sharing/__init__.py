"""Trained models in one file that runs nothing when it is read: `pack` and `unpack`."""
