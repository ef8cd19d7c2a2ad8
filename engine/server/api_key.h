// SPDX-License-Identifier: GPL-3.0-or-later
// The keys that open the API, read from a private file and compared in constant time.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace tandem::server {

/// Holds digests only: the keys themselves are forgotten after reading. Immutable, any thread.
class ApiKeys {
 public:
  /// One key a line; empty lines and lines beginning with # are skipped. An empty path gives no
  /// keys: everything is allowed.
  ///
  /// Fails    NotFound when the file cannot be opened; PermissionDenied when group or others may
  ///          touch it; InvalidArgument when it holds no key or a key that is too short.
  static Result<ApiKeys> load(const std::filesystem::path& file);

  [[nodiscard]] bool required() const { return !digests_.empty(); }

  /// True when no key is required, or `presented` is one of them. The time taken depends on the
  /// length of `presented` only.
  [[nodiscard]] bool accept(std::string_view presented) const;

 private:
  using Digest = std::array<std::uint8_t, 32>;
  static Digest digestOf(std::string_view key);

  std::vector<Digest> digests_;
};

/// The token of "Bearer TOKEN", or "" if the header has another form.
[[nodiscard]] std::string_view bearerToken(std::string_view authorization);

}  // namespace tandem::server
