// SPDX-License-Identifier: GPL-3.0-or-later
// The secret that two paired nodes share: 32 random bytes in a file only its owner can read.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <span>

#include "engine/base/result.h"

namespace tandem::comm {

/// Wiped from memory when destroyed. Never logged.
class PeerSecret {
 public:
  static constexpr std::size_t kBytes = 32;

  /// Fails    NotFound; PermissionDenied when others may read the file or it is somebody else's;
  ///          DataCorrupt when it does not hold exactly 32 bytes.
  static Result<PeerSecret> load(const std::filesystem::path& file);

  /// Makes a new secret file with mode 0600.
  /// Fails    AlreadyExists; Unavailable when it cannot be written.
  static Result<void> createFile(const std::filesystem::path& file);

  explicit PeerSecret(std::span<const std::byte, kBytes> bytes);
  ~PeerSecret();
  PeerSecret(const PeerSecret&) = default;
  PeerSecret& operator=(const PeerSecret&) = default;

  [[nodiscard]] std::span<const std::byte, kBytes> bytes() const { return bytes_; }

 private:
  std::array<std::byte, kBytes> bytes_{};
};

}  // namespace tandem::comm
