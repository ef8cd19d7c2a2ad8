#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes engine/kernels/cases/known_answers.cpp: one small case of every operator, computed by the oracle's scalar
functions (double precision, no code in common with the engine) from the inputs that the case files make.

  operator_answers.py --oracle DIR_OF_SCALAR_REF_PY --out engine/kernels/cases/known_answers.cpp
"""
import argparse
import math
import struct
import sys

MASK = 2**64 - 1


class CaseValues:
    """The numbers of engine/kernels/cases/case_values.cpp."""

    def __init__(self, seed):
        self.state = seed

    def byte(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed >> 56

    def numbers(self, *shape):
        return self.table(lambda: (self.byte() - 128) / 64, shape)

    def whole_numbers(self, *shape):
        return self.table(lambda: float(math.fmod(self.byte(), 7) - 3), shape)

    def table(self, draw, shape):
        if not shape:
            return draw()
        return [self.table(draw, shape[1:]) for _ in range(shape[0])]

    def bf16_weight(self, rows, cols):
        return self.numbers(rows, cols)  # multiples of 1/64 below 2 are exact

    def fp8_weight(self, ref, rows, cols):
        codes = [[self.byte() for _ in range(cols)] for _ in range(rows)]
        scales = [[2.0 ** (120 + self.byte() % 8 - 127) for _ in range((cols + 127) // 128)]
                  for _ in range((rows + 127) // 128)]

        def value(code):
            magnitude = ref.E4M3[min(code & 127, 126)]
            return -magnitude if code & 128 else magnitude

        return [[value(codes[r][c]) * scales[r // 128][c // 128] for c in range(cols)] for r in range(rows)]

    def fp4_weight(self, ref, rows, cols):
        codes = [[self.byte() for _ in range(cols // 2)] for _ in range(rows)]
        scales = [[2.0 ** (120 + self.byte() % 8 - 127) for _ in range(cols // 32)] for _ in range(rows)]

        def value(code):
            return -ref.E2M1[code & 7] if code & 8 else ref.E2M1[code & 7]

        return [[value(codes[r][c // 2] >> (4 * (c % 2)) & 15) * scales[r][c // 32] for c in range(cols)]
                for r in range(rows)]


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def chunks(row, size):
    return [row[i:i + size] for i in range(0, len(row), size)]


def linear(ref):
    values = CaseValues(100)
    weight, x = values.fp8_weight(ref, 5, 160), values.numbers(2, 160)
    return [[dot(row, w) for w in weight] for row in x]


def grouped_linear(ref):
    values = CaseValues(101)
    weight, x = values.fp8_weight(ref, 6, 136), values.numbers(2, 272)
    return [[dot(row[n // 3 * 136:][:136], weight[n]) for n in range(6)] for row in x]


def rms_norm(ref):
    values = CaseValues(200)
    x, weight = values.numbers(2, 37), values.numbers(37)
    return [ref.rmsnorm(row, weight) for row in x]


def hyper_inputs(seed, logits):
    values = CaseValues(seed)
    made = {"streams": values.numbers(2, 4, 6)}
    made["fn"] = [[w / 64 for w in row] for row in values.numbers(logits, 24)]
    made["base"] = values.numbers(logits)
    made["scale"] = values.numbers(3 if logits == 24 else 1)
    made["y"], made["post"], made["comb"] = values.numbers(2, 6), values.numbers(2, 4), values.numbers(2, 4, 4)
    return made


def hyper_pre(ref):
    i = hyper_inputs(300, 24)
    rows = []
    for streams in i["streams"]:
        x, post, comb = ref.hc_pre(streams, i["fn"], i["scale"], i["base"])
        rows.append(x + post + sum(comb, []))
    return rows


def hyper_post(ref):
    i = hyper_inputs(301, 24)
    return [sum(ref.hc_post(i["y"][r], i["streams"][r], i["post"][r], i["comb"][r]), []) for r in range(2)]


def hyper_head(ref):
    i = hyper_inputs(302, 4)
    rows = []
    for streams in i["streams"]:
        flat = sum(streams, [])
        inverse = 1 / math.sqrt(dot(flat, flat) / len(flat) + 1e-6)
        pre = [ref.sig(dot(i["fn"][n], flat) * inverse * i["scale"][0] + i["base"][n]) + 1e-6 for n in range(4)]
        rows.append([math.fsum(pre[s] * streams[s][c] for s in range(4)) for c in range(6)])
    return rows


def rope(ref):
    x = CaseValues(400).numbers(3, 20)
    rows = []
    for position, row in zip((0, 7, 4099), x):
        angles = [position * 10000.0 ** (-i / 3) for i in range(3)]
        cos, sin = [math.cos(a) for a in angles], [math.sin(a) for a in angles]
        rows.append(sum((head[:4] + ref.rope(head[4:], cos, sin) for head in chunks(row, 10)), []))
    return rows


def rounding_inputs(seed, rows, cols):
    flat = [v * 2.0 ** (i // 32 % 7 * 3 - 9) for i, v in enumerate(CaseValues(seed).numbers(rows * cols))]
    flat[:64] = [0.0] * 64
    return chunks(flat, cols)


def round_kv_entries(ref):
    return [ref.qdq_fp8(row[:64], 64) + [ref.bf16(v) for v in row[64:]] for row in rounding_inputs(410, 2, 80)]


def round_indexer_entries(ref):
    return [ref.qdq_fp4([ref.f32(v) for v in ref.hadamard(row)]) for row in rounding_inputs(412, 2, 64)]


def compress(ref):
    values = CaseValues(420)
    kv, score = values.numbers(16, 12), values.numbers(16, 12)
    return ref.compress_overlap(kv[:12], score[:12], [[0.0] * 12] * 4)


def indexer_top_k(ref):
    values = CaseValues(500)
    q, weights, keys = values.whole_numbers(3, 3, 8), values.whole_numbers(3, 3), values.whole_numbers(9, 8)
    rows = []
    for r, visible in enumerate((9, 4, 1)):
        scores = ref.index_scores(q[r], keys[:visible], weights[r])
        best = sorted(sorted(range(visible), key=lambda s: (-scores[s], s))[:4])
        rows.append([float(s) for s in best] + [-1.0] * (4 - len(best)) + [float(len(best))])
    return rows


def sparse_attention(ref):
    values = CaseValues(510)
    q, window, entries, sinks = values.numbers(2, 2, 6), values.numbers(8, 6), values.numbers(5, 6), values.numbers(2)
    rows = []
    for r in range(2):
        position = 5 + r
        keys = [window[p % 8] for p in range(position - 3, position + 1)]
        keys += [entries[(r + 3 * j) % 5] for j in range(2 - r % 2)]
        rows.append(sum((ref.attend(q[r][h], keys, sinks[h], 6**-0.5) for h in range(2)), []))
    return rows


def route(ref):
    values = CaseValues(600)
    gate, x, bias = values.bf16_weight(7, 12), values.numbers(3, 12), values.numbers(7)
    rows = []
    for row in x:
        ids, weights = ref.route([dot([v / 16 for v in row], g) for g in gate], bias, 3, 1.5)
        best = dict(zip(ids, weights))
        rows.append([float(e) for e in sorted(best)] + [best[e] for e in sorted(best)])
    return rows


def experts(ref):
    values = CaseValues(610)
    weights = [[values.fp4_weight(ref, 32, 32) for _ in range(3)] for _ in range(3)]
    x, before, factors = values.numbers(2, 32), values.numbers(2, 32), values.numbers(2, 2)
    rows = []
    for r in range(2):
        out = before[r]
        for j in range(2):
            gate, up, down = weights[(2 * r + 2 - j) % 3]
            hidden = []
            for i in range(32):
                g, u = min(dot(x[r], gate[i]), 7.0), max(-7.0, min(7.0, dot(x[r], up[i])))
                hidden.append(g * ref.sig(g) * u * factors[r][j])
            out = [a + dot(hidden, w) for a, w in zip(out, down)]
        rows.append(out)
    return rows


# In the order of OperatorId.
OPERATORS = [linear, grouped_linear, rms_norm, hyper_pre, hyper_post, hyper_head, rope, round_kv_entries,
             round_indexer_entries, compress, indexer_top_k, sparse_attention, route, experts]

HEAD = """// SPDX-License-Identifier: GPL-3.0-or-later
// Written by tests/golden/operator_answers.py; do not edit.
// clang-format off
#include "engine/kernels/cases/known_answers.h"

namespace tandem::kernels {

std::span<const float> knownAnswer(OperatorId op) {
  switch (op) {
"""
TAIL = """    case OperatorId::StoreEntries:
    case OperatorId::StoreRing:
    case OperatorId::StoreRawRing:
      return {};  // what was stored is the answer
  }
  return {};
}

}  // namespace tandem::kernels
"""


def literal(value):
    single = struct.unpack("f", struct.pack("f", value))[0]
    text = f"{single:.9g}"
    return (text if "." in text or "e" in text else text + ".") + "F"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.oracle)
    import scalar_ref

    with open(arguments.out, "w") as out:
        out.write(HEAD)
        for compute in OPERATORS:
            name = "".join(word.capitalize() for word in compute.__name__.split("_"))
            out.write(f"    case OperatorId::{name}: {{\n      static constexpr float kAnswer[]{{\n")
            for row in compute(scalar_ref):
                for part in chunks(row, 8):
                    out.write("          " + ", ".join(literal(v) for v in part) + ",\n")
            out.write("      };\n      return kAnswer;\n    }\n")
        out.write(TAIL)


if __name__ == "__main__":
    main()
