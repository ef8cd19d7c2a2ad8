// SPDX-License-Identifier: GPL-3.0-or-later
// Every tensor a checkpoint must have: name, type, shape, and which part of it a rank holds.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/dtype.h"
#include "engine/model/model_config.h"

namespace tandem::model {

/// How tensor parallelism cuts a tensor. Source: Megatron's column and row parallel linears.
enum class Slice {
  Replicated,
  Rows,     // output rows: heads, groups, intermediate width, vocabulary
  Columns,  // input columns: what follows a row-sliced linear
};

/// What the stored numbers mean; decides how a slice boundary maps to scales.
enum class TensorRole {
  Plain,      // BF16, F32
  Table,      // I32 or I64, read as I32
  Fp8Weight,  // F8_E4M3 [out, in]
  Fp8Scale,   // F8_E8M0 [ceil(out / 128), ceil(in / 128)]
  Fp4Weight,  // I8 [out, in / 2]
  Fp4Scale,   // F8_E8M0 [out, in / 32]
};

/// What a tensor is for; bytes are counted by it.
enum class TensorGroup {
  Embedding,
  Head,
  RoutedExperts,
  SharedExpert,
  Router,  // scores, bias, and the table of hash layers
  Attention,
  Compressor,
  Indexer,  // with its own compressor
  HyperConnection,
  Norm,   // norms and attention sinks
  Draft,  // all of the MTP modules
};

inline constexpr std::array kTensorGroups{TensorGroup::Embedding,
                                          TensorGroup::Head,
                                          TensorGroup::RoutedExperts,
                                          TensorGroup::SharedExpert,
                                          TensorGroup::Router,
                                          TensorGroup::Attention,
                                          TensorGroup::Compressor,
                                          TensorGroup::Indexer,
                                          TensorGroup::HyperConnection,
                                          TensorGroup::Norm,
                                          TensorGroup::Draft};

/// "routed experts"
[[nodiscard]] std::string_view tensorGroupName(TensorGroup group);

struct TensorPlan {
  std::string name;
  TensorRole role = TensorRole::Plain;
  DType dtype = DType::F32;         // the official one; re-uploads may say U8 for bytes
  std::vector<std::int64_t> shape;  // as stored, whole
  Slice slice = Slice::Replicated;
  std::int64_t sliceUnit = 0;  // extent of the sliced dimension in elements of the matrix, so
                               // that scales are cut where their weights are
  TensorGroup group = TensorGroup::Norm;
};

/// The plan of a checkpoint with `mtpModules` MTP modules. Order: globals, layers, modules.
[[nodiscard]] std::vector<TensorPlan> planWeights(const ModelConfig& config,
                                                  std::int64_t mtpModules);

}  // namespace tandem::model
