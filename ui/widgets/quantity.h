// SPDX-License-Identifier: GPL-3.0-or-later
// Quantities as people read them: one spelling for every page. Unknown is a dash, never zero.
#pragma once

#include <cstdint>
#include <optional>

#include <QString>

namespace tandem::ui {

/// "—"
[[nodiscard]] QString unknownQuantity();
/// "850 ms", "4.2 s", "2 min 08 s"
[[nodiscard]] QString durationText(double seconds);
/// "0", "8.4", "62.1", "1,240": one decimal below 100
[[nodiscard]] QString rateText(double perSecond);
/// "48,210"
[[nodiscard]] QString countText(std::int64_t count);
/// "84 %" of a share from 0 to 1, or a dash
[[nodiscard]] QString percentText(std::optional<double> share);
/// "13.9 MiB"
[[nodiscard]] QString bytesText(std::uint64_t bytes);
/// "0.71 GB/s": decimal, as transfer rates are given
[[nodiscard]] QString byteRateText(double bytesPerSecond);

}  // namespace tandem::ui
