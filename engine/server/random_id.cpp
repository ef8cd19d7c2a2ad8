// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/random_id.h"

#include <random>

namespace tandem::server {

std::string randomId(std::string_view prefix) {
  constexpr std::string_view kAlphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr int kLength = 24;
  thread_local std::random_device device;
  std::uniform_int_distribution<std::size_t> draw(0, kAlphabet.size() - 1);
  std::string id(prefix);
  for (int i = 0; i < kLength; ++i) {
    id += kAlphabet[draw(device)];
  }
  return id;
}

}  // namespace tandem::server
