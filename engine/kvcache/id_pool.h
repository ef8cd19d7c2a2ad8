// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers that are given out one by one and come back: slots and snapshots.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tandem::kvcache {

/// The numbers 0 … total - 1. Rank 0, engine thread.
class IdPool {
 public:
  explicit IdPool(std::int32_t total);

  /// Nothing when all are in use.
  [[nodiscard]] std::optional<std::int32_t> take();
  void give(std::int32_t id);

  [[nodiscard]] std::int32_t free() const { return static_cast<std::int32_t>(free_.size()); }
  [[nodiscard]] std::int32_t total() const { return total_; }

 private:
  std::int32_t total_;
  std::vector<std::int32_t> free_;  // the next one last
};

}  // namespace tandem::kvcache
