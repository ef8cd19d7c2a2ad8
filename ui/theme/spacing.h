// SPDX-License-Identifier: GPL-3.0-or-later
// The distances of the panel: a base of four, in device-independent pixels.
#pragma once

namespace tandem::ui::spacing {

inline constexpr int kHair = 4;
inline constexpr int kSmall = 8;
inline constexpr int kMedium = 12;
inline constexpr int kCard = 16;
inline constexpr int kPage = 24;
inline constexpr int kLarge = 32;

inline constexpr int kControlRadius = 4;
inline constexpr int kCardRadius = 8;
inline constexpr int kControlHeight = 32;
inline constexpr int kPrimaryHeight = 36;
inline constexpr int kFocusRing = 2;

/// Long text reads best in a column of this width.
inline constexpr int kThreadWidth = 760;

}  // namespace tandem::ui::spacing
