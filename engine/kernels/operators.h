// SPDX-License-Identifier: GPL-3.0-or-later
// The operators of DeepSeek-V4: what a back end must offer, and what each one computes.
//
// Every operator is row-invariant: a row's result never depends on the other rows of the call. So
// any chunking of a prompt, and drafts beside decode rows, give the same bits.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/base/token_id.h"
#include "engine/kernels/cache_rows.h"
#include "engine/kernels/matrix.h"
#include "engine/kernels/weight_matrix.h"

namespace tandem::kernels {

/// What happens to the input of a quantised linear. Unquantised weights always take it as it is.
enum class ActivationRounding {
  None,
  Fp8Groups,  // E4M3 times a power of two, groups of 128 channels
};

/// Hyper-connection parameters of one sub-layer; D channels, M streams.
struct HyperConnectionWeights {
  Matrix<const float> fn;        // [(2 + M) * M, M * D], the head: [M, M * D]
  std::span<const float> base;   // [(2 + M) * M], the head: [M]
  std::span<const float> scale;  // [3], the head: [1]
  int sinkhornIterations = 0;
  float eps = 0;      // hc_eps
  float normEps = 0;  // rms_norm_eps
};

/// What hyperPre leaves for hyperPost.
struct HyperConnectionMix {
  Matrix<float> post;  // [rows, M]
  Matrix<float> comb;  // [rows, M * M], row j column k at j * M + k; doubly stochastic
};

enum class RopeDirection { Forward, Inverse };

/// The keys one query may attend to. K and V are the same rows.
struct AttentionKeys {
  WindowRows window;
  std::int64_t windowTokens = 0;        // sliding_window
  EntryPages<const std::byte> entries;  // compressed
  Matrix<const std::int32_t> chosen;    // [rows, topk] entry numbers; no rows: the visible ones
  std::span<const std::int32_t> entryCount;  // [rows] how many of `chosen`, or visible; empty: none
};

/// Routed experts of one layer, one rank's slice of the intermediate width.
struct ExpertWeights {
  std::span<const WeightMatrix> gate;  // w1 [I, D] each
  std::span<const WeightMatrix> up;    // w3 [I, D]
  std::span<const WeightMatrix> down;  // w2 [D, I]
};

struct RouterWeights {
  WeightMatrix gate;                     // [E, D]
  std::span<const float> bias;           // [E], or empty on hash layers
  Matrix<const std::int32_t> hashTable;  // [vocab, K], or no rows on learned layers
  float scale = 1;                       // routed_scaling_factor
};

/// One back end. Thread: the engine thread of its rank; every call returns when it is done.
class Operators {
 public:
  virtual ~Operators() = default;

  /// "reference" or "cpu".
  [[nodiscard]] virtual std::string_view name() const = 0;

  /// out[r, n] = Σ_k x[r, k] * W[n, k]
  ///
  /// x [rows, in], out [rows, out]; they do not overlap.
  virtual void linear(Matrix<float> out,
                      Matrix<const float> x,
                      const WeightMatrix& weight,
                      ActivationRounding rounding) = 0;

  /// out[r, g * O + n] = Σ_k x[r, g * I + k] * W[g * O + n, k]   for each of `groups` groups
  ///
  /// x [rows, groups * I], W [groups * O, I], out [rows, groups * O]. Source: model.py wo_a einsum.
  virtual void groupedLinear(Matrix<float> out,
                             Matrix<const float> x,
                             const WeightMatrix& weight,
                             int groups) = 0;

  /// out[r, c] = x[r, c] * weight[c] / sqrt(mean_c(x[r, :]^2) + eps)
  ///
  /// weight [cols], or empty for 1. out and x may be the same memory.
  virtual void rmsNorm(Matrix<float> out,
                       Matrix<const float> x,
                       std::span<const float> weight,
                       float eps) = 0;

  /// Collapses the M streams of each row and computes how hyperPost will mix them:
  ///
  ///   m = (fn · v) / sqrt(mean(v^2) + normEps)        v: the M streams of a row, one after another
  ///   pre_i  = sigmoid(m_i * scale_0 + base_i) + eps              x = Σ_i pre_i * X_i
  ///   post_i = 2 sigmoid(m_{M+i} * scale_1 + base_{M+i})
  ///   comb   = softmax over k of (m_{2M+jM+k} * scale_2 + base_{2M+jM+k}) + eps, then one column
  ///   pass and
  ///            iterations - 1 passes over rows, columns of  C / (sum + eps)   (Sinkhorn-Knopp)
  ///
  /// x [rows, D], streams [rows, M * D]. Source: model.py hc_pre, hc_split_sinkhorn.
  virtual void hyperPre(Matrix<float> x,
                        HyperConnectionMix mix,
                        Matrix<const float> streams,
                        const HyperConnectionWeights& weights) = 0;

  /// X'_k = post_k * y + Σ_j comb[j][k] * X_j: the sum runs over the first index.
  ///
  /// streams [rows, M * D], in place; y [rows, D]. Source: model.py hc_post.
  virtual void hyperPost(Matrix<float> streams,
                         Matrix<const float> y,
                         const HyperConnectionMix& mix) = 0;

