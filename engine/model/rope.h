// SPDX-License-Identifier: GPL-3.0-or-later
// The angular frequencies of rotary positions: one table for window layers, one for compressed
// ones.
#pragma once

#include <vector>

#include "engine/model/model_config.h"

namespace tandem::model {

enum class RopeKind {
  Window,      // layers of ratio 0: rope_theta, never YaRN
  Compressed,  // layers of ratio 4 and 128: compress_rope_theta with YaRN and no magnitude factor
};

/// qkRopeHeadDim / 2 frequencies in radians a token.
///
/// The angle is computed in double. The official code rounds the product to float, which moves the
/// highest frequencies by up to 0.03 rad near a million tokens; the oracle does not.
/// Source: model.py precompute_freqs_cis; YaRN, arXiv 2309.00071, NTK-by-parts.
[[nodiscard]] std::vector<double> ropeFrequencies(const ModelConfig& config, RopeKind kind);

}  // namespace tandem::model
