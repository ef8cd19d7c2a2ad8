// SPDX-License-Identifier: GPL-3.0-or-later
// A TLS 1.3 connection whose only credential is the secret of a pairing (external PSK, RFC 8446).
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"
#include "engine/base/thread_annotations.h"
#include "engine/comm/peer_secret.h"
#include "engine/comm/tcp.h"

struct ssl_st;

namespace tandem::comm {

enum class TlsRole { Server, Client };

using ExportedKey = std::array<std::byte, 32>;

/// Both ends prove that they hold the secret, keys are fresh for each connection (PSK with
/// ephemeral Diffie-Hellman), and no certificate is ever accepted.
/// Thread   one reader; writers from any thread take turns.
class TlsStream {
 public:
  /// Does the handshake on a connected, non-blocking socket.
  /// Fails    PermissionDenied when the two secrets differ; DataCorrupt when the other end does
  ///          not speak TLS 1.3 with a pre-shared key; Unavailable, Timeout, Cancelled.
  static Result<std::unique_ptr<TlsStream>> handshake(FileDescriptor socket,
                                                      TlsRole role,
                                                      const PeerSecret& secret,
                                                      const WaitLimit& limit);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// Bytes that are there now: 0 when none.
  /// Fails    Unavailable when the other end is gone; DataCorrupt for a forged record.
  Result<std::size_t> readSome(std::span<std::byte> data) TANDEM_EXCLUDES(sslMutex_);

  /// Fails    as above; Timeout when the other end does not take the bytes before the deadline.
  Result<void> write(std::span<const std::byte> data, const WaitLimit& limit)
      TANDEM_EXCLUDES(writeMutex_, sslMutex_);

  /// A key only the two ends of this connection know (RFC 8446 §7.5).
  Result<ExportedKey> exportKey(const std::string& label) TANDEM_EXCLUDES(sslMutex_);

  [[nodiscard]] int socket() const { return socket_.get(); }

 private:
  struct SslFree {
    void operator()(ssl_st* ssl) const;
  };

  TlsStream(FileDescriptor socket, std::unique_ptr<ssl_st, SslFree> ssl)
      : socket_(std::move(socket)),
        ssl_(std::move(ssl)) {}

  const FileDescriptor socket_;
  Mutex writeMutex_;  // held for a whole write, so that messages stay whole
  Mutex sslMutex_;    // held for one call into OpenSSL, so that a slow write never stops the reader
  const std::unique_ptr<ssl_st, SslFree> ssl_ TANDEM_PT_GUARDED_BY(sslMutex_);
};

}  // namespace tandem::comm
