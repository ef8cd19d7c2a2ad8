// SPDX-License-Identifier: GPL-3.0-or-later
// The hyper-parameters of a DeepSeek-V4 checkpoint, as config.json says them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace tandem::model {

/// YaRN, for compressed layers only and without a magnitude correction.
struct RopeScaling {
  double factor = 1;
  double originalMaxPositionEmbeddings = 0;
  double betaFast = 32;
  double betaSlow = 1;
};

/// Field names are those of config.json in camel case. Source: DeepSeek-V4-Flash config.json.
struct ModelConfig {
  std::int64_t hiddenSize = 0;
  std::int64_t numHiddenLayers = 0;
  std::int64_t numAttentionHeads = 0;
  std::int64_t headDim = 0;
  std::int64_t qkRopeHeadDim = 0;
  std::int64_t qLoraRank = 0;
  std::int64_t oGroups = 0;
  std::int64_t oLoraRank = 0;
  std::int64_t slidingWindow = 0;
  std::vector<int> compressRatios;  // one a layer; entries past numHiddenLayers are draft layers
  std::int64_t indexNHeads = 0;
  std::int64_t indexHeadDim = 0;
  std::int64_t indexTopk = 0;
  std::int64_t hcMult = 0;
  int hcSinkhornIters = 0;
  float hcEps = 0;
  std::int64_t nRoutedExperts = 0;
  std::int64_t nSharedExperts = 0;
  std::int64_t numExpertsPerTok = 0;
  std::int64_t moeIntermediateSize = 0;
  std::int64_t numHashLayers = 0;
  float routedScalingFactor = 1;
  float swigluLimit = 0;
  float rmsNormEps = 0;
  double ropeTheta = 0;
  double compressRopeTheta = 0;
  std::optional<RopeScaling> ropeScaling;
  std::int64_t maxPositionEmbeddings = 0;
  std::int64_t vocabSize = 0;
  std::int64_t numNextnPredictLayers = 0;  // as written; the loader counts the mtp.N modules itself
  std::int64_t bosTokenId = 0;
  std::int64_t eosTokenId = 0;

  [[nodiscard]] int compressRatio(std::int64_t layer) const {
    return compressRatios[static_cast<std::size_t>(layer)];
  }
};

/// Reads folder/config.json. Unknown keys are ignored.
///
/// Fails    NotFound when there is no config.json; DataCorrupt when it is not JSON; InvalidArgument
///          naming the field, its value and what was expected.
[[nodiscard]] Result<ModelConfig> readModelConfig(const std::filesystem::path& folder);

/// The same from text; `origin` names it in errors.
[[nodiscard]] Result<ModelConfig> parseModelConfig(const std::string& text,
                                                   const std::string& origin);

/// Whether the model can be cut for that many ranks.
/// Fails    InvalidArgument naming the dimension that does not divide.
[[nodiscard]] Result<void> checkTensorParallel(const ModelConfig& config, int ranks);

}  // namespace tandem::model
