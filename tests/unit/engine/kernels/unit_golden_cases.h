// SPDX-License-Identifier: GPL-3.0-or-later
// The goldens of single operators in ../shared/data/unit-goldens as operator cases.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/support/golden_file.h"
#include "tests/unit/engine/kernels/golden_case.h"

namespace tandem::tests {

/// One folder of goldens, which remembers what was read of it.
class UnitGoldens {
 public:
  /// Opens every unit_NAME.safetensors of the folder. Throws when one cannot be read, which fails
  /// the test.
  explicit UnitGoldens(const std::string& folder);

  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::vector<std::int64_t> shape(const std::string& file, const std::string& tensor);

  /// A tensor as rows of its last dimension.
  [[nodiscard]] Table table(const std::string& file, const std::string& tensor);
  [[nodiscard]] std::vector<std::int32_t> integers(const std::string& file,
                                                   const std::string& tensor);

  /// E4M3 codes with float scales that are powers of two, one a 128 x 128 block.
  [[nodiscard]] StoredWeight fp8Weight(const std::string& file,
                                       const std::string& codes,
                                       const std::string& scales);

  /// Packed E2M1 with a power of two for 32 columns; with more than two dimensions one weight for
  /// each index of the first.
  [[nodiscard]] std::vector<StoredWeight> fp4Weights(const std::string& file,
                                                     const std::string& codes,
                                                     const std::string& scales);

  /// The values of E4M3 codes.
  [[nodiscard]] Table fp8Values(const std::string& file, const std::string& tensor);

  /// "unit_rope: sin" for every tensor that nobody read.
  [[nodiscard]] std::vector<std::string> unread() const;

 private:
  [[nodiscard]] const GoldenFile& use(const std::string& file, const std::string& tensor);

  std::map<std::string, GoldenFile> files_;
  std::map<std::string, std::set<std::string>> unread_;
};

/// Every case the folder has an answer for, each named "unit_FILE: what".
[[nodiscard]] std::vector<OperatorCase> unitGoldenCases(UnitGoldens& goldens);

}  // namespace tandem::tests
