// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/inspect_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/byte_size.h"
#include "engine/base/result.h"
#include "engine/model/checkpoint.h"
#include "engine/model/model_config.h"
#include "engine/model/weight_check.h"
#include "engine/model/weight_map.h"
#include "engine/model/weight_slice.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

struct GroupTotals {
  std::int64_t tensors = 0;
  std::uint64_t bytes = 0;                 // as stored, whole
  std::vector<std::uint64_t> bytesOfRank;  // as stored, sliced
};

/// All there is to say; `problem` when the files are missing or broken, and then only the plan
/// speaks.
struct Inspection {
  model::ModelConfig config;
  std::int64_t mtpModules = 0;
  std::size_t files = 0;
  GroupTotals total;
  std::map<model::TensorGroup, GroupTotals> groups;
  model::WeightCheck check;
  std::optional<Error> problem;

  [[nodiscard]] bool isLoadable() const { return !problem && check.mismatches.empty(); }
};

void count(const model::TensorPlan& tensor, int ranks, GroupTotals& totals) {
  ++totals.tensors;
  totals.bytes += model::sliceFor(tensor, {0, 1}).bytes(tensor.dtype);
  totals.bytesOfRank.resize(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    totals.bytesOfRank[static_cast<std::size_t>(rank)] +=
        model::sliceFor(tensor, {rank, ranks}).bytes(tensor.dtype);
  }
}

/// Fails    as readModelConfig and checkTensorParallel: without them there is no plan to show.
Result<Inspection> inspect(const std::filesystem::path& folder, int ranks) {
  const Result<model::ModelConfig> config = model::readModelConfig(folder);
  if (!config) {
    return config.error();
  }
  if (Result<void> divides = model::checkTensorParallel(*config, ranks); !divides) {
    return divides.error();
  }
  Inspection inspection;
  inspection.config = *config;
  const Result<model::Checkpoint> checkpoint = model::Checkpoint::open(folder);
  inspection.mtpModules = checkpoint ? checkpoint->mtpModules() : config->numNextnPredictLayers;
  const std::vector<model::TensorPlan> plan = model::planWeights(*config, inspection.mtpModules);
  for (const model::TensorPlan& tensor : plan) {
    count(tensor, ranks, inspection.total);
    count(tensor, ranks, inspection.groups[tensor.group]);
  }
  if (checkpoint) {
    inspection.files = checkpoint->files().size();
    inspection.check = model::checkWeights(*checkpoint, plan);
  } else {
    inspection.problem = checkpoint.error();
  }
  return inspection;
}

struct LayerKinds {
  std::int64_t window = 0;  // ratio 0
  std::int64_t csa = 0;     // ratio 4
  std::int64_t hca = 0;     // ratio 128
};

LayerKinds layerKinds(const model::ModelConfig& config) {
  const auto begin = config.compressRatios.begin();
  const auto end = begin + config.numHiddenLayers;
  return {std::count(begin, end, 0), std::count(begin, end, 4), std::count(begin, end, 128)};
}

void printTotals(const char* name, const GroupTotals& totals) {
  fmt::print("  {:<18} {:>8} {:>16} {:>11}",
             name,
             totals.tensors,
             totals.bytes,
             formatBytes(totals.bytes));
  for (const std::uint64_t bytes : totals.bytesOfRank) {
    fmt::print(" {:>11}", formatBytes(bytes));
  }
  fmt::print("\n");
}

