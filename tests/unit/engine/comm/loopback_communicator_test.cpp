// SPDX-License-Identifier: GPL-3.0-or-later
// Collectives between ranks that are threads.
#include "engine/comm/loopback_communicator.h"

#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include <QTest>

using namespace tandem;
using namespace tandem::comm;
using namespace std::chrono_literals;

namespace {

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

}  // namespace

class LoopbackCommunicatorTest : public QObject {
  Q_OBJECT

 private slots:
  void allReduceAddsInRankOrderSoEveryRankHoldsTheSameBits() {
    constexpr int kRanks = 3;
    constexpr int kRounds = 200;
    auto ends = makeLoopbackCommunicators(kRanks);
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

  void allGatherPlacesPartsInRankOrder() {
    auto ends = makeLoopbackCommunicators(2);
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

  void broadcastGivesEveryoneTheRootsBytes() {
    auto ends = makeLoopbackCommunicators(2);
    std::vector<std::vector<std::byte>> data{{std::byte(1), std::byte(2)},
                                             {std::byte(3), std::byte(4)}};
    const auto results = onEveryRank(ends, [&](int rank, Communicator& end) {
      return end.broadcast(data[static_cast<std::size_t>(rank)], 1);
    });
    QVERIFY(results[0].ok() && results[1].ok());
    QCOMPARE(data[0], (std::vector<std::byte>{std::byte(3), std::byte(4)}));
    QCOMPARE(data[1], data[0]);
  }

  void ranksAtDifferentCallsBothFailWithBothViews() {
    auto ends = makeLoopbackCommunicators(2);
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

  void aRankThatLeavesFailsTheOthersAtOnceAndForGood() {
    auto ends = makeLoopbackCommunicators(2, 60s);
    const auto start = std::chrono::steady_clock::now();
    std::thread leaving([&] { ends[1].reset(); });
    std::vector<float> data(4);
    const Result<void> first = ends[0]->allReduceSum(data);
    const Result<void> second = ends[0]->allReduceSum(data);
    leaving.join();
    QVERIFY(std::chrono::steady_clock::now() - start < 5s);
    QVERIFY(!first.ok() && !second.ok());
    QCOMPARE(first.error().code, ErrorCode::Unavailable);
    QVERIFY(first.error().message.find("rank 1 is gone") != std::string::npos);
    QCOMPARE(second.error().message, first.error().message);
  }

  void aRankThatNeverComesIsATimeout() {
    auto ends = makeLoopbackCommunicators(2, 20ms);
    std::vector<float> data(4);
    const Result<void> result = ends[0]->allReduceSum(data);
    QVERIFY(!result.ok());
    QCOMPARE(result.error().code, ErrorCode::Timeout);
  }
};

QTEST_APPLESS_MAIN(LoopbackCommunicatorTest)
#include "loopback_communicator_test.moc"
