"""What the network needs on a GPU, kept apart from the network itself: the layout of its maps, folded batch norms."""

from nnunet_eas.gpu.folding import fold_batch_norms
from nnunet_eas.gpu.layout import lay_out

__all__ = ["fold_batch_norms", "lay_out"]
