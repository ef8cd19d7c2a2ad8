// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/model_config.h"

#include <fmt/core.h>

#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/model/json_document.h"

namespace tandem::model {

namespace {

using Json = nlohmann::json;

constexpr const char* kWhatToDo =
    "Use a DeepSeek-V4-Flash or -Pro checkpoint in the official layout.";

constexpr std::size_t kLongestShown = 300;  // of a wrong value

/// Reads fields and remembers the first one that is wrong, so that the caller checks once.
class FieldReader {
 public:
  FieldReader(const Json& object, std::string origin)
      : object_(object),
        origin_(std::move(origin)) {}

  template <typename Integer>
  void integer(const char* name, Integer& out, std::int64_t least, std::int64_t most) {
    const Json* value = find(name, fmt::format("an integer in [{}, {}]", least, most));
    if (value == nullptr) {
      return;
    }
    if (!value->is_number_integer() || value->get<std::int64_t>() < least ||
        value->get<std::int64_t>() > most) {
      refuse(name, value->dump(), fmt::format("an integer in [{}, {}]", least, most));
      return;
    }
    out = static_cast<Integer>(value->get<std::int64_t>());
  }

  template <typename Real>
  void positive(const char* name, Real& out) {
    const Json* value = find(name, "a number above 0");
    if (value == nullptr) {
      return;
    }
    // Above zero and finite in the type that computes with it, too.
    const Real number = value->is_number() ? static_cast<Real>(value->get<double>()) : Real{0};
    if (!(number > 0) || !std::isfinite(number)) {
      refuse(name, value->dump(), "a number above 0");
      return;
    }
    out = number;
  }

  /// A field whose other values name a model that this code does not compute.
  void only(const char* name, const Json& expected) {
    const auto found = object_.find(name);
    if (found != object_.end() && !found->is_null() && *found != expected) {
      refuse(name, found->dump(), expected.dump());
    }
  }

  void refuse(const char* name, const std::string& value, const std::string& expected) {
    if (!error_) {
      error_ =
          Error{ErrorCode::InvalidArgument,
                fmt::format(
                    "{}: {} is {}, expected {}",
                    origin_,
                    name,
                    value.size() <= kLongestShown ? value : value.substr(0, kLongestShown) + "...",
                    expected),
                kWhatToDo};
    }
  }

  /// The first error of a nested object.
  void adopt(const Error& error) {
    if (!error_) {
      error_ = error;
    }
  }

  const Json* find(const char* name, const std::string& expected) {
    const auto found = object_.find(name);
    if (found == object_.end() || found->is_null()) {
      refuse(name, "missing", expected);
      return nullptr;
    }
    return &*found;
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] const Json& object() const { return object_; }
  [[nodiscard]] const std::string& origin() const { return origin_; }

