// SPDX-License-Identifier: GPL-3.0-or-later
// The keys that the queries of one call attend to, as floats, for back ends on the host.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kernels/operators.h"

namespace tandem::kernels {

/// Unpacks every row that some query needs once, however many need it. Keeps its memory between
/// calls.
class UnpackedKeys {
 public:
  /// positions  [rows] of the queries, ascending by one
  void unpack(const AttentionKeys& keys, std::span<const std::int64_t> positions);

  /// Fills `rows` with the keys of query `r` of the last unpack(): the window's in order of
  /// position, then its compressed entries. Any thread.
  void rowsOf(std::vector<const float*>& rows, std::int64_t r) const;

  [[nodiscard]] std::int64_t dim() const { return keys_.window.ring.layout.dim; }

 private:
  void unpackWindow();
  void unpackEntries(std::int64_t queries);

  AttentionKeys keys_;
  std::span<const std::int64_t> positions_;
  std::int64_t firstPosition_ = 0;     // of window_
  std::vector<float> window_;          // rows from firstPosition_ on, those of the ring
  std::vector<float> entries_;         // needed ones, in ascending order
  std::vector<std::int32_t> placeOf_;  // entry -> row of entries_
};

}  // namespace tandem::kernels
