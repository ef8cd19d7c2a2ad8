# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains ../tokenizer.json on the corpus."""
import os
import random

import bpe
import corpus
from encoding import render

VOCABULARY = 2048
CONVERSATIONS = 6000


def main():
    r = random.Random(20)
    kinds = [corpus.tool_conversation, corpus.plain_conversation, lambda r: corpus.retrieval_conversation(r, 200)]
    texts = ["".join(text for text, _ in render(*r.choice(kinds)(r))) for _ in range(CONVERSATIONS)]
    tokenizer = bpe.train(texts, VOCABULARY)
    tokenizer.save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer.json"))
    sizes = [len(tokenizer.encode(text)) for text in texts[:300]]
    print(len(tokenizer), "words,", sum(sizes) / len(sizes), "tokens a conversation, longest", max(sizes))
    for text in texts[:300]:
        assert tokenizer.decode(tokenizer.encode(text)) == text


if __name__ == "__main__":
    main()
