// SPDX-License-Identifier: GPL-3.0-or-later
// Packs one cache entry into its stored bytes, and back.
#pragma once

#include <cstddef>

#include "engine/kernels/layout/entry_layout.h"

namespace tandem::kernels {

/// Exact for values that roundKvEntries, roundIndexerEntries made: unpacking gives the same values.
/// Others are rounded to the format.
///
/// out     layout.bytes() bytes; padding becomes 0
/// values  layout.dim floats
void packEntry(const EntryLayout& layout, std::byte* out, const float* values);

void unpackEntry(const EntryLayout& layout, float* out, const std::byte* packed);

}  // namespace tandem::kernels
