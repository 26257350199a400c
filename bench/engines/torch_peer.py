"""The encoder under torch.compile, as engine-overhead.mjs runs it: ids and mask from pinned host memory, hidden states
back to it, fp16, batch and sequence fixed. Weights are random, which changes no time. Prints one line of JSON.

    python3 bench/engines/torch_peer.py bench/.models 1 32 2000
"""

import json
import pathlib
import sys
import time

import torch
import transformers
from transformers import BertConfig, BertModel


def main():
    models, batch, sequence, runs = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:5])
    config = BertConfig(**{**json.loads((models / "encoder.json").read_text()), "attn_implementation": "sdpa"})
    model = BertModel(config, add_pooling_layer=False).eval().half().cuda()
    ids = torch.zeros(batch, sequence, dtype=torch.int64).pin_memory()
    mask = torch.ones(batch, sequence, dtype=torch.int64).pin_memory()
    hidden = torch.empty(batch, sequence, config.hidden_size, dtype=torch.half).pin_memory()

    def timed(forward):
        times = []
        with torch.inference_mode():
            for run in range(-runs // 10, runs):
                start = time.perf_counter()
                result = forward(input_ids=ids.cuda(non_blocking=True), attention_mask=mask.cuda(non_blocking=True))
                hidden.copy_(result.last_hidden_state, non_blocking=True)
                torch.cuda.synchronize()
                if run >= 0:
                    times.append((time.perf_counter() - start) * 1e6)
        times.sort()
        return times[len(times) // 2], times[int(0.99 * (len(times) - 1))]

    eager, _ = timed(model)
    p50, p99 = timed(torch.compile(model, mode="reduce-overhead"))
    figures = {
        "name": "torch.compile, mode reduce-overhead",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "torch_compile_us_p50": p50,
        "torch_compile_us_p99": p99,
        "torch_eager_us_p50": eager,
    }
    try:
        import onnxruntime

        figures["onnxruntime"] = onnxruntime.__version__
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            figures["onnxruntime_cuda_us_p50"] = onnxruntime_cuda(onnxruntime, models / "encoder.onnx", ids, mask, runs)
        else:
            figures["onnxruntime_cuda"] = "not in this build"
    except ImportError:
        figures["onnxruntime_cuda"] = "no onnxruntime"
    print(json.dumps(figures))


def onnxruntime_cuda(onnxruntime, file, ids, mask, runs):
    session = onnxruntime.InferenceSession(str(file), providers=["CUDAExecutionProvider"])
    feeds = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    times = []
    for run in range(-runs // 10, runs):
        start = time.perf_counter()
        session.run(None, feeds)
        if run >= 0:
            times.append((time.perf_counter() - start) * 1e6)
    return sorted(times)[len(times) // 2]


main()
