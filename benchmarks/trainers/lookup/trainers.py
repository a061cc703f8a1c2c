"""The trainers that nnU-Net finds when it searches this folder, re-exported from the `benchmarks` package.

nnU-Net imports every file of the folder under a bare name and forgets it again, so that classes defined here could not
be pickled. This file must stay the only one.
"""

from benchmarks.trainers.short import *  # noqa: F403
