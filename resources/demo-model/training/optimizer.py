# SPDX-License-Identifier: GPL-3.0-or-later
"""Muon for matrices and AdamW for the rest, as DeepSeek-V4 was trained."""
import torch


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration towards U V^T of g's singular value decomposition. g [batch, rows, cols]."""
    x = g.bfloat16() if g.is_cuda else g
    tall = x.shape[-2] > x.shape[-1]
    x = x.transpose(-1, -2) if tall else x
    x = x / (x.flatten(-2).norm(dim=-1)[..., None, None] + 1e-7)
    for _ in range(steps):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.transpose(-1, -2) if tall else x).float()


class Muon:
    """Nesterov momentum whose update is orthogonalised; matrices of one shape go together."""

    def __init__(self, parameters, decay=0.02):
        self.parameters, self.decay = parameters, decay
        self.momentum = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, rate):
        by_shape = {}
        for p, m in zip(self.parameters, self.momentum):
            if p.grad is not None:
                m.mul_(0.95).add_(p.grad)
                by_shape.setdefault(tuple(p.shape[-2:]), []).append((p, p.grad + 0.95 * m))
        for shape, group in by_shape.items():
            update = orthogonalise(torch.cat([g.reshape(-1, *shape) for _, g in group])) * max(1, shape[0] / shape[1]) ** 0.5
            first = 0
            for p, _ in group:
                count = p.numel() // (shape[0] * shape[1])
                p.mul_(1 - rate * self.decay).add_(update[first:first + count].view_as(p), alpha=-rate)
                first += count


def uses_muon(name, parameter):
    return parameter.dim() >= 2 and not any(k in name for k in ("embed", "head", "hc_", "gate.weight", ".ape", "weights_proj"))
