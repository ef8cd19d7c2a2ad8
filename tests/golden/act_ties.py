#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the rows whose `act` result hangs on a rounding tie, and keeps what they are on the tie's other side.

`act` rounds to BF16, FP8 and FP4 inside a block. Where a value lies within float32's error of the middle between two
codes, the order of a sum decides which code it becomes, and its row moves by up to 4e-2. So each block of the golden's
trace is evaluated three more times, in float64 from the same input: as it is, and with every value that is about to be
rounded made larger or smaller by NUDGE. Rows that none of these move are decided by the numerics alone. For the others
every result that differs from the golden is written out: `layers.N.rows` (a row may come more than once) and
`layers.N.streams`.

  act_ties.py --oracle DIR_OF_ORACLE_PY --model DIR --golden FILE --prompt pN --out FILE
"""
import argparse
import sys

import torch

NUDGE = 2.0**-23  # relative: one unit in the last place of a float32, what an engine that sums in double may store
DECIDED = 5e-4  # far above the effect of a nudge without a tie (1e-6), below the bound of the test (1e-3)


def nudged(rounding, factor):
    return lambda x, *arguments: rounding(x * factor, *arguments)


def evaluate(oracle, arguments, layer, streams, ids, factor):
    """The streams after `layer`, in float64."""
    plain = oracle.sim_fp8_groups, oracle.sim_fp4_groups
    oracle.sim_fp8_groups, oracle.sim_fp4_groups = (nudged(rounding, factor) for rounding in plain)
    try:
        model = oracle.Oracle(arguments.model, "act", torch.float64)
        rope_dim, store = model.c["qk_rope_head_dim"], model.store_kv
        # The RoPE part is rounded to BF16 by store_kv itself.
        model.store_kv = lambda kv: store(torch.cat([kv[..., :-rope_dim], kv[..., -rope_dim:] * factor], -1))
        return model.block(streams, ids, f"layers.{layer}.", model.c["compress_ratios"][layer])
    finally:
        oracle.sim_fp8_groups, oracle.sim_fp4_groups = plain


def relative(a, b):
    return (a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("oracle", "model", "golden", "prompt", "out"):
        parser.add_argument("--" + name, required=True)
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.oracle)
    import oracle

    torch.set_grad_enabled(False)
    golden = oracle.load(arguments.golden)
    ids = golden[arguments.prompt + ".ids"].bits.long()
    kept, layers = {}, 1
    while f"trace.act.layers.{layers}.streams" in golden:
        streams = golden[f"trace.act.layers.{layers - 1}.streams"].bits.double()
        expected = golden[f"trace.act.layers.{layers}.streams"].bits.double()
        rows, alternatives = [], []
        for factor in (1.0, 1.0 + NUDGE, 1.0 - NUDGE):
            result = evaluate(oracle, arguments, layers, streams, ids, factor)
            distance = relative(result, expected)
            for row in (distance > DECIDED).nonzero().flatten().tolist():
                known = [a for r, a in zip(rows, alternatives) if r == row]
                if any(relative(result[row][None], a[None].double()) <= DECIDED for a in known):
                    continue
                print(f"layer {layers} row {row}: moved by {distance[row]:.2e} with a factor of 1 {factor - 1:+.1e}")
                rows.append(row)
                alternatives.append(result[row].float())
        if rows:
            kept[f"layers.{layers}.rows"] = oracle.Stored.of(torch.tensor(rows, dtype=torch.int32))
            kept[f"layers.{layers}.streams"] = oracle.Stored.of(torch.stack(alternatives))
        layers += 1
    oracle.save(kept, arguments.out)


if __name__ == "__main__":
    main()
