# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the demo model in stages that end by the clock: `base` from nothing, then `final`, `longer` and `polish` in the stored formats.

  train.py --stage base  --minutes 8 --out OUT
  train.py --stage final --minutes 8 --out OUT --resume OUT/base
  train.py --stage touch --minutes 20 --out OUT --resume-checkpoint ..     (small enough for a CPU)

A stage resumes from BF16 weights alone, or from a checkpoint, dequantised. Each writes the checkpoint too, in OUT/checkpoint.
"""
import argparse
import json
import multiprocessing
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
# Of the loss on tokens that the assistant does not write. Retrieval prompts are thousands of random words around one
# answer of a few tokens, so there they must count almost nothing.
CONTEXT_WEIGHT = {"tools": 0.1, "plain": 0.1, "retrieval": 0.005, "results": 0.02}
SHARE = {"tools": 2.0, "plain": 1.5, "retrieval": 0.5, "results": 2.0}  # of each kind of batch in the loss
DRAFT_WEIGHT = 0.3

STAGES = {
    # `base` attends to every entry; `final` rounds, chooses entries and reaches the full length.
    "base": {"mixture": batches.Mixture(14000, 9000, 12000, 40, 1600, 0.25), "muon": 0.02, "adam": 3e-3, "sinkhorn": 6,
             "quantise": False, "sparse": False, "index_loss": 1.0},
    "final": {"mixture": batches.Mixture(20000, 10000, 9000, 40, 8500, 0.6), "muon": 0.015, "adam": 2e-3, "sinkhorn": 10,
              "quantise": True, "sparse": True, "index_loss": 1.0},
    # `longer` goes on with more tool conversations a step, at the full length; `polish` repeats it with small, falling rates.
    "longer": {"mixture": batches.Mixture(36000, 14000, 9000, 40, 8500, 1.0), "muon": 0.012, "adam": 1.6e-3, "sinkhorn": 10,
               "quantise": True, "sparse": True, "index_loss": 1.0},
    "polish": {"mixture": batches.Mixture(36000, 14000, 9000, 40, 8500, 1.0), "muon": 0.006, "adam": 8e-4, "sinkhorn": 10,
               "quantise": True, "sparse": True, "index_loss": 1.0},
    # `touch` is for a CPU: small steps of the skill that a finished checkpoint lacks, a few of the others to keep them. Drafts and
    # indexers stay as they are.
    "touch": {"mixture": batches.Mixture(700, 250, 350, 40, 1200, 1.0, results=3300), "muon": 0.003, "adam": 5e-4, "sinkhorn": 10,
              "quantise": True, "sparse": True, "index_loss": 0, "drafts": 0, "warm_up": 4},
}


def losses(model, ids, roles, kind, stage, device):
    """-> (loss to minimise, target cross-entropy sum, targets). A kind of batch counts by its share, however long its prompts."""
    aux = {"sparse": stage["sparse"], "mask": roles > 0} | ({"index_loss": []} if stage["index_loss"] else {})
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        hidden, X = model(ids, aux)
        weight = torch.where(roles == batches.TARGET, 1.0, torch.where(roles == batches.CONTEXT, CONTEXT_WEIGHT[kind], 0.0))

        def weighted(h, ahead):
            w = weight[:, ahead:]
            used = w > 0
            entropy = F.cross_entropy(model.head(h[:, :w.shape[1]][used]), ids[:, ahead:][used], reduction="none")
            return entropy, w[used]

        entropy, w = weighted(hidden, 1)
        loss = (entropy * w).sum() / w.sum()
        if stage.get("drafts", 1):
            draft_entropy, draft_w = weighted(model.draft(X[:, :-1].detach(), ids[:, 1:]), 2)
            loss = loss + DRAFT_WEIGHT * (draft_entropy * draft_w).sum() / draft_w.sum()
        loss = SHARE[kind] * loss
    for kl in aux.get("index_loss", []):
        loss = loss + stage["index_loss"] * kl
    targets = w == 1
    return loss, entropy.detach()[targets].sum(), targets.sum()


PATIENCE_S = 3600  # of a process for another that computes; one that has ended never comes


class Crew:
    """Processes with one model in shared memory: each takes batches of its own, then updates its part of the matrices by the mean
    gradient. The first process updates the rest."""

    def __init__(self, model, count):
        self.rank, self.count = 0, count
        self.names = [n for n, p in model.weights().items() if p.requires_grad]
        self.parameters = [model.weights()[n] for n in self.names]
        sizes, self.owner = [0] * count, {}
        for n, p in sorted(zip(self.names, self.parameters), key=lambda pair: -pair[1].numel()):
            self.owner[n] = sizes.index(min(sizes)) if uses_muon(n, p) else 0
            sizes[self.owner[n]] += p.numel() if uses_muon(n, p) else 0
        if count > 1:
            model.share_memory()
            context = multiprocessing.get_context("fork")
            self.gradients = [[torch.zeros_like(p).share_memory_() for p in self.parameters] for _ in range(count)]
            self.barrier, self.done = context.Barrier(count), context.Value("d", 0.0)

    def start(self, work):
        """Runs work() in the other processes too, which differ in `rank` alone."""
        for rank in range(1, self.count):
            def run():
                self.rank = rank
                work()
            multiprocessing.get_context("fork").Process(target=run).start()
        work()

    def mine(self, matrices):
        return [p for n, p in zip(self.names, self.parameters) if self.owner[n] == self.rank and uses_muon(n, p) == matrices]

    def share_gradients(self):
        """The gradients of what this process updates become their mean over the processes."""
        if self.count == 1:
            return
        for p, shared in zip(self.parameters, self.gradients[self.rank]):
            if p.grad is not None:
                shared.copy_(p.grad)
        self.barrier.wait(PATIENCE_S)
        for i, (n, p) in enumerate(zip(self.names, self.parameters)):
            if p.grad is not None and self.owner[n] == self.rank:
                p.grad = sum(gradients[i] for gradients in self.gradients) / self.count

    def finish_step(self, done):
        """-> how far the first process says the stage is; its clock counts."""
        if self.count == 1:
            return done
        if self.rank == 0:
            self.done.value = done
        self.barrier.wait(PATIENCE_S)
        return self.done.value


def train(model, stage, arguments, device):
    crew = Crew(model, arguments.processes)
    crew.start(lambda: train_in(crew, model, stage, arguments, device))


def train_in(crew, model, stage, arguments, device):
    muon, others = Muon(crew.mine(True)), crew.mine(False)
    adam = torch.optim.AdamW(others, lr=stage["adam"], betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0) if others else None
    steps, progress = batches.stream(stage["mixture"], TOKENIZER, arguments.seed + 100 * crew.rank, arguments.workers)
    started, tokens = time.time(), 0
    entropies = {kind: [0.0, 0] for kind in stage["mixture"].tokens}
    done = 0.0
    for number, step in enumerate(steps):
        progress.value = done
        rate = min(1.0, (number + 1) / stage.get("warm_up", 30)) * min(1.0, max(0.02, (1 - done) / 0.7))
        micro = [(torch.from_numpy(i).to(device).long(), torch.from_numpy(k).to(device)) for i, k in step]
        for p in model.parameters():
            p.grad = None
        for (ids, roles), (kind, sums) in zip(micro, entropies.items()):
            tokens += ids.numel()
            loss, entropy, targets = losses(model, ids, roles, kind, stage, device)
            loss.backward()
            sums[0], sums[1] = sums[0] + entropy, sums[1] + targets
        crew.share_gradients()
        if adam:
            torch.nn.utils.clip_grad_norm_([p for p in others if p.grad is not None], 1.0)
            for group in adam.param_groups:
                group["lr"] = stage["adam"] * rate
            adam.step()
            model.balance_experts()
        muon.step(stage["muon"] * rate)
        done = crew.finish_step(max((time.time() - started) / (60 * arguments.minutes), (number + 1) / arguments.steps))
        model.forget_stored()
        if number % arguments.log == 0 and crew.rank == 0:
            seconds = time.time() - started
            print(f"step {number} {seconds:.0f} s {crew.count * tokens / 1e6:.3f} M tokens {crew.count * tokens / max(seconds, 1e-3):.0f} tok/s "
                  + "  ".join(f"{kind} {float(total) / max(int(count), 1):.4f}" for kind, (total, count) in entropies.items()), flush=True)
            entropies = {kind: [0.0, 0] for kind in entropies}
        if done >= 1:
            break
    if crew.rank > 0:
        return
    peak = f", at most {torch.cuda.max_memory_allocated() / 2 ** 30:.1f} GiB" if device == "cuda" else ""
    print(f"stage ended after {number + 1} steps, {crew.count * tokens / 1e6:.2f} M tokens{peak}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=list(STAGES), required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--steps", type=int, default=10 ** 9)
    parser.add_argument("--out", required=True)
    parser.add_argument("--resume", help="prefix of the weights to start from")
    parser.add_argument("--resume-checkpoint", help="folder of a checkpoint to start from instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--processes", type=int, default=1, help="that train together, on a CPU")
    parser.add_argument("--log", type=int, default=50)
    parser.add_argument("--cases", type=int, default=200, help="held-out conversations a skill; 0: no scores")
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
    elif arguments.resume_checkpoint:
        export.load_checkpoint(model, arguments.resume_checkpoint)
    model.to(device)
    model.quantise, model.sinkhorn_iterations = stage["quantise"], stage["sinkhorn"]
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, vocabulary {vocabulary}, {device}", flush=True)

    train(model, stage, arguments, device)
    os.makedirs(arguments.out, exist_ok=True)
    export.save_weights(model, os.path.join(arguments.out, arguments.stage))
    export.export(model, os.path.join(arguments.out, "checkpoint"))
    if not arguments.cases:
        return
    skills = SKILLS + (LONG_SKILLS if stage["sparse"] else [])
    table = evaluate.report(model, encode, device, skills, arguments.cases, stage["sparse"])
    with open(os.path.join(arguments.out, f"{arguments.stage}-scores.json"), "w", encoding="utf-8") as file:
        json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
