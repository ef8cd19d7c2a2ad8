// SPDX-License-Identifier: GPL-3.0-or-later
// What a step of DeepSeek-V4-Flash would take on two DGX Sparks: bytes, arithmetic, collectives.
#pragma once

#include <chrono>
#include <span>

#include "engine/runtime/scheduler.h"

namespace tandem::tools {

/// A projection from the model's sizes and from published measurements; nothing here was measured
/// with this engine. Routing is taken as random, which is the worst case for the bytes of experts;
/// reading, arithmetic and network do not overlap; what the hosts do between steps takes no time.
struct TwoSparkCost {
  double bandwidth = 250e9;  // bytes/s of DRAM reads; 238 to 264 were measured on GB10s, 273 is the
                             // specification

  // One node's half of the weights, from the tensor sizes of the April checkpoint.
  double denseBytes = 4'532e6;   // read in every step
  double expertBytes = 287.5e6;  // one expert's in all 43 layers (6.685 MB each)
  int experts = 256;
  int expertsPerToken = 6;
  int layers = 43;

  // The MTP module, run once for each draft place: its layer and the head.
  double drafterBytes = 93e6 + 529.5e6;  // denseBytes without the head, of one layer; lm_head
  double drafterExpertBytes = 6.685e6;

  double contextBytes = 832;  // of KV and index, read for a row and each token before it (832 MB at
                              // 1M tokens with an FP8 index)

  double rowFlops = 26.5e9;  // 13.26 G active parameters, both nodes together
  /// A row and each token before it, both nodes: indexer 21 layers x 64 heads x 128 x 2 / 4; HCA
  /// attention 20 layers x 64 heads x 512 x 4 / 128.
  double contextFlops = 86'016 + 20'480;
  /// Both nodes. Chosen so that a 4,096-token chunk at 50K tokens gives 2,700 tokens/s, the best
  /// published for two Sparks (2,639 to 2,704 at prompts of 78K to 100K).
  double flops = 117e12;

  // NCCL all-reduce in a CUDA graph, bf16: 31.4, 39.2, 53.3 and 69.0 us for 10, 40, 120 and 240 KB;
  // above that the cable's 23 GB/s.
  int allReduces = 86;                 // two a layer
  double allReduceBytesPerRow = 8192;  // 4,096 bf16
  double allReduceLatency = 29.8e-6;
  double allReduceSmallBandwidth = 6.1e9;
  double allReduceSmallBytes = 240e3;
  double allReduceBandwidth = 23e9;

  [[nodiscard]] std::chrono::nanoseconds duration(
      std::span<const runtime::ScheduledChunk> chunks) const;

  /// How many of the experts of one layer so many rows touch.
  [[nodiscard]] double distinctExperts(double rows) const;
};

}  // namespace tandem::tools