  /// x = Σ_i (sigmoid(m_i * scale_0 + base_i) + eps) * X_i, no Sinkhorn. Source: model.py hc_head.
  virtual void hyperHead(Matrix<float> x,
                         Matrix<const float> streams,
                         const HyperConnectionWeights& weights) = 0;

  /// Rotates the last 2 * frequencies.size() channels of every head in adjacent pairs by
  /// position * frequency, or back.
  ///
  /// x [rows, heads * headDim] in place; positions [rows]. Source: model.py apply_rotary_emb.
  virtual void rope(Matrix<float> x,
                    std::int64_t headDim,
                    std::span<const std::int64_t> positions,
                    std::span<const double> frequencies,
                    RopeDirection direction) = 0;

  /// Rounds to what a KV entry stores: E4M3 in groups of 64 over all but the last `ropeDim`
  /// channels, BF16 over those. x [rows, C] in place.
  virtual void roundKvEntries(Matrix<float> x, std::int64_t ropeDim) = 0;

  /// Rounds to what the indexer stores: Hadamard over each head, then E2M1 in groups of 32.
  /// x [rows, heads * headDim] in place.
  virtual void roundIndexerEntries(Matrix<float> x, std::int64_t headDim) = 0;

  /// Packs rows of x as entries first, first + 1, … of a sequence. x [n, dim], rounded already.
  virtual void storeEntries(const EntryPages<std::byte>& entries,
                            std::int64_t first,
                            Matrix<const float> x) = 0;

  /// Packs rows of x as those of positions first, first + 1, …; of more than the ring holds, the
  /// last. x [n, dim], rounded already.
  virtual void storeRing(const EntryRing<std::byte>& ring,
                         std::int64_t first,
                         Matrix<const float> x) = 0;

  /// The same for raw rows: ring [capacity, cols], x [n, cols].
  virtual void storeRawRing(Matrix<float> ring, std::int64_t first, Matrix<const float> x) = 0;

  /// Pools the windows that complete at positions (entry + 1) * ratio - 1 into compressed entries:
  ///
  ///   out[i, d] = Σ_t softmax_t(score_t[d]) * kv_t[d]      over the tokens t of window first + i
  ///
  /// With ratio 4 the rows are twice as wide, and a window pools the first half of the previous
  /// window's rows with the second half of its own (nothing before window 0).
  /// out [n, d]. Source: model.py Compressor.
  virtual void compress(Matrix<float> out,
                        const CompressorRows& rows,
                        std::int64_t firstEntry,
                        int ratio) = 0;

  /// score[s] = Σ_h headWeight[h] * max(0, q[h] · k[s]); chosen: the topk largest of the visible,
  /// in ascending order of entry number, the lower number first among equals.
  ///
  /// chosen [rows, topk]; count [rows] becomes min(topk, visible); q [rows, heads * headDim];
  /// headWeights [rows, heads]; keys of dim headDim; visible [rows]. Source: model.py Indexer.
  virtual void indexerTopK(Matrix<std::int32_t> chosen,
                           std::span<std::int32_t> count,
                           Matrix<const float> q,
                           Matrix<const float> headWeights,
                           const EntryPages<const std::byte>& keys,
                           std::span<const std::int32_t> visible) = 0;

  /// o[h] = Σ_s exp(l_s) / (Σ_s exp(l_s) + exp(sink_h)) * k_s   with l_s = q[h] · k_s / sqrt(C)
  /// over the window rows max(0, p - windowTokens + 1) .. p and the row's entries.
  ///
  /// out, q [rows, heads * C]; positions [rows], ascending by one; sinks [heads]. Source: model.py
  /// sparse_attn.
  virtual void sparseAttention(Matrix<float> out,
                               Matrix<const float> q,
                               const AttentionKeys& keys,
                               std::span<const std::int64_t> positions,
                               std::span<const float> sinks) = 0;

  /// s = sqrt(softplus(gate · x)); picks: the table's row of the token, or the K largest of s +
  /// bias (the lower expert among equals); weight_j = s_j / Σ_j s_j * scale, from the unbiased
  /// scores.
  ///
  /// picks, weights [rows, K]; x [rows, D]; tokens [rows]. Source: model.py Gate.
  virtual void route(Matrix<std::int32_t> picks,
                     Matrix<float> weights,
                     Matrix<const float> x,
                     std::span<const TokenId> tokens,
                     const RouterWeights& router) = 0;

  /// out[r] += Σ_j w2_e · (silu(min(w1_e · x, limit)) * clamp(w3_e · x, ±limit) * weights[r, j])
  /// over e = picks[r, j], in ascending order of e.
  ///
  /// out, x [rows, D]; picks, weights [rows, K]. Source: model.py Expert, MoE.
  virtual void experts(Matrix<float> out,
                       Matrix<const float> x,
                       Matrix<const std::int32_t> picks,
                       Matrix<const float> weights,
                       const ExpertWeights& experts,
                       float limit,
                       ActivationRounding rounding) = 0;
};

}  // namespace tandem::kernels
