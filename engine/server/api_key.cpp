// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/api_key.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <strings.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

namespace tandem::server {

namespace {

constexpr std::size_t kShortestKey = 16;  // characters; shorter ones can be guessed over a network

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

Result<ApiKeys> ApiKeys::load(const std::filesystem::path& file) {
  ApiKeys keys;
  if (file.empty()) {
    return keys;
  }
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return Error{
        ErrorCode::NotFound,
        fmt::format("cannot read the API key file {}: {}", file.string(), std::strerror(errno)),
        "Write a key of at least 16 characters into it, readable by its owner only."};
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the API key file {} has mode {:04o}; others can reach it",
                             file.string(),
                             status.st_mode & 07777U),
                 fmt::format("Run: chmod 600 {}", file.string())};
  }
  std::ifstream stream(file);
  if (!stream) {
    return Error{ErrorCode::NotFound,
                 fmt::format("cannot open the API key file {}", file.string()),
                 "Make it readable for the user that runs the engine."};
  }
  for (std::string line; std::getline(stream, line);) {
    const std::string_view key = trimmed(line);
    if (key.empty() || key.front() == '#') {
      continue;
    }
    if (key.size() < kShortestKey) {
      return Error{
          ErrorCode::InvalidArgument,
          fmt::format("the API key file {} has a key of {} characters", file.string(), key.size()),
          fmt::format("Use at least {} characters.", kShortestKey)};
    }
    keys.digests_.push_back(digestOf(key));
  }
  if (keys.digests_.empty()) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("the API key file {} holds no key", file.string()),
                 "Write one key a line into it."};
  }
  return keys;
}

bool ApiKeys::accept(std::string_view presented) const {
  if (!required()) {
    return true;
  }
  const Digest digest = digestOf(presented);
  bool found = false;
  for (const Digest& known : digests_) {  // all of them: no early exit that a clock could see
    found |= CRYPTO_memcmp(known.data(), digest.data(), digest.size()) == 0;
  }
  return found;
}

ApiKeys::Digest ApiKeys::digestOf(std::string_view key) {
  Digest digest{};
  // OpenSSL takes bytes as unsigned char; the key is only read.
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

std::string_view bearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() < kScheme.size() ||
      ::strncasecmp(authorization.data(), kScheme.data(), kScheme.size()) != 0) {
    return {};
  }
  return trimmed(authorization.substr(kScheme.size()));
}

}  // namespace tandem::server
