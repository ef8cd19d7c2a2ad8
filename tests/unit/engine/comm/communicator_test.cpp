// SPDX-License-Identifier: GPL-3.0-or-later
// Collectives between ranks: the same claims for threads and for sockets.
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include <QTest>

#include "engine/comm/loopback_communicator.h"
#include "engine/comm/metered_communicator.h"
#include "engine/comm/socket_communicator.h"

using namespace tandem;
using namespace tandem::comm;
using namespace std::chrono_literals;

namespace {

/// Collectives that do nothing but take time, and know how much.
class TimedCommunicator final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 2; }
  Result<void> allReduceSum(std::span<float> /*data*/) override { return takeTime(); }
  Result<void> allGather(std::span<const std::byte> /*mine*/,
                         std::span<std::byte> /*all*/) override {
    return takeTime();
  }
  Result<void> broadcast(std::span<std::byte> /*data*/, int /*root*/) override {
    return takeTime();
  }

  int calls = 0;
  std::chrono::steady_clock::duration inside{};

 private:
  Result<void> takeTime() {
    const auto begin = std::chrono::steady_clock::now();
    auto now = begin;
    while (now == begin) {
      now = std::chrono::steady_clock::now();
    }
    inside += now - begin;
    ++calls;
    return {};
  }
};

/// Runs `body(rank, communicator)` on one thread per rank and gives what each returned.
template <typename Body>
std::vector<Result<void>> onEveryRank(std::vector<std::unique_ptr<Communicator>>& ends, Body body) {
  std::vector<Result<void>> results(ends.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < ends.size(); ++rank) {
    threads.emplace_back([&, rank] { results[rank] = body(static_cast<int>(rank), *ends[rank]); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return results;
}

std::vector<float> randomFloats(int seed, std::size_t count) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::normal_distribution<float> normal(0.0F, 100.0F);
  std::vector<float> values(count);
  for (float& value : values) {
    value = normal(random);
  }
  return values;
}

enum class Transport { Loopback, Socket };

using Ends = std::vector<std::unique_ptr<Communicator>>;

Ends makeEnds(Transport transport, std::chrono::milliseconds deadline = 60s) {
  if (transport == Transport::Loopback) {
    return makeLoopbackCommunicators(2, deadline);
  }
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    qFatal("no socket pair");
  }
  Ends ends;
  for (int rank = 0; rank < 2; ++rank) {
    ends.push_back(std::make_unique<SocketCommunicator>(
        FileDescriptor(sockets[static_cast<std::size_t>(rank)]),
        rank,
        nullptr,
        deadline));
  }
  return ends;
}

void addTransports() {
  QTest::addColumn<Transport>("transport");
  QTest::newRow("threads") << Transport::Loopback;
  QTest::newRow("sockets") << Transport::Socket;
}

}  // namespace

Q_DECLARE_METATYPE(Transport)

class CommunicatorTest : public QObject {
  Q_OBJECT

 private slots:
  void allReduceAddsInRankOrderSoEveryRankHoldsTheSameBits_data() { addTransports(); }

