// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/socket_communicator.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "engine/base/wire.h"
#include "engine/comm/tcp.h"

namespace tandem::comm {

namespace {

// magic u32 · op u8 · root u32 · sequence u64 · bytes u64
constexpr std::uint32_t kMagic = 0x43444e54;  // "TNDC"
constexpr std::size_t kHeaderBytes = 25;
using Header = std::array<std::byte, kHeaderBytes>;

// Ranks reach a call within tens of microseconds of each other; going to sleep and being woken
// costs about as much again, so a wait first spins this long.
constexpr std::chrono::microseconds kSpin{150};

Header encode(const CollectiveCall& call) {
  ByteWriter writer;
  writer.number(kMagic);
  writer.number(static_cast<std::uint8_t>(call.op));
  writer.number(call.root);
  writer.number(call.sequence);
  writer.number(call.bytes);
  Header header{};
  assert(writer.bytes().size() == header.size());
  std::copy(writer.bytes().begin(), writer.bytes().end(), header.begin());
  return header;
}

std::optional<CollectiveCall> decode(const Header& header) {
  ByteReader reader(header);
  if (reader.number<std::uint32_t>() != kMagic) {
    return std::nullopt;
  }
  CollectiveCall call;
  call.op = static_cast<CollectiveOp>(reader.number<std::uint8_t>());
  call.root = reader.number<std::int32_t>();
  call.sequence = reader.number<std::uint64_t>();
  call.bytes = reader.number<std::uint64_t>();
  return call;
}

iovec toVector(std::span<const std::byte> bytes) {
  // iovec serves reads and writes alike and so has no const.
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

}  // namespace

/// One call in flight: what is still to be sent and received.
class SocketCommunicator::Exchange {
 public:
  Exchange(SocketCommunicator& owner,
           const CollectiveCall& call,
           std::span<const std::byte> out,
           std::span<std::byte> in)
      : owner_(owner),
        call_(call),
        header_(encode(call)),
        out_(out),
        in_(in),
        deadline_(std::chrono::steady_clock::now() + owner.deadline_) {}

  Result<void> run() {
    MonotonicTime spinUntil = std::chrono::steady_clock::now() + kSpin;
    while (!sentAll() || !receivedAll()) {
      const Result<bool> progress = advance();
      if (!progress) {
        return progress.error();
      }
      if (*progress) {
        spinUntil = std::chrono::steady_clock::now() + kSpin;
      } else if (std::chrono::steady_clock::now() < spinUntil) {
        if (owner_.health_ && owner_.health_->failed()) {
          return owner_.health_->failure().value();
        }
        std::this_thread::yield();
      } else if (const Result<void> ready = sleep(); !ready) {
        return ready;
      }
    }
    return {};
  }

 private:
  [[nodiscard]] bool sentAll() const { return sent_ == kHeaderBytes + out_.size(); }
  [[nodiscard]] bool receivedAll() const {
    return headerAccepted_ && received_ == kHeaderBytes + in_.size();
  }

  /// One try to send and one to receive; true if bytes moved.
  Result<bool> advance() {
    bool moved = false;
    if (!sentAll()) {
      const Result<bool> sent = send();
      if (!sent) {
        return sent;
      }
      moved = *sent;
    }
    if (!receivedAll()) {
      const Result<bool> received = receive();
      if (!received) {
        return received;
      }
      moved = moved || *received;
    }
    return moved;
  }