void printText(const Inspection& inspection) {
  const model::ModelConfig& config = inspection.config;
  const LayerKinds kinds = layerKinds(config);
  fmt::print("layers      {} ({} window, {} CSA, {} HCA; {} with hash routing), {} MTP\n",
             config.numHiddenLayers,
             kinds.window,
             kinds.csa,
             kinds.hca,
             std::min(config.numHashLayers, config.numHiddenLayers),
             inspection.mtpModules);
  fmt::print("width       {} in {} streams, {} heads of {} ({} rotary), {} output groups\n",
             config.hiddenSize,
             config.hcMult,
             config.numAttentionHeads,
             config.headDim,
             config.qkRopeHeadDim,
             config.oGroups);
  fmt::print("experts     {} of {} a token, {} wide, and {} shared\n",
             config.numExpertsPerTok,
             config.nRoutedExperts,
             config.moeIntermediateSize,
             config.nSharedExperts);
  fmt::print("context     {} tokens, window {}, indexer top {}\n",
             config.maxPositionEmbeddings,
             config.slidingWindow,
             config.indexTopk);
  fmt::print("vocabulary  {}\n\n", config.vocabSize);
  fmt::print("  {:<18} {:>8} {:>16} {:>11}", "group", "tensors", "bytes", "");
  for (std::size_t rank = 0; rank < inspection.total.bytesOfRank.size(); ++rank) {
    fmt::print(" {:>11}", fmt::format("rank {}", rank));
  }
  fmt::print("\n");
  for (const auto& [group, totals] : inspection.groups) {
    printTotals(std::string(model::tensorGroupName(group)).c_str(), totals);
  }
  printTotals("all", inspection.total);
  fmt::print("\n");
  for (const std::string& notice : inspection.check.notices) {
    fmt::print("notice: {}\n", notice);
  }
  for (const std::string& mismatch : inspection.check.mismatches) {
    fmt::print("mismatch: {}\n", mismatch);
  }
  if (inspection.isLoadable()) {
    fmt::print("The {} file{} hold{} exactly this.\n",
               inspection.files,
               inspection.files == 1 ? "" : "s",
               inspection.files == 1 ? "s" : "");
  }
}

nlohmann::ordered_json totalsJson(const GroupTotals& totals) {
  return {{"tensors", totals.tensors},
          {"bytes", totals.bytes},
          {"bytes_per_rank", totals.bytesOfRank}};
}

void printJson(const Inspection& inspection) {
  const model::ModelConfig& config = inspection.config;
  const LayerKinds kinds = layerKinds(config);
  nlohmann::ordered_json groups = nlohmann::ordered_json::object();
  for (const auto& [group, totals] : inspection.groups) {
    groups[std::string(model::tensorGroupName(group))] = totalsJson(totals);
  }
  nlohmann::ordered_json out = {{"loadable", inspection.isLoadable()},
                                {"config",
                                 {{"num_hidden_layers", config.numHiddenLayers},
                                  {"layers_window", kinds.window},
                                  {"layers_csa", kinds.csa},
                                  {"layers_hca", kinds.hca},
                                  {"num_hash_layers", config.numHashLayers},
                                  {"hidden_size", config.hiddenSize},
                                  {"hc_mult", config.hcMult},
                                  {"num_attention_heads", config.numAttentionHeads},
                                  {"head_dim", config.headDim},
                                  {"o_groups", config.oGroups},
                                  {"n_routed_experts", config.nRoutedExperts},
                                  {"num_experts_per_tok", config.numExpertsPerTok},
                                  {"moe_intermediate_size", config.moeIntermediateSize},
                                  {"max_position_embeddings", config.maxPositionEmbeddings},
                                  {"vocab_size", config.vocabSize}}},
                                {"mtp_modules", inspection.mtpModules},
                                {"files", inspection.files},
                                {"total", totalsJson(inspection.total)},
                                {"groups", groups},
                                {"notices", inspection.check.notices},
                                {"mismatches", inspection.check.mismatches}};
  if (inspection.problem) {
    out["error"] = {{"code", errorCodeName(inspection.problem->code)},
                    {"message", inspection.problem->message},
                    {"remedy", inspection.problem->remedy}};
  }
  fmt::print("{}\n", out.dump(2));
}

}  // namespace

int inspectCommand(int argc, char** argv) {
  CLI::App app("Says what a checkpoint is, whether its files fit, and what each rank holds.",
               "tandem-engine inspect");
  std::filesystem::path folder;
  int ranks = 1;
  bool asJson = false;
  app.add_option("--model", folder, "folder of the checkpoint")->required();
  app.add_option("--ranks", ranks, "tensor-parallel ranks")->check(CLI::IsMember({1, 2}));
  app.add_flag("--json", asJson, "one JSON object instead of text");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  const Result<Inspection> inspection = inspect(folder, ranks);
  if (!inspection) {
    fmt::print(stderr, "tandem-engine inspect: {}\n", inspection.error().text());
    return kExitFailed;
  }
  if (asJson) {
    printJson(*inspection);
  } else {
    printText(*inspection);
  }
  if (inspection->problem) {
    fmt::print(stderr, "tandem-engine inspect: {}\n", inspection->problem->text());
  }
  return inspection->isLoadable() ? kExitOk : kExitFailed;
}

}  // namespace tandem::tools
