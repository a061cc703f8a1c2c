import ctypes
import os
import platform
import subprocess
import sys

import pytest

from nnunet_eas.cpu import kept_memory

# A large map is freed, one of the same size is taken. glibc before 2.38 wants a little more room for aligned memory
# than it has just freed, so that the heap grows a few times until it finds enough.
SCRIPT = """
import resource
import torch
from nnunet_eas.cpu.kept_memory import keep_freed_memory

def take_and_free(times):
    for _ in range(times):
        torch.ones(2**24)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = keep_freed_memory()
before = take_and_free(20)
print(kept, take_and_free(10) - before)
"""


def run(**environment):
    """Whether memory is kept, and how many pages the system had to provide."""
    inherited = {k: v for k, v in os.environ.items() if k != kept_memory.VARIABLE and not k.startswith("MALLOC_")}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=True)
    kept, pages = done.stdout.split()
    return kept, int(pages)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")
def test_freed_memory_is_used_again_unless_the_variable_says_no():
    kept, few = run()
    not_kept, many = run(NNUNET_EAS_KEEP_MEMORY="0")
    assert (kept, not_kept) == ("True", "False")
    assert many >= 10 * 2**26 // 2**21  # each map anew, however large the pages
    assert few < many / 10


def test_other_libraries_are_left_alone(monkeypatch):
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.delenv(kept_memory.VARIABLE, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert kept_memory.keep_freed_memory() is False


@pytest.mark.parametrize("answers", [(0, 0), (1, 0), (0, 1), (1, 1)], ids=str)
def test_it_says_whether_the_allocator_took_it(monkeypatch, answers):
    class Library:
        def __init__(self, name):
            self.answers = iter(answers)

        def mallopt(self, option, value):
            return next(self.answers)

    monkeypatch.delenv(kept_memory.VARIABLE, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert kept_memory.keep_freed_memory() is all(answers)
