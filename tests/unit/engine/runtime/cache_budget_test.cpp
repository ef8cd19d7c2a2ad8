// SPDX-License-Identifier: GPL-3.0-or-later
// What a budget buys: never the host's own share, never less than one whole context.
#include "engine/runtime/cache_budget.h"

#include <string>

#include <QTest>

using namespace tandem;
using namespace tandem::runtime;

namespace {

constexpr std::uint64_t kGib = std::uint64_t{1} << 30U;

kvcache::CacheLayout layout() {
  kvcache::CacheShape shape;
  shape.ratios = {0, 4, 128};
  shape.windowTokens = 128;
  shape.entry = {kernels::EntryFormat::KeyValue, 512, 64};
  shape.indexerKey = {kernels::EntryFormat::IndexerKey, 128, 0};
  return kvcache::CacheLayout(shape);
}

}  // namespace

class CacheBudgetTest : public QObject {
  Q_OBJECT

 private slots:
  void theHostKeepsItsShareHoweverHighTheUtilization() {
    QCOMPARE(cacheBudget({.availableBytes = 100 * kGib}, 0.5), 50 * kGib);
    QCOMPARE(cacheBudget({.availableBytes = 100 * kGib, .keptBytes = 60 * kGib}, 0.5), 40 * kGib);
    QCOMPARE(cacheBudget({.availableBytes = 10 * kGib, .keptBytes = 60 * kGib}, 1.0), 0U);
    QCOMPARE(cacheBudget({.availableBytes = 100 * kGib, .ranksHere = 2}, 0.5), 25 * kGib);
  }

  void aBudgetIsNeverExceeded() {
    const kvcache::CacheLayout where = layout();
    for (const std::uint64_t budget : {kGib / 4, kGib, 8 * kGib}) {
      const auto capacity = planCapacity(budget, where, {6, 65536, true});
      QVERIFY(capacity.ok());
      QCOMPARE(capacity->sequences, 6);
      QVERIFY(capacity->snapshots > 0);
      const std::uint64_t used =
          static_cast<std::uint64_t>(capacity->blocks) * where.blockBytes() +
          static_cast<std::uint64_t>(capacity->sequences) * where.slotBytes() +
          static_cast<std::uint64_t>(capacity->snapshots) * where.snapshotBytes();
      QVERIFY(used <= budget);
    }
  }

  void moreThanTwiceWhatCanRunIsNotTaken() {
    const auto capacity = planCapacity(1000 * kGib, layout(), {2, 1024, true});
    QVERIFY(capacity.ok());
    QCOMPARE(capacity->blocks, 2 * 2 * 4);
  }

  void withoutPrefixesThereAreNoSnapshots() {
    const auto capacity = planCapacity(kGib, layout(), {2, 1024, false});
    QVERIFY(capacity.ok());
    QCOMPARE(capacity->snapshots, 0);
  }

  void aContextThatDoesNotFitIsRefusedWithBothNumbers() {
    const kvcache::CacheLayout where = layout();
    const std::uint64_t budget = where.slotBytes() + 10 * where.blockBytes();
    const auto capacity = planCapacity(budget, where, {1, 4096, false});
    QVERIFY(!capacity.ok());
    QCOMPARE(capacity.error().code, ErrorCode::OutOfMemory);
    QVERIFY2(capacity.error().message.find("2560 tokens") != std::string::npos &&
                 capacity.error().message.find("4096") != std::string::npos,
             capacity.error().message.c_str());
  }
};

QTEST_APPLESS_MAIN(CacheBudgetTest)
#include "cache_budget_test.moc"
