// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/data_handshake.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "engine/base/wire.h"

namespace tandem::comm {

namespace {

constexpr std::string_view kMagic = "TNDDATA1";
static_assert(std::byte(kMagic[0]) == kDataFirstByte);

constexpr std::size_t kChallengeBytes = 32;
constexpr std::size_t kProofBytes = 32;
constexpr std::byte kAccepted{1};

using Challenge = std::array<std::byte, kChallengeBytes>;
using Proof = std::array<std::byte, kProofBytes>;

Result<Challenge> makeChallenge() {
  Challenge challenge{};
  if (RAND_bytes(reinterpret_cast<unsigned char*>(challenge.data()), kChallengeBytes) != 1) {
    return Error{ErrorCode::Unavailable, "no random bytes for a data connection", ""};
  }
  return challenge;
}

Result<Proof> prove(const ExportedKey& key,
                    std::string_view who,
                    std::uint64_t epoch,
                    const Challenge& fromRank1,
                    const Challenge& fromRank0) {
  ByteWriter message;
  message.text(who);
  message.number(epoch);
  message.raw(fromRank1);
  message.raw(fromRank0);
  Proof proof{};
  unsigned int length = 0;
  if (HMAC(EVP_sha256(),
           key.data(),
           static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(message.bytes().data()),
           message.bytes().size(),
           reinterpret_cast<unsigned char*>(proof.data()),
           &length) == nullptr ||
      length != kProofBytes) {
    return Error{ErrorCode::Internal, "HMAC-SHA256 is not available", "Check OpenSSL."};
  }
  return proof;
}

bool equal(const Proof& a, const Proof& b) {
  return CRYPTO_memcmp(a.data(), b.data(), kProofBytes) == 0;
}

}  // namespace

Result<void> openData(int socket,
                      const ExportedKey& key,
                      std::uint64_t epoch,
                      const WaitLimit& limit) {
  const Result<Challenge> mine = makeChallenge();
  if (!mine) {
    return mine.error();
  }
  ByteWriter greeting;
  greeting.raw(std::as_bytes(std::span(kMagic)));
  greeting.number(epoch);
  greeting.raw(*mine);
  if (const Result<void> sent = writeAll(socket, greeting.bytes(), limit); !sent) {
    return sent;
  }
  Challenge theirs{};
  Proof claimed{};
  for (const std::span<std::byte> part :
       {std::span<std::byte>(theirs), std::span<std::byte>(claimed)}) {
    if (const Result<void> got = readExactly(socket, part, limit); !got) {
      return got;
    }
  }
  const Result<Proof> expected = prove(key, "rank 0", epoch, *mine, theirs);
  const Result<Proof> answer = prove(key, "rank 1", epoch, *mine, theirs);
  if (!expected || !answer) {
    return expected ? answer.error() : expected.error();
  }
  if (!equal(claimed, *expected)) {
    return Error{ErrorCode::PermissionDenied,
                 "the data connection reached something that is not the paired rank 0",
                 "Check what else uses the peer's address and port."};
  }
  if (const Result<void> sent = writeAll(socket, *answer, limit); !sent) {
    return sent;
  }
  std::array<std::byte, 1> verdict{};
  if (const Result<void> got = readExactly(socket, verdict, limit); !got) {
    return got;
  }
  if (verdict[0] != kAccepted) {
    return Error{ErrorCode::PermissionDenied, "rank 0 refused the data connection", ""};
  }
  return {};
}

Result<void> acceptData(int socket,
                        const ExportedKey& key,
                        std::uint64_t epoch,
                        const WaitLimit& limit) {
  std::array<std::byte, kMagic.size() + sizeof epoch + kChallengeBytes> greeting{};
  if (const Result<void> got = readExactly(socket, greeting, limit); !got) {
    return got;
  }
  ByteReader reader(greeting);
  const std::span<const std::byte> magic = reader.raw(kMagic.size());
  const std::span<const std::byte> expectedMagic = std::as_bytes(std::span(kMagic));
  if (!std::equal(magic.begin(), magic.end(), expectedMagic.begin(), expectedMagic.end())) {
    return Error{ErrorCode::DataCorrupt, "it does not speak Tandem's data protocol", ""};
  }
  if (reader.number<std::uint64_t>() != epoch) {
    return Error{ErrorCode::PermissionDenied, "it belongs to another start of the engine", ""};
  }
  Challenge theirs{};
  const std::span<const std::byte> challenge = reader.raw(kChallengeBytes);
  std::copy(challenge.begin(), challenge.end(), theirs.begin());
  const Result<Challenge> mine = makeChallenge();
  if (!mine) {
    return mine.error();
  }
  const Result<Proof> proof = prove(key, "rank 0", epoch, theirs, *mine);
  const Result<Proof> expected = prove(key, "rank 1", epoch, theirs, *mine);
  if (!proof || !expected) {
    return proof ? expected.error() : proof.error();
  }
  ByteWriter answer;
  answer.raw(*mine);
  answer.raw(*proof);
  if (const Result<void> sent = writeAll(socket, answer.bytes(), limit); !sent) {
    return sent;
  }
  Proof claimed{};
  if (const Result<void> got = readExactly(socket, claimed, limit); !got) {
    return got;
  }
  const bool genuine = equal(claimed, *expected);
  const std::array<std::byte, 1> verdict{genuine ? kAccepted : std::byte{0}};
  if (const Result<void> sent = writeAll(socket, verdict, limit); !sent) {
    return sent;
  }
  if (!genuine) {
    return Error{ErrorCode::PermissionDenied,
                 "it could not prove that it is the paired rank 1",
                 ""};
  }
  return {};
}

}  // namespace tandem::comm
