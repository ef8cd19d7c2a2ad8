// SPDX-License-Identifier: GPL-3.0-or-later
// The authenticated port between two ranks: who gets in, who does not, and how a loss is noticed.
#include "engine/comm/peer_connection.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <future>
#include <semaphore>
#include <thread>

#include <QTemporaryDir>
#include <QTest>

#include "engine/base/wire.h"
#include "engine/comm/data_handshake.h"
#include "engine/comm/peer_frame.h"
#include "engine/comm/socket_communicator.h"

using namespace tandem;
using namespace tandem::comm;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t kTestType = PeerMessage::kFirstFreeType;

PeerSecret secretOf(int fill) {
  std::array<std::byte, PeerSecret::kBytes> bytes{};
  bytes.fill(std::byte(fill));
  return PeerSecret(bytes);
}

WaitLimit within(std::chrono::milliseconds time) {
  return {std::chrono::steady_clock::now() + time, -1};
}

std::span<const std::byte> bytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string textOf(const PeerMessage& message) {
  std::string text;
  for (const std::byte byte : message.payload) {
    text.push_back(static_cast<char>(byte));
  }
  return text;
}

/// One side of a meeting.
struct Party {
  PeerSecret secret = secretOf(7);
  std::string version = "1.0";
  PeerTimings timings;

  [[nodiscard]] PeerCredentials credentials() const { return {&secret, version, timings}; }
};

struct MeetingResult {
  Result<PeerConnection> rank0;
  Result<PeerConnection> rank1;
};

/// Lets two parties meet on a free loopback port.
MeetingResult meet(const Party& party0,
                   const Party& party1,
                   Logger& logger,
                   std::chrono::milliseconds patience = 10s) {
  Result<PeerListener> listener = PeerListener::open("127.0.0.1", 0);
  const std::uint16_t port = listener.value().port();
  auto rank1 = std::async(std::launch::async, [&] {
    return connectToRank0("127.0.0.1", port, party1.credentials(), within(patience));
  });
  Result<PeerConnection> rank0 = listener->accept(party0.credentials(), within(patience), logger);
  return {std::move(rank0), rank1.get()};
}

std::pair<FileDescriptor, FileDescriptor> socketPair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    qFatal("no socket pair");
  }
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

FileDescriptor connectTo(std::uint16_t port) {
  Result<FileDescriptor> socket = connectTcp("127.0.0.1", port, within(5s));
  return std::move(socket).value();
}

/// A process that runs `body` and exits; killed and reaped when it goes out of scope.
class ChildProcess {
 public:
  template <typename Body>
  explicit ChildProcess(Body body)
      : pid_(::fork()) {
    if (pid_ == 0) {
      body();
      ::_exit(0);
    }
  }
  ~ChildProcess() {
    send(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void send(int signal) const { ::kill(pid_, signal); }

 private:
  const pid_t pid_;
};

/// Rank 1 as a process: connects, takes part in all-reduces of `floats` numbers until it cannot.
void takePartForever(std::uint16_t port, const Party& party, std::size_t floats) {
  Result<PeerConnection> connection =
      connectToRank0("127.0.0.1", port, party.credentials(), within(10s));
  if (!connection) {
    return;
  }
  SocketCommunicator communicator(std::move(connection->data), 1, connection->channel->health());
  std::vector<float> data(floats, 1.0F);
  while (communicator.allReduceSum(data)) {
  }
}

}  // namespace

class PeerConnectionTest : public QObject {
  Q_OBJECT

  Logger logger_{0};

