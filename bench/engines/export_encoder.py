"""Exports a sentence encoder with transformers and torch.onnx: all-MiniLM-L6-v2's weights, 6 layers of 384.

Of its vocabulary only the tokens of the sentences it is tried on are kept, so that the model travels lightly; the rest
of it is as published. Batch and sequence are dynamic. Also writes the sentences' token ids and masks.

The mask is widened to four dimensions outside the model, as transformers' own widening is traced into some 60 nodes of
index arithmetic; --as-it-is exports that too.

    python3 bench/engines/export_encoder.py bench/prompts bench/.models [--as-it-is]
"""

import json
import pathlib
import re
import struct
import sys

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

SENTENCES = 24
BATCH = 8
# Added to what is not to be attended to: nothing is left of it, in half precision too.
MASKED = -1e4
EMBEDDING = "embeddings.word_embeddings.weight"


def main():
    prompts, models = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    as_it_is = "--as-it-is" in sys.argv[3:]
    tokenizer = Tokenizer.from_file(str(models / "minilm" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    sentences = [tokenizer.encode(text).ids[:128] for text in sentences_of(prompts)]
    kept = sorted({0} | {token for ids in sentences for token in ids})
    numbers = {token: index for index, token in enumerate(kept)}

    weights = read_safetensors(models / "minilm" / "model.safetensors")
    weights[EMBEDDING] = weights[EMBEDDING][kept]
    settings = json.loads((models / "minilm" / "config.json").read_text())
    config = BertConfig(**{**settings, "vocab_size": len(kept), "pad_token_id": 0, "attn_implementation": "eager"})
    model = BertModel(config, add_pooling_layer=False).eval()
    missing, _ = model.load_state_dict(weights, strict=False)
    missing = [name for name in missing if "position_ids" not in name and "token_type_ids" not in name]
    if missing:
        raise RuntimeError(f"the checkpoint lacks {missing}")

    inputs = models / "inputs"
    inputs.mkdir(exist_ok=True)
    padded = [[numbers[token] for token in ids] for ids in sentences]
    for index in range(SENTENCES - BATCH):
        save(inputs, index, [padded[index]])
    save(inputs, SENTENCES - BATCH, padded[-BATCH:])

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            if not as_it_is:
                attention_mask = (1 - attention_mask[:, None, None, :].float()) * MASKED
            types = None if as_it_is else torch.zeros_like(input_ids)
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=types).last_hidden_state

    ids = torch.tensor([padded[0], padded[0]])
    dynamic = {0: "batch", 1: "sequence"}
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        Encoder().eval(),
        (ids, torch.ones_like(ids)),
        str(models / "encoder.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: dynamic for name in [*names, "last_hidden_state"]},
        opset_version=17,
        dynamo=False,
    )
    # For torch_peer.py: speed does not depend on the weights.
    (models / "encoder.json").write_text(json.dumps(config.to_diff_dict(), default=str))


def sentences_of(prompts):
    texts = [(prompts / f"{name}.txt").read_text() for name in ("alice", "pride", "two-cities", "darwin", "moby-dick", "history", "bread")]
    found = [each.strip() for text in texts for each in re.split(r"(?<=[.!?;])\s+", text) if len(each.split()) > 3]
    return found[:SENTENCES]


def save(inputs, index, rows):
    longest = max(len(row) for row in rows)
    ids = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    np.save(inputs / f"encoder-{index:02}.ids.npy", ids)
    np.save(inputs / f"encoder-{index:02}.mask.npy", mask)


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "I64": torch.int64}
    return {
        name: torch.frombuffer(bytearray(data[8 + length + each["data_offsets"][0] : 8 + length + each["data_offsets"][1]]), dtype=types[each["dtype"]]).view(each["shape"])
        for name, each in header.items()
    }


main()
