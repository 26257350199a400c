"""Second half of the comparison with transformers: its logits beside those that make.mjs kept.

Run where torch and transformers are installed; eager attention in float32 on the CPU, or with --device cuda on a
GPU (TF32 off). Prints a JSON line a claim, in the form of bench/results; prose goes to stderr.

    python3 bench/transformers-parity/compare.py > transformers.jsonl
"""

import argparse
import datetime
import json
import pathlib
import platform
import subprocess
import sys

import torch
import transformers

FOLDER = pathlib.Path(__file__).parent.parent / ".peers" / "transformers"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments.add_argument("--folder", type=pathlib.Path, default=FOLDER)
    options = arguments.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")

    made = json.loads((options.folder / "made.json").read_text())
    common = {
        "peer": {"name": "transformers", "attention": "eager", "dtype": "float32", "device": options.device},
        **machine(options.device),
        "versions": {**made["versions"], "transformers": transformers.__version__, "torch": torch.__version__},
        "command": "node bench/transformers-parity/make.mjs && python3 bench/transformers-parity/compare.py"
        + (f" --device {options.device}" if options.device != "cpu" else ""),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    for source in sorted(path.parent for path in options.folder.glob("*/config.json")):
        figures = compare(source, made["sequences"], made["length"], options.device)
        print(f"{source.name}: {figures}", file=sys.stderr)
        for key, unit in (("top1", "fraction"), ("kl", "nats"), ("max_abs_logit_diff", "logits")):
            claim = f"foundation.2.transformers_{source.name}_{key}"
            positions = made["sequences"] * made["length"]
            print(json.dumps({"claim": claim, "value": figures[key], "unit": unit, "positions": positions, **common}), flush=True)


def compare(source, sequences, length, device):
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")
    model = model.eval().to(device)
    tokens = read(source / "tokens.u32", torch.int32).long().view(sequences, length).to(device)
    with torch.no_grad():
        expected = model(input_ids=tokens, use_cache=False).logits.double().cpu().view(sequences * length, -1)
    got = read(source / "logits.f32", torch.float32).double().view_as(expected)

    p = expected.log_softmax(-1)
    q = got.log_softmax(-1)
    return {
        "top1": (p.argmax(-1) == q.argmax(-1)).double().mean().item(),
        "kl": (p.exp() * (p - q)).sum(-1).mean().item(),
        "max_abs_logit_diff": (expected - got).abs().max().item(),
        # How spread the logits are: near zero, agreement would mean nothing.
        "logit_std": expected.std().item(),
    }


def read(path, dtype):
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=dtype)


def machine(device):
    if device == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
        return {"gpu": torch.cuda.get_device_name(), "driver": driver}
    return {"cpu": platform.processor() or platform.machine()}


main()
