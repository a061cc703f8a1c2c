"""Numbers that say how well a segmentation agrees with a reference: overlap, and distances in mm."""