 private slots:
  // Forking comes first: the parent should have no threads then.
  void aKilledPeerEndsAnAllReduceAtOnce() {
    const Party party;
    Result<PeerListener> listener = PeerListener::open("127.0.0.1", 0);
    QVERIFY(listener.ok());
    constexpr std::size_t kFloats = 4U << 20U;
    const std::uint16_t port = listener->port();
    const ChildProcess rank1([&] { takePartForever(port, party, kFloats); });
    Result<PeerConnection> connection = listener->accept(party.credentials(), within(10s), logger_);
    QVERIFY2(connection.ok(), connection.ok() ? "" : connection.error().message.c_str());
    SocketCommunicator communicator(std::move(connection->data), 0, connection->channel->health());
    std::vector<float> data(kFloats, 1.0F);
    QVERIFY(communicator.allReduceSum(data).ok());
    std::binary_semaphore summing{0};
    std::thread killer([&] {
      summing.acquire();
      rank1.send(SIGKILL);
    });
    Result<void> result;
    for (int round = 0; result; ++round) {
      std::fill(data.begin(), data.end(), 1.0F);
      if (round == 3) {
        summing.release();
      }
      result = communicator.allReduceSum(data);
    }
    killer.join();
    QCOMPARE(result.error().code, ErrorCode::Unavailable);
    QVERIFY2(result.error().message.find("rank 1") != std::string::npos,
             result.error().message.c_str());
    // Its end was seen, not its silence.
    QVERIFY2(result.error().message.find("not heard from") == std::string::npos,
             result.error().message.c_str());
    // The channel learns it too, and every later call says the same.
    const auto message = connection->channel->receive(5s);
    QVERIFY(!message.ok());
    QCOMPARE(message.error().code, ErrorCode::Unavailable);
    QCOMPARE(communicator.allReduceSum(data).error().message, result.error().message);
  }

  void aFrozenPeerIsLostWithinFiveSeconds() {
    const Party party;
    Result<PeerListener> listener = PeerListener::open("127.0.0.1", 0);
    QVERIFY(listener.ok());
    const std::uint16_t port = listener->port();
    const ChildProcess rank1([&] { takePartForever(port, party, 16); });
    Result<PeerConnection> connection = listener->accept(party.credentials(), within(10s), logger_);
    QVERIFY(connection.ok());
    SocketCommunicator communicator(std::move(connection->data), 0, connection->channel->health());
    std::vector<float> data(16, 1.0F);
    QVERIFY(communicator.allReduceSum(data).ok());
    rank1.send(SIGSTOP);
    const auto frozen = std::chrono::steady_clock::now();
    Result<void> result;
    while (result) {
      result = communicator.allReduceSum(data);
    }
    const auto waited = std::chrono::steady_clock::now() - frozen;
    rank1.send(SIGCONT);
    QCOMPARE(result.error().code, ErrorCode::Unavailable);
    QVERIFY2(result.error().message.find("rank 1 is lost: not heard from") != std::string::npos,
             result.error().message.c_str());
    // The default timings promise five seconds; a busy machine may add to them.
    const PeerTimings timings;
    QVERIFY(timings.lostAfter + timings.heartbeat <= 5s);
    QVERIFY(waited < 20s);
    QVERIFY(waited > 2s);  // a beat was at most a second old, so this was not a false alarm
  }

  void pairedRanksExchangeMessagesAndSums() {
    MeetingResult met = meet(Party{}, Party{}, logger_);
    QVERIFY(met.rank0.ok() && met.rank1.ok());
    PeerChannel& channel0 = *met.rank0->channel;
    PeerChannel& channel1 = *met.rank1->channel;
    QCOMPARE(channel0.rank(), 0);
    QCOMPARE(channel1.rank(), 1);
    QCOMPARE(channel0.epoch(), channel1.epoch());
    QVERIFY(channel0.send(kTestType, bytesOf("plan")).ok());
    const std::string large(3U << 20U, 'x');
    QVERIFY(channel1.send(kTestType + 1, bytesOf(large)).ok());
    auto at1 = channel1.receive(5s);
    QVERIFY(at1.ok() && at1->has_value());
    QCOMPARE((*at1)->type, kTestType);
    QCOMPARE(textOf(**at1), std::string("plan"));
    auto at0 = channel0.receive(5s);
    QVERIFY(at0.ok() && at0->has_value());
    QVERIFY(textOf(**at0) == large);
    // One clock, so the offset is the error of the measurement: at most the round trip.
    QVERIFY(channel0.clockOffset() < 1s && channel0.clockOffset() > -1s);

    SocketCommunicator end0(std::move(met.rank0->data), 0, channel0.health());
    SocketCommunicator end1(std::move(met.rank1->data), 1, channel1.health());
    std::vector<float> data0{1.0F, 2.0F};
    std::vector<float> data1{10.0F, 20.0F};
    auto other = std::async(std::launch::async, [&] { return end1.allReduceSum(data1); });
    QVERIFY(end0.allReduceSum(data0).ok());
    QVERIFY(other.get().ok());
    QCOMPARE(data0, (std::vector<float>{11.0F, 22.0F}));
    QCOMPARE(data1, data0);
  }

