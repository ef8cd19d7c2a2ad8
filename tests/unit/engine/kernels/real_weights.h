// SPDX-License-Identifier: GPL-3.0-or-later
// The slices of real weights in ../shared/data/real-weights, read as they lie there.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/engine/kernels/golden_case.h"

namespace tandem::tests {

/// The folder of fixtures, which remembers what was read of it. Paths are "FIXTURE/FILE". Reading a
/// file that is not there throws, which fails the test.
class RealWeights {
 public:
  explicit RealWeights(std::filesystem::path folder);

  [[nodiscard]] Table bf16(const std::string& path, std::int64_t cols);
  [[nodiscard]] Table floats(const std::string& path, std::int64_t cols);
  [[nodiscard]] std::vector<std::int32_t> integers(const std::string& path);
  [[nodiscard]] std::vector<std::int64_t> longs(const std::string& path);

  [[nodiscard]] StoredWeight bf16Weight(const std::string& path, std::int64_t cols);
  [[nodiscard]] StoredWeight fp8Weight(const std::string& codes,
                                       const std::string& scales,
                                       std::int64_t cols);
  [[nodiscard]] StoredWeight fp4Weight(const std::string& codes,
                                       const std::string& scales,
                                       std::int64_t cols);

  /// Every data file that nobody read.
  [[nodiscard]] const std::set<std::string>& unread() const { return unread_; }

 private:
  template <typename T>
  [[nodiscard]] std::vector<T> read(const std::string& path);

  std::filesystem::path folder_;
  std::set<std::string> unread_;
};

/// A case whose output is BF16 in the official code: rounded to it, it must be the same bits.
[[nodiscard]] OperatorCase bf16Case(OperatorId op, std::string name, Table answer, RunCase run);

/// The cases by concept; all of them together are what the folder has answers for.
[[nodiscard]] std::vector<OperatorCase> realAttentionCases(RealWeights& files);
[[nodiscard]] std::vector<OperatorCase> realEntryCases(RealWeights& files);
[[nodiscard]] std::vector<OperatorCase> realBlockCases(RealWeights& files);
[[nodiscard]] std::vector<OperatorCase> realExpertCases(RealWeights& files);

}  // namespace tandem::tests
