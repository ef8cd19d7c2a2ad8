// SPDX-License-Identifier: GPL-3.0-or-later
// What the commands must know of a model folder before anything is loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/base/result.h"
#include "engine/base/token_id.h"

namespace tandem::tools {

struct ModelFolder {
  std::filesystem::path path;
  std::string name;         // of the folder
  std::string fingerprint;  // hash of config.json and of the index of shards; equal on both ranks
  TokenId eosToken = 0;
  std::int64_t maxContextTokens = 0;  // max_position_embeddings
};

/// Fails    NotFound when the folder or its config.json is missing; PermissionDenied when it cannot
///          be read; as model::readModelConfig.
Result<ModelFolder> inspectModelFolder(const std::filesystem::path& path);

}  // namespace tandem::tools
