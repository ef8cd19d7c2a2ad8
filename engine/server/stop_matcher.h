// SPDX-License-Identifier: GPL-3.0-or-later
// Stop strings, found in text that arrives in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tandem::server {

/// Lets text through until the first stop string, which it swallows with everything behind it. Text
/// that may turn out to be the beginning of a stop string is held back, however the pieces are cut.
class StopMatcher {
 public:
  /// Empty strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  /// The text that is now certain to come before any stop string. "" once matched.
  [[nodiscard]] std::string push(std::string_view piece);

  /// The text ended: what was held back was no stop string after all.
  [[nodiscard]] std::string flush();

  [[nodiscard]] bool matched() const { return matched_; }

 private:
  [[nodiscard]] std::size_t heldLength() const;

  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace tandem::server
