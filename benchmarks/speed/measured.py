"""A network with nnU-Net's trainer and predictor around it, on random data: times of a step and of a scan, memory."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


class MeasuredNetwork:
    """A trainer ready for a step, and a predictor ready for a scan.

    nnU-Net's three folders must be set, and `nnUNet_extTrainer` must name `benchmarks/trainers/lookup`.

    Args:
        plans: Content of a plans file.
        configuration: One of its configurations.
        dataset_json: Content of dataset.json.
        trainer: Class name.
        device: Where the network runs.
        scan_shape: Voxels of the scan to predict, after preprocessing (z, y, x). None predicts no scan.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        dataset_json: dict[str, Any],
        trainer: str,
        device: torch.device,
        scan_shape: list[int] | None,
    ) -> None:
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

        self.device, self.dataset_json = device, dataset_json
        trainer_class = recursive_find_trainer_class_by_name(trainer)
        self.trainer = trainer_class({**plans, "continue_training": False}, configuration, 0, dataset_json, device)
        self.trainer.initialize()
        self.trainer.network.train()
        self.channels = self.trainer.num_input_channels
        self.classes = self.trainer.label_manager.num_segmentation_heads
        self.patch_size = list(self.trainer.configuration_manager.patch_size)
        self.batch = self._batch(torch.Generator().manual_seed(0))
        self.predictor = self._predictor()
        self.scan = None if scan_shape is None else torch.randn(self.channels, *scan_shape)

    def step(self) -> None:
        """Runs one training step of the trainer."""
        self.trainer.train_step(self.batch)

    def predict(self) -> None:
        """Predicts the logits of one scan, with mirroring."""
        self.predictor.predict_sliding_window_return_logits(self.scan)

    def predict_patch(self) -> None:
        """Predicts the smallest possible scan, as a warm-up."""
        self.predictor.predict_sliding_window_return_logits(self.smallest_scan())

    def smallest_scan(self) -> torch.Tensor:
        """A random scan of one patch."""
        return torch.randn(self.channels, *[1, *self.patch_size][-3:])

    def step_seconds(self) -> float:
        """The time of a step that follows another, as in training, where caches hold what the step needs."""
        self.step()
        return seconds(self.step, self.device)

    def scan_seconds(self) -> float:
        """The time of a scan."""
        return seconds(self.predict, self.device)

    def input_channels(self) -> int:
        """Channels of a scan."""
        return self.channels

    def size(self) -> dict[str, int]:
        """Parameters, and FLOPs of one patch forward."""
        network = self.predictor.network
        patch = torch.zeros(1, self.channels, *self.patch_size, device=self.device)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(patch)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return {"parameters": parameters, "flops": counter.get_total_flops()}

    def peak_bytes(self) -> int:
        """The peak memory of one training step, with network, momentum and gradients."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.step()
            return torch.cuda.max_memory_allocated()
        self.trainer.optimizer.zero_grad()
        network = self.trainer.network
        parameters = sum(p.numel() * p.element_size() for p in network.parameters())
        buffers = sum(b.numel() * b.element_size() for b in network.buffers())
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            self.step()
        events = profile.profiler.kineto_results.events()
        now = peak = 0
        for _, size in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
            now += size
            peak = max(peak, now)
        return 2 * parameters + buffers + peak

    def _batch(self, generator: torch.Generator) -> dict[str, Any]:
        size, patch = self.trainer.configuration_manager.batch_size, self.patch_size
        target = torch.randint(0, self.classes, (size, 1, *patch), generator=generator)
        scales = self.trainer._get_deep_supervision_scales()
        resized = [torch.nn.functional.interpolate(target.float(), scale_factor=tuple(s)).long() for s in scales or []]
        data = torch.randn(size, self.channels, *patch, generator=generator)
        return {"data": data, "target": resized or target}

    def _predictor(self):
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        trainer = self.trainer
        network = trainer.build_network_architecture(
            trainer.plans_manager,
            trainer.configuration_manager,
            self.channels,
            self.classes,
            enable_deep_supervision=False,
        )
        predictor = nnUNetPredictor(
            device=self.device, perform_everything_on_device=self.device.type == "cuda", allow_tqdm=False
        )
        predictor.manual_initialization(
            network.to(self.device).eval(),
            trainer.plans_manager,
            trainer.configuration_manager,
            [network.state_dict()],
            self.dataset_json,
            type(trainer).__name__,
            trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()[3],
        )
        return predictor


class OwnProcess:
    """A `MeasuredNetwork` in a process of its own, so that no network runs with another trainer's settings.

    Methods are called by name, `process("step_seconds")`; what they return must be picklable. Steps and scans are
    measured in two processes, as in nnU-Net's commands: on a CPU a process that has trained took up to a third longer
    for a scan.

    Args:
        kind: `MeasuredNetwork`, or a class derived from it.
        arguments: Its arguments.
        patience_s: Seconds to wait for an answer; None waits without limit.

    Raises:
        RuntimeError: The process has failed, or has not answered; it is gone then.
    """

    def __init__(self, kind: type[MeasuredNetwork], *arguments: Any, patience_s: float | None = None) -> None:
        self._patience_s = patience_s
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, kind, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Calls a method and returns its result."""
        self._pipe.send((method, arguments))
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join()

    def _answer(self) -> Any:
        if not self._pipe.poll(self._patience_s):
            self._process.kill()
            raise RuntimeError(f"no answer in {self._patience_s} s")
        done, answer = self._pipe.recv()
        if not done:
            raise RuntimeError(answer)
        return answer


def _serve(pipe: Connection, kind: type[MeasuredNetwork], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    with contextlib.redirect_stdout(io.StringIO()):  # nnU-Net prints
        try:
            measured = kind(*arguments)
            pipe.send((True, None))
            while True:
                method, given = pipe.recv()
                pipe.send((True, getattr(measured, method)(*given)))
        except EOFError:
            return
        except Exception as error:
            pipe.send((False, f"{type(error).__name__}: {error}"))


def seconds(action: Callable[[], Any], device: torch.device) -> float:
    """Wall time of one call, until the device has finished."""
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def spread(values: list[float]) -> dict[str, Any]:
    """Median, smallest, largest and number of values."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "rounds": len(values)}
