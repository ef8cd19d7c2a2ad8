# SPDX-License-Identifier: GPL-3.0-or-later
"""The number formats of the official checkpoint: rounding to them, and their bytes. Needs no float8 dtypes."""
import torch
import torch.nn.functional as F

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def power_of_two_scale(amax, largest):
    """The smallest power of two s with amax / s <= largest."""
    return torch.exp2(torch.ceil(torch.log2(amax / largest)))


def round_e4m3(x):
    """Nearest FP8 E4M3 value, ties to even."""
    x = x.clamp(-448, 448)
    exponent = torch.floor(torch.log2(x.abs().clamp_min(2.0 ** -20))).clamp_min(-6)
    step = torch.exp2(exponent - 3)
    return (torch.round(x / step) * step).clamp(-448, 448)


def round_e2m1(x):
    """Nearest FP4 E2M1 value, ties to the even code."""
    magnitude = x.abs().clamp_max(6.0)
    step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))
    return torch.copysign(torch.round(magnitude / step) * step, x)


def fp8_blocks(w):
    """[..., out, in] -> (values on the E4M3 grid, scales [..., out/128, in/128]); blocks of 128 x 128, the last may be short."""
    rows, cols = w.shape[-2:]
    pad_rows, pad_cols = -rows % 128, -cols % 128
    tiles = F.pad(w, (0, pad_cols, 0, pad_rows)).unflatten(-1, (-1, 128)).unflatten(-3, (-1, 128))
    scale = power_of_two_scale(tiles.abs().amax(dim=(-3, -1), keepdim=True).clamp_min(1e-4), 448.0)
    grid = round_e4m3(tiles / scale)
    join = lambda t: t.flatten(-4, -3).flatten(-2, -1)[..., :rows, :cols]
    return join(grid), join(grid * scale), scale[..., 0, :, 0]


def fp4_groups(w):
    """[..., out, in] -> (values on the E2M1 grid, dequantised, scales [..., out, in/32])."""
    groups = w.unflatten(-1, (-1, 32))
    scale = power_of_two_scale(groups.abs().amax(-1, keepdim=True).clamp_min(6 * 2.0 ** -126), 6.0)
    grid = round_e2m1(groups / scale)
    return grid.flatten(-2), (grid * scale).flatten(-2), scale[..., 0]


def straight_through(x, rounded):
    """`rounded` in the forward pass, the identity in the backward pass."""
    return x + (rounded - x).detach()


def round_kv(kv, rope_dim):
    """What a KV cache entry stores: E4M3 in groups of 64, BF16 for the rotated channels."""
    plain = kv[..., :-rope_dim].unflatten(-1, (-1, 64))
    scale = power_of_two_scale(plain.abs().amax(-1, keepdim=True).clamp_min(1e-4), 448.0)
    rounded = torch.cat([(round_e4m3(plain / scale) * scale).flatten(-2), kv[..., -rope_dim:].bfloat16().float()], -1)
    return straight_through(kv, rounded)


def round_indexer(x):
    """What the indexer stores: Hadamard, then E2M1 in groups of 32."""
    return straight_through(hadamard(x), fp4_groups(hadamard(x))[1])


def hadamard(x):
    n, half = x.shape[-1], 1
    while half < n:
        x = x.unflatten(-1, (-1, 2, half))
        x = torch.stack([x[..., 0, :] + x[..., 1, :], x[..., 0, :] - x[..., 1, :]], -2).flatten(-3)
        half *= 2
    return x * n ** -0.5


def e4m3_bytes(grid):
    magnitude = grid.abs()
    exponent = torch.floor(torch.log2(magnitude.clamp_min(2.0 ** -20))).clamp_min(-6)
    subnormal = magnitude < 2.0 ** -6
    mantissa = torch.where(subnormal, magnitude * 2 ** 9, (magnitude / torch.exp2(exponent) - 1) * 8).round().int()
    code = torch.where(subnormal, torch.zeros_like(mantissa), (exponent + 7).int()) << 3 | mantissa
    return (code | torch.signbit(grid).int() << 7).to(torch.uint8)


def e2m1_bytes(grid):
    code = (grid.abs()[..., None] - E2M1.to(grid)).abs().argmin(-1) | torch.signbit(grid).long() << 3
    return (code[..., 0::2] | code[..., 1::2] << 4).to(torch.uint8)


def e8m0_bytes(scale):
    return (torch.log2(scale).round() + 127).to(torch.uint8)


# ---- bytes back to values -----------------------------------------------------------------------------------------------

def e4m3_values(code):
    """uint8 codes -> float32."""
    code = code.int()
    exponent, mantissa = code >> 3 & 15, (code & 7).float()
    magnitude = torch.where(exponent == 0, mantissa * 2.0 ** -9, (1 + mantissa / 8) * torch.exp2(exponent.float() - 7))
    return torch.where(code >= 128, -magnitude, magnitude)


def e2m1_values(packed):
    """[..., n] bytes of two codes each, the low half first -> [..., 2 n] float32."""
    codes = torch.stack([packed & 15, packed >> 4], -1).flatten(-2).long()
    return torch.where(codes >= 8, -E2M1[codes & 7], E2M1[codes & 7])


def e8m0_values(code):
    return torch.exp2(code.float() - 127)
