"""Measure depthwise3d.py against PyTorch's depthwise 3-D convolution on a GPU.

python3 bench.py [--seconds 90] [--json results.json]
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F  # noqa: N812
from depthwise3d import convolve, convolve_weight_gradient, default_config

CASES = [
    ((2, 32, 80, 192, 160), "float16"),
    ((2, 64, 80, 192, 160), "float16"),
    ((2, 64, 40, 96, 80), "float16"),
    ((2, 128, 40, 96, 80), "float16"),
    ((2, 256, 20, 48, 40), "float16"),
    ((2, 320, 10, 24, 20), "float16"),
    ((2, 320, 5, 12, 10), "float16"),
    ((2, 32, 80, 192, 160), "bfloat16"),
    ((2, 32, 80, 192, 160), "float32"),
    ((2, 64, 80, 192, 160), "bfloat16"),
    ((2, 64, 80, 192, 160), "float32"),
]
ONE = [1, 1, 1]
START = time.perf_counter()


def measure(function, deadline, repeats=10, warm_up=3):
    """Median milliseconds; slow functions (over 0.1 s) get two repeats, and none is started past the deadline."""
    if time.perf_counter() > deadline:
        raise TimeoutError("out of time")
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    times = []
    for i in range(warm_up + repeats):
        events[0].record()
        function()
        events[1].record()
        events[1].synchronize()
        if i >= warm_up:
            times.append(events[0].elapsed_time(events[1]))
        if i >= warm_up - 1 and events[0].elapsed_time(events[1]) > 100 and len(times) >= 2:
            break
    return statistics.median(times)


def configs(shape, dtype, for_weight):
    """The default and a handful of others."""
    _, channels, depth, height, width = shape
    itemsize = torch.empty((), dtype=dtype).element_size()
    default = default_config(shape, itemsize, ONE, for_weight)
    half, quarter = -(-depth // 2), -(-depth // 4)
    options = [default, default._replace(prefetch=True)]
    if height * width >= 4096:
        wide = 4 if itemsize == 4 else 8
        options += [
            default._replace(block=128, vector=wide, num_warps=4, steps=depth),
            default._replace(block=256, vector=wide, num_warps=8, steps=half),
            default._replace(block=256, vector=wide, num_warps=8, steps=half, prefetch=True),
            default._replace(block=512, vector=4, num_warps=16, steps=depth),
            default._replace(block=256, vector=4, num_warps=8, steps=quarter),
            default._replace(block=256, vector=2, num_warps=8, steps=depth),
        ]
    else:
        options += [
            default._replace(block=64, num_warps=2, steps=depth),
            default._replace(block=64, num_warps=2, steps=half),
            default._replace(block=128, num_warps=4, steps=half),
            default._replace(block=128, num_warps=4, steps=quarter),
            default._replace(block=128, num_warps=4, vector=2, steps=half),
        ]
    if itemsize == 4 or dtype == torch.bfloat16:
        options = options[:4]
    if for_weight:
        units = [shape[0] * -(-(height * width // c.vector) // c.block) * -(-depth // c.steps) for c in options]
        options = [c._replace(chunks=max(min(u, -(-4096 // channels)), 1)) for c, u in zip(options, units)]
        if units[0] > 1:
            options.insert(2, options[0]._replace(chunks=min(units[0], -(-8192 // channels))))
            options.insert(3, options[0]._replace(chunks=max(min(units[0], 2048 // channels), 1)))
    return list(dict.fromkeys(options))


def by_slices(x, weight, shift_planes):
    """Sum of kd depthwise 2-D convolutions; x is the (N * D, C, H, W) channels_last view of a channels_last_3d x."""
    channels = x.shape[1]
    batch, depth = shift_planes
    parts = [F.conv2d(x, weight[:, :, k], padding=1, groups=channels) for k in range(3)]
    middle, low, high = (p.view(batch, depth, *p.shape[1:]) for p in (parts[1], parts[0], parts[2]))
    middle[:, 1:] += low[:, :-1]
    middle[:, :-1] += high[:, 1:]
    return middle


def run_case(shape, dtype_name, deadline, results):
    dtype = getattr(torch, dtype_name)
    _, channels, *_ = shape
    torch.manual_seed(0)
    x = torch.randn(shape, device="cuda", dtype=dtype)
    w = torch.randn(channels, 1, 3, 3, 3, device="cuda", dtype=dtype)
    g = torch.randn(shape, device="cuda", dtype=dtype)
    bytes_moved = 2 * x.numel() * x.element_size()
    print(f"== {shape} {dtype_name} [{time.perf_counter() - START:.0f} s]", flush=True)

    def native(mask, x=x, w=w, g=g):
        return torch.ops.aten.convolution_backward(g, x, w, [0], ONE, ONE, ONE, False, [0] * 3, channels, mask)

    def record(what, variant, function, relative_error=None):
        row = {"shape": shape, "dtype": dtype_name, "what": what, "variant": variant}
        try:
            if relative_error is not None:
                row["error"] = relative_error()
            row["ms"] = measure(function, deadline)
            row["gb_per_s"] = bytes_moved / row["ms"] / 1e6
            note = f" err {row['error']:.1e}" if "error" in row else ""
            print(f"{what:8} {variant:34} {row['ms']:9.3f} ms {row['gb_per_s']:7.0f} GB/s{note}", flush=True)
        except Exception as problem:
            row["problem"] = f"{type(problem).__name__}: {problem}"[:300]
            print(f"{what:8} {variant:34} {row['problem']}", flush=True)
        results.append(row)

    # The reference covers one sample and a few channels of it, which keeps it cheap; the weight gradient needs all
    # samples. It is computed in float64 from the same rounded inputs.
    few = slice(0, channels, max(channels // 4, 1))
    reference = {}
    try:
        rx, rw, rg = x[:, few].double(), w[few].double(), g[:, few].double()
        count = rx.shape[1]
        reference["forward"] = F.conv3d(rx, rw, padding=1, groups=count)
        back = torch.ops.aten.convolution_backward(
            rg, rx, rw, [0], ONE, ONE, ONE, False, [0] * 3, count, [True, True, False]
        )
        reference["dgrad"], reference["wgrad"] = back[:2]
        del rx, rg, back
    except Exception as problem:
        print("reference:", type(problem).__name__, str(problem)[:200])

    def relative(what, function):
        def compare():
            if what not in reference:
                return float("nan")
            got = function()
            got = got[few] if what == "wgrad" else got[:, few]
            want = reference[what]
            return ((got.double() - want).abs().max() / want.abs().max()).item()

        return compare

    def ours(what, config):
        if what == "forward":
            return lambda: convolve(x, w, ONE, config=config)
        if what == "dgrad":
            return lambda: convolve(g, w, ONE, flip=True, config=config)
        return lambda: convolve_weight_gradient(g, x, (3, 3, 3), ONE, config=config)

    def label(config, index):
        text = f"b{config.block} v{config.vector} z{config.steps} w{config.num_warps}"
        text += f" c{config.chunks}" if config.chunks > 1 else ""
        return text + (" pre" if config.prefetch else "") + (" (default)" if index == 0 else "")

    record("copy", "x.clone()", x.clone)
    for what, for_weight in (("forward", False), ("wgrad", True), ("dgrad", False)):
        options = configs(shape, dtype, for_weight)
        for i, config in enumerate(options[:2] if what == "dgrad" else options):
            function = ours(what, config)
            record(what, label(config, i), function, relative(what, function))
    record("forward", "F.conv3d", lambda: F.conv3d(x, w, padding=1, groups=channels))
    record("dgrad", "aten", lambda: native([True, False, False]))
    record("wgrad", "aten", lambda: native([False, True, False]))
    if dtype_name == "float16":
        try:
            last = x.to(memory_format=torch.channels_last_3d)
            flat = last.permute(0, 2, 1, 3, 4).flatten(0, 1)
            kernel = w.detach()
            function = lambda: by_slices(flat, kernel, (shape[0], shape[2]))  # noqa: E731
            check = relative("forward", lambda: function().permute(0, 2, 1, 3, 4))
            record("forward", "slices (channels_last)", function, check)
            with torch.no_grad():
                g_flat = torch.randn_like(flat)
            one = lambda mask: torch.ops.aten.convolution_backward(  # noqa: E731
                g_flat, flat, kernel[:, :, 0], [0], [1, 1], [1, 1], [1, 1], False, [0, 0], channels, mask
            )
            record("dgrad", "slices: 3 x 2-D, sums left out", lambda: [one([True, False, False]) for _ in range(3)])
            record("wgrad", "slices: 3 x 2-D, sums left out", lambda: [one([False, True, False]) for _ in range(3)])
        except Exception as problem:
            print("slices:", type(problem).__name__, str(problem)[:200])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=90, help="start no measurement after this time")
    parser.add_argument("--json", default="", help="write results here after every shape")
    options = parser.parse_args()
    print(torch.cuda.get_device_name(), torch.__version__, flush=True)
    results = []
    for shape, dtype in CASES:
        if time.perf_counter() - START > options.seconds:
            print("out of time before", shape, dtype)
            break
        try:
            run_case(shape, dtype, START + options.seconds, results)
        except Exception as problem:
            print(f"{shape} {dtype}: {type(problem).__name__}: {str(problem)[:300]}", flush=True)
        torch.cuda.empty_cache()
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": results}, file)
    print(f"done after {time.perf_counter() - START:.0f} s")


if __name__ == "__main__":
    main()
