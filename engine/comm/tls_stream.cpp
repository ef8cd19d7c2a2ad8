// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/tls_stream.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

namespace tandem::comm {

namespace {

// The secret's name in the handshake. It is sent in the clear and says nothing.
constexpr std::string_view kIdentity = "tandem-pairing";

// TLS_AES_128_GCM_SHA256: a 32-byte secret is exactly one SHA-256 output.
constexpr std::array<unsigned char, 2> kCipherSuite{0x13, 0x01};

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextFree>;

// OpenSSL's own socket BIO uses write(), which raises SIGPIPE when the peer is gone; this one does
// not. Its data pointer holds the descriptor, which it does not own.

int bioSocket(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

int finishTransfer(BIO* bio, ssize_t count, int retryFlag) {
  BIO_clear_retry_flags(bio);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
    BIO_set_flags(bio, retryFlag | BIO_FLAGS_SHOULD_RETRY);
  }
  if (count == 0) {
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  }
  return static_cast<int>(count);
}

int bioWrite(BIO* bio, const char* data, int length) {
  const ssize_t count =
      ::send(bioSocket(bio), data, static_cast<std::size_t>(length), MSG_NOSIGNAL | MSG_DONTWAIT);
  return finishTransfer(bio, count, BIO_FLAGS_WRITE);
}

int bioRead(BIO* bio, char* data, int length) {
  const ssize_t count =
      ::recv(bioSocket(bio), data, static_cast<std::size_t>(length), MSG_DONTWAIT);
  return finishTransfer(bio, count, BIO_FLAGS_READ);
}

long bioControl(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

struct BioMethodFree {
  void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
};

/// A BIO over `socket`, or null without memory. The method table is made once and shared.
BIO* makeBio(int socket) {
  static const std::unique_ptr<BIO_METHOD, BioMethodFree> kMethod = [] {
    std::unique_ptr<BIO_METHOD, BioMethodFree> method(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE"));
    if (method) {
      BIO_meth_set_write(method.get(), bioWrite);
      BIO_meth_set_read(method.get(), bioRead);
      BIO_meth_set_ctrl(method.get(), bioControl);
    }
    return method;
  }();
  BIO* bio = kMethod ? BIO_new(kMethod.get()) : nullptr;
  if (bio != nullptr) {
    // OpenSSL keeps one pointer for us; the number itself needs no memory that outlives the BIO.
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it is never used as an address
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
    BIO_set_init(bio, 1);
  }
  return bio;
}

/// The newest entry of OpenSSL's error queue, which is then emptied.
struct OpenSslFailure {
  int reason = 0;
  std::string text;
};

OpenSslFailure takeFailure() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = ERR_reason_error_string(code);
  return {ERR_GET_REASON(code), text != nullptr ? text : "connection closed"};
}

/// A session that carries the secret as an external pre-shared key, or null without memory.
SSL_SESSION* makePskSession(SSL* ssl) {
  const auto* secret = static_cast<const PeerSecret*>(SSL_get_app_data(ssl));
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kCipherSuite.data());
  SSL_SESSION* session = SSL_SESSION_new();
  if (session == nullptr || cipher == nullptr) {
    SSL_SESSION_free(session);
    return nullptr;
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(secret->bytes().data());
  if (SSL_SESSION_set1_master_key(session, bytes, PeerSecret::kBytes) != 1 ||
      SSL_SESSION_set_cipher(session, cipher) != 1 ||
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1) {
    SSL_SESSION_free(session);
    return nullptr;
  }
  return session;
}

int offerSecret(SSL* ssl,
                const EVP_MD* /*digest*/,
                const unsigned char** identity,
                std::size_t* identityLength,
                SSL_SESSION** session) {
  *session = makePskSession(ssl);
  *identity = reinterpret_cast<const unsigned char*>(kIdentity.data());
  *identityLength = kIdentity.size();
  return *session != nullptr ? 1 : 0;
}

int findSecret(SSL* ssl,
               const unsigned char* identity,
               std::size_t identityLength,
               SSL_SESSION** session) {
  const bool known =
      std::equal(identity,
                 identity + identityLength,
                 kIdentity.begin(),
                 kIdentity.end(),
                 [](unsigned char a, char b) { return a == static_cast<unsigned char>(b); });
  *session = known ? makePskSession(ssl) : nullptr;
  return known && *session == nullptr ? 0 : 1;
}

Result<Context> makeContext(TlsRole role) {
  Context context(SSL_CTX_new(role == TlsRole::Server ? TLS_server_method() : TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") != 1) {
    return Error{ErrorCode::Internal,
                 fmt::format("could not set up TLS: {}", takeFailure().text),
                 "Check the OpenSSL installation."};
  }
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (role == TlsRole::Server) {
    SSL_CTX_set_psk_find_session_callback(context.get(), findSecret);
    SSL_CTX_set_num_tickets(context.get(), 0);
  } else {
    SSL_CTX_set_psk_use_session_callback(context.get(), offerSecret);
    // No authority is trusted, so a server that shows a certificate instead of the secret fails.
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  return context;
}

Error handshakeError(TlsRole role) {
  const OpenSslFailure failure = takeFailure();
  const bool differs = failure.reason == SSL_R_BINDER_DOES_NOT_VERIFY ||
                       failure.reason == SSL_R_TLSV1_ALERT_DECRYPT_ERROR ||
                       failure.reason == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER;
  if (differs) {
    return Error{ErrorCode::PermissionDenied,
                 role == TlsRole::Client ? "rank 0 has another pairing secret than this node"
                                         : "the other end has another pairing secret",
                 "Pair the nodes again, so that both hold the same secret."};
  }
  return Error{ErrorCode::DataCorrupt,
               fmt::format("the other end is not a Tandem rank ({})", failure.text),
               "Check that nothing else uses this address and port."};
}

Error lostError(const OpenSslFailure& failure) {
  return Error{ErrorCode::Unavailable,
               fmt::format("the peer connection broke ({})", failure.text),
               ""};
}

}  // namespace

void TlsStream::SslFree::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

TlsStream::~TlsStream() {
  const MutexLock lock(sslMutex_);
  // Says goodbye if the socket takes it at once; there is no point in waiting for an answer.
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

Result<std::unique_ptr<TlsStream>> TlsStream::handshake(FileDescriptor socket,
                                                        TlsRole role,
                                                        const PeerSecret& secret,
                                                        const WaitLimit& limit) {
  Result<Context> context = makeContext(role);
  if (!context) {
    return context.error();
  }
  std::unique_ptr<ssl_st, SslFree> ssl(SSL_new(context->get()));
  BIO* bio = ssl ? makeBio(socket.get()) : nullptr;
  if (bio == nullptr) {
    return Error{ErrorCode::OutOfMemory, "no memory for a TLS connection", ""};
  }
  SSL_set_bio(ssl.get(), bio, bio);  // takes ownership
  // The callbacks run inside SSL_do_handshake only, while `secret` lives.
  SSL_set_app_data(ssl.get(), const_cast<PeerSecret*>(&secret));
  if (role == TlsRole::Server) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
  }
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl.get());
    if (done == 1) {
      break;
    }
    const int why = SSL_get_error(ssl.get(), done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      return handshakeError(role);
    }
    const short events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    if (const Result<void> ready = waitFor(socket.get(), events, limit); !ready) {
      return ready.error().within("TLS handshake");
    }
  }
  SSL_set_app_data(ssl.get(), nullptr);
  // "Reused" is how TLS 1.3 calls a handshake that a pre-shared key has authenticated.
  if (SSL_session_reused(ssl.get()) != 1) {
    return Error{ErrorCode::PermissionDenied,
                 "the other end did not prove that it holds the pairing secret",
                 "Pair the nodes again."};
  }
  return std::unique_ptr<TlsStream>(new TlsStream(std::move(socket), std::move(ssl)));
}

Result<std::size_t> TlsStream::readSome(std::span<std::byte> data) {
  const MutexLock lock(sslMutex_);
  ERR_clear_error();
  std::size_t count = 0;
  const int done = SSL_read_ex(ssl_.get(), data.data(), data.size(), &count);
  if (done == 1) {
    return count;
  }
  switch (SSL_get_error(ssl_.get(), done)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return std::size_t{0};
    case SSL_ERROR_ZERO_RETURN:
      return Error{ErrorCode::Unavailable, "the peer closed its connection", ""};
    case SSL_ERROR_SSL: {
      const OpenSslFailure failure = takeFailure();
      if (failure.reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        return Error{ErrorCode::Unavailable, "the peer closed its connection", ""};
      }
      return Error{ErrorCode::DataCorrupt,
                   fmt::format("the peer connection carried a bad record ({})", failure.text),
                   "Check the cable and what else is on this network."};
    }
    default:
      return lostError(takeFailure());
  }
}

Result<void> TlsStream::write(std::span<const std::byte> data, const WaitLimit& limit) {
  const MutexLock whole(writeMutex_);
  while (!data.empty()) {
    std::size_t count = 0;
    int why = SSL_ERROR_NONE;
    {
      const MutexLock lock(sslMutex_);
      ERR_clear_error();
      const int done = SSL_write_ex(ssl_.get(), data.data(), data.size(), &count);
      if (done != 1) {
        why = SSL_get_error(ssl_.get(), done);
      }
    }
    if (why == SSL_ERROR_NONE) {
      data = data.subspan(count);
      continue;
    }
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      return lostError(takeFailure());
    }
    const short events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    if (const Result<void> ready = waitFor(socket_.get(), events, limit); !ready) {
      return ready;
    }
  }
  return {};
}

Result<ExportedKey> TlsStream::exportKey(const std::string& label) {
  const MutexLock lock(sslMutex_);
  ExportedKey key{};
  if (SSL_export_keying_material(ssl_.get(),
                                 reinterpret_cast<unsigned char*>(key.data()),
                                 key.size(),
                                 label.data(),
                                 label.size(),
                                 nullptr,
                                 0,
                                 0) != 1) {
    return Error{ErrorCode::Internal,
                 fmt::format("could not export a key from TLS: {}", takeFailure().text),
                 ""};
  }
  return key;
}

}  // namespace tandem::comm