  void aGoodbyeIsNotALoss() {
    MeetingResult met = meet(Party{}, Party{}, logger_);
    QVERIFY(met.rank0.ok() && met.rank1.ok());
    QVERIFY(met.rank0->channel->send(kTestType, bytesOf("last words")).ok());
    met.rank0->channel->goodbye();
    met.rank0->channel.reset();
    const auto words = met.rank1->channel->receive(5s);
    QVERIFY(words.ok() && words->has_value());
    const auto end = met.rank1->channel->receive(5s);
    QVERIFY(!end.ok());
    QCOMPARE(end.error().code, ErrorCode::Cancelled);
    QCOMPARE(met.rank1->channel->send(kTestType, {}).error().code, ErrorCode::Cancelled);
  }

  void anotherSecretIsRefusedOnBothSidesWithTheRemedy() {
    Party stranger;
    stranger.secret = secretOf(8);
    // Rank 0 waits for another rank 1 until its patience ends.
    const MeetingResult met = meet(Party{}, stranger, logger_, 3s);
    QVERIFY(!met.rank1.ok());
    QCOMPARE(met.rank1.error().code, ErrorCode::PermissionDenied);
    QCOMPARE(met.rank1.error().message,
             std::string("rank 0 has another pairing secret than this node"));
    QVERIFY(met.rank1.error().remedy.find("Pair") != std::string::npos);
    QVERIFY(!met.rank0.ok());
    QCOMPARE(met.rank0.error().code, ErrorCode::Timeout);
    QVERIFY2(met.rank0.error().message.find("another pairing secret") != std::string::npos,
             met.rank0.error().message.c_str());
  }

  void anotherVersionIsNamedOnBothSides() {
    Party newer;
    newer.version = "2.0";
    const MeetingResult met = meet(Party{}, newer, logger_);
    QVERIFY(!met.rank0.ok() && !met.rank1.ok());
    QCOMPARE(met.rank0.error().code, ErrorCode::InvalidArgument);
    QCOMPARE(met.rank0.error().message,
             std::string("rank 1 runs Tandem 2.0 (peer protocol 1), this node runs 1.0 (peer "
                         "protocol 1)"));
    QCOMPARE(met.rank1.error().message,
             std::string("rank 0 runs Tandem 1.0 (peer protocol 1), this node runs 2.0 (peer "
                         "protocol 1)"));
  }

