// SPDX-License-Identifier: GPL-3.0-or-later
// Who wants to know how far loading is, and may end it.
#pragma once

#include <cstdint>
#include <string>

namespace tandem::model {

/// Called from the loading thread, after every shard and every few MiB.
class LoadObserver {
 public:
  virtual ~LoadObserver() = default;

  /// bytesTotal is this rank's share; `file` is the shard being read.
  virtual void onBytes(std::uint64_t bytesDone,
                       std::uint64_t bytesTotal,
                       const std::string& file) = 0;

  /// Something a person should know that stops nothing: a tensor that belongs to no known module.
  virtual void onNotice(const std::string& text) = 0;

  /// Asked after every tensor: true ends the loading with Cancelled.
  [[nodiscard]] virtual bool wantsEnd() const { return false; }
};

}  // namespace tandem::model
