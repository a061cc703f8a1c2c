"""The planner: EAS U-Nets sized for a dataset and a GPU."""

from nnunet_eas.planner.eas_unet_planner import EASUNetPlanner

__all__ = ["EASUNetPlanner"]