  void nobodyListeningIsNamedWithTheAddress() {
    std::uint16_t port = 0;
    {
      Result<PeerListener> listener = PeerListener::open("127.0.0.1", 0);
      port = listener.value().port();
    }
    const Party party;
    const Result<PeerConnection> result =
        connectToRank0("127.0.0.1", port, party.credentials(), within(300ms));
    QVERIFY(!result.ok());
    QCOMPARE(result.error().code, ErrorCode::Unavailable);
    QVERIFY(result.error().message.find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
  }

  void garbageAndSilenceDoNotKeepTheWorkerOut() {
    Party party;
    party.timings.handshake = 1500ms;  // the silent one costs this; rank 1 must get by with it
    Result<PeerListener> listener = PeerListener::open("127.0.0.1", 0);
    QVERIFY(listener.ok());
    const std::uint16_t port = listener->port();
    const FileDescriptor silent = connectTo(port);
    const FileDescriptor browser = connectTo(port);
    QVERIFY(writeAll(browser.get(), bytesOf("GET / HTTP/1.1\r\n\r\n"), within(1s)).ok());
    const FileDescriptor noise = connectTo(port);
    QVERIFY(writeAll(noise.get(), bytesOf(std::string(5000, '\x16')), within(1s)).ok());
    const FileDescriptor dataFirst = connectTo(port);
    QVERIFY(writeAll(dataFirst.get(), bytesOf("TNDDATA1"), within(1s)).ok());
    auto rank1 = std::async(std::launch::async, [&] {
      return connectToRank0("127.0.0.1", port, party.credentials(), within(10s));
    });
    const std::uint64_t before = logger_.lastSeq();
    const Result<PeerConnection> rank0 =
        listener->accept(party.credentials(), within(10s), logger_);
    QVERIFY(rank0.ok());
    QVERIFY(rank1.get().ok());
    const auto warnings = logger_.recordsAfter(before);
    QCOMPARE(warnings.size(), 4U);
    for (const LogRecord& warning : warnings) {
      QVERIFY2(warning.text.find("was refused") != std::string::npos, warning.text.c_str());
    }
  }

  void recordedBytesOfADataConnectionProveNothingLater() {
    const ExportedKey key{std::byte(3)};
    constexpr std::uint64_t kEpoch = 99;
    // A genuine connection, with everything rank 1 says recorded on the way.
    auto [rank1End, tap1] = socketPair();
    auto [tap0, rank0End] = socketPair();
    auto opened = std::async(std::launch::async, [&, socket = rank1End.get()] {
      return openData(socket, key, kEpoch, within(5s));
    });
    auto accepted = std::async(std::launch::async, [&, socket = rank0End.get()] {
      return acceptData(socket, key, kEpoch, within(5s));
    });
    const auto relay = [](int from, int to, std::size_t count) {
      std::vector<std::byte> bytes(count);
      const bool moved =
          readExactly(from, bytes, within(5s)).ok() && writeAll(to, bytes, within(5s)).ok();
      return moved ? bytes : std::vector<std::byte>();
    };
    const auto greeting = relay(tap1.get(), tap0.get(), 48);
    relay(tap0.get(), tap1.get(), 64);
    const auto proof = relay(tap1.get(), tap0.get(), 32);
    relay(tap0.get(), tap1.get(), 1);
    QVERIFY(opened.get().ok());
    QVERIFY(accepted.get().ok());

    // The same bytes again, same key, same epoch.
    auto [replayer, rank0Again] = socketPair();
    QVERIFY(writeAll(replayer.get(), greeting, within(1s)).ok());
    QVERIFY(writeAll(replayer.get(), proof, within(5s)).ok());
    const Result<void> replayed = acceptData(rank0Again.get(), key, kEpoch, within(5s));
    QVERIFY(!replayed.ok());
    QCOMPARE(replayed.error().code, ErrorCode::PermissionDenied);
  }

  void aDataConnectionOfAnotherKeyOrEpochIsRefused_data() {
    QTest::addColumn<int>("keyFill");
    QTest::addColumn<quint64>("epoch");
    QTest::newRow("another key") << 4 << quint64(99);
    QTest::newRow("another epoch") << 3 << quint64(98);
  }

  void aDataConnectionOfAnotherKeyOrEpochIsRefused() {
    QFETCH(int, keyFill);
    QFETCH(quint64, epoch);
    auto [rank1End, rank0End] = socketPair();
    auto opened = std::async(std::launch::async,
                             [fill = keyFill, epoch, socket = std::move(rank1End)]() mutable {
                               const ExportedKey key{std::byte(fill)};
                               const FileDescriptor own = std::move(socket);
                               return openData(own.get(), key, epoch, within(5s));
                             });
    const ExportedKey key{std::byte(3)};
    const Result<void> accepted = acceptData(rank0End.get(), key, 99, within(5s));
    rank0End.reset();
    QVERIFY(!accepted.ok());
    QVERIFY(!opened.get().ok());
  }

  void theListenerRefusesEveryInterfaceAndNamesWhoHasAPort() {
    QCOMPARE(PeerListener::open("0.0.0.0", 0).error().code, ErrorCode::InvalidArgument);
    QCOMPARE(PeerListener::open("::", 0).error().code, ErrorCode::InvalidArgument);
    QCOMPARE(PeerListener::open("", 0).error().code, ErrorCode::InvalidArgument);
    const Result<PeerListener> first = PeerListener::open("127.0.0.1", 0);
    QVERIFY(first.ok());
    const Result<PeerListener> second = PeerListener::open("127.0.0.1", first->port());
    QVERIFY(!second.ok());
    QCOMPARE(second.error().code, ErrorCode::AlreadyExists);
    const std::string us = "(pid " + std::to_string(::getpid()) + ")";
    QVERIFY2(second.error().message.find(us) != std::string::npos, second.error().message.c_str());
    QVERIFY(second.error().message.find(std::to_string(first->port())) != std::string::npos);
  }

  void aFrameOverTheLimitIsRefused() {
    ByteWriter header;
    header.number(std::uint32_t{0x7fffffff});
    header.number(kTestType);
    FrameParser parser;
    parser.feed(header.bytes());
    const auto next = parser.next();
    QVERIFY(!next.ok());
    QCOMPARE(next.error().code, ErrorCode::DataCorrupt);
  }

  void framesSurviveBeingCutAnywhere() {
    const std::vector<std::byte> stream = encodeFrame(kTestType, bytesOf("abc"));
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      FrameParser parser;
      parser.feed(std::span(stream).first(cut));
      const auto early = parser.next();
      QVERIFY(early.ok());
      QCOMPARE(early->has_value(), cut == stream.size());
      if (!early->has_value()) {
        parser.feed(std::span(stream).subspan(cut));
        const auto whole = parser.next();
        QVERIFY(whole.ok() && whole->has_value());
        QCOMPARE(textOf(**whole), std::string("abc"));
      }
    }
  }
};

class PeerSecretTest : public QObject {
  Q_OBJECT

