// SPDX-License-Identifier: GPL-3.0-or-later
// Blocks are counted, and the tree finds exactly what was put in and forgets in the order of use.
#include "engine/kvcache/prefix_cache.h"

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include <QTest>

#include "engine/base/token_id.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/snapshot_positions.h"

using namespace tandem;
using namespace tandem::kvcache;

namespace {

using Tokens = std::vector<TokenId>;
using Positions = std::vector<std::int64_t>;

/// Whole nodes, each of one token all over.
Tokens nodes(const std::vector<TokenId>& tokens) {
  Tokens result;
  for (const TokenId token : tokens) {
    result.insert(result.end(), kSnapshotAlignment, token);
  }
  return result;
}

std::vector<BlockId> takeBlocks(BlockPool& pool, int count) {
  std::vector<BlockId> blocks;
  for (int i = 0; i < count; ++i) {
    blocks.push_back(*pool.take());
  }
  return blocks;
}

void releaseBlocks(BlockPool& pool, const std::vector<BlockId>& blocks) {
  for (const BlockId block : blocks) {
    pool.release(block);
  }
}

/// As a sequence that comes, computes and goes.
PrefixCache::Inserted keep(BlockPool& pool,
                           PrefixCache& cache,
                           const Tokens& tokens,
                           SnapshotId snapshot) {
  const auto blocks =
      takeBlocks(pool, static_cast<int>((tokens.size() + kBlockTokens - 1) / kBlockTokens));
  const PrefixCache::Inserted inserted = cache.insert(tokens, blocks, snapshot);
  releaseBlocks(pool, blocks);
  return inserted;
}

std::uint64_t alwaysTheSame(std::span<const TokenId> /*tokens*/) {
  return 7;
}

}  // namespace

class PrefixCacheTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void aBlockIsFreeWhenItsLastReferenceIsGone() {
    BlockPool pool(2);
    const BlockId block = *pool.take();
    QVERIFY(*pool.take() != block);
    QVERIFY(!pool.take());
    pool.share(block);
    pool.keep(block);
    QCOMPARE(pool.references(block), 3);
    pool.release(block);
    pool.release(block);
    QVERIFY(pool.onlyKept(block));
    QCOMPARE(pool.onlyKept(), 1);
    QCOMPARE(pool.free(), 0);
    pool.share(block);
    QCOMPARE(pool.onlyKept(), 0);
    pool.forget(block);
    QCOMPARE(pool.free(), 0);
    pool.release(block);
    QCOMPARE(pool.free(), 1);
    QCOMPARE(*pool.take(), block);
  }

  void theLongestKeptPrefixIsFoundWithItsBlocksAndSnapshots() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    const Tokens tokens = nodes({1, 2, 3, 4, 5});
    const auto blocks = takeBlocks(pool, 3);
    QVERIFY(!cache.insert(tokens, blocks, 0).unused);
    Tokens longer = nodes({1, 2, 3, 4, 5, 6});
    const std::vector<PrefixNode> path = cache.find(longer);
    QCOMPARE(path.size(), 5U);
    QCOMPARE(path[0].position, 128);
    QCOMPARE(path[0].block, blocks[0]);
    QCOMPARE(path[3].block, blocks[1]);
    QCOMPARE(path[4].position, 640);
    QCOMPARE(path[4].block, blocks[2]);
    QVERIFY(!path[3].snapshot);
    QCOMPARE(path[4].snapshot, 0);
    QCOMPARE(pool.references(blocks[0]), 3);
    QCOMPARE(pool.references(blocks[2]), 2);
    longer[300] = 9;
    QCOMPARE(cache.find(longer).size(), 2U);
    QVERIFY(cache.find(nodes({2})).empty());
    QVERIFY(cache.find(std::span<const TokenId>(tokens).first(127)).empty());
  }

  void anExistingNodeKeepsItsBlockAndSnapshotAndGivesTheNewOneBack() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    keep(pool, cache, nodes({1, 2}), 0);
    const BlockId block = cache.find(nodes({1, 2}))[0].block;
    const PrefixCache::Inserted again = keep(pool, cache, nodes({1, 2}), 1);
    QCOMPARE(again.unused, 1);
    QCOMPARE(cache.find(nodes({1, 2}))[1].snapshot, 0);
    QCOMPARE(cache.find(nodes({1, 2}))[1].block, block);
    QCOMPARE(pool.free(), 7);
    QCOMPARE(cache.size(), 2U);
  }

  void aNodeInTheMiddleGetsASnapshotLater() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    keep(pool, cache, nodes({1, 2, 3}), 0);
    QVERIFY(!cache.findKept(nodes({1})));
    QVERIFY(!keep(pool, cache, nodes({1}), 1).unused);
    QVERIFY(cache.findKept(nodes({1})));
    QCOMPARE(cache.find(nodes({1, 2, 3}))[0].snapshot, 1);
  }

  void equalHashesOfDifferentTokensAreToldApart() {
    BlockPool pool(16);
    PrefixCache cache(pool, alwaysTheSame);
    const std::vector<Tokens> all = {nodes({1, 1, 1}),
                                     nodes({1, 1, 2}),
                                     nodes({1, 2, 1}),
                                     nodes({2, 1, 1}),
                                     nodes({2})};
    for (std::size_t i = 0; i < all.size(); ++i) {
      QVERIFY(!keep(pool, cache, all[i], static_cast<SnapshotId>(i)).unused);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::vector<PrefixNode> path = cache.find(all[i]);
      QCOMPARE(path.size() * kSnapshotAlignment, all[i].size());
      QCOMPARE(path.back().snapshot, static_cast<SnapshotId>(i));
    }
    QVERIFY(cache.find(nodes({3})).empty());
    QCOMPARE(cache.find(nodes({1, 3})).size(), 1U);
    Tokens nearly = all[0];
    nearly.back() = 9;
    QCOMPARE(cache.find(nearly).size(), 2U);
    for (std::size_t i = 0; i < all.size(); ++i) {
      QVERIFY(cache.evictLeaf());
    }
    QCOMPARE(cache.size(), 0U);
    QCOMPARE(pool.free(), pool.total());
  }

  void theLeastRecentlyUsedLeafIsForgottenFirst() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    for (SnapshotId snapshot = 0; snapshot < 4; ++snapshot) {
      keep(pool, cache, nodes({10 + snapshot}), snapshot);
    }
    cache.touch(*cache.findKept(nodes({10})));
    keep(pool, cache, nodes({12}), 9);  // what is computed again is used again
    QCOMPARE(cache.evictLeaf(), 1);
    QCOMPARE(cache.evictLeaf(), 3);
    QCOMPARE(cache.evictLeaf(), 0);
    QCOMPARE(cache.evictLeaf(), 2);
    QVERIFY(!cache.evictLeaf());
    QCOMPARE(pool.free(), 8);
  }

  void useOfAPrefixIsUseOfEverythingOnItsPath() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    keep(pool, cache, nodes({1}), 0);
    keep(pool, cache, nodes({1, 2}), 1);
    keep(pool, cache, nodes({7}), 2);
    keep(pool, cache, nodes({1, 3}), 3);
    cache.touch(*cache.findKept(nodes({1, 2})));
    QCOMPARE(cache.evictSnapshot(), 2);
    QCOMPARE(cache.evictSnapshot(), 3);
    QCOMPARE(cache.evictSnapshot(), 0);  // the end of the path outlives its beginning
    QCOMPARE(cache.evictSnapshot(), 1);
  }

  void theSnapshotOfAnInnerNodeGoesWithoutItsBlocks() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    keep(pool, cache, nodes({1, 2}), 0);
    keep(pool, cache, nodes({1, 2, 3, 4}), 1);
    QCOMPARE(cache.evictSnapshot(), 0);
    QCOMPARE(pool.free(), 6);
    QCOMPARE(cache.find(nodes({1, 2, 3, 4})).size(), 4U);
    QVERIFY(!cache.find(nodes({1, 2}))[1].snapshot);
    QCOMPARE(cache.evictSnapshot(), 1);
    QCOMPARE(pool.free(), 8);
  }

  void whatNobodyCanResumeFromIsPruned() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    keep(pool, cache, nodes({1, 2}), 0);
    keep(pool, cache, nodes({1, 2, 3, 4, 5, 6}), 1);
    keep(pool, cache, nodes({1, 2, 3, 4, 7, 8}), 2);
    QCOMPARE(cache.size(), 8U);
    cache.touch(*cache.findKept(nodes({1, 2, 3, 4, 7, 8})));
    QCOMPARE(cache.evictLeaf(), 1);
    QCOMPARE(cache.size(), 6U);  // 3 and 4 lead to 7 and 8
    QCOMPARE(cache.evictLeaf(), 2);
    QCOMPARE(cache.size(), 2U);
    QCOMPARE(cache.find(nodes({1, 2, 3, 4})).size(), 2U);
    QCOMPARE(pool.free(), 7);
  }

  void aPinnedPathStays() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    keep(pool, cache, nodes({1, 2, 3}), 0);
    keep(pool, cache, nodes({1, 2, 3, 4}), 1);
    keep(pool, cache, nodes({5}), 2);
    const PrefixNodeId pinned = *cache.findKept(nodes({1, 2, 3}));
    cache.pin(pinned);
    cache.pin(pinned);
    cache.unpin(pinned);
    QCOMPARE(cache.evictSnapshot(), 1);  // beyond it
    QCOMPARE(cache.evictLeaf(), 2);
    QVERIFY(!cache.evictLeaf());
    QVERIFY(!cache.evictSnapshot());
    cache.unpin(pinned);
    QCOMPARE(cache.evictLeaf(), 0);
    QCOMPARE(cache.size(), 0U);
  }

  void leavesThatGiveNoRoomGoLast() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    const auto running = takeBlocks(pool, 1);
    cache.insert(nodes({1, 2}), running, 0);
    keep(pool, cache, nodes({3, 4}), 1);
    QCOMPARE(cache.evictLeaf(), 1);
    QCOMPARE(cache.evictLeaf(), 0);
    QCOMPARE(pool.free(), 7);
  }

  void theNameOfAForgottenNodeNamesNoLaterOne() {
    BlockPool pool(8);
    PrefixCache cache(pool);
    const PrefixNodeId old = keep(pool, cache, nodes({1}), 0).node;
    QVERIFY(cache.node(old));
    QCOMPARE(cache.evictLeaf(), 0);
    QVERIFY(!cache.node(old));
    const PrefixNodeId later = keep(pool, cache, nodes({2}), 0).node;
    QCOMPARE(later.index, old.index);
    QVERIFY(!cache.node(old));
    // A search that would begin at the old node begins at the root.
    QCOMPARE(cache.findKept(nodes({2}), old), later);
    QVERIFY(!keep(pool, cache, nodes({1, 3}), 1).unused);
    QVERIFY(cache.findKept(nodes({1, 3}), old));
  }

  void aChainHashNamesTheWholePrefix() {
    BlockPool pool(16);
    PrefixCache cache(pool);
    std::set<std::uint64_t> seen;
    for (const Tokens& tokens : {nodes({1, 2}), nodes({2, 2}), nodes({1, 1}), nodes({2, 1})}) {
      const PrefixNode node = *cache.node(keep(pool, cache, tokens, 0).node);
      seen.insert(node.chain.low);
      QCOMPARE(node.chain,
               extendChain(extendChain({}, std::span(tokens).first(128)),
                           std::span(tokens).subspan(128)));
    }
    QCOMPARE(seen.size(), 4U);
    // It is written to disk: another value is another format.
    const ChainHash first = extendChain({}, nodes({1}));
    QCOMPARE(first.low, 0x1427a4c43151132cU);
    QCOMPARE(first.high, 0x04de8c4c2eef8f90U);
  }

  void promptsAreKeptAtMessagesAtIntervalsAndBeforeTheirEnd() {
    QCOMPARE(snapshotPositions(300, {}, 0, 100), (Positions{256}));
    QCOMPARE(snapshotPositions(256, {}, 0, 100), (Positions{128}));
    QCOMPARE(snapshotPositions(257, {}, 0, 100), (Positions{256}));
    QCOMPARE(snapshotPositions(128, {}, 0, 100), Positions{});
    QCOMPARE(snapshotPositions(1, {}, 0, 100), Positions{});
    const Positions boundaries{0, 5, 130, 140, 700, 5000, 9000};
    QCOMPARE(snapshotPositions(9001, boundaries, 0, 100),
             (Positions{128, 640, 4096, 4992, 8192, 8960}));
    QCOMPARE(snapshotPositions(9001, boundaries, 640, 100), (Positions{4096, 4992, 8192, 8960}));
    QCOMPARE(snapshotPositions(700, boundaries, 0, 100), (Positions{128, 640}));
  }

  void ofManyMessagesTheFirstAndTheLatestAreKept() {
    Positions boundaries;
    for (std::int64_t message = 0; message < 100; ++message) {
      boundaries.push_back(message * 128 + 7);
    }
    const Positions positions = snapshotPositions(100 * 128 + 1, boundaries, 0, 100);
    Positions expected{128, 4096, 8192};
    for (std::int64_t message = 85; message <= 100; ++message) {
      expected.push_back(message * 128);
    }
    QCOMPARE(positions, expected);
  }

  void onePromptDoesNotTakeAllSnapshots() {
    const Positions positions = snapshotPositions(1'000'000, {}, 0, 64);
    QVERIFY(positions.size() <= 17U);
    QCOMPARE(positions.front(), 65536);
    QCOMPARE(positions.back(), 999'936);
  }
};

QTEST_GUILESS_MAIN(PrefixCacheTest)
#include "prefix_cache_test.moc"
