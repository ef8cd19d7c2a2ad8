# SPDX-License-Identifier: GPL-3.0-or-later
"""DeepSeek-V4 as a batched, differentiable PyTorch module, with the tensor names of the official checkpoint.

Shapes: B sequences, S tokens, D channels, M residual streams, H heads, C channels a head, n compressed entries.
The indexer learns from the attention of its layer (a KL loss on detached inputs), as DeepSeek-V3.2's did.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

import formats

FAR = -1e30

CONFIG = {
    "architectures": ["DeepseekV4ForCausalLM"], "model_type": "deepseek_v4", "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 0, "eos_token_id": 1, "expert_dtype": "fp4", "hc_eps": 1e-6, "hc_mult": 4, "hc_sinkhorn_iters": 20,
    "head_dim": 128, "hidden_act": "silu", "hidden_size": 256, "index_head_dim": 64, "index_n_heads": 4, "index_topk": 128,
    "initializer_range": 0.02, "max_position_embeddings": 16384, "moe_intermediate_size": 256, "n_routed_experts": 6,
    "n_shared_experts": 1, "norm_topk_prob": True, "num_attention_heads": 8, "num_experts_per_tok": 2, "num_hidden_layers": 6,
    "num_hash_layers": 1, "num_key_value_heads": 1, "num_nextn_predict_layers": 1, "o_groups": 4, "o_lora_rank": 64,
    "q_lora_rank": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000, "compress_rope_theta": 160000,
    "rope_scaling": {"type": "yarn", "factor": 16, "original_max_position_embeddings": 65536, "beta_fast": 32, "beta_slow": 1},
    "routed_scaling_factor": 1.5, "scoring_func": "sqrtsoftplus", "sliding_window": 128, "swiglu_limit": 10.0,
    "tie_word_embeddings": False, "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "transformers_version": "4.57.1",
    "use_cache": True, "compress_ratios": [0, 4, 128, 4, 0, 4, 0],
    "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "scale_fmt": "ue8m0",
                            "weight_block_size": [128, 128]},
}


def stored_format(name):
    """Which format the official checkpoint keeps a weight in: fp8, fp4, bf16 or f32."""
    if ".compressor." in name and not name.endswith(".ape"):
        return "bf16"
    if ".ffn.experts." in name:
        return "fp4"
    if any(part in name for part in (".wq_a.", ".wq_b.", ".wkv.", ".wo_a.", ".wo_b.", ".shared_experts.", ".e_proj.", ".h_proj.")):
        return "fp8"
    if name.endswith(("_fn", "_base", "_scale", "attn_sink", ".ape", "gate.bias")):
        return "f32"
    return "bf16"


def as_stored(name, w):
    """The value the checkpoint would give back for a weight."""
    kind = stored_format(name)
    if kind == "fp8":
        return formats.fp8_blocks(w)[1]
    if kind == "fp4":
        return formats.fp4_groups(w)[1]
    return w.bfloat16().float() if kind == "bf16" else w


def mixing_weights(m, scale, base, eps, iterations):
    """m [T, (2 + M) M] -> pre [T, M], post [T, M] and the doubly stochastic comb [T, M, M] (Sinkhorn, columns last)."""
    M = int((m.shape[-1] + 1) ** 0.5) - 1
    pre = (m[:, :M] * scale[0] + base[:M]).sigmoid() + eps
    post = 2 * (m[:, M:2 * M] * scale[1] + base[M:2 * M]).sigmoid()
    comb = (m[:, 2 * M:] * scale[2] + base[2 * M:]).view(-1, M, M).softmax(2) + eps
    comb = comb / (comb.sum(1, keepdim=True) + eps)
    for _ in range(iterations - 1):
        comb = comb / (comb.sum(2, keepdim=True) + eps)
        comb = comb / (comb.sum(1, keepdim=True) + eps)
    return pre, post, comb


def collapse_streams(pre, X):
    """pre [T, M], X [T, M, D] -> [T, D]. A product and a sum: thousands of 1 x 4 matrix products are slow."""
    return (pre[..., None] * X).sum(1)


def mix_streams(y, X, post, comb):
    """The sub-layer's output y [T, D] written back to the streams X [T, M, D]."""
    return post[..., None] * y[:, None] + (comb[..., None] * X[:, :, None]).sum(1)


