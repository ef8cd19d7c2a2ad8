// SPDX-License-Identifier: GPL-3.0-or-later
// The command-line options that say which model runs, and how.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "engine/base/result.h"
#include "engine/model/deepseek_v4.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

struct ModelArguments {
  std::filesystem::path folder;
  int ranks = 1;
  std::string numerics = "cache";
  std::string backend = "auto";
  int threads = 1;  // a rank

  /// Adds --model, --ranks, --numerics, --backend and --threads.
  void addTo(CLI::App& app);

  /// Fails    InvalidArgument for a back end that this machine or build does not have.
  [[nodiscard]] Result<model::ModelOptions> options(std::int64_t maxStepTokens) const;
};

/// Runs `body` once for every rank, each in a thread of its own with its own model, over loopback
/// collectives. Returns the first failure.
[[nodiscard]] Result<void> runRanks(
    const ModelArguments& arguments,
    std::int64_t maxStepTokens,
    const std::function<Result<void>(int rank, model::DeepseekV4& model)>& body);

}  // namespace tandem::tools
