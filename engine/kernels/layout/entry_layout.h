// SPDX-License-Identifier: GPL-3.0-or-later
// How one cache entry lies in memory: read by host, device and tests alike.
#pragma once

#include <cstdint>

namespace tandem::kernels {

enum class EntryFormat : std::uint8_t {
  Float32,     // numerics `exact`
  KeyValue,    // window rows and compressed entries: FP8, RoPE channels BF16
  IndexerKey,  // the indexer's compressed entries: FP4
};

/// Float32     dim floats
/// KeyValue    [0, n) E4M3 · [n, n + 2r) BF16 · one E8M0 scale per 64 of the n · pad to 8
///             with n = dim - ropeDim, r = ropeDim; 448 + 128 + 7 + 1 = 584 bytes in V4-Flash
/// IndexerKey  [0, dim / 2) E2M1, even channel in the low nibble · one E8M0 scale per 32
///             64 + 4 = 68 bytes in V4-Flash
///
/// What the official code rounds to (model.md §4.3) is exact in these formats.
struct EntryLayout {
  static constexpr int kFp8Group = 64;
  static constexpr int kFp4Group = 32;
  static constexpr int kAlignment = 8;

  EntryFormat format = EntryFormat::Float32;
  int dim = 0;
  int ropeDim = 0;  // KeyValue only

  [[nodiscard]] constexpr int nopeDim() const { return dim - ropeDim; }
  [[nodiscard]] constexpr int ropeOffset() const { return nopeDim(); }
  [[nodiscard]] constexpr int scaleOffset() const {
    return format == EntryFormat::KeyValue ? ropeOffset() + 2 * ropeDim : dim / 2;
  }
  [[nodiscard]] constexpr int scales() const {
    return format == EntryFormat::KeyValue ? nopeDim() / kFp8Group : dim / kFp4Group;
  }
  [[nodiscard]] constexpr int bytes() const {
    switch (format) {
      case EntryFormat::Float32:
        return dim * static_cast<int>(sizeof(float));
      case EntryFormat::KeyValue:
        return (scaleOffset() + scales() + kAlignment - 1) / kAlignment * kAlignment;
      case EntryFormat::IndexerKey:
        return scaleOffset() + scales();
    }
    return 0;
  }

  friend constexpr bool operator==(const EntryLayout&, const EntryLayout&) = default;
};

static_assert(EntryLayout{EntryFormat::KeyValue, 512, 64}.bytes() == 584);
static_assert(EntryLayout{EntryFormat::IndexerKey, 128, 0}.bytes() == 68);

}  // namespace tandem::kernels
