"""EAS U-Net for nnU-Net v2.

Nothing is imported here: this file runs at every start of an interpreter in the environment (see
`nnunet_eas.startup`), so it has to cost nothing.
"""

__version__ = "0.1.0"
