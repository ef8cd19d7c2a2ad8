#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores a model through the engine that serves it: greedy answers over /v1 to the held-out requests of evaluation.jsonl.

  evaluate_endpoint.py path/to/tandem-engine [--model DIR] [--count N] [--skill TEXT]… [--out scores.json]

Starts `serve --ranks 2`, or talks to --endpoint. Codes to find again are planted in texts drawn here from --seed, and the distance
of each is measured in the model's own tokens. Draft acceptance comes from `score --mtp --ranks 2` over the answers just given: the
share of positions where the draft's arg max is the token the backbone itself puts next.
"""
import argparse
import array
import collections
import hashlib
import http.client
import json
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

import corpus
from check_encoding import api_messages

HERE = pathlib.Path(__file__).resolve().parent
RETRIEVAL = {60: 120, 300: 120, 1000: 40, 2000: 24, 4000: 20, 8000: 12}  # tokens back: how many, when not told otherwise
AIMS = {"weather, 1 city: calls": 0.95, "weather, 2 cities: calls": 0.95, "weather, 3 cities: calls": 0.85, "forecast: calls": 0.90,
        "weather, 1 city: answer": 0.90, "weather, 2 cities: answer": 0.90, "weather, 3 cities: answer": 0.90, "forecast: answer": 0.90,
        "help, held-out templates": 0.90, "help, held-out questions": 0.90, "help, fresh questions": 0.90,
        "sums, thinking": 0.85, "code 60 tokens back": 0.95, "code 1000 tokens back": 0.90, "code 4000 tokens back": 0.90,
        "code 8000 tokens back": 0.90, "first draft accepted": 0.60}


class Server:
    """An engine of our own, or somebody's endpoint."""

    def __init__(self, engine, model, endpoint, threads):
        self.process = None
        if not endpoint:
            command = [engine, "serve", "--model", str(model), "--ranks", "2", "--port", "0"]
            self.started = time.monotonic()
            self.process = subprocess.Popen(command + (["--threads", str(threads)] if threads else []),
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for line in self.process.stderr:
                found = re.search(r"ready at (http://\S+)", line)
                if found:
                    endpoint = found.group(1)
                    self.seconds_to_ready = time.monotonic() - self.started
                    break
            if not endpoint:
                raise RuntimeError(f"the engine ended with {self.process.wait()} before it was ready")
        self.url = urllib.parse.urlsplit(endpoint)
        self.decoded, self.decode_seconds, self.prompted, self.prompt_seconds = 0, 0.0, 0, 0.0

    def ask(self, request):
        """-> the message of the only choice, as /v1 gives it."""
        body = {"model": "any", "temperature": 0, "max_tokens": 600, **request}
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=600)
        connection.request("POST", self.url.path + "/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if "choices" not in answer:
            raise RuntimeError(f"/v1 answered {json.dumps(answer)[:500]}")
        timings = answer.get("timings") or {}
        self.decoded += timings.get("predicted_n", 0)
        self.decode_seconds += timings.get("predicted_ms", 0) / 1000
        self.prompted += timings.get("prompt_n", 0)
        self.prompt_seconds += timings.get("prompt_ms", 0) / 1000
        return answer["choices"][0]["message"]

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.stderr.read()
            self.process.wait()


def request_of(messages, case):
    request = {"messages": api_messages(messages), "thinking": case["thinking"]}
    return request | {"tools": case["tools"]} if case.get("tools") else request


def calls_of(message):
    return [[call["function"]["name"], json.loads(call["function"]["arguments"])] for call in message.get("tool_calls") or []]


def said(message):
    return message.get("content") or ""


class Scores:
    def __init__(self):
        self.right, self.wrong = collections.defaultdict(list), collections.defaultdict(list)

    def add(self, skill, is_right, shown):
        self.right[skill].append(bool(is_right))
        if not is_right:
            self.wrong[skill].append(shown)


def judge(server, case, scores, answers):
    """One case: asks once or, with tools to call, twice."""
    skill, expect = case["skill"], case["expect"]
    message = server.ask(request_of(case["messages"], case))
    answers.append((skill, request_of(case["messages"], case), message))
    question = case["messages"][-1]["content"][-120:]
    if "calls" in expect:
        try:
            calls = calls_of(message)
        except ValueError as error:
            calls = str(error)
        # Order counts: clients match results to calls by id, people read them in the order they asked.
        right = calls == expect["calls"] and (not case["thinking"] or bool(message.get("reasoning_content")))
        for name in [f"{skill}: calls"] + ([f"{skill}: calls, with an unseen city"] if case.get("unseen") else []):
            scores.add(name, right, {"asked": question, "thinking": case["thinking"], "got": calls, "said": said(message)[:200]})
        if "results" not in expect or "fresh" in skill:
            return
        call_turn = {"role": "assistant", "calls": [tuple(call) for call in expect["calls"]]}
        if case["thinking"]:
            names = [list(arguments.values())[0] for _, arguments in expect["calls"]]
            call_turn["reasoning"] = message.get("reasoning_content") or f"I call a tool for {', '.join(names)}."
        messages = case["messages"] + [call_turn] + [{"role": "tool", "content": text} for text in expect["results"]]
        answer = server.ask(request_of(messages, case))
        answers.append((f"{skill}: answer", request_of(messages, case), answer))
        scores.add(f"{skill}: answer", all(value in said(answer) for value in expect["values"]) and not answer.get("tool_calls"),
                   {"results": expect["results"], "thinking": case["thinking"], "got": said(answer)[:300]})
        return
    text = said(message)
    right = text == expect["text"] if "text" in expect else re.search(rf"(?<![\d.$-]){re.escape(expect['part'])}(?![\d]|\.\d)", text)
    if expect.get("trace"):
        right = right and len(message.get("reasoning_content") or "") > 10
    scores.add(skill, right, {"asked": question, "thinking": case["thinking"], "got": text[:200],
                              "reasoning": (message.get("reasoning_content") or "")[:300]})


def count_tokens(engine, model, texts):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    done = subprocess.run([engine, "tokenize", "--model", str(model)], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [len(json.loads(line)["ids"]) for line in done.stdout.decode().splitlines()]


def retrieval_cases(engine, model, distance, count, seed):
    """-> [(case, tokens from the code's last digit to the end of the message)]."""
    r, cases, tails = random.Random(f"{seed}/{distance}"), [], []
    for _ in range(count):
        question, answer = corpus.retrieval_turn(r, False, distance, r.randint(0, 200))
        code = re.search(r"\d{4}", answer["content"]).group()
        cases.append({"skill": f"code {distance} tokens back", "messages": [question], "thinking": False, "expect": {"part": code}})
        tails.append(question["content"].split(code, 1)[1])
    return list(zip(cases, count_tokens(engine, model, tails)))


def argmax_rows(file, entry, data_start):
    rows, vocabulary = entry["shape"]
    file.seek(data_start + entry["data_offsets"][0])
    values = array.array("f")
    values.frombytes(file.read(4 * rows * vocabulary))
    found = []
    for row in range(rows):
        logits = values[row * vocabulary:(row + 1) * vocabulary]
        found.append(logits.index(max(logits)))
    return found


def draft_acceptance(engine, model, answers, per_skill):
    """-> {skill: [accepted, drafted]}. Drafts are made where the engine would make them: from the last token of the prompt on."""
    chosen, seen = [], collections.Counter()
    for skill, request, message in answers:
        if seen[skill] < per_skill and not skill.startswith(("code 4000", "code 8000")):
            seen[skill] += 1
            chosen.append((skill, request, message))
    documents = []
    for _, request, message in chosen:
        documents += [request, request | {"messages": request["messages"] + [message]}]
    lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    done = subprocess.run([engine, "encode-chat", "--model", str(model)], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    ids = [json.loads(line)["ids"] for line in done.stdout.decode().splitlines()]
    result = collections.defaultdict(lambda: [0, 0])
    with tempfile.TemporaryDirectory() as folder:
        for (skill, _, _), prompt, whole in zip(chosen, ids[0::2], ids[1::2]):
            if whole[:len(prompt)] != prompt:
                raise RuntimeError(f"{skill}: the prompt is not the beginning of prompt and answer")
            rows = len(whole) - len(prompt) + 1  # from the row that chose the first token of the answer
            token_file, out = pathlib.Path(folder, "tokens.json"), pathlib.Path(folder, "out.safetensors")
            token_file.write_text(json.dumps({"a": whole}))
            subprocess.run([engine, "score", "--model", str(model), "--tokens", str(token_file), "--out", str(out), "--ranks", "2",
                            "--threads", "1", "--mtp", "--last-rows", str(rows)], check=True)
            with open(out, "rb") as file:
                size = struct.unpack("<Q", file.read(8))[0]
                header = json.loads(file.read(size))
                own = argmax_rows(file, header["a.logits"], 8 + size)           # rows S - rows … S - 1
                drafts = argmax_rows(file, header["a.mtp_logits"], 8 + size)    # rows S - 1 - rows … S - 2
            # drafts[i + 1] stands at own[i]'s row and proposes what own[i + 1] decides; the last row is after the end.
            pairs = list(zip(drafts[1:-1], own[1:-1]))
            result[skill][0] += sum(a == b for a, b in pairs)
            result[skill][1] += len(pairs)
    return result


def model_hash(model):
    digest = hashlib.sha256()
    for shard in sorted(pathlib.Path(model).glob("*.safetensors")):
        digest.update(shard.read_bytes())
    return digest.hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine")
    parser.add_argument("--model", default=HERE.parent)
    parser.add_argument("--endpoint", help="http://HOST:PORT/v1 that serves the same model")
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--cases", default=HERE / "evaluation.jsonl")
    parser.add_argument("--count", type=int, help="at most so many a skill")
    parser.add_argument("--skill", action="append", help="only skills that start so; may be repeated")
    parser.add_argument("--drafts", type=int, default=8, help="answers a skill whose drafts are judged; 0: none")
    parser.add_argument("--seed", type=int, default=2026, help="of the texts with codes")
    parser.add_argument("--failures", help="file for what went wrong")
    parser.add_argument("--out", help="JSON file for the scores")
    arguments = parser.parse_args()

    wanted = lambda skill: not arguments.skill or any(skill.startswith(start) for start in arguments.skill)
    with open(arguments.cases, encoding="utf-8") as file:
        cases = [case for case in map(json.loads, file) if wanted(case["skill"])]
    if arguments.count:
        number = collections.Counter()
        kept = []
        for case in cases:
            number[case["skill"]] += 1
            if number[case["skill"]] <= arguments.count:
                kept.append(case)
        cases = kept
    distances = collections.defaultdict(list)
    for distance, count in RETRIEVAL.items():
        if wanted(f"code {distance}"):
            for case, tokens in retrieval_cases(arguments.engine, arguments.model, distance, min(count, arguments.count or count), arguments.seed):
                distances[case["skill"]].append(tokens)
                cases.append(case)

    server, scores, answers = Server(arguments.engine, arguments.model, arguments.endpoint, arguments.threads), Scores(), []
    table, last, started = {}, None, time.monotonic()

    def show(name):
        right = scores.right[name]
        table[name] = {"n": len(right), "right": round(sum(right) / len(right), 4)}
        if name in AIMS:
            table[name]["aim"] = AIMS[name]
        if name in distances:
            table[name]["tokens"] = [min(distances[name]), max(distances[name])]
        print(f"{name:45} n {len(right):4}  {table[name]['right']:.3f}  " + (f"aim {AIMS[name]:.2f}" if name in AIMS else ""), flush=True)

    try:
        for case in cases:
            if last and case["skill"] != last:
                for name in [name for name in scores.right if name not in table]:
                    show(name)
            last = case["skill"]
            judge(server, case, scores, answers)
        for name in [name for name in scores.right if name not in table]:
            show(name)
    finally:
        server.stop()
    if arguments.drafts:
        accepted = draft_acceptance(arguments.engine, arguments.model, answers, arguments.drafts)
        for skill, (good, all_drafts) in accepted.items():
            table[f"drafts: {skill}"] = {"n": all_drafts, "right": round(good / max(all_drafts, 1), 4)}
        good, all_drafts = (sum(column) for column in zip(*accepted.values()))
        table["first draft accepted"] = {"n": all_drafts, "right": round(good / all_drafts, 4), "aim": AIMS["first draft accepted"]}
        print(f"first draft accepted: {good} of {all_drafts} = {good / all_drafts:.3f}, over all answers alike")
    speed = {"prompt_tokens": server.prompted, "prompt_tokens_per_second": round(server.prompted / max(server.prompt_seconds, 1e-9), 1),
             "answer_tokens": server.decoded, "answer_tokens_per_second": round(server.decoded / max(server.decode_seconds, 1e-9), 1)}
    print(json.dumps(speed), f"{time.monotonic() - started:.0f} s in all", sep="\n")
    if arguments.out:
        result = {"model_sha256_16": model_hash(arguments.model), "numerics": "cache", "ranks": 2, "seed": arguments.seed,
                  "scores": table, "speed_while_shared": speed}
        pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if arguments.failures:
        pathlib.Path(arguments.failures).write_text(json.dumps(scores.wrong, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