 private slots:
  void aNewFileIsPrivateAndLoads() {
    const QTemporaryDir folder;
    const std::filesystem::path file = folder.filePath(QStringLiteral("s")).toStdString();
    QVERIFY(PeerSecret::createFile(file).ok());
    struct stat status {};
    QCOMPARE(::stat(file.c_str(), &status), 0);
    QCOMPARE(status.st_mode & 07777U, 0600U);
    QVERIFY(PeerSecret::load(file).ok());
    QCOMPARE(PeerSecret::createFile(file).error().code, ErrorCode::AlreadyExists);
  }

  void twoSecretsDiffer() {
    const QTemporaryDir folder;
    const std::filesystem::path a = folder.filePath(QStringLiteral("a")).toStdString();
    const std::filesystem::path b = folder.filePath(QStringLiteral("b")).toStdString();
    QVERIFY(PeerSecret::createFile(a).ok() && PeerSecret::createFile(b).ok());
    const Result<PeerSecret> first = PeerSecret::load(a);
    const Result<PeerSecret> second = PeerSecret::load(b);
    QVERIFY(!std::equal(first->bytes().begin(), first->bytes().end(), second->bytes().begin()));
  }

  void anUnsafeFileIsRefused_data() {
    QTest::addColumn<int>("bytes");
    QTest::addColumn<int>("mode");
    QTest::addColumn<int>("code");
    QTest::newRow("readable by the group")
        << 32 << 0640 << static_cast<int>(ErrorCode::PermissionDenied);
    QTest::newRow("readable by all") << 32 << 0604 << static_cast<int>(ErrorCode::PermissionDenied);
    QTest::newRow("one byte short") << 31 << 0600 << static_cast<int>(ErrorCode::DataCorrupt);
    QTest::newRow("one byte long") << 33 << 0600 << static_cast<int>(ErrorCode::DataCorrupt);
    QTest::newRow("empty") << 0 << 0600 << static_cast<int>(ErrorCode::DataCorrupt);
  }

  void anUnsafeFileIsRefused() {
    QFETCH(int, bytes);
    QFETCH(int, mode);
    QFETCH(int, code);
    const QTemporaryDir folder;
    const std::string file = folder.filePath(QStringLiteral("s")).toStdString();
    std::ofstream(file, std::ios::binary) << std::string(static_cast<std::size_t>(bytes), 'k');
    QCOMPARE(::chmod(file.c_str(), static_cast<mode_t>(mode)), 0);
    const Result<PeerSecret> loaded = PeerSecret::load(file);
    QVERIFY(!loaded.ok());
    QCOMPARE(static_cast<int>(loaded.error().code), code);
    QVERIFY(loaded.error().message.find(file) != std::string::npos);
  }

  void aMissingFileIsNotFound() {
    QCOMPARE(PeerSecret::load("/nonexistent/secret").error().code, ErrorCode::NotFound);
  }
};

int main(int argc, char** argv) {
  PeerConnectionTest connection;
  PeerSecretTest secret;
  return QTest::qExec(&connection, argc, argv) + QTest::qExec(&secret, argc, argv);
}
#include "peer_connection_test.moc"
