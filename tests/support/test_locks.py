import subprocess
import sys
import time

import pytest

from nnunet_eas.support.locks import Busy, is_held, locked

HOLD = """
import sys, time
from pathlib import Path
from nnunet_eas.support.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_another_process_keeps_us_out_until_it_is_killed(tmp_path, holder):
    file = tmp_path / "lock"
    assert is_held(file)
    with pytest.raises(Busy, match="held by another process"), locked(file):
        pass
    holder.kill()
    holder.wait()
    assert not is_held(file)
    with locked(file):
        assert is_held(file)
    assert not is_held(file)


def test_a_lock_that_gets_free_is_waited_for(tmp_path, holder):
    with pytest.raises(Busy), locked(tmp_path / "lock", wait_s=0.5):
        pass
    holder.kill()
    holder.wait()
    with locked(tmp_path / "lock", wait_s=5):
        pass


def test_looking_at_a_missing_lock_makes_no_file(tmp_path):
    assert not is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="children inherit no locks there")
def test_a_child_that_inherits_the_lock_holds_it_when_we_are_gone(tmp_path):
    file = tmp_path / "lock"
    parent = f"""
import os, subprocess, sys
from pathlib import Path
from nnunet_eas.support.locks import locked
with locked(Path({str(file)!r})) as descriptors:
    code = "import time; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, pass_fds=descriptors)
    print(child.pid, flush=True)
    os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, check=True)
    assert is_held(file)
    subprocess.run(["kill", done.stdout.strip()], check=True)
    give_up = time.monotonic() + 10
    while is_held(file) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not is_held(file)