 private:
  const Json& object_;
  std::string origin_;
  std::optional<Error> error_;
};

constexpr std::int64_t kMany = 1 << 24;
// Far beyond the family (V4-Pro: 61 layers, 384 experts): keeps the plan of a damaged config small.
constexpr std::int64_t kMostLayers = 256;
constexpr std::int64_t kMostExperts = 4096;

void readShapes(FieldReader& read, ModelConfig& c) {
  read.integer("hidden_size", c.hiddenSize, 1, kMany);
  read.integer("num_hidden_layers", c.numHiddenLayers, 1, kMostLayers);
  read.integer("num_attention_heads", c.numAttentionHeads, 1, kMany);
  read.integer("head_dim", c.headDim, 1, kMany);
  read.integer("qk_rope_head_dim", c.qkRopeHeadDim, 2, kMany);
  read.integer("q_lora_rank", c.qLoraRank, 1, kMany);
  read.integer("o_groups", c.oGroups, 1, kMany);
  read.integer("o_lora_rank", c.oLoraRank, 1, kMany);
  read.integer("sliding_window", c.slidingWindow, 1, kMany);
  read.integer("index_n_heads", c.indexNHeads, 1, kMany);
  read.integer("index_head_dim", c.indexHeadDim, 1, kMany);
  read.integer("index_topk", c.indexTopk, 1, kMany);
  read.integer("hc_mult", c.hcMult, 1, 64);
  read.integer("hc_sinkhorn_iters", c.hcSinkhornIters, 1, 1000);
  read.positive("hc_eps", c.hcEps);
  read.integer("n_routed_experts", c.nRoutedExperts, 1, kMostExperts);
  read.integer("n_shared_experts", c.nSharedExperts, 1, 1);
  read.integer("num_experts_per_tok", c.numExpertsPerTok, 1, kMostExperts);
  read.integer("moe_intermediate_size", c.moeIntermediateSize, 1, kMany);
  read.integer("num_hash_layers", c.numHashLayers, 0, kMostLayers);
  read.positive("routed_scaling_factor", c.routedScalingFactor);
  read.positive("swiglu_limit", c.swigluLimit);
  read.positive("rms_norm_eps", c.rmsNormEps);
  read.positive("rope_theta", c.ropeTheta);
  read.positive("compress_rope_theta", c.compressRopeTheta);
  read.integer("max_position_embeddings", c.maxPositionEmbeddings, 1, std::int64_t{1} << 32);
  read.integer("vocab_size", c.vocabSize, 1, kMany);
  read.integer("bos_token_id", c.bosTokenId, 0, kMany);
  read.integer("eos_token_id", c.eosTokenId, 0, kMany);
  if (read.object().contains("num_nextn_predict_layers")) {
    read.integer("num_nextn_predict_layers", c.numNextnPredictLayers, 0, 16);
  }
  read.only("num_key_value_heads", 1);
  read.only("hidden_act", "silu");
  read.only("scoring_func", "sqrtsoftplus");
  read.only("topk_method", "noaux_tc");
  read.only("tie_word_embeddings", false);
  read.only("attention_bias", false);
  // norm_topk_prob is not read: the official code normalises whatever it says.
}

/// How weights are stored. Absent in re-uploads; the dtypes of the tensors are checked in any case.
void checkFormats(FieldReader& read) {
  read.only("expert_dtype", "fp4");
  const auto found = read.object().find("quantization_config");
  if (found == read.object().end() || found->is_null()) {
    return;
  }
  if (!found->is_object()) {
    read.refuse("quantization_config", found->dump(), "an object");
    return;
  }
  FieldReader inner(*found, read.origin() + ": quantization_config");
  inner.only("quant_method", "fp8");
  inner.only("fmt", "e4m3");
  inner.only("scale_fmt", "ue8m0");
  inner.only("weight_block_size", Json::array({128, 128}));
  if (inner.error()) {
    read.adopt(*inner.error());
  }
}

void readCompressRatios(FieldReader& read, ModelConfig& c) {
  const std::string expected =
      fmt::format("a list of at least {} numbers, each 0, 4 or 128", c.numHiddenLayers);
  const Json* value = read.find("compress_ratios", expected);
  if (value == nullptr) {
    return;
  }
  if (!value->is_array() || value->size() < static_cast<std::size_t>(c.numHiddenLayers)) {
    read.refuse("compress_ratios", value->dump(), expected);
    return;
  }
  for (const Json& ratio : *value) {
    if (ratio != 0 && ratio != 4 && ratio != 128) {
      read.refuse("compress_ratios", value->dump(), expected);
      return;
    }
    c.compressRatios.push_back(ratio.get<int>());
  }
}

void readRopeScaling(FieldReader& read, ModelConfig& c) {
  const auto found = read.object().find("rope_scaling");
  if (found == read.object().end() || found->is_null()) {
    return;
  }
  if (!found->is_object() || !found->contains("type") || (*found)["type"] != "yarn") {
    read.refuse("rope_scaling", found->dump(), "null or an object with type \"yarn\"");
    return;
  }
  FieldReader inner(*found, read.origin() + ": rope_scaling");
  RopeScaling scaling;
  inner.positive("factor", scaling.factor);
  inner.positive("original_max_position_embeddings", scaling.originalMaxPositionEmbeddings);
  inner.positive("beta_fast", scaling.betaFast);
  inner.positive("beta_slow", scaling.betaSlow);
  if (inner.error()) {
    read.adopt(*inner.error());
    return;
  }
  c.ropeScaling = scaling;
}

void checkRelations(FieldReader& read, const ModelConfig& c) {
  const auto check =
      [&](bool good, const char* field, std::int64_t value, const std::string& expected) {
        if (!good) {
          read.refuse(field, std::to_string(value), expected);
        }
      };
  check(c.qkRopeHeadDim % 2 == 0 && c.qkRopeHeadDim < c.headDim &&
            c.qkRopeHeadDim < c.indexHeadDim + 1,
        "qk_rope_head_dim",
        c.qkRopeHeadDim,
        "an even number below head_dim, at most index_head_dim");
  check((c.headDim - c.qkRopeHeadDim) % 64 == 0,
        "head_dim",
        c.headDim,
        "qk_rope_head_dim plus a multiple of 64, the KV cache's scale group");
  check(std::has_single_bit(static_cast<std::uint64_t>(c.indexHeadDim)) && c.indexHeadDim % 32 == 0,
        "index_head_dim",
        c.indexHeadDim,
        "a power of two from 32 on");
  check(c.numAttentionHeads % c.oGroups == 0,
        "o_groups",
        c.oGroups,
        fmt::format("a divisor of num_attention_heads {}", c.numAttentionHeads));
  check(c.numExpertsPerTok <= c.nRoutedExperts,
        "num_experts_per_tok",
        c.numExpertsPerTok,
        fmt::format("at most n_routed_experts {}", c.nRoutedExperts));
  check(c.hiddenSize % 32 == 0,
        "hidden_size",
        c.hiddenSize,
        "a multiple of 32, the FP4 scale group");
  check(c.moeIntermediateSize % 32 == 0,
        "moe_intermediate_size",
        c.moeIntermediateSize,
        "a multiple of 32, the FP4 scale group");
  check(c.bosTokenId < c.vocabSize,
        "bos_token_id",
        c.bosTokenId,
        fmt::format("below vocab_size {}", c.vocabSize));
  check(c.eosTokenId < c.vocabSize,
        "eos_token_id",
        c.eosTokenId,
        fmt::format("below vocab_size {}", c.vocabSize));
}

Result<ModelConfig> interpret(const Json& object, const std::string& origin) {
  FieldReader read(object, origin);
  ModelConfig config;
  read.only("model_type", "deepseek_v4");
  readShapes(read, config);
  if (!read.error()) {
    readCompressRatios(read, config);
    readRopeScaling(read, config);
    checkFormats(read);
    checkRelations(read, config);
  }
  if (read.error()) {
    return *read.error();
  }
  return config;
}

}  // namespace

Result<ModelConfig> parseModelConfig(const std::string& text, const std::string& origin) {
  const Result<Json> object = parseJsonObject(text, origin);
  if (!object) {
    return object.error();
  }
  return interpret(*object, origin);
}

Result<ModelConfig> readModelConfig(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  const Result<Json> object = readJsonObject(file);
  if (!object) {
    return object.error();
  }
  return interpret(*object, file.string());
}

Result<void> checkTensorParallel(const ModelConfig& c, int ranks) {
  const std::array<std::pair<const char*, std::int64_t>, 3> dimensions{{
      {"o_groups", c.oGroups},
      {"vocab_size", c.vocabSize},
      {"moe_intermediate_size / 32", c.moeIntermediateSize / 32},
  }};
  if (ranks < 1 || ranks > 2) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} ranks were asked for", ranks),
                 "Use 1 or 2."};
  }
  for (const auto& [name, value] : dimensions) {
    if (value % ranks != 0) {
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("{} is {}, which {} ranks cannot share equally", name, value, ranks),
                   "Use one rank for this model."};
    }
  }
  return {};
}

}  // namespace tandem::model