  Result<bool> send() {
    std::array<iovec, 2> parts{};
    std::size_t count = 0;
    if (sent_ < kHeaderBytes) {
      parts[count++] = toVector(std::span(header_).subspan(sent_));
    }
    if (!out_.empty()) {
      parts[count++] = toVector(out_.subspan(sent_ < kHeaderBytes ? 0 : sent_ - kHeaderBytes));
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t moved = ::sendmsg(owner_.socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (moved < 0) {
      return transient(errno) ? Result<bool>(false) : Result<bool>(gone(std::strerror(errno)));
    }
    sent_ += static_cast<std::size_t>(moved);
    return moved > 0;
  }

  Result<bool> receive() {
    const bool inHeader = received_ < kHeaderBytes;
    const std::span<std::byte> target = inHeader ? std::span(peerHeader_).subspan(received_)
                                                 : in_.subspan(received_ - kHeaderBytes);
    bool moved = false;
    if (!target.empty()) {
      const ssize_t count =
          ::recv(owner_.socket_.get(), target.data(), target.size(), MSG_DONTWAIT);
      if (count == 0) {
        return gone("it closed the connection");
      }
      if (count < 0) {
        return transient(errno) ? Result<bool>(false) : Result<bool>(gone(std::strerror(errno)));
      }
      received_ += static_cast<std::size_t>(count);
      moved = true;
    }
    // Judged only once our own header is out, so that the peer can see the disagreement too.
    if (!headerAccepted_ && received_ >= kHeaderBytes && sent_ >= kHeaderBytes) {
      const std::optional<CollectiveCall> theirs = decode(peerHeader_);
      if (!theirs) {
        return Error{ErrorCode::DataCorrupt,
                     fmt::format("rank {} sent no frame header where {} begins",
                                 owner_.peer(),
                                 describe(call_)),
                     "Restart the engine; if it happens again, report both ranks' logs."};
      }
      if (*theirs != call_) {
        return mismatchError(owner_.rank_, call_, owner_.peer(), *theirs);
      }
      headerAccepted_ = true;
      moved = true;
    }
    return moved;
  }

  Result<void> sleep() {
    const short events = static_cast<short>(POLLIN | (sentAll() ? 0 : POLLOUT));
    const int healthFd = owner_.health_ ? owner_.health_->failedFd() : -1;
    const Result<void> ready =
        waitFor(owner_.socket_.get(), events, WaitLimit{deadline_, healthFd});
    if (ready) {
      return ready;
    }
    switch (ready.error().code) {
      case ErrorCode::Cancelled:
        return owner_.health_->failure().value();
      case ErrorCode::Timeout:
        return Error{ErrorCode::Timeout,
                     fmt::format("rank {} did not finish {} within {} ms",
                                 owner_.peer(),
                                 describe(call_),
                                 owner_.deadline_.count()),
                     "It is stuck or far slower than this rank; look at its log."};
      default:
        return ready;
    }
  }

  static bool transient(int number) { return number == EAGAIN || number == EINTR; }

  [[nodiscard]] Error gone(const char* how) const {
    return Error{ErrorCode::Unavailable,
                 fmt::format("rank {} is gone in {}: {}", owner_.peer(), describe(call_), how),
                 "Its own log says why."};
  }

  SocketCommunicator& owner_;
  const CollectiveCall call_;
  const Header header_;
  const std::span<const std::byte> out_;
  const std::span<std::byte> in_;
  const MonotonicTime deadline_;
  Header peerHeader_{};
  bool headerAccepted_ = false;
  std::size_t sent_ = 0;      // of header and payload together
  std::size_t received_ = 0;  // likewise
};

SocketCommunicator::SocketCommunicator(FileDescriptor socket,
                                       int rank,
                                       std::shared_ptr<const PeerHealth> health,
                                       std::chrono::milliseconds deadline)
    : socket_(std::move(socket)),
      rank_(rank),
      health_(std::move(health)),
      deadline_(deadline) {
  assert(rank == 0 || rank == 1);
}

Result<void> SocketCommunicator::allReduceSum(std::span<float> data) {
  received_.resize(data.size());
  const Result<void> done = exchange(CollectiveOp::AllReduceSum,
                                     0,
                                     data.size_bytes(),
                                     std::as_bytes(data),
                                     std::as_writable_bytes(std::span(received_)));
  if (!done) {
    return done;
  }
  // With two addends the order does not matter to the bits: float addition commutes.
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] += received_[i];
  }
  return {};
}

Result<void> SocketCommunicator::allGather(std::span<const std::byte> mine,
                                           std::span<std::byte> all) {
  assert(all.size() == 2 * mine.size());
  const auto part = [&](int rank) {
    return all.subspan(static_cast<std::size_t>(rank) * mine.size(), mine.size());
  };
  std::copy(mine.begin(), mine.end(), part(rank_).begin());
  return exchange(CollectiveOp::AllGather, 0, mine.size(), mine, part(peer()));
}

Result<void> SocketCommunicator::broadcast(std::span<std::byte> data, int root) {
  const bool sends = root == rank_;
  return exchange(CollectiveOp::Broadcast,
                  root,
                  data.size(),
                  sends ? std::span<const std::byte>(data) : std::span<const std::byte>(),
                  sends ? std::span<std::byte>() : data);
}

Result<void> SocketCommunicator::exchange(CollectiveOp op,
                                          int root,
                                          std::uint64_t bytes,
                                          std::span<const std::byte> out,
                                          std::span<std::byte> in) {
  if (failure_) {
    return *failure_;
  }
  const CollectiveCall call{++sequence_, op, root, bytes};
  Result<void> done = Exchange(*this, call, out, in).run();
  if (!done) {
    failure_ = done.error();
  }
  return done;
}

}  // namespace tandem::comm
