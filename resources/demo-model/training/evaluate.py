# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact-match scores on held-out conversations, by one teacher-forced pass over each.

A turn counts when every one of its tokens is the arg max given the right tokens before it, which is what greedy decoding
would write. Tool turns are scored as two: the call, and the answer after the results.
"""
import random

import torch

import batches
import corpus
from encoding import render


def turns_of(encode, conversation):
    """-> (ids, [(first, end) of each assistant turn])."""
    messages, thinking, tools = conversation
    ids, turns = [], []
    for text, is_target in render(messages, thinking, tools):
        part = encode(text)
        if is_target:
            turns.append((len(ids), len(ids) + len(part)))
        ids += part
    return ids, turns


@torch.no_grad()
def score(model, encode, skill, count, device, sparse=True, seed=7, tokens_at_once=32768):
    """-> (share of right turns by position in the conversation, drafts accepted, drafts made, cases)."""
    r = random.Random(f"{skill}/{seed}")
    cases = [turns_of(encode, corpus.evaluation_conversation(r, skill)) for _ in range(count)]
    cases.sort(key=lambda case: len(case[0]))
    right, accepted, drafted = {}, 0, 0
    while cases:
        group = []
        while cases and (len(group) + 1) * len(cases[0][0]) <= max(tokens_at_once, len(cases[0][0])):
            group.append(cases.pop(0))
        ids, _ = batches.pad([(case[0], [0] * len(case[0])) for case in group])
        ids = torch.from_numpy(ids).long().to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            hidden, X = model(ids, {"sparse": sparse})
            guess = model.head(hidden).argmax(-1)
            draft = model.head(model.draft(X[:, :-1], ids[:, 1:])).argmax(-1)
        for row, (_, turns) in enumerate(group):
            for t, (first, end) in enumerate(turns):
                hits = guess[row, first - 1:end - 1] == ids[row, first:end]
                right.setdefault(t, []).append(bool(hits.all()))
                # Only drafts the engine would make: the backbone's own token is right.
                useful = hits[:-1]
                agrees = draft[row, first - 1:end - 2] == ids[row, first + 1:end]
                accepted += int((agrees & useful).sum())
                drafted += int(useful.sum())
    return {t: sum(values) / len(values) for t, values in right.items()}, accepted, drafted


def report(model, encode, device, skills, count, sparse=True):
    """Prints a table and returns it as {skill: {…}}. Scores in the stored formats and with 20 Sinkhorn passes, as served."""
    training, quantise, iterations = model.training, model.quantise, model.sinkhorn_iterations
    model.eval()
    model.quantise, model.sinkhorn_iterations = True, model.c["hc_sinkhorn_iters"]
    table = {}
    for skill in skills:
        shares, accepted, drafted = score(model, encode, skill, count, device, sparse)
        table[skill] = {"n": count, "turns": [round(shares[t], 3) for t in sorted(shares)], "mtp": round(accepted / max(drafted, 1), 3)}
        print(f"{skill:18} n {count:4}  " + "  ".join(f"{v:.3f}" for v in table[skill]["turns"]) + f"   mtp {table[skill]['mtp']:.3f}", flush=True)
    model.train(training)
    model.quantise, model.sinkhorn_iterations = quantise, iterations
    return table


if __name__ == "__main__":
    encode = batches.fast_encoder("../tokenizer.json")
    ids, turns = turns_of(encode, corpus.evaluation_conversation(random.Random(1), "weather 2"))
    print(len(ids), turns)
