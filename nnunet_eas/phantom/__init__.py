"""Synthetic knees: MR scans with labels for the demo and the tests, because OAI-ZIB cannot be shipped."""

from nnunet_eas.phantom.knee import LABELS, Knee, knee

__all__ = ["LABELS", "Knee", "knee"]
