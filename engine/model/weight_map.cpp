// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/weight_map.h"

#include <fmt/core.h>

#include <utility>

namespace tandem::model {

namespace {

std::int64_t blocks(std::int64_t extent) {
  return (extent + 127) / 128;
}

/// Adds tensors under prefixes; names and shapes are those of the official checkpoint.
class Planner {
 public:
  explicit Planner(const ModelConfig& config)
      : c_(config) {}

  void globals() {
    group_ = TensorGroup::Embedding;
    plain("embed.weight", DType::Bf16, {c_.vocabSize, c_.hiddenSize}, Slice::Rows);
    group_ = TensorGroup::Head;
    plain("head.weight", DType::Bf16, {c_.vocabSize, c_.hiddenSize}, Slice::Rows);
    norm("norm.weight", c_.hiddenSize);
    hyper("hc_head", c_.hcMult, 1);
  }

  void layer(const std::string& p, int ratio, bool hashed) {
    norm(p + "attn_norm.weight", c_.hiddenSize);
    norm(p + "ffn_norm.weight", c_.hiddenSize);
    hyper(p + "hc_attn", (2 + c_.hcMult) * c_.hcMult, 3);
    hyper(p + "hc_ffn", (2 + c_.hcMult) * c_.hcMult, 3);
    attention(p + "attn.", ratio);
    moe(p + "ffn.", hashed);
  }

  void mtp(std::int64_t module) {
    isDraft_ = true;
    const std::string p = fmt::format("mtp.{}.", module);
    const auto entry = static_cast<std::size_t>(c_.numHiddenLayers + module);
    layer(p, entry < c_.compressRatios.size() ? c_.compressRatios[entry] : 0, false);
    norm(p + "enorm.weight", c_.hiddenSize);
    norm(p + "hnorm.weight", c_.hiddenSize);
    norm(p + "norm.weight", c_.hiddenSize);
    fp8(p + "e_proj", c_.hiddenSize, c_.hiddenSize, Slice::Replicated);
    fp8(p + "h_proj", c_.hiddenSize, c_.hiddenSize, Slice::Replicated);
    hyper(p + "hc_head", c_.hcMult, 1);
  }

  std::vector<TensorPlan> take() { return std::move(plan_); }

 private:
  void attention(const std::string& p, int ratio) {
    const std::int64_t heads = c_.numAttentionHeads;
    group_ = TensorGroup::Norm;
    plain(p + "attn_sink", DType::F32, {heads}, Slice::Rows);
    group_ = TensorGroup::Attention;
    fp8(p + "wq_a", c_.qLoraRank, c_.hiddenSize, Slice::Replicated);
    norm(p + "q_norm.weight", c_.qLoraRank);
    fp8(p + "wq_b", heads * c_.headDim, c_.qLoraRank, Slice::Rows);
    fp8(p + "wkv", c_.headDim, c_.hiddenSize, Slice::Replicated);
    norm(p + "kv_norm.weight", c_.headDim);
    fp8(p + "wo_a", c_.oGroups * c_.oLoraRank, heads * c_.headDim / c_.oGroups, Slice::Rows);
    fp8(p + "wo_b", c_.hiddenSize, c_.oGroups * c_.oLoraRank, Slice::Columns);
    if (ratio != 0) {
      group_ = TensorGroup::Compressor;
      compressor(p + "compressor.", ratio, c_.headDim);
    }
    if (ratio == 4) {
      group_ = TensorGroup::Indexer;
      // Replicated: sharing its heads would cost an all-reduce of the scores a layer (decision 7).
      fp8(p + "indexer.wq_b", c_.indexNHeads * c_.indexHeadDim, c_.qLoraRank, Slice::Replicated);
      plain(p + "indexer.weights_proj.weight",
            DType::Bf16,
            {c_.indexNHeads, c_.hiddenSize},
            Slice::Replicated);
      compressor(p + "indexer.compressor.", 4, c_.indexHeadDim);
    }
  }

  void compressor(const std::string& p, int ratio, std::int64_t dim) {
    const std::int64_t width = ratio == 4 ? 2 * dim : dim;
    plain(p + "wkv.weight", DType::Bf16, {width, c_.hiddenSize}, Slice::Replicated);
    plain(p + "wgate.weight", DType::Bf16, {width, c_.hiddenSize}, Slice::Replicated);
    plain(p + "ape", DType::F32, {ratio, width}, Slice::Replicated);
    plain(p + "norm.weight", DType::Bf16, {dim}, Slice::Replicated);
  }

