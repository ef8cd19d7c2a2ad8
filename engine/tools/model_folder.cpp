// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/model_folder.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/whole_file.h"
#include "engine/model/model_config.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tandem::tools {

namespace {

/// "" for a file that is not there: a checkpoint in one file has no index.
std::string readIfThere(const std::filesystem::path& file) {
  Result<std::string> text = readWholeFile(file);
  return text ? std::move(*text) : std::string();
}

}  // namespace

Result<ModelFolder> inspectModelFolder(const std::filesystem::path& path) {
  const std::filesystem::path configFile = path / "config.json";
  if (::access(configFile.c_str(), R_OK) != 0) {
    const int number = errno;
    const bool denied = number == EACCES;
    return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::NotFound,
                 fmt::format("could not read {}: {}", configFile.string(), std::strerror(number)),
                 denied ? "Let this user read the model folder."
                        : "Choose a folder that holds a DeepSeek-V4 checkpoint."};
  }
  const Result<model::ModelConfig> config = model::readModelConfig(path);
  if (!config) {
    return config.error();
  }
  ModelFolder folder;
  folder.path = path;
  std::error_code unresolved;
  folder.name = std::filesystem::canonical(path, unresolved).filename().string();
  folder.eosToken = static_cast<TokenId>(config->eosTokenId);
  folder.maxContextTokens = config->maxPositionEmbeddings;
  const std::string identity =
      readIfThere(configFile) + readIfThere(path / "model.safetensors.index.json");
  const XXH128_hash_t hash = XXH3_128bits(identity.data(), identity.size());
  folder.fingerprint = fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  return folder;
}

}  // namespace tandem::tools
