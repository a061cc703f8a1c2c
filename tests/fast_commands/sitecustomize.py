"""Threads in place of the processes of nnU-Net's pools, in every command that a test runs, and a faster start.

Python imports a module of this name as it starts; tests/conftest.py puts its folder in the way. Each process of such a
pool imports PyTorch and nnU-Net for seconds, or is a copy of one that has, to work on a tiny file for milliseconds. A
process that is started on its own stays one.
"""

import gc
import multiprocessing
import os
import sys
from multiprocessing.context import SpawnContext
from multiprocessing.pool import ThreadPool


class _Threads(SpawnContext):
    def Pool(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None):
        return ThreadPool(processes, initializer, initargs)


_context = multiprocessing.get_context
multiprocessing.get_context = lambda method=None: _Threads() if method == "spawn" else _context(method)
multiprocessing.Pool = _Threads().Pool

gc.set_threshold(50_000, 20, 50)  # up to a fifth of the time of nnU-Net's imports is a search for garbage

if any("nnUNetv2_train" in word for word in sys.orig_argv):
    os.environ["MATPLOTLIBRC"] = os.path.dirname(__file__)  # a small picture of the progress after every epoch
