"""The installed trainer classes, re-exported for nnU-Net, which searches this directory.

nnU-Net imports every module of a directory in `nnUNet_extTrainer` under a bare name and then forgets the module.
Classes that were *defined* here could be neither pickled nor compared with the ones that users import. No other file
may lie here.
"""

try:
    from nnunet_eas.trainer import *  # noqa: F403  every public trainer
except ModuleNotFoundError as error:
    # A child process of another environment inherits the variable, but not this package: nnU-Net must still search the
    # user's other directories. Any other missing module is a real error.
    if error.name != "nnunet_eas":
        raise
