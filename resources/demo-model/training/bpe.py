# SPDX-License-Identifier: GPL-3.0-or-later
"""A small byte-level BPE tokenizer with DeepSeek's pre-tokenizer and special tokens, in Hugging Face's file format.

Digits never merge: every number is copied digit by digit, which a small model learns far sooner.
"""
import json
from collections import Counter, defaultdict

import regex

SPECIAL_HEAD = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
SPECIAL_TAIL = ["<｜User｜>", "<｜Assistant｜>", "<|EOT|>", "<think>", "</think>", "｜DSML｜", "<｜latest_reminder｜>",
                "<｜action｜>", "<｜query｜>", "<｜authority｜>", "<｜domain｜>", "<｜title｜>", "<｜extracted_url｜>",
                "<｜read_url｜>"]
SPECIALS = SPECIAL_HEAD + SPECIAL_TAIL
PATTERNS = [
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
]
SPLIT_SPECIALS = regex.compile("(" + "|".join(regex.escape(s) for s in sorted(SPECIALS, key=len, reverse=True)) + ")")


def byte_alphabet():
    """GPT-2's byte to character map: printable bytes stand for themselves, the others move to U+0100 and on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


BYTE_TO_CHAR = byte_alphabet()
CHAR_TO_BYTE = {c: b for b, c in BYTE_TO_CHAR.items()}


def pieces(text):
    """Splits text as the three pre-tokenizer steps do, each on the pieces of the one before."""
    parts = [text]
    for pattern in PATTERNS:
        parts = [p for part in parts for p in regex.split(f"({pattern})", part) if p]
    return parts


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        letters = [BYTE_TO_CHAR[b] for b in range(256)]
        self.words = SPECIAL_HEAD + letters + [a + b for a, b in self.merges] + SPECIAL_TAIL
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.ranks = {m: i for i, m in enumerate(self.merges)}
        self.cache = {}

    def __len__(self):
        return len(self.words)

    def piece_ids(self, piece):
        if piece not in self.cache:
            parts = [BYTE_TO_CHAR[b] for b in piece.encode()]
            while len(parts) > 1:
                rank, i = min((self.ranks.get(pair, len(self.ranks)), i) for i, pair in enumerate(zip(parts, parts[1:])))
                if rank == len(self.ranks):
                    break
                parts[i:i + 2] = [parts[i] + parts[i + 1]]
            self.cache[piece] = [self.ids[p] for p in parts]
        return self.cache[piece]

    def encode(self, text):
        ids = []
        for part in SPLIT_SPECIALS.split(text):
            if part in SPECIALS:
                ids.append(self.ids[part])
            else:
                for piece in pieces(part):
                    ids += self.piece_ids(piece)
        return ids

    def decode(self, ids):
        out, pending = [], bytearray()
        for i in ids:
            word = self.words[i]
            if word in SPECIALS:
                out.append(pending.decode(errors="replace") + word)
                pending.clear()
            else:
                pending += bytes(CHAR_TO_BYTE[c] for c in word)
        return "".join(out) + pending.decode(errors="replace")

    def save(self, path):
        split = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in PATTERNS]
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        plain = len(self.words) - len(SPECIAL_TAIL)
        document = {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": self.ids[s], "content": s, "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": s in SPECIAL_HEAD} for s in SPECIALS],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": split + [byte_level]},
            "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "vocab": {w: i for i, w in enumerate(self.words[:plain])},
                      "merges": [f"{a} {b}" for a, b in self.merges]},
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False)


def load(path):
    with open(path, encoding="utf-8") as file:
        merges = json.load(file)["model"]["merges"]
    return Tokenizer([m.split(" ") if isinstance(m, str) else m for m in merges])


def train(texts, vocab_size):
    """Greedy pair merging over counted pieces until the vocabulary is full."""
    counts = Counter(piece for text in texts for part in SPLIT_SPECIALS.split(text) if part not in SPECIALS
                     for piece in pieces(part))
    words = [([BYTE_TO_CHAR[b] for b in piece.encode()], n) for piece, n in counts.items() if not piece[0].isdigit()]
    pairs, places = Counter(), defaultdict(set)
    for i, (word, n) in enumerate(words):
        for pair in zip(word, word[1:]):
            pairs[pair] += n
            places[pair].add(i)
    merges = []
    while len(merges) < vocab_size - 256 - len(SPECIALS):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for i in list(places[best]):
            word, n = words[i]
            for pair in zip(word, word[1:]):
                pairs[pair] -= n
            merged, j = [], 0
            while j < len(word):
                if tuple(word[j:j + 2]) == best:
                    merged.append(word[j] + word[j + 1])
                    j += 2
                else:
                    merged.append(word[j])
                    j += 1
            words[i] = (merged, n)
            for pair in zip(merged, merged[1:]):
                pairs[pair] += n
                places[pair].add(i)
        del pairs[best], places[best]
    return Tokenizer(merges)
