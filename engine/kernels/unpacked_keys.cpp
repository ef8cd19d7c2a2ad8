// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/unpacked_keys.h"

#include <algorithm>

#include "engine/kernels/entry_codec.h"

namespace tandem::kernels {

void UnpackedKeys::unpack(const AttentionKeys& keys, std::span<const std::int64_t> positions) {
  keys_ = keys;
  positions_ = positions;
  unpackWindow();
  unpackEntries(static_cast<std::int64_t>(positions.size()));
}

void UnpackedKeys::unpackWindow() {
  const EntryRing<const std::byte>& ring = keys_.window.ring;
  firstPosition_ = std::max<std::int64_t>(0, positions_.front() - keys_.windowTokens + 1);
  const std::int64_t end = std::min(keys_.window.freshPosition, positions_.back() + 1);
  window_.resize(
      static_cast<std::size_t>(std::max<std::int64_t>(0, end - firstPosition_) * ring.layout.dim));
  float* out = window_.data();
  for (std::int64_t p = firstPosition_; p < end; ++p, out += ring.layout.dim) {
    unpackEntry(ring.layout, out, ring.row(p));
  }
}

void UnpackedKeys::unpackEntries(std::int64_t queries) {
  entries_.clear();
  placeOf_.clear();
  // Marked first, so that each is unpacked once and they lie in order.
  constexpr std::int32_t kNeeded = 0;
  constexpr std::int32_t kUnneeded = -1;
  for (std::int64_t r = 0; r < queries && !keys_.entryCount.empty(); ++r) {
    const std::int32_t count = keys_.entryCount[static_cast<std::size_t>(r)];
    for (std::int32_t i = 0; i < count; ++i) {
      const auto entry =
          static_cast<std::size_t>(keys_.chosen.rows > 0 ? keys_.chosen.row(r)[i] : i);
      if (entry >= placeOf_.size()) {
        placeOf_.resize(entry + 1, kUnneeded);
      }
      placeOf_[entry] = kNeeded;
    }
  }
  const EntryLayout& layout = keys_.entries.layout;
  std::int32_t places = 0;
  for (std::int32_t& place : placeOf_) {
    place = place == kNeeded ? places++ : kUnneeded;
  }
  entries_.resize(static_cast<std::size_t>(places) * static_cast<std::size_t>(layout.dim));
  for (std::size_t entry = 0; entry < placeOf_.size(); ++entry) {
    if (placeOf_[entry] != kUnneeded) {
      unpackEntry(layout,
                  entries_.data() + std::int64_t{placeOf_[entry]} * layout.dim,
                  keys_.entries.entry(static_cast<std::int64_t>(entry)));
    }
  }
}

void UnpackedKeys::rowsOf(std::vector<const float*>& rows, std::int64_t r) const {
  rows.clear();
  const std::int64_t position = positions_[static_cast<std::size_t>(r)];
  const WindowRows& window = keys_.window;
  for (std::int64_t p = std::max<std::int64_t>(0, position - keys_.windowTokens + 1); p <= position;
       ++p) {
    rows.push_back(p >= window.freshPosition
                       ? window.fresh.row(p - window.freshPosition)
                       : window_.data() + (p - firstPosition_) * window.ring.layout.dim);
  }
  if (keys_.entryCount.empty()) {
    return;
  }
  for (std::int32_t i = 0; i < keys_.entryCount[static_cast<std::size_t>(r)]; ++i) {
    const auto entry = static_cast<std::size_t>(keys_.chosen.rows > 0 ? keys_.chosen.row(r)[i] : i);
    rows.push_back(entries_.data() + std::int64_t{placeOf_[entry]} * keys_.entries.layout.dim);
  }
}

}  // namespace tandem::kernels
