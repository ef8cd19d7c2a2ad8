// SPDX-License-Identifier: GPL-3.0-or-later
// A compressor on golden inputs, as the model runs it, and how far float may be off.
#pragma once

#include <vector>

#include "tests/unit/engine/kernels/golden_case.h"

namespace tandem::tests {

/// The official model's two tables of rotary frequencies.
enum class RopeTable {
  Window,      // base 10,000
  Compressed,  // base 160,000 with YaRN
};

/// In radians a token, of the 64 rotated channels.
[[nodiscard]] std::vector<double> frequencies(RopeTable table);

struct CompressorInputs {
  StoredWeight wkv;
  StoredWeight wgate;
  Table ape;
  std::vector<float> norm;
  Table cosines;  // one row an entry
  Table sines;
  int ratio = 4;
  std::int64_t dim = 0;  // of an entry

  /// Projects all of x and pools entries [first, first + out.rows).
  void pool(Operators& operators, const Table& x, std::int64_t first, Matrix<float> out) const;

  /// pool, then norm and rotation.
  void entries(Operators& operators, const Table& x, std::int64_t first, Matrix<float> out) const;

  /// How far two float evaluations of the pooled entries may differ.
  [[nodiscard]] Table pooledBounds(const Table& x) const;

  /// The same after norm and rotation.
  [[nodiscard]] Table entryBounds(const Table& x) const;
};

}  // namespace tandem::tests
