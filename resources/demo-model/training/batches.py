# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversations as padded token batches, made by worker processes while the model trains."""
import math
import multiprocessing
import random

import numpy as np

import bpe
import corpus
from encoding import render

IGNORED, CONTEXT, TARGET = 0, 1, 2
PAD = 2


def fast_encoder(path):
    """The tokenizers package gives the same ids faster, where it is installed."""
    try:
        import tokenizers
    except ImportError:
        return bpe.load(path).encode
    tokenizer = tokenizers.Tokenizer.from_file(path)
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def to_ids(encode, conversation):
    """-> (ids, roles): which tokens are context and which the assistant's."""
    messages, thinking, tools = conversation
    ids, roles = [], []
    for text, is_target in render(messages, thinking, tools):
        part = encode(text)
        ids += part
        roles += [TARGET if is_target else CONTEXT] * len(part)
    return ids, roles


def pad(sequences):
    length = max(len(ids) for ids, _ in sequences)
    ids = np.full((len(sequences), length), PAD, np.int16)
    roles = np.full((len(sequences), length), IGNORED, np.uint8)
    for row, (tokens, kinds) in enumerate(sequences):
        ids[row, :len(tokens)] = tokens
        roles[row, :len(kinds)] = kinds
    return ids, roles


class Mixture:
    """How many tokens of each kind a step holds, and how long retrieval prompts may be."""

    def __init__(self, tools, plain, retrieval, shortest, longest, start, results=0):
        """`start` in [0, 1]: how far between `shortest` and `longest` (in logarithms) the stage begins."""
        self.tokens = {"tools": tools, "plain": plain, "retrieval": retrieval, "results": results}
        self.tokens = {kind: tokens for kind, tokens in self.tokens.items() if tokens}
        self.shortest, self.longest, self.start = shortest, longest, start

    def draw(self, r, kind, progress):
        if kind == "tools":
            return corpus.tool_conversation(r)
        if kind == "results":
            return corpus.results_conversation(r)
        if kind == "plain":
            return corpus.plain_conversation(r)
        longest = self.shortest * (self.longest / self.shortest) ** min(1.0, self.start + progress * 1.2)
        return corpus.retrieval_conversation(r, math.exp(r.uniform(math.log(self.shortest), math.log(longest))))

    def micro_batches(self, r, encode, kind, progress, groups=6):
        """`groups` batches of about self.tokens[kind] tokens each, sorted by length so that little is padding."""
        cap, pool, total = self.tokens[kind], [], 0
        while total < cap * groups:
            pool.append(to_ids(encode, self.draw(r, kind, progress)))
            total += len(pool[-1][0])
        pool.sort(key=lambda s: len(s[0]))
        batches, current, longest = [], [], 0
        for sequence in pool:
            if current and (len(current) + 1) * len(sequence[0]) > cap:
                batches.append(pad(current))
                current = []
            current.append(sequence)
        batches.append(pad(current))
        r.shuffle(batches)
        return batches


def work(queue, mixture, tokenizer_path, seed, progress):
    encode, r = fast_encoder(tokenizer_path), random.Random(seed)
    while True:
        steps = [mixture.micro_batches(r, encode, kind, progress.value) for kind in mixture.tokens]
        for step in zip(*steps):
            queue.put(step)


def stream(mixture, tokenizer_path, seed, workers):
    """-> (generator of steps, a shared number in [0, 1] that lengthens retrieval). A step is a list of (ids, roles)."""
    context = multiprocessing.get_context("fork")
    queue, progress = context.Queue(4 * workers), context.Value("d", 0.0)
    for k in range(workers):
        context.Process(target=work, args=(queue, mixture, tokenizer_path, seed * 1000 + k, progress), daemon=True).start()

    def steps():
        while True:
            yield queue.get()

    return steps(), progress