  void moe(const std::string& p, bool hashed) {
    const std::int64_t width = c_.moeIntermediateSize;
    group_ = TensorGroup::Router;
    plain(p + "gate.weight", DType::Bf16, {c_.nRoutedExperts, c_.hiddenSize}, Slice::Replicated);
    if (hashed) {
      add({p + "gate.tid2eid",
           TensorRole::Table,
           DType::I64,
           {c_.vocabSize, c_.numExpertsPerTok},
           Slice::Replicated,
           0,
           group_});
    } else {
      plain(p + "gate.bias", DType::F32, {c_.nRoutedExperts}, Slice::Replicated);
    }
    group_ = TensorGroup::RoutedExperts;
    for (std::int64_t e = 0; e < c_.nRoutedExperts; ++e) {
      const std::string expert = fmt::format("{}experts.{}.", p, e);
      fp4(expert + "w1", width, c_.hiddenSize, Slice::Rows);
      fp4(expert + "w2", c_.hiddenSize, width, Slice::Columns);
      fp4(expert + "w3", width, c_.hiddenSize, Slice::Rows);
    }
    group_ = TensorGroup::SharedExpert;
    fp8(p + "shared_experts.w1", width, c_.hiddenSize, Slice::Rows);
    fp8(p + "shared_experts.w2", c_.hiddenSize, width, Slice::Columns);
    fp8(p + "shared_experts.w3", width, c_.hiddenSize, Slice::Rows);
  }

  void hyper(const std::string& p, std::int64_t rows, std::int64_t scales) {
    group_ = TensorGroup::HyperConnection;
    plain(p + "_fn", DType::F32, {rows, c_.hcMult * c_.hiddenSize}, Slice::Replicated);
    plain(p + "_base", DType::F32, {rows}, Slice::Replicated);
    plain(p + "_scale", DType::F32, {scales}, Slice::Replicated);
  }

  void norm(const std::string& name, std::int64_t dim) {
    plain(name, DType::Bf16, {dim}, Slice::Replicated);
    plan_.back().group = isDraft_ ? TensorGroup::Draft : TensorGroup::Norm;
  }

  void plain(const std::string& name, DType dtype, std::vector<std::int64_t> shape, Slice slice) {
    const std::int64_t unit = shape.front();
    add({name, TensorRole::Plain, dtype, std::move(shape), slice, unit, group_});
  }

  void fp8(const std::string& name, std::int64_t out, std::int64_t in, Slice slice) {
    const std::int64_t unit = slice == Slice::Columns ? in : out;
    add({name + ".weight", TensorRole::Fp8Weight, DType::F8E4M3, {out, in}, slice, unit, group_});
    add({name + ".scale",
         TensorRole::Fp8Scale,
         DType::F8E8M0,
         {blocks(out), blocks(in)},
         slice,
         unit,
         group_});
  }

  void fp4(const std::string& name, std::int64_t out, std::int64_t in, Slice slice) {
    const std::int64_t unit = slice == Slice::Columns ? in : out;
    add({name + ".weight", TensorRole::Fp4Weight, DType::I8, {out, in / 2}, slice, unit, group_});
    add({name + ".scale",
         TensorRole::Fp4Scale,
         DType::F8E8M0,
         {out, in / 32},
         slice,
         unit,
         group_});
  }

  void add(TensorPlan tensor) {
    if (isDraft_) {
      tensor.group = TensorGroup::Draft;
    }
    plan_.push_back(std::move(tensor));
  }

  const ModelConfig& c_;
  TensorGroup group_ = TensorGroup::Norm;  // of what is added next
  bool isDraft_ = false;
  std::vector<TensorPlan> plan_;
};

}  // namespace

std::string_view tensorGroupName(TensorGroup group) {
  switch (group) {
    case TensorGroup::Embedding:
      return "embedding";
    case TensorGroup::Head:
      return "head";
    case TensorGroup::RoutedExperts:
      return "routed experts";
    case TensorGroup::SharedExpert:
      return "shared expert";
    case TensorGroup::Router:
      return "router";
    case TensorGroup::Attention:
      return "attention";
    case TensorGroup::Compressor:
      return "compressor";
    case TensorGroup::Indexer:
      return "indexer";
    case TensorGroup::HyperConnection:
      return "hyper-connections";
    case TensorGroup::Norm:
      return "norms";
    case TensorGroup::Draft:
      return "mtp";
  }
  return "?";
}

std::vector<TensorPlan> planWeights(const ModelConfig& config, std::int64_t mtpModules) {
  Planner planner(config);
  planner.globals();
  for (std::int64_t i = 0; i < config.numHiddenLayers; ++i) {
    planner.layer(fmt::format("layers.{}.", i), config.compressRatio(i), i < config.numHashLayers);
  }
  for (std::int64_t m = 0; m < mtpModules; ++m) {
    planner.mtp(m);
  }
  return planner.take();
}

}  // namespace tandem::model
