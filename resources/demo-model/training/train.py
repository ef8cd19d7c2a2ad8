# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the demo model in stages that end by the clock: `base` from nothing, then `final` in the stored formats.

  train.py --stage base  --minutes 8 --out OUT
  train.py --stage final --minutes 8 --out OUT --resume OUT/base

A stage resumes from BF16 weights alone. `final` also writes the checkpoint, in OUT/checkpoint.
"""
import argparse
import json
import os
import time

import torch
import torch.nn.functional as F

import batches
import evaluate
import export
from corpus import LONG_SKILLS, SKILLS
from model import CONFIG, DeepseekV4
from optimizer import Muon, uses_muon

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENIZER = os.path.join(HERE, "..", "tokenizer.json")
CONTEXT_WEIGHT = 0.1  # of the loss on tokens that the assistant does not write
DRAFT_WEIGHT = 0.3

STAGES = {
    # `base` attends to every entry; `final` rounds, chooses entries and reaches the full length.
    "base": {"mixture": batches.Mixture(14000, 9000, 9000, 40, 1600), "muon": 0.02, "adam": 3e-3, "sinkhorn": 6,
             "quantise": False, "sparse": False, "index_loss": 0.0},
    "final": {"mixture": batches.Mixture(14000, 9000, 16384, 40, 8500), "muon": 0.01, "adam": 1.5e-3, "sinkhorn": 20,
              "quantise": True, "sparse": True, "index_loss": 1.0},
}


def losses(model, ids, roles, stage, weight_total, device):
    """-> (loss to minimise, target cross-entropy sum, targets)."""
    aux = {"sparse": stage["sparse"], "mask": roles > 0}
    if stage["index_loss"]:
        aux["index_loss"] = []
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        hidden, X = model(ids, aux)
        weight = torch.where(roles == batches.TARGET, 1.0, torch.where(roles == batches.CONTEXT, CONTEXT_WEIGHT, 0.0))

        def weighted(h, ahead):
            w = weight[:, ahead:]
            used = w > 0
            entropy = F.cross_entropy(model.head(h[:, :w.shape[1]][used]), ids[:, ahead:][used], reduction="none")
            return entropy, w[used]

        entropy, w = weighted(hidden, 1)
        loss = (entropy * w).sum() / weight_total
        draft_entropy, draft_w = weighted(model.draft(X[:, :-1].detach(), ids[:, 1:]), 2)
        loss = loss + DRAFT_WEIGHT * (draft_entropy * draft_w).sum() / weight_total
    for kl in aux.get("index_loss", []):
        loss = loss + stage["index_loss"] * kl
    targets = w == 1
    return loss, entropy.detach()[targets].sum(), targets.sum()


def train(model, stage, arguments, device):
    weights = model.weights()
    if not stage["index_loss"]:
        weights = {n: p for n, p in weights.items() if ".indexer." not in n}
    matrices = [p for n, p in weights.items() if uses_muon(n, p)]
    known = {id(p) for p in matrices}
    others = [p for p in weights.values() if id(p) not in known]
    muon, adam = Muon(matrices), torch.optim.AdamW(others, lr=stage["adam"], betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0)
    steps, progress = batches.stream(stage["mixture"], TOKENIZER, arguments.seed, arguments.workers)
    started, tokens, target_sum, target_count = time.time(), 0, 0.0, 0
    for number, step in enumerate(steps):
        done = max((time.time() - started) / (60 * arguments.minutes), number / arguments.steps)
        if done >= 1:
            break
        progress.value = done
        rate = min(1.0, (number + 1) / 30) * min(1.0, max(0.02, (1 - done) / 0.5))
        micro = [(torch.from_numpy(i).to(device).long(), torch.from_numpy(k).to(device)) for i, k in step]
        weight_total = sum((k == batches.TARGET).sum() + CONTEXT_WEIGHT * (k == batches.CONTEXT).sum() for _, k in micro)
        for p in model.parameters():
            p.grad = None
        for ids, roles in micro:
            tokens += ids.numel()
            loss, entropy, targets = losses(model, ids, roles, stage, weight_total, device)
            loss.backward()
            target_sum, target_count = target_sum + entropy, target_count + targets
        torch.nn.utils.clip_grad_norm_([p for p in others if p.grad is not None], 1.0)
        for group in adam.param_groups:
            group["lr"] = stage["adam"] * rate
        adam.step()
        muon.step(stage["muon"] * rate)
        model.balance_experts()
        if number % arguments.log == 0:
            seconds = time.time() - started
            print(f"step {number} {seconds:.0f} s {tokens / 1e6:.2f} M tokens {tokens / max(seconds, 1e-3):.0f} tok/s "
                  f"target entropy {float(target_sum) / max(int(target_count), 1):.4f}", flush=True)
            target_sum, target_count = 0.0, 0
    print(f"stage ended after {number} steps, {tokens / 1e6:.1f} M tokens", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=list(STAGES), required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--steps", type=int, default=10 ** 9)
    parser.add_argument("--out", required=True)
    parser.add_argument("--resume", help="prefix of the weights to start from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--log", type=int, default=50)
    parser.add_argument("--cases", type=int, default=200, help="held-out conversations a skill")
    arguments = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = True
    stage = STAGES[arguments.stage]
    encode = batches.fast_encoder(TOKENIZER)
    with open(TOKENIZER, encoding="utf-8") as file:
        document = json.load(file)
    vocabulary = len({t["id"] for t in document["added_tokens"]} | set(document["model"]["vocab"].values()))
    model = DeepseekV4({**CONFIG, "vocab_size": vocabulary}, arguments.seed)
    if arguments.resume:
        export.load_weights(model, arguments.resume)
    model.to(device)
    model.quantise, model.sinkhorn_iterations = stage["quantise"], stage["sinkhorn"]
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, vocabulary {vocabulary}, {device}", flush=True)

    train(model, stage, arguments, device)
    os.makedirs(arguments.out, exist_ok=True)
    export.save_weights(model, os.path.join(arguments.out, arguments.stage))
    if arguments.stage == "final":
        export.export(model, os.path.join(arguments.out, "checkpoint"))
    skills = SKILLS + (LONG_SKILLS if arguments.stage == "final" else [])
    table = evaluate.report(model, encode, device, skills, arguments.cases, stage["sparse"])
    with open(os.path.join(arguments.out, f"{arguments.stage}-scores.json"), "w", encoding="utf-8") as file:
        json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
