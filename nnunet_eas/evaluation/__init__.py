"""Agreement of a segmentation with a reference: overlap, volumes, and distances in mm."""
