"""Masks of our commands against those of nnU-Net's commands."""
