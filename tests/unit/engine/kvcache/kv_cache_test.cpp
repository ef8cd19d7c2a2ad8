// SPDX-License-Identifier: GPL-3.0-or-later
// The memory of one rank's caches: operations that cannot be are refused before anything changes.
#include "engine/kvcache/kv_cache.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include <QTest>

using namespace tandem;
using namespace tandem::kvcache;

namespace {

CacheShape shape() {
  CacheShape made;
  made.ratios = {0, 4, 128};
  made.windowTokens = 128;
  made.entry = {kernels::EntryFormat::KeyValue, 512, 64};
  made.indexerKey = {kernels::EntryFormat::IndexerKey, 128, 0};
  made.streamWidth = 8;
  made.maxDrafts = 2;
  return made;
}

std::unique_ptr<KvCache> makeCache() {
  return *KvCache::create(shape(), {.blocks = 3, .sequences = 2, .snapshots = 1});
}

bool isFilledWith(std::span<const std::byte> bytes, int value) {
  return std::all_of(bytes.begin(), bytes.end(), [value](std::byte byte) {
    return byte == std::byte(value);
  });
}

}  // namespace

class KvCacheTest : public QObject {
  Q_OBJECT

 private slots:
  void wrongOperationsAreRefusedAndNothingIsDone_data() {
    QTest::addColumn<int>("which");
    QTest::addColumn<QString>("says");
    QTest::newRow("a slot that is not there") << 0 << QStringLiteral("slot 2");
    QTest::newRow("a position between snapshots") << 1 << QStringLiteral("130 tokens");
    QTest::newRow("rows that are gone") << 2 << QStringLiteral("no longer");
    QTest::newRow("a block to copy to") << 3 << QStringLiteral("block 0 to 3");
    QTest::newRow("a block to give back") << 4 << QStringLiteral("block -1");
    QTest::newRow("a snapshot that is not there") << 5 << QStringLiteral("snapshot 1");
  }
  void wrongOperationsAreRefusedAndNothingIsDone() {
    QFETCH(int, which);
    QFETCH(QString, says);
    const std::unique_ptr<KvCache> cache = makeCache();
    cache->carried(0) = {300, {7}};
    for (int block = 0; block < 3; ++block) {
      std::ranges::fill(cache->blockBytes(block), std::byte(block + 1));
    }
    CacheOperations operations;
    operations.copies.push_back({.from = 0, .to = 1});  // a right one beside the wrong one
    switch (which) {
      case 0:
        operations.saves.push_back({.slot = 2, .position = 128, .snapshot = 0});
        break;
      case 1:
        operations.saves.push_back({.slot = 0, .position = 130, .snapshot = 0});
        break;
      case 2:
        operations.saves.push_back({.slot = 0, .position = 256, .snapshot = 0});
        break;
      case 3:
        operations.copies.push_back({.from = 0, .to = 3});
        break;
      case 4:
        operations.discards.push_back(-1);
        break;
      default:
        operations.restores.push_back({.snapshot = 1, .slot = 0, .position = 128});
    }
    const Result<void> applied = cache->apply(operations);
    QVERIFY(!applied.ok());
    QCOMPARE(applied.error().code, ErrorCode::Internal);
    QVERIFY2(applied.error().message.find(says.toStdString()) != std::string::npos,
             applied.error().message.c_str());
    QVERIFY(isFilledWith(cache->blockBytes(1), 2));
  }

  void aDiscardedBlockTakesNothingFromItsNeighbours() {
    const std::unique_ptr<KvCache> cache = makeCache();
    for (int block = 0; block < 3; ++block) {
      std::ranges::fill(cache->blockBytes(block), std::byte(block + 1));
    }
    CacheOperations operations;
    operations.discards.push_back(1);
    QVERIFY(cache->apply(operations).ok());
    QVERIFY(isFilledWith(cache->blockBytes(0), 1));
    QVERIFY(isFilledWith(cache->blockBytes(2), 3));
    // Its whole pages are the host's again, and read as zeros.
    const std::span<const std::byte> given = cache->blockBytes(1);
    QVERIFY(std::count(given.begin(), given.end(), std::byte(0)) > 4096);
  }
};

QTEST_APPLESS_MAIN(KvCacheTest)
#include "kv_cache_test.moc"
