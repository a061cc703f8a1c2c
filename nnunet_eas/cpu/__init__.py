"""Fast CPU paths for the network, kept apart from the network itself.

`accelerate(network)` replaces the classes of some modules by faster ones that compute the same:

- `recompute`: a stage keeps one map a block for the backward pass, two where the block has a shortcut;
- `shortcut`: the sums of shortcuts overwrite a map, for prediction;
- `conv3d`: gradients of 3-D depthwise convolutions, and 1x1x1 convolutions with one thread;
- `instance_norm`: instance norms that keep the channels-last layout;
- `folded_norm`: batch norms folded into convolutions for prediction, with the activation.

`keep_freed_memory()` is a setting of the process. `benchmarks/speed/cpu_paths.py` measures what each of them gains.
"""

from nnunet_eas.cpu.accelerate import PATHS, accelerate, restore
from nnunet_eas.cpu.kept_memory import keep_freed_memory

__all__ = ["PATHS", "accelerate", "keep_freed_memory", "restore"]
