"""What nnU-Net finds when it searches this directory: the installed trainer classes, re-exported.

nnU-Net imports every module of a directory in `nnUNet_extTrainer` under a bare name and forgets it again. Classes that
were *defined* here could be neither pickled nor compared with the ones users import. This file must stay alone here.
"""

try:
    from nnunet_eas.trainer import *  # noqa: F403  whatever is a trainer there is one here
except ModuleNotFoundError as error:
    # A child process of another environment inherits the variable, but not this package: then there is nothing to
    # offer, and the user's other directories must still be searched. Any other missing module is a real error.
    if error.name != "nnunet_eas":
        raise