class DeepseekV4(nn.Module):
    """quantise: weights pass through their stored format, caches through theirs (straight-through gradients)."""

    def __init__(self, config, seed=0):
        super().__init__()
        self.c = config
        self.quantise = False
        self.sinkhorn_iterations = config["hc_sinkhorn_iters"]
        self.expert_load = {}
        self.stored = {}  # weights as stored; whoever changes a weight calls forget_stored()
        self.angles = {}
        self._make_weights(torch.Generator().manual_seed(seed))

    # ---- weights -------------------------------------------------------------------------------------------------

    def _make_weights(self, generator):
        c = self.c
        D, H, C, V, M = c["hidden_size"], c["num_attention_heads"], c["head_dim"], c["vocab_size"], c["hc_mult"]
        rank, groups, group_rank = c["q_lora_rank"], c["o_groups"], c["o_lora_rank"]
        E, K, I, layers = c["n_routed_experts"], c["num_experts_per_tok"], c["moe_intermediate_size"], c["num_hidden_layers"]

        def normal(*shape, gain=1.0):
            return torch.randn(*shape, generator=generator) * gain * shape[-1] ** -0.5

        def add(name, value):
            self.register_parameter(name.replace(".", "/"), nn.Parameter(value.float()))

        def hyper(name, rows):
            streams = torch.randn(M, generator=generator) * 0.3 - 1.0
            mixing = torch.cat([torch.randn(M, generator=generator) * 0.3, (torch.eye(M) * 3.0).flatten()])
            add(name + "_fn", normal(rows, M * D, gain=0.5))
            add(name + "_base", streams if rows == M else torch.cat([streams, mixing]))
            add(name + "_scale", torch.full((1 if rows == M else 3,), 0.3))

        def compressor(p, ratio, dim):
            width = 2 * dim if ratio == 4 else dim
            add(p + "wkv.weight", normal(width, D))
            add(p + "wgate.weight", normal(width, D, gain=0.5))
            add(p + "ape", torch.randn(ratio, width, generator=generator) * (0.5 if ratio == 4 else 0.02))
            add(p + "norm.weight", torch.ones(dim))

        def block(p, ratio, hashed):
            a, f, small = p + "attn.", p + "ffn.", (2 * layers) ** -0.5
            add(a + "wq_a.weight", normal(rank, D))
            add(a + "q_norm.weight", torch.ones(rank))
            add(a + "wq_b.weight", normal(H * C, rank))
            add(a + "wkv.weight", normal(C, D))
            add(a + "kv_norm.weight", torch.ones(C))
            add(a + "wo_a.weight", normal(groups * group_rank, H * C // groups))
            add(a + "wo_b.weight", normal(D, groups * group_rank, gain=small))
            add(a + "attn_sink", torch.zeros(H))
            if ratio:
                compressor(a + "compressor.", ratio, C)
            if ratio == 4:
                add(a + "indexer.wq_b.weight", normal(c["index_n_heads"] * c["index_head_dim"], rank))
                add(a + "indexer.weights_proj.weight", normal(c["index_n_heads"], D))
                compressor(a + "indexer.compressor.", 4, c["index_head_dim"])
            add(f + "gate.weight", normal(E, D, gain=0.5))
            if hashed:
                table = torch.stack([torch.randperm(E, generator=generator)[:K] for _ in range(V)])
                self.register_buffer((f + "gate.tid2eid").replace(".", "/"), table)
            else:
                self.register_buffer((f + "gate.bias").replace(".", "/"), torch.zeros(E))
            for name, shape, gain in (("w1", (I, D), 1), ("w3", (I, D), 1), ("w2", (D, I), small)):
                add(f"{f}experts.{name}", normal(E, *shape, gain=gain))
                add(f"{f}shared_experts.{name}.weight", normal(*shape, gain=gain))
            add(p + "attn_norm.weight", torch.ones(D))
            add(p + "ffn_norm.weight", torch.ones(D))
            hyper(p + "hc_attn", (2 + M) * M)
            hyper(p + "hc_ffn", (2 + M) * M)

        add("embed.weight", torch.randn(V, D, generator=generator) * 0.5)
        add("head.weight", normal(V, D, gain=0.5))
        add("norm.weight", torch.ones(D))
        hyper("hc_head", M)
        for i in range(layers):
            block(f"layers.{i}.", c["compress_ratios"][i], i < c["num_hash_layers"])
        block("mtp.0.", 0, False)
        for name in ("e_proj", "h_proj"):
            add(f"mtp.0.{name}.weight", normal(D, D))
        for name in ("enorm", "hnorm", "norm"):
            add(f"mtp.0.{name}.weight", torch.ones(D))
        hyper("mtp.0.hc_head", M)

    def weights(self):
        """name -> parameter, with official names (experts of a layer stacked)."""
        return {n.replace("/", "."): p for n, p in self.named_parameters()}

    def tables(self):
        return {n.replace("/", "."): b for n, b in self.named_buffers()}

    def w(self, name):
        weight = self._parameters[name.replace(".", "/")]
        if not self.quantise:
            return weight
        if name not in self.stored:
            with torch.no_grad():
                self.stored[name] = as_stored(name, weight)
        return formats.straight_through(weight, self.stored[name])

    def forget_stored(self):
        self.stored = {}

    def table(self, name):
        return self._buffers.get(name.replace(".", "/"))

    # ---- parts -----------------------------------------------------------------------------------------------------

    def rms(self, x, norm=None):
        x = x.float()
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.c["rms_norm_eps"])
        return y if norm is None else y * self.w(norm)

    def frequencies(self, compressed):
        c, dim = self.c, self.c["qk_rope_head_dim"]
        theta = c["compress_rope_theta"] if compressed else c["rope_theta"]
        f = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        if not compressed:
            return f
        yarn = c["rope_scaling"]
        pair_at = lambda turns: dim * math.log(yarn["original_max_position_embeddings"] / (turns * 2 * math.pi)) / (2 * math.log(theta))
        low, high = max(math.floor(pair_at(yarn["beta_fast"])), 0), min(math.ceil(pair_at(yarn["beta_slow"])), dim - 1)
        ramp = ((torch.arange(dim // 2, dtype=torch.float64) - low) / max(high - low, 1e-3)).clamp(0, 1)
        return f / yarn["factor"] * ramp + f * (1 - ramp)

    def rope(self, x, positions, compressed, sign=1.0):
        """x [B, S, (H,) C]; positions [S]."""
        key = (compressed, x.device)
        if key not in self.angles:
            angle = torch.arange(self.c["max_position_embeddings"], dtype=torch.float64)[:, None] * self.frequencies(compressed)
            self.angles[key] = (angle.cos().float().to(x.device), angle.sin().float().to(x.device))
        dim = self.c["qk_rope_head_dim"]
        shape = (1, len(positions)) + (1,) * (x.dim() - 3) + (dim // 2,)
        cosine, sine = (t[positions].view(shape) for t in self.angles[key])
        a, b = x[..., -dim::2], x[..., -dim + 1::2]
        sine = sine * sign
        rotated = torch.stack([a * cosine - b * sine, a * sine + b * cosine], -1).flatten(-2)
        return torch.cat([x[..., :-dim], rotated], -1)

    def compress(self, x, p, ratio, dim, for_indexer=False):
        n = x.shape[1] // ratio
        windows = lambda t: t.float()[:, :n * ratio].unflatten(1, (n, ratio))
        kv = windows(F.linear(x, self.w(p + "wkv.weight")))
        gate = windows(F.linear(x, self.w(p + "wgate.weight"))) + self.w(p + "ape")
        if ratio == 4:
            previous = lambda t, fill: torch.cat([torch.full_like(t[:, :1, :, :dim], fill), t[:, :-1, :, :dim]], 1)
            kv = torch.cat([previous(kv, 0.0), kv[..., dim:]], 2)
            gate = torch.cat([previous(gate, FAR), gate[..., dim:]], 2)
        pooled = self.rms((kv * gate.softmax(2)).sum(2), p + "norm.weight")
        pooled = self.rope(pooled, torch.arange(n, device=x.device) * ratio, True)
        if not self.quantise:
            return pooled
        return formats.round_indexer(pooled) if for_indexer else formats.round_kv(pooled, self.c["qk_rope_head_dim"])

    def indexer_scores(self, x, qr, p, seen):
        c, positions = self.c, torch.arange(x.shape[1], device=x.device)
        q = F.linear(qr, self.w(p + "wq_b.weight")).float().unflatten(-1, (c["index_n_heads"], c["index_head_dim"]))
        q = self.rope(q, positions, True)
        if self.quantise:
            q = formats.round_indexer(q)
        k = self.compress(x, p + "compressor.", 4, c["index_head_dim"], for_indexer=True)
        weight = F.linear(x, self.w(p + "weights_proj.weight")).float() * (c["index_head_dim"] * c["index_n_heads"]) ** -0.5
        score = 0
        for h in range(c["index_n_heads"]):
            score = score + torch.matmul(q[:, :, h], k.transpose(-1, -2)).float().relu() * weight[..., h:h + 1]
        return score.masked_fill(~seen, FAR)

    def window_logits(self, q, kv):
        """-> (logits [B, H, S, keys] over the window, a function that applies probabilities to the values)."""
        S, W = q.shape[2], self.c["sliding_window"]
        scale = q.shape[-1] ** -0.5
        blocks = -(-S // W)
        pad = blocks * W - S
        q_blocks = F.pad(q, (0, 0, 0, pad)).unflatten(2, (blocks, W))
        kv_blocks = F.pad(kv, (0, 0, W, pad)).unflatten(1, (blocks + 1, W))
        keys = torch.cat([kv_blocks[:, :-1], kv_blocks[:, 1:]], 2)[:, None]  # own block and the one before
        logits = torch.matmul(q_blocks, keys.transpose(-1, -2)).float() * scale
        age = (torch.arange(W, device=q.device)[:, None] + W) - torch.arange(2 * W, device=q.device)
        visible = ((age >= 0) & (age < W)).repeat(blocks, 1, 1)
        visible[0, :, :W] = False
        logits = logits.masked_fill(~visible, FAR).flatten(2, 3)[:, :, :S]

        def values(probabilities):
            p = F.pad(probabilities, (0, 0, 0, pad)).unflatten(2, (blocks, W))
            return torch.matmul(p.to(keys.dtype), keys).flatten(2, 3)[:, :, :S]

        return logits, values

    def attention(self, x, p, ratio, aux):
        c, (B, S, _) = self.c, x.shape
        H, C = c["num_attention_heads"], c["head_dim"]
        positions = torch.arange(S, device=x.device)
        compressed = ratio != 0
        qr = self.rms(F.linear(x, self.w(p + "wq_a.weight")), p + "q_norm.weight")
        q = self.rms(F.linear(qr, self.w(p + "wq_b.weight")).unflatten(-1, (H, C)))
        q = self.rope(q, positions, compressed).transpose(1, 2)
        kv = self.rope(self.rms(F.linear(x, self.w(p + "wkv.weight")), p + "kv_norm.weight"), positions, compressed)
        if self.quantise:
            kv = formats.round_kv(kv, c["qk_rope_head_dim"])
        window, window_values = self.window_logits(q, kv)
        parts, n = [window], (S // ratio if ratio else 0)
        if n:
            entries = self.compress(x, p + "compressor.", ratio, C)
            seen = torch.arange(n, device=x.device) < ((positions + 1) // ratio)[:, None]
            logits = (torch.matmul(q, entries[:, None].transpose(-1, -2)).float() * C ** -0.5).masked_fill(~seen, FAR)
            score = None
            sparse = ratio == 4 and aux.get("sparse") and n > c["index_topk"]
            if ratio == 4 and (sparse or "index_loss" in aux):
                score = self.indexer_scores(x.detach(), qr.detach(), p + "indexer.", seen)
            if sparse:
                chosen = torch.zeros_like(score, dtype=torch.bool).scatter_(2, score.detach().topk(c["index_topk"], -1).indices, True)
                logits = logits.masked_fill(~(chosen & seen)[:, None], FAR)
            parts.append(logits)
        parts.append(self.w(p + "attn_sink").view(1, H, 1, 1).expand(B, H, S, 1))
        probabilities = torch.cat(parts, -1).softmax(-1)
        width = window.shape[-1]
        o = window_values(probabilities[..., :width])
        if n:
            on_entries = probabilities[..., width:width + n]
            o = o + torch.matmul(on_entries.to(entries.dtype), entries[:, None])
            if score is not None and "index_loss" in aux:
                aux["index_loss"].append(self.index_loss(on_entries.detach().sum(1), score, seen, aux["mask"]))
        o = self.rope(o.transpose(1, 2).float(), positions, compressed, -1.0)
        groups = c["o_groups"]
        wo_a = self.w(p + "wo_a.weight").view(groups, c["o_lora_rank"], -1)
        u = torch.einsum("bsgd,grd->bsgr", o.reshape(B, S, groups, -1), wo_a).flatten(2)
        return F.linear(u, self.w(p + "wo_b.weight"))

    @staticmethod
    def index_loss(mass, score, seen, mask):
        """KL from the indexer's softmax to the attention mass over the entries; rows count by that mass."""
        total = mass.sum(-1, keepdim=True)
        target = mass / total.clamp_min(1e-9)
        kl = (target * (target.clamp_min(1e-9).log() - score.log_softmax(-1).clamp_min(-50))).sum(-1)
        rows = ((seen.sum(-1) > 1) & mask).float() * total[..., 0]
        return (kl * rows).sum() / rows.sum().clamp_min(1e-3)

    def moe(self, x, ids, p):
        c, (B, S, D) = self.c, x.shape
        x, ids = x.reshape(-1, D), ids.reshape(-1)
        with torch.autocast(x.device.type, enabled=False):
            score = F.softplus(F.linear(x.float(), self.w(p + "gate.weight"))).sqrt()
        table = self.table(p + "gate.tid2eid")
        if table is not None:
            pick = table[ids]
        else:
            pick = (score.detach() + self.table(p + "gate.bias")).topk(c["num_experts_per_tok"], -1).indices
            if self.training:
                self.expert_load[p] = (pick.flatten()[:, None] == torch.arange(c["n_routed_experts"], device=x.device)).sum(0)
        weight = score.gather(1, pick)
        weight = weight / weight.sum(-1, keepdim=True) * c["routed_scaling_factor"]
        limit = c["swiglu_limit"]
        swiglu = lambda a, b: F.silu(a.clamp(max=limit)) * b.clamp(-limit, limit)
        shared = p + "shared_experts."
        y = F.linear(swiglu(F.linear(x, self.w(shared + "w1.weight")), F.linear(x, self.w(shared + "w3.weight"))), self.w(shared + "w2.weight"))
        w1, w2, w3 = (self.w(f"{p}experts.{name}") for name in ("w1", "w2", "w3"))
        share = torch.zeros_like(score).scatter(1, pick, weight)
        if not x.is_cuda:
            for e in range(c["n_routed_experts"]):
                rows = (pick == e).any(1).nonzero()[:, 0]
                part = x[rows]
                h = swiglu(F.linear(part, w1[e]), F.linear(part, w3[e])) * share[rows, e:e + 1]
                y = y.index_add(0, rows, F.linear(h, w2[e]))
            return y.view(B, S, D)
        # On a GPU every expert sees every token: there are few, they are small, and nothing waits for the host.
        share = share.T[..., None]
        h = swiglu(torch.matmul(x, w1.transpose(1, 2)), torch.matmul(x, w3.transpose(1, 2)))
        y = y + torch.matmul((h * share).to(h.dtype), w2.transpose(1, 2)).sum(0)
        return y.view(B, S, D)

    def hyper_logits(self, X, p):
        v = X.flatten(2).float()
        return F.linear(v, self.w(p + "_fn")) * torch.rsqrt(v.square().mean(-1, keepdim=True) + self.c["rms_norm_eps"])

    def hyper_pre(self, X, p):
        """X [B, S, M, D] -> collapsed [B, S, D], post [B S, M], comb [B S, M, M]."""
        with torch.autocast(X.device.type, enabled=False):
            m = self.hyper_logits(X, p).flatten(0, 1)
            pre, post, comb = mixing_weights(m, self.w(p + "_scale"), self.w(p + "_base"), self.c["hc_eps"], self.sinkhorn_iterations)
            return collapse_streams(pre, X.float().flatten(0, 1)).view(*X.shape[:2], -1), post, comb

    def hyper_post(self, y, X, post, comb):
        with torch.autocast(X.device.type, enabled=False):
            return mix_streams(y.float().flatten(0, 1), X.float().flatten(0, 1), post, comb).view(X.shape)

    def block(self, X, ids, p, ratio, aux):
        x, post, comb = self.hyper_pre(X, p + "hc_attn")
        X = self.hyper_post(self.attention(self.rms(x, p + "attn_norm.weight"), p + "attn.", ratio, aux), X, post, comb)
        x, post, comb = self.hyper_pre(X, p + "hc_ffn")
        return self.hyper_post(self.moe(self.rms(x, p + "ffn_norm.weight"), ids, p + "ffn."), X, post, comb)

    def collapse(self, X, p, norm):
        with torch.autocast(X.device.type, enabled=False):
            pre = (self.hyper_logits(X, p + "hc_head") * self.w(p + "hc_head_scale") + self.w(p + "hc_head_base")).sigmoid() + self.c["hc_eps"]
            return self.rms((pre[..., None] * X.float()).sum(2), norm)

    # ---- the model -------------------------------------------------------------------------------------------------

    def forward(self, ids, aux=None):
        """ids [B, S] -> (hidden [B, S, D] for `head`, streams [B, S, M, D] for `draft`)."""
        aux = {} if aux is None else aux
        X = F.embedding(ids, self.w("embed.weight"))[:, :, None].expand(-1, -1, self.c["hc_mult"], -1)
        for i in range(self.c["num_hidden_layers"]):
            X = self.block(X, ids, f"layers.{i}.", self.c["compress_ratios"][i], aux)
        return self.collapse(X, "", "norm.weight"), X

    def draft(self, X, next_ids):
        """The MTP module: streams at t and the token at t + 1 -> hidden that predicts t + 2."""
        e = F.linear(self.rms(F.embedding(next_ids, self.w("embed.weight")), "mtp.0.enorm.weight"), self.w("mtp.0.e_proj.weight"))
        Y = e[:, :, None] + F.linear(self.rms(X, "mtp.0.hnorm.weight"), self.w("mtp.0.h_proj.weight"))
        return self.collapse(self.block(Y, next_ids, "mtp.0.", 0, {}), "mtp.0.", "mtp.0.norm.weight")

    def head(self, hidden):
        return F.linear(hidden, self.w("head.weight")).float()

    @torch.no_grad()
    def balance_experts(self, rate=0.003):
        """Nudges the routing biases towards equal load (no auxiliary loss)."""
        for p, load in self.expert_load.items():
            load = load.float()
            self.table(p + "gate.bias").add_(rate * torch.sign(load.mean() - load))
