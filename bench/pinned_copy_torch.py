"""PyTorch's side of bench/pinned-copy.mjs: the same copies, timed by CUDA events. Prints one JSON object."""

import json
import statistics
import sys

import torch

BYTES, ROUNDS = int(sys.argv[1]), int(sys.argv[2])


def milliseconds(copy):
    times = []
    for _ in range(ROUNDS + 2):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        copy()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    # The first two warm up.
    return statistics.median(times[2:])


def gb_per_second(copy):
    return BYTES / milliseconds(copy) / 1e6


device = torch.zeros(BYTES, dtype=torch.uint8, device="cuda")
pinned = torch.zeros(BYTES, dtype=torch.uint8, pin_memory=True)
pageable = torch.zeros(BYTES, dtype=torch.uint8)

print(
    json.dumps(
        {
            "version": torch.__version__,
            "h2d": gb_per_second(lambda: device.copy_(pinned, non_blocking=True)),
            "d2h": gb_per_second(lambda: pinned.copy_(device, non_blocking=True)),
            "pageableH2d": gb_per_second(lambda: device.copy_(pageable)),
            "pageableD2h": gb_per_second(lambda: pageable.copy_(device)),
        }
    )
)
