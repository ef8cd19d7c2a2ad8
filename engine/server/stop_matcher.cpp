// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace tandem::server {

StopMatcher::StopMatcher(std::vector<std::string> stops)
    : stops_(std::move(stops)) {
  stops_.erase(std::remove(stops_.begin(), stops_.end(), std::string()), stops_.end());
}

std::string StopMatcher::push(std::string_view piece) {
  if (matched_) {
    return "";
  }
  held_ += piece;
  std::size_t end = std::string::npos;
  for (const std::string& stop : stops_) {
    end = std::min(end, held_.find(stop));
  }
  if (end != std::string::npos) {
    matched_ = true;
    held_.resize(end);
    return std::exchange(held_, "");
  }
  const std::size_t certain = held_.size() - heldLength();
  std::string text = held_.substr(0, certain);
  held_.erase(0, certain);
  return text;
}

std::string StopMatcher::flush() {
  return std::exchange(held_, "");
}

/// The length of the longest end of held_ that begins a stop string.
std::size_t StopMatcher::heldLength() const {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    std::size_t length = std::min(stop.size() - 1, held_.size());
    while (length > longest && held_.compare(held_.size() - length, length, stop, 0, length) != 0) {
      --length;
    }
    longest = std::max(longest, length);
  }
  return longest;
}

}  // namespace tandem::server
