// SPDX-License-Identifier: GPL-3.0-or-later
// The operators of operators.h as values, for lists and tables of them.
#pragma once

#include <array>
#include <string_view>

namespace tandem::kernels {

/// In the order of operators.h.
enum class OperatorId {
  Linear,
  GroupedLinear,
  RmsNorm,
  HyperPre,
  HyperPost,
  HyperHead,
  Rope,
  RoundKvEntries,
  RoundIndexerEntries,
  StoreEntries,
  StoreRing,
  StoreRawRing,
  Compress,
  IndexerTopK,
  SparseAttention,
  Route,
  Experts,
};

inline constexpr std::array kAllOperators{
    OperatorId::Linear,
    OperatorId::GroupedLinear,
    OperatorId::RmsNorm,
    OperatorId::HyperPre,
    OperatorId::HyperPost,
    OperatorId::HyperHead,
    OperatorId::Rope,
    OperatorId::RoundKvEntries,
    OperatorId::RoundIndexerEntries,
    OperatorId::StoreEntries,
    OperatorId::StoreRing,
    OperatorId::StoreRawRing,
    OperatorId::Compress,
    OperatorId::IndexerTopK,
    OperatorId::SparseAttention,
    OperatorId::Route,
    OperatorId::Experts,
};

/// The name of its method in Operators.
[[nodiscard]] constexpr std::string_view operatorName(OperatorId id) {
  constexpr std::array<std::string_view, kAllOperators.size()> kNames{"linear",
                                                                      "groupedLinear",
                                                                      "rmsNorm",
                                                                      "hyperPre",
                                                                      "hyperPost",
                                                                      "hyperHead",
                                                                      "rope",
                                                                      "roundKvEntries",
                                                                      "roundIndexerEntries",
                                                                      "storeEntries",
                                                                      "storeRing",
                                                                      "storeRawRing",
                                                                      "compress",
                                                                      "indexerTopK",
                                                                      "sparseAttention",
                                                                      "route",
                                                                      "experts"};
  return kNames[static_cast<std::size_t>(id)];
}

}  // namespace tandem::kernels
