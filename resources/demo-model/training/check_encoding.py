#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requires that the corpus is written as the engine writes prompts: encoding.py and bpe.py against tandem-engine.

  check_encoding.py path/to/tandem-engine [CONVERSATIONS]

Every conversation is rendered twice, whole and cut before each assistant turn, so that what follows the last message is
compared too. Ids are compared where Python's `regex` package is installed; without it the script says so.
"""
import json
import pathlib
import random
import subprocess
import sys

import corpus
from encoding import render

MODEL = pathlib.Path(__file__).resolve().parent.parent
SEED = 4


def api_messages(messages):
    """The corpus's messages as a client of /v1 sends them."""
    out, waiting = [], []
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            out.append({"role": "tool", "tool_call_id": waiting.pop(0), "content": message["content"]})
        elif message["role"] == "assistant":
            sent = {"role": "assistant", "content": message.get("content", "")}
            if message.get("reasoning"):
                sent["reasoning_content"] = message["reasoning"]
            if message.get("calls"):
                waiting = [f"call{number}x{k}" for k in range(len(message["calls"]))]
                sent["tool_calls"] = [
                    {"id": call_id, "type": "function",
                     "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}}
                    for call_id, (name, arguments) in zip(waiting, message["calls"])]
            out.append(sent)
        else:
            out.append(message)
    return out


def request_of(messages, thinking, tools):
    request = {"messages": api_messages(messages), "thinking": thinking}
    return request | {"tools": list(tools)} if tools else request


def draw(r):
    kind = r.random()
    if kind < 0.5:
        return corpus.tool_conversation(r)
    if kind < 0.9:
        return corpus.plain_conversation(r)
    return corpus.retrieval_conversation(r, 400)


def cut(r, conversation):
    """The same conversation up to one of its assistant turns."""
    messages, thinking, tools = conversation
    ends = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    return messages[:r.choice(ends)], thinking, tools


def ask_engine(engine, command, documents):
    lines = "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents)
    done = subprocess.run([engine, command, "--model", str(MODEL)], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def require_equal(what, ours, theirs):
    wrong = [(a, b) for a, b in zip(ours, theirs) if a != b]
    if wrong or len(ours) != len(theirs):
        print(f"{what}: {len(wrong)} of {len(ours)} differ, {len(theirs)} came back")
        for a, b in wrong[:3]:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            print(f"  from position {at}:\n    corpus {a[max(0, at - 30):at + 40]!r}\n    engine {b[max(0, at - 30):at + 40]!r}")
        sys.exit(1)
    print(f"{what}: {len(ours)} equal")


def main():
    engine, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300
    r = random.Random(SEED)
    conversations = [draw(r) for _ in range(count)]
    conversations += [cut(r, conversation) for conversation in conversations]
    texts = ["".join(text for text, _ in render(*conversation)) for conversation in conversations]
    answers = ask_engine(engine, "encode-chat", [request_of(*conversation) for conversation in conversations])
    require_equal("texts of conversations", texts, [answer["prompt"] for answer in answers])
    try:
        import bpe
    except ImportError as error:
        print(f"ids of conversations: not compared, {error}")
        return
    encode = bpe.load(MODEL / "tokenizer.json").encode
    # Piece by piece, as training does: a border between pieces must not change a token.
    ids = [[i for text, _ in render(*conversation) for i in encode(text)] for conversation in conversations]
    require_equal("ids of conversations, by encode-chat", ids, [answer["ids"] for answer in answers])
    require_equal("ids of conversations, by tokenize", ids,
                  [answer["ids"] for answer in ask_engine(engine, "tokenize", [{"text": text} for text in texts])])


if __name__ == "__main__":
    main()
