// SPDX-License-Identifier: GPL-3.0-or-later
// Views of what a sequence has in its cache: compressed entries in pages, newest rows in rings.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "engine/kernels/layout/entry_layout.h"
#include "engine/kernels/matrix.h"

namespace tandem::kernels {

/// Packed entries of one sequence and layer. Entry i is in page pages[i / perPage]. Never owns.
/// Byte is std::byte, or const std::byte for a view that only reads.
template <typename Byte>
struct EntryPages {
  EntryLayout layout;
  Byte* memory = nullptr;               // entry 0 of page 0
  std::int64_t pageStride = 0;          // bytes from one page to the next
  std::int64_t perPage = 0;             // entries
  std::span<const std::int32_t> pages;  // in order of the sequence

  [[nodiscard]] Byte* entry(std::int64_t i) const {
    assert(i >= 0 && i / perPage < static_cast<std::int64_t>(pages.size()));
    return memory + pages[static_cast<std::size_t>(i / perPage)] * pageStride +
           i % perPage * layout.bytes();
  }

  /// A writable view is also a read-only one.
  operator EntryPages<const Byte>() const {  // NOLINT(google-explicit-constructor)
    return {layout, memory, pageStride, perPage, pages};
  }
};

/// Packed rows of one sequence and layer by position: the row of position p is at p % capacity, as
/// long as no later one took its place.
template <typename Byte>
struct EntryRing {
  EntryLayout layout;
  Byte* memory = nullptr;
  std::int64_t capacity = 0;  // rows

  [[nodiscard]] Byte* row(std::int64_t position) const {
    assert(position >= 0 && capacity > 0);
    return memory + position % capacity * layout.bytes();
  }

  operator EntryRing<const Byte>() const {  // NOLINT(google-explicit-constructor)
    return {layout, memory, capacity};
  }
};

/// Plain floats as entries, all in one page, and as a ring. Needs rows without gaps.
[[nodiscard]] inline EntryPages<const std::byte> floatEntries(Matrix<const float> rows) {
  static constexpr std::array<std::int32_t, 1> kOnlyPage{0};
  assert(rows.stride == rows.cols);
  return {{EntryFormat::Float32, static_cast<int>(rows.cols), 0},
          std::as_bytes(std::span(rows.data, 1)).data(),
          0,
          std::max<std::int64_t>(rows.rows, 1),
          kOnlyPage};
}

[[nodiscard]] inline EntryRing<const std::byte> floatRing(Matrix<const float> rows) {
  assert(rows.stride == rows.cols);
  return {{EntryFormat::Float32, static_cast<int>(rows.cols), 0},
          std::as_bytes(std::span(rows.data, 1)).data(),
          rows.rows};
}

/// A position that no sequence reaches: nothing is fresh.
inline constexpr std::int64_t kNoPosition = std::numeric_limits<std::int64_t>::max();

/// The window's rows of one sequence: those of this step in `fresh`, those before it in the ring.
/// So the ring needs no room for a step, and takes the fresh rows once everybody has read it.
struct WindowRows {
  EntryRing<const std::byte> ring;
  Matrix<const float> fresh = {};            // row i is that of position freshPosition + i
  std::int64_t freshPosition = kNoPosition;  // of the first row of the step
};

/// Raw compressor rows of one sequence: those of this step, and before it the newest of a ring.
struct CompressorRows {
  Matrix<const float> kv;     // ring of [capacity, c * d], c = 2 with overlap, else 1
  Matrix<const float> score;  // [capacity, c * d], ape already added
  Matrix<const float> freshKv = {};
  Matrix<const float> freshScore = {};
  std::int64_t freshPosition = kNoPosition;

  [[nodiscard]] const float* kvRow(std::int64_t position) const {
    return position >= freshPosition ? freshKv.row(position - freshPosition)
                                     : kv.row(position % kv.rows);
  }
  [[nodiscard]] const float* scoreRow(std::int64_t position) const {
    return position >= freshPosition ? freshScore.row(position - freshPosition)
                                     : score.row(position % score.rows);
  }
};

}  // namespace tandem::kernels
