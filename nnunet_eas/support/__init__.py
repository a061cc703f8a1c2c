"""Helpers that every room may use: files, locks, processes, nnU-Net's commands. Each exists once, here."""
