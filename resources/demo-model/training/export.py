# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a trained model in the official checkpoint layout, and plain BF16 weights to resume from."""
import json
import os
import struct

import numpy as np
import torch

import formats
from model import stored_format

LARGEST_SHARD = 12 * 2 ** 20


def write_safetensors(path, tensors):
    """tensors: name -> (safetensors dtype, array of raw bits)."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, bits) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(bits.shape), "data_offsets": [offset, offset + bits.nbytes]}
        offset += bits.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, bits in tensors.values():
            file.write(bits.tobytes())


def read_safetensors(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(size)), file.read()
    kinds = {"BF16": np.int16, "F32": np.float32, "I64": np.int64, "F8_E4M3": np.uint8, "F8_E8M0": np.uint8, "I8": np.uint8}
    return {name: (e["dtype"], np.frombuffer(data[slice(*e["data_offsets"])], kinds[e["dtype"]]).reshape(e["shape"]))
            for name, e in header.items() if name != "__metadata__"}


def official_tensors(model):
    """name -> (dtype, raw bits) of every tensor of the checkpoint."""
    out = {}

    def put(name, weight):
        kind, w = stored_format(name), weight.detach().float().cpu()
        if kind == "fp8":
            grid, _, scale = formats.fp8_blocks(w)
            out[name] = ("F8_E4M3", formats.e4m3_bytes(grid).numpy())
            out[name[:-len("weight")] + "scale"] = ("F8_E8M0", formats.e8m0_bytes(scale).numpy())
        elif kind == "fp4":
            grid, _, scale = formats.fp4_groups(w)
            out[name] = ("I8", formats.e2m1_bytes(grid).numpy())
            out[name[:-len("weight")] + "scale"] = ("F8_E8M0", formats.e8m0_bytes(scale).numpy())
        elif kind == "bf16":
            out[name] = ("BF16", w.bfloat16().view(torch.int16).numpy())
        else:
            out[name] = ("F32", w.numpy())

    for name, weight in model.weights().items():
        if ".ffn.experts." in name:
            prefix, part = name.rsplit(".", 1)
            for e in range(weight.shape[0]):
                put(f"{prefix}.{e}.{part}.weight", weight[e])
        else:
            put(name, weight)
    for name, table in model.tables().items():
        out[name] = ("I64" if name.endswith("tid2eid") else "F32", table.cpu().numpy())
    return out


def shards_of(tensors, largest):
    shards, size = [{}], 0
    for name in sorted(tensors):
        if size + tensors[name][1].nbytes > largest - 2 ** 17:  # room for the header
            shards.append({})
            size = 0
        shards[-1][name] = tensors[name]
        size += tensors[name][1].nbytes
    return shards


def export(model, folder):
    """config.json, the shards and their index."""
    os.makedirs(folder, exist_ok=True)
    tensors = official_tensors(model)
    shards, places = shards_of(tensors, LARGEST_SHARD), {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(os.path.join(folder, file), shard)
        places.update({name: file for name in shard})
    index = {"metadata": {"total_size": sum(bits.nbytes for _, bits in tensors.values())}, "weight_map": dict(sorted(places.items()))}
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump(index, file, indent=0)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(model.c, file, indent=1)


def save_weights(model, prefix):
    """BF16 weights and the routing tables, in files small enough to travel."""
    tensors = {n: ("BF16", p.detach().cpu().bfloat16().view(torch.int16).numpy()) for n, p in model.weights().items()}
    tensors |= {n: ("I64" if n.endswith("tid2eid") else "F32", b.cpu().numpy()) for n, b in model.tables().items()}
    for i, shard in enumerate(shards_of(tensors, 15 * 2 ** 20)):
        write_safetensors(f"{prefix}-{i}.safetensors", shard)


def load_weights(model, prefix):
    weights, tables, i = model.weights(), model.tables(), 0
    while os.path.exists(f"{prefix}-{i}.safetensors"):
        for name, (dtype, bits) in read_safetensors(f"{prefix}-{i}.safetensors").items():
            value = torch.from_numpy(bits.copy())
            target = weights[name].data if name in weights else tables[name]
            target.copy_(value.view(torch.bfloat16).float() if dtype == "BF16" else value)
        i += 1
    if i == 0:
        raise FileNotFoundError(f"{prefix}-0.safetensors")


def load_checkpoint(model, folder):
    """Weights of a committed checkpoint, dequantised. They round to themselves, so nothing is lost but what rounding had taken."""
    with open(os.path.join(folder, "model.safetensors.index.json"), encoding="utf-8") as file:
        shards = sorted(set(json.load(file)["weight_map"].values()))
    stored = {name: entry for shard in shards for name, entry in read_safetensors(os.path.join(folder, shard)).items()}

    def value(name):
        dtype, bits = stored[name]
        tensor = torch.from_numpy(bits.copy())
        if dtype == "BF16":
            return tensor.view(torch.bfloat16).float()
        if dtype not in ("F8_E4M3", "I8"):
            return tensor
        scale = formats.e8m0_values(torch.from_numpy(stored[name[:-len("weight")] + "scale"][1].copy()))
        if dtype == "I8":
            return formats.e2m1_values(tensor) * scale.repeat_interleave(32, -1)
        scale = scale.repeat_interleave(128, -1).repeat_interleave(128, -2)
        return formats.e4m3_values(tensor) * scale[:tensor.shape[0], :tensor.shape[1]]

    with torch.no_grad():
        for name, weight in model.weights().items():
            if ".ffn.experts." in name:
                prefix, part = name.rsplit(".", 1)
                weight.copy_(torch.stack([value(f"{prefix}.{e}.{part}.weight") for e in range(weight.shape[0])]))
            else:
                weight.copy_(value(name))
        for name, table in model.tables().items():
            table.copy_(value(name))
