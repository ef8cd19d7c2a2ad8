// SPDX-License-Identifier: GPL-3.0-or-later
// The server's limits and habits, each with the default that ships.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/base/byte_size.h"

namespace tandem::server {

struct ServerOptions {
  std::size_t maxHeaderBytes = 16 * kKiB;
  std::uint64_t maxBodyBytes = 32 * kMiB;
  std::size_t maxConnections = 512;
  int frontThreads = 2;  // JSON, template and tokenizer run there

  std::chrono::milliseconds idleTimeout{60'000};    // between two requests of a connection
  std::chrono::milliseconds headerTimeout{10'000};  // first byte to end of head
  std::chrono::milliseconds bodyTimeout{30'000};
  std::chrono::milliseconds writeTimeout{30'000};   // a client that takes no byte for so long
  std::chrono::milliseconds keepAliveEvery{5'000};  // silence before an SSE comment
};

}  // namespace tandem::server