  void allReduceAddsInRankOrderSoEveryRankHoldsTheSameBits() {
    QFETCH(Transport, transport);
    constexpr int kRanks = 2;
    constexpr int kRounds = 200;
    auto ends = makeEnds(transport);
    std::vector<std::vector<std::vector<float>>> got(kRanks);
    const auto results = onEveryRank(ends, [&](int rank, Communicator& end) -> Result<void> {
      for (int round = 0; round < kRounds; ++round) {
        std::vector<float> data =
            randomFloats(round * kRanks + rank, static_cast<std::size_t>(1 + round));
        if (const Result<void> done = end.allReduceSum(data); !done) {
          return done;
        }
        got[static_cast<std::size_t>(rank)].push_back(data);
      }
      return {};
    });
    for (const Result<void>& result : results) {
      QVERIFY(result.ok());
    }
    for (int round = 0; round < kRounds; ++round) {
      const auto index = static_cast<std::size_t>(round);
      std::vector<float> expected = randomFloats(round * kRanks, index + 1);
      for (int rank = 1; rank < kRanks; ++rank) {
        const std::vector<float> addend = randomFloats(round * kRanks + rank, index + 1);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          expected[i] += addend[i];
        }
      }
      for (const auto& perRank : got) {
        QCOMPARE(perRank[index], expected);
      }
    }
  }

  void allGatherPlacesPartsInRankOrder_data() { addTransports(); }

  void allGatherPlacesPartsInRankOrder() {
    QFETCH(Transport, transport);
    auto ends = makeEnds(transport);
    const auto results = onEveryRank(ends, [](int rank, Communicator& end) -> Result<void> {
      const std::vector<std::byte> mine(3, std::byte(rank + 7));
      std::vector<std::byte> all(6);
      const Result<void> done = end.allGather(mine, all);
      const std::vector<std::byte> expected{std::byte(7),
                                            std::byte(7),
                                            std::byte(7),
                                            std::byte(8),
                                            std::byte(8),
                                            std::byte(8)};
      if (done && all != expected) {
        return Error{ErrorCode::Internal, "parts are in the wrong places", ""};
      }
      return done;
    });
    QVERIFY(results[0].ok());
    QVERIFY(results[1].ok());
  }

  void broadcastGivesEveryoneTheRootsBytes_data() { addTransports(); }

  void broadcastGivesEveryoneTheRootsBytes() {
    QFETCH(Transport, transport);
    auto ends = makeEnds(transport);
    std::vector<std::vector<std::byte>> data{{std::byte(1), std::byte(2)},
                                             {std::byte(3), std::byte(4)}};
    const auto results = onEveryRank(ends, [&](int rank, Communicator& end) {
      return end.broadcast(data[static_cast<std::size_t>(rank)], 1);
    });
    QVERIFY(results[0].ok() && results[1].ok());
    QCOMPARE(data[0], (std::vector<std::byte>{std::byte(3), std::byte(4)}));
    QCOMPARE(data[1], data[0]);
  }

  void threeThreadsAddInRankOrder() {
    // In float (1e8 + 1) - 1e8 is 0 and (1e8 - 1e8) + 1 is 1: the order shows.
    auto ends = makeLoopbackCommunicators(3);
    std::vector<std::vector<float>> data{{1e8F}, {1.0F}, {-1e8F}};
    const auto results = onEveryRank(ends, [&](int rank, Communicator& end) {
      return end.allReduceSum(data[static_cast<std::size_t>(rank)]);
    });
    for (std::size_t rank = 0; rank < 3; ++rank) {
      QVERIFY(results[rank].ok());
      QCOMPARE(data[rank][0], 0.0F);
    }
  }

  void buffersLargerThanTheSocketsDoNotDeadlock() {
    auto ends = makeEnds(Transport::Socket);
    const auto results = onEveryRank(ends, [](int rank, Communicator& end) -> Result<void> {
      std::vector<float> data(8U << 20U, static_cast<float>(rank + 1));
      const Result<void> done = end.allReduceSum(data);
      if (done && data != std::vector<float>(data.size(), 3.0F)) {
        return Error{ErrorCode::Internal, "wrong sum", ""};
      }
      return done;
    });
    QVERIFY(results[0].ok() && results[1].ok());
  }

  void aMeterAddsUpTheTimeOfCalls() {
    TimedCommunicator inner;
    MeteredCommunicator metered(inner);
    QCOMPARE(metered.elapsed().count(), 0);
    const auto begin = std::chrono::steady_clock::now();
    std::vector<float> data{1.0F};
    QVERIFY(metered.allReduceSum(data).ok());
    QVERIFY(metered.allGather({}, {}).ok());
    QVERIFY(metered.broadcast({}, 0).ok());
    const auto outside = std::chrono::steady_clock::now() - begin;
    QCOMPARE(inner.calls, 3);
    QVERIFY(metered.elapsed() >= inner.inside);
    QVERIFY(metered.elapsed() <= outside);
  }

  void ranksAtDifferentCallsBothFailWithBothViews_data() { addTransports(); }

  void ranksAtDifferentCallsBothFailWithBothViews() {
    QFETCH(Transport, transport);
    auto ends = makeEnds(transport);
    const auto results = onEveryRank(ends, [](int rank, Communicator& end) -> Result<void> {
      std::vector<float> data(rank == 0 ? 4 : 5);
      return end.allReduceSum(data);
    });
    for (const Result<void>& result : results) {
      QVERIFY(!result.ok());
      QCOMPARE(result.error().code, ErrorCode::Internal);
      QCOMPARE(result.error().message,
               std::string("ranks are out of step: rank 0 is at all-reduce 1 of 16 bytes, "
                           "rank 1 is at all-reduce 1 of 20 bytes"));
    }
  }

  void aRankThatLeavesFailsTheOthersAtOnceAndForGood_data() { addTransports(); }

  void aRankThatLeavesFailsTheOthersAtOnceAndForGood() {
    QFETCH(Transport, transport);
    auto ends = makeEnds(transport, 60s);
    const auto start = std::chrono::steady_clock::now();
    std::thread leaving([&] { ends[1].reset(); });
    std::vector<float> data(4);
    const Result<void> first = ends[0]->allReduceSum(data);
    const Result<void> second = ends[0]->allReduceSum(data);
    leaving.join();
    QVERIFY(std::chrono::steady_clock::now() - start < 30s);  // of the 60 s deadline
    QVERIFY(!first.ok() && !second.ok());
    QCOMPARE(first.error().code, ErrorCode::Unavailable);
    QVERIFY(first.error().message.find("rank 1 is gone") != std::string::npos);
    QCOMPARE(second.error().message, first.error().message);
  }

  void aRankThatNeverComesIsATimeout_data() { addTransports(); }

  void aRankThatNeverComesIsATimeout() {
    QFETCH(Transport, transport);
    auto ends = makeEnds(transport, 20ms);
    std::vector<float> data(4);
    const Result<void> result = ends[0]->allReduceSum(data);
    QVERIFY(!result.ok());
    QCOMPARE(result.error().code, ErrorCode::Timeout);
  }
};

QTEST_APPLESS_MAIN(CommunicatorTest)
#include "communicator_test.moc"
