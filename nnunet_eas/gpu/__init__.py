"""GPU side of the network, kept apart from the network itself.

- `lay_out`: the memory layout that is fast on a device;
- `use_depthwise_kernels`: kernels of our own for 3-D depthwise convolutions;
- `fold_batch_norms`: batch norms that become a part of the convolution, for prediction;
- `checkpoint_stages`: less memory for a training step;
- `fuse_norms_into_their_readers`: less memory for a compiled one.
"""

from nnunet_eas.gpu.compiling import fuse_norms_into_their_readers
from nnunet_eas.gpu.depthwise import use_depthwise_kernels
from nnunet_eas.gpu.folding import fold_batch_norms
from nnunet_eas.gpu.layout import lay_out
from nnunet_eas.gpu.recompute import checkpoint_stages

__all__ = [
    "checkpoint_stages",
    "fold_batch_norms",
    "fuse_norms_into_their_readers",
    "lay_out",
    "use_depthwise_kernels",
]
