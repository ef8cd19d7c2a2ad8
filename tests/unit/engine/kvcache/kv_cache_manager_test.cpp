// SPDX-License-Identifier: GPL-3.0-or-later
// Sequences get room, resume where others were, and never see what was meant for somebody else.
#include "engine/kvcache/kv_cache_manager.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include <QTest>

#include "engine/base/token_id.h"
#include "engine/kvcache/cache_operations.h"
#include "engine/kvcache/token_hash.h"
#include "tests/unit/engine/kvcache/cache_rig.h"

using namespace tandem;
using namespace tandem::kvcache;

#define VERIFY_MEMORY(rig) QVERIFY2((rig).memory.problem().empty(), (rig).memory.problem().c_str())

namespace {

using Tokens = std::vector<TokenId>;
using Positions = std::vector<std::int64_t>;

bool nothingInUse(KvCacheManager& manager) {
  static_cast<void>(manager.takeOperations());
  manager.shrink(manager.capacity().blocks);
  const KvUsage usage = manager.usage();
  return usage.freeBlocks == usage.blocks && usage.usedSnapshots == 0 &&
         manager.freeSlots() == manager.capacity().sequences;
}

std::vector<SnapshotId> snapshotsOf(const KvCacheManager& manager, const Tokens& tokens) {
  std::vector<SnapshotId> snapshots;
  for (const PrefixNode& node : manager.prefixes().find(tokens)) {
    if (node.snapshot) {
      snapshots.push_back(*node.snapshot);
    }
  }
  return snapshots;
}

}  // namespace

class KvCacheManagerTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void aFirstPromptStartsAtItsBeginning() {
    CacheRig rig({8, 2, 4});
    std::optional<Run> run = rig.admit(text(300));
    QVERIFY(run);
    QCOMPARE(run->kv.cachedTokens, 0);
    QCOMPARE(run->kv.blocks.size(), 2U);
    QCOMPARE(run->kv.wantedSnapshots, Positions{256});
    QVERIFY(rig.plan({&*run}).empty());
    QCOMPARE(rig.manager.usage().liveBlocks, 2);
    QCOMPARE(rig.manager.usage().freeBlocks, 6);
    QCOMPARE(rig.manager.freeSlots(), 1);
    rig.release(*run);
    QCOMPARE(rig.manager.usage().freeBlocks, 8);
  }

  void aChunkEndsAtTheNextWantedSnapshot() {
    SequenceKv kv;
    kv.wantedSnapshots = {128, 512};
    QCOMPARE(KvCacheManager::chunkEnd(kv, 0, 600), 128);
    QCOMPARE(KvCacheManager::chunkEnd(kv, 0, 100), 100);
    QCOMPARE(KvCacheManager::chunkEnd(kv, 0, 128), 128);
    QCOMPARE(KvCacheManager::chunkEnd(kv, 128, 600), 512);
    QCOMPARE(KvCacheManager::chunkEnd(kv, 127, 129), 128);
    QCOMPARE(KvCacheManager::chunkEnd(kv, 512, 600), 600);
  }

  void anotherEngineGoesOnFromWhatIsOnTheDisk_data() {
    QTest::addColumn<int>("position");
    QTest::newRow("at the end of a block") << 512;
    QTest::newRow("in the middle of a block") << 640;
  }
  void anotherEngineGoesOnFromWhatIsOnTheDisk() {
    QFETCH(const int, position);
    const Tokens tokens = text(position + 90);
    CacheRig first({16, 2, 8});
    first.manager.storePrefixes();
    first.complete(tokens, position + 20);
    first.plan({});
    VERIFY_MEMORY(first);

    CacheRig rig({16, 2, 8});
    rig.memory.takeDiskOf(first.memory);
    QCOMPARE(rig.manager.match(tokens), 0);
    const Tokens prefix(tokens.begin(), tokens.begin() + position);
    const std::optional<PrefixRestore> restore = rig.manager.beginRestore(prefix, 0);
    QVERIFY(restore);
    QCOMPARE(restore->pieces.size(), static_cast<std::size_t>((position + 255) / 256 + 1));
    for (const DiskPiece& piece : restore->pieces) {
      QVERIFY(rig.memory.onDisk(piece.record));
    }
    QCOMPARE(rig.manager.match(tokens), 0);
    rig.manager.finishRestore(*restore, prefix);
    std::optional<Run> run = rig.admit(tokens);
    QVERIFY(run);
    QCOMPARE(run->kv.cachedTokens, position);
    rig.runTo(*run);
    rig.release(*run);
    VERIFY_MEMORY(rig);
    QVERIFY(nothingInUse(rig.manager));
  }

  void onlyWhatIsNotInMemoryIsBrought() {
    const Tokens tokens = text(700);
    CacheRig rig({16, 2, 8});
    rig.manager.storePrefixes();
    rig.complete(text(300), 300);
    QCOMPARE(rig.manager.match(tokens), 256);
    const Tokens prefix(tokens.begin(), tokens.begin() + 640);
    const std::optional<PrefixRestore> restore = rig.manager.beginRestore(prefix, 0);
    QVERIFY(restore);
    QCOMPARE(restore->pieces.size(), 3U);  // a block, a half one, a snapshot
    QCOMPARE(restore->blocks.size(), 3U);
    rig.manager.cancelRestore(*restore);
    QCOMPARE(rig.manager.match(tokens), 256);
    QVERIFY(nothingInUse(rig.manager));
  }

  void aPrefixThatLeavesTooLittleRoomIsNotBrought() {
    CacheRig rig({4, 2, 8});
    std::optional<Run> running = rig.admit(text(300, 7));
    QVERIFY(running);
    const KvUsage before = rig.manager.usage();
    QVERIFY(!rig.manager.beginRestore(text(512), 513));
    QVERIFY(!rig.manager.beginRestore(text(384), 512));  // and the block that it would copy to
    QCOMPARE(rig.manager.usage().freeBlocks, before.freeBlocks);
    QCOMPARE(rig.manager.usage().usedSnapshots, before.usedSnapshots);
    const std::optional<PrefixRestore> restore = rig.manager.beginRestore(text(512), 512);
    QVERIFY(restore);
    QCOMPARE(rig.manager.usage().freeBlocks, 0);
    rig.manager.cancelRestore(*restore);
    rig.release(*running);
    QVERIFY(nothingInUse(rig.manager));
  }

  void aStoreGoesWithItsSnapshot() {
    CacheRig rig({16, 2, 1});
    rig.manager.storePrefixes();
    std::optional<Run> first = rig.admit(text(133));
    std::optional<Run> second = rig.admit(text(133, 1000));
    QVERIFY(rig.prepare(*first, 128));
    QVERIFY(rig.prepare(*second, 128));
    rig.plan({&*first, &*second});
    rig.feed(*first);   // keeps 128 tokens with the only snapshot
    rig.feed(*second);  // takes it from that one
    const CacheOperations operations = rig.plan({&*first, &*second});
    QCOMPARE(operations.saves.size(), 1U);
    QCOMPARE(operations.saves[0].slot, second->kv.slot);
    const CacheKey key = keyOf(chainsOf(text(128, 1000))[0]);
    const auto snapshots = std::count_if(
        operations.stores.begin(),
        operations.stores.end(),
        [](const DiskPiece& piece) { return piece.record.kind == RecordKind::Snapshot; });
    QCOMPARE(snapshots, 1);
    QVERIFY(rig.memory.onDisk({RecordKind::Snapshot, key}));
    VERIFY_MEMORY(rig);
    rig.release(*first);
    rig.release(*second);
    QVERIFY(nothingInUse(rig.manager));
  }

  void thePromptIsKeptAsSoonAsItIsComputed() {
    CacheRig rig({16, 2, 4});
    const Tokens tokens = text(600);
    std::optional<Run> first = rig.admit(tokens);
    rig.runTo(*first);
    QCOMPARE(rig.manager.match(tokens), 512);
    // The first one still runs.
    std::optional<Run> second = rig.admit(tokens);
    QCOMPARE(second->kv.cachedTokens, 512);
    QCOMPARE(second->kv.blocks[0], first->kv.blocks[0]);
    QCOMPARE(second->kv.blocks[1], first->kv.blocks[1]);
    QVERIFY(second->kv.blocks[2] != first->kv.blocks[2]);
    QCOMPARE(rig.manager.usage().liveBlocks, 4);
    rig.runTo(*second);
    VERIFY_MEMORY(rig);
    QCOMPARE(rig.manager.usage().queriedTokens, 1200);
    QCOMPARE(rig.manager.usage().hitTokens, 512);
  }

  void aHitLeavesAtLeastOneTokenToCompute() {
    CacheRig rig({16, 2, 8});
    rig.complete(text(512), 512);
    QCOMPARE(rig.manager.match(text(513)), 512);
    QCOMPARE(rig.manager.match(text(512)), 384);
    QCOMPARE(rig.manager.match(text(384)), 0);
    const std::optional<Run> run = rig.admit(text(512));
    QCOMPARE(run->kv.cachedTokens, 384);
    // What is wanted lies beyond what is there already.
    QCOMPARE(run->kv.wantedSnapshots, Positions{});
  }

  void aHitInTheMiddleOfABlockCopiesIt() {
    CacheRig rig({16, 2, 8});
    const Tokens tokens = text(400);
    rig.complete(tokens, 400);
    std::optional<Run> run = rig.admit(continued(tokens, 390, text(200, 5000)));
    QCOMPARE(run->kv.cachedTokens, 384);
    const CacheOperations operations = rig.plan({&*run});
    QCOMPARE(operations.copies.size(), 1U);
    QCOMPARE(operations.copies[0].to, run->kv.blocks[1]);
    QVERIFY(operations.copies[0].from != run->kv.blocks[1]);
    QCOMPARE(operations.restores,
             (std::vector<SnapshotRestore>{{operations.restores[0].snapshot, run->kv.slot, 384}}));
    rig.runTo(*run);
    VERIFY_MEMORY(rig);
    // The block that was copied is as it was.
    std::optional<Run> again = rig.admit(tokens);
    QCOMPARE(again->kv.cachedTokens, 384);
    rig.runTo(*again);
    VERIFY_MEMORY(rig);
  }

  void aSequenceWritesOnInABlockThatAPrefixSharesHalfOf() {
    CacheRig rig({16, 3, 8});
    const Tokens tokens = text(450);
    std::optional<Run> writer = rig.admit(tokens, 400);
    rig.runTo(*writer, 400);
    QVERIFY(rig.manager.usage().usedSnapshots > 0);
    std::optional<Run> reader = rig.admit(continued(tokens, 384, text(100, 7000)));
    QCOMPARE(reader->kv.cachedTokens, 384);
    QVERIFY(rig.prepare(*writer, 1, 3));
    rig.prepare(*reader, 100);
    QCOMPARE(rig.plan({&*writer, &*reader}).copies.size(), 1U);
    rig.feed(*writer);
    rig.feed(*reader);
    rig.runTo(*writer);
    rig.memory.checkBlocks(writer->kv.blocks, writer->tokens, 450);
    rig.memory.checkBlocks(reader->kv.blocks, reader->tokens, 484);
    VERIFY_MEMORY(rig);
  }

  void anAnswerIsKeptUpToItsLastAlignedPosition() {
    CacheRig rig({16, 2, 8});
    const Tokens tokens = text(700);
    std::optional<Run> run = rig.admit(tokens, 200);
    rig.runTo(*run, 200);
    QCOMPARE(rig.manager.usage().usedSnapshots, 1);  // of the prompt, at 128
    rig.runTo(*run);
    QCOMPARE(rig.manager.usage().usedSnapshots, 2);  // and one that moves with the answer
    QCOMPARE(rig.manager.match(tokens), 128);        // which is nobody else's yet
    rig.release(*run);
    QCOMPARE(rig.manager.usage().usedSnapshots, 2);
    QCOMPARE(rig.manager.match(tokens), 640);
    std::optional<Run> next = rig.admit(continued(tokens, 700, text(50, 9000)));
    QCOMPARE(next->kv.cachedTokens, 640);
    rig.runTo(*next);
    VERIFY_MEMORY(rig);
  }

  void draftsMayPassAnAlignedPosition() {
    CacheRig rig({16, 2, 8}, true, 3);
    const Tokens tokens = text(600);
    std::optional<Run> run = rig.admit(tokens, 255);
    rig.runTo(*run, 255);
    QVERIFY(rig.step(*run, 4));  // 255 .. 259 passes 256 by 3, all drafts accepted
    QCOMPARE(run->kv.newestPosition, 256);
    while (run->kv.committed < 511) {
      QVERIFY(rig.step(*run, 2, 2));
    }
    QCOMPARE(run->kv.committed, 511);
    QVERIFY(rig.step(*run, 1, 3));  // reaches 512 exactly, and three drafts were wrong
    rig.release(*run);
    QCOMPARE(rig.manager.match(tokens), 512);
    std::optional<Run> next = rig.admit(tokens);
    rig.runTo(*next);
    VERIFY_MEMORY(rig);
  }

  void aPositionPassedTooFarIsLeftOut() {
    CacheRig rig({16, 2, 8}, true, 3);
    const Tokens tokens = text(600);
    std::optional<Run> run = rig.admit(tokens, 100);
    rig.runTo(*run, 100);
    run->promptTokens = 100;
    QVERIFY(rig.step(*run, 100));  // nobody decodes like this
    QVERIFY(!run->kv.newest);
    QVERIFY(rig.plan({&*run}).saves.empty());
    rig.runTo(*run, 260);
    QCOMPARE(run->kv.newestPosition, 256);
    VERIFY_MEMORY(rig);
  }

  void aPreemptedSequenceResumesWhereItWas() {
    CacheRig rig({8, 2, 4});
    const Tokens tokens = text(900);
    std::optional<Run> run = rig.admit(tokens, 500);
    rig.runTo(*run, 700);
    rig.release(*run);
    QCOMPARE(rig.manager.usage().liveBlocks, 0);
    std::optional<Run> again = rig.admit(tokens, 701);
    QCOMPARE(again->kv.cachedTokens, 640);
    rig.runTo(*again);
    rig.release(*again);
    VERIFY_MEMORY(rig);
    QVERIFY(nothingInUse(rig.manager));
  }

  void aPreemptedPromptResumesAtItsLastChunk() {
    CacheRig rig({16, 2, 4});
    const Tokens tokens = text(3000);
    std::optional<Run> run = rig.admit(tokens);
    QCOMPARE(run->kv.wantedSnapshots, Positions{2944});
    QVERIFY(rig.step(*run, 1024));
    rig.release(*run);
    // In the same plan: the snapshot is saved before it is restored, into the very slot.
    std::optional<Run> again = rig.admit(tokens);
    QCOMPARE(again->kv.cachedTokens, 1024);
    QCOMPARE(again->kv.slot, run->kv.slot);
    const CacheOperations operations = rig.plan({&*again});
    QCOMPARE(operations.saves.size(), 1U);
    QCOMPARE(operations.restores.size(), 1U);
    rig.runTo(*again);
    VERIFY_MEMORY(rig);
  }

  void admissionChangesNothingWhenThereIsNoRoom() {
    CacheRig rig({4, 2, 4});
    rig.complete(text(256), 256);  // one block kept
    std::optional<Run> big = rig.admit(text(600, 5000));
    QVERIFY(big);
    rig.plan({});
    const KvUsage before = rig.manager.usage();
    QCOMPARE(before.prefixBlocks, 1);
    QCOMPARE(before.freeBlocks, 0);
    QVERIFY(!rig.admit(continued(text(256), 256, text(300, 9000))));
    QVERIFY(!rig.admit(text(300, 9000)));
    QCOMPARE(rig.manager.match(text(257)), 256);
    QCOMPARE(rig.manager.usage().prefixBlocks, 1);
    QCOMPARE(rig.manager.usage().usedSnapshots, before.usedSnapshots);
    QCOMPARE(rig.manager.usage().queriedTokens, before.queriedTokens);
    QCOMPARE(rig.manager.freeSlots(), 1);
    QVERIFY(rig.manager.takeOperations().empty());
    QVERIFY(rig.admit(text(200, 9000)));  // takes the kept block
    QVERIFY(!rig.admit(text(1, 9000)));   // no slot
  }

  void reservingChangesNothingWhenThereIsNoRoom() {
    CacheRig rig({4, 2, 4});
    rig.complete(text(256), 256);
    std::optional<Run> run = rig.admit(text(10, 5000));
    QVERIFY(!rig.manager.reserve(run->kv, 1025));
    QCOMPARE(run->kv.blocks.size(), 1U);
    QCOMPARE(rig.manager.usage().prefixBlocks, 1);
    QVERIFY(rig.manager.reserve(run->kv, 1024));
    QCOMPARE(run->kv.blocks.size(), 4U);
    QCOMPARE(rig.manager.match(text(257)), 0);
    QCOMPARE(rig.manager.usage().usedSnapshots, 0);
    QVERIFY(rig.manager.reserve(run->kv, 3));
    QCOMPARE(run->kv.blocks.size(), 4U);
  }

  void theOldestPrefixesMakeRoom() {
    CacheRig rig({6, 2, 8});
    rig.complete(text(256, 1000), 256);
    rig.complete(text(256, 2000), 256);
    rig.complete(text(256, 3000), 256);
    rig.complete(text(257, 1000), 257);  // used again
    QCOMPARE(rig.manager.usage().prefixBlocks, 3);
    QVERIFY(rig.admit(text(1000, 9000)));
    QCOMPARE(rig.manager.match(text(257, 2000)), 0);
    QCOMPARE(rig.manager.match(text(257, 3000)), 256);
    QCOMPARE(rig.manager.match(text(257, 1000)), 256);
  }

  void whatIsAboutToBeRestoredIsNotEvicted() {
    CacheRig rig({4, 3, 2});
    rig.complete(text(384), 384);  // two blocks, snapshots at 256 and 384
    const std::vector<SnapshotId> kept = snapshotsOf(rig.manager, text(384));
    QCOMPARE(kept.size(), 2U);
    std::optional<Run> resumed = rig.admit(continued(text(384), 384, text(1, 9000)));
    QCOMPARE(resumed->kv.cachedTokens, 384);  // copies the second block
    QCOMPARE(rig.manager.usage().freeBlocks, 1);
    // Neither blocks nor the snapshot can be had before the plan is made.
    QVERIFY(!rig.admit(text(300, 5000)));
    QCOMPARE(rig.manager.shrink(4), 0);
    std::optional<Run> other = rig.admit(text(200, 5000));
    QVERIFY(other);
    rig.plan({&*resumed, &*other});
    rig.runTo(*other);
    rig.runTo(*resumed);
    VERIFY_MEMORY(rig);
    QCOMPARE(rig.manager.shrink(4), 1);  // the block that was copied
    rig.memory.checkBlocks(resumed->kv.blocks, resumed->tokens, 385);
    VERIFY_MEMORY(rig);
  }

  void aSnapshotToBeRestoredIsNotSavedInto() {
    // One snapshot: while it is to be restored, the other sequence's save finds none.
    CacheRig rig({8, 3, 1});
    rig.complete(text(300), 300);
    std::optional<Run> saver = rig.admit(text(300, 5000), 300);
    QVERIFY(rig.prepare(*saver, 256));
    rig.plan({&*saver});
    std::optional<Run> resumed = rig.admit(text(300));
    QCOMPARE(resumed->kv.cachedTokens, 256);
    rig.feed(*saver);  // commits 256, where a snapshot is wanted
    const CacheOperations operations = rig.plan({&*saver, &*resumed});
    QCOMPARE(operations.saves.size(), 0U);
    QCOMPARE(operations.restores.size(), 1U);
    rig.runTo(*resumed);
    VERIFY_MEMORY(rig);
    QCOMPARE(rig.manager.match(text(300, 5000)), 0);
    QCOMPARE(rig.manager.match(text(300)), 256);
  }

  void aSaveThatWasEvictedBeforeItsPlanIsNotCarriedOut() {
    CacheRig rig({8, 3, 1});
    std::optional<Run> first = rig.admit(text(200, 1000));
    std::optional<Run> second = rig.admit(text(200, 2000));
    QVERIFY(rig.prepare(*first, 128));
    QVERIFY(rig.prepare(*second, 128));
    rig.plan({&*first, &*second});
    rig.feed(*first);
    rig.feed(*second);
    const CacheOperations operations = rig.plan({});
    QCOMPARE(operations.saves, (std::vector<SnapshotSave>{{second->kv.slot, 128, 0}}));
    std::optional<Run> resumed = rig.admit(text(200, 2000));
    QCOMPARE(resumed->kv.cachedTokens, 128);
    QCOMPARE(rig.manager.match(text(200, 1000)), 0);
    rig.runTo(*resumed);
    VERIFY_MEMORY(rig);
  }

  void aSequenceThatEndsBeforeItsFirstPlanLeavesNoOperations() {
    CacheRig rig({8, 1, 4});
    rig.complete(text(384), 384);
    rig.plan({});
    std::optional<Run> cancelled = rig.admit(text(385));
    QCOMPARE(cancelled->kv.cachedTokens, 384);
    rig.release(*cancelled);
    QCOMPARE(rig.manager.usage().liveBlocks, 0);
    std::optional<Run> fresh = rig.admit(text(900, 5000));  // the same slot, no restore
    QCOMPARE(fresh->kv.slot, cancelled->kv.slot);
    QVERIFY(rig.plan({&*fresh}).empty());
    rig.runTo(*fresh);
    rig.release(*fresh);
    VERIFY_MEMORY(rig);
    QVERIFY(nothingInUse(rig.manager));
  }

  void whenResumingTakesTooMuchRoomItResumesEarlier() {
    // The whole cache for one sequence: to resume at 384 a third block would have to be copied
    // from.
    CacheRig rig({2, 1, 4});
    rig.complete(text(384), 384, {256});
    QCOMPARE(rig.manager.match(text(500)), 384);
    std::optional<Run> run = rig.admit(text(500));
    QVERIFY(run);
    QCOMPARE(run->kv.cachedTokens, 256);
    rig.runTo(*run);
    rig.release(*run);
    VERIFY_MEMORY(rig);
    // Without that snapshot it begins anew.
    CacheRig other({1, 1, 4});
    other.complete(text(200), 200);
    QCOMPARE(other.manager.match(text(256)), 128);
    std::optional<Run> anew = other.admit(text(256));
    QVERIFY(anew);
    QCOMPARE(anew->kv.cachedTokens, 0);
    other.runTo(*anew);
    VERIFY_MEMORY(other);
  }

  void aSequenceAloneGetsThroughItsFirstStep() {
    // Resumed at 384 it would hold the block it copies until its plan, and want three others.
    CacheRig rig({3, 1, 4});
    rig.complete(text(384), 384);
    std::optional<Run> run = rig.admit(text(760), {}, {}, 400);
    QVERIFY(run);
    QVERIFY(rig.prepare(*run, 760));
    rig.runTo(*run);
    QCOMPARE(run->kv.committed, 760);
    VERIFY_MEMORY(rig);
  }

  void theSnapshotsOfRunningAnswersAreNotTaken() {
    CacheRig rig({16, 4, 2});
    std::optional<Run> one = rig.admit(text(400, 1000), 100);
    std::optional<Run> two = rig.admit(text(400, 2000), 100);
    std::optional<Run> three = rig.admit(text(400, 3000), 100);
    for (Run* run : {&*one, &*two, &*three}) {
      rig.runTo(*run, 300);
    }
    QVERIFY(one->kv.newest && two->kv.newest);
    QVERIFY(!three->kv.newest);
    for (Run* run : {&*one, &*two, &*three}) {
      rig.release(*run);
    }
    QCOMPARE(rig.manager.match(one->tokens), 256);
    QCOMPARE(rig.manager.match(two->tokens), 256);
    QCOMPARE(rig.manager.match(three->tokens), 0);
  }

  void twoThatComputeTheSameLeaveItOnce() {
    CacheRig rig({16, 2, 8});
    const Tokens tokens = text(800);
    std::optional<Run> one = rig.admit(tokens, 300);
    std::optional<Run> two = rig.admit(tokens, 300);
    rig.plan({&*one, &*two});
    rig.runTo(*one);
    rig.runTo(*two);
    rig.release(*one);
    rig.release(*two);
    QCOMPARE(rig.manager.usage().prefixBlocks, 3);
    QCOMPARE(rig.manager.usage().usedSnapshots, 2);  // 256 and 768
    std::optional<Run> next = rig.admit(continued(tokens, 800, text(10)));
    QCOMPARE(next->kv.cachedTokens, 768);
    rig.runTo(*next);
    VERIFY_MEMORY(rig);
  }

  void aSnapshotOfItsOwnIsGivenBackWhenAPrefixReachesFurther() {
    CacheRig rig({16, 2, 8});
    const Tokens tokens = text(900);
    std::optional<Run> again = rig.admit(tokens, 700);
    QVERIFY(rig.step(*again, 200));
    again->promptTokens = 200;  // the rest is an answer that was preempted
    QVERIFY(rig.step(*again, 56));
    QCOMPARE(rig.manager.usage().usedSnapshots, 1);
    QVERIFY(again->kv.newest);
    rig.complete(tokens, 700);  // somebody else is faster: 512 from its answer, 640 wanted
    const std::int32_t used = rig.manager.usage().usedSnapshots;
    QVERIFY(rig.step(*again, 640 - 256));
    QVERIFY(!again->kv.newest);
    QCOMPARE(rig.manager.usage().usedSnapshots, used - 1);
    rig.release(*again);
    VERIFY_MEMORY(rig);
    QVERIFY(nothingInUse(rig.manager));
  }

  void messagesOfALongPromptCanAllBeResumedFrom() {
    CacheRig rig({64, 2, 32});
    const Tokens tokens = text(9000);
    rig.complete(tokens, 9000, {0, 700, 2000, 6000});
    for (const auto& [shared, found] : std::vector<std::pair<int, int>>{{699, 640},
                                                                        {2100, 1920},
                                                                        {4100, 4096},
                                                                        {6100, 5888},
                                                                        {8900, 8192},
                                                                        {8990, 8960}}) {
      QCOMPARE(rig.manager.match(continued(tokens, shared, text(200, 20000))), found);
    }
  }

  void withoutPrefixesNothingOutlivesItsSequence() {
    CacheRig rig({8, 2, 4}, false);
    const Tokens tokens = text(700);
    std::optional<Run> run = rig.admit(tokens, 300, {128});
    QVERIFY(run->kv.wantedSnapshots.empty());
    rig.runTo(*run);
    QVERIFY(rig.plan({}).empty());
    rig.release(*run);
    QVERIFY(rig.manager.takeOperations().empty());
    QCOMPARE(rig.manager.usage().freeBlocks, 8);
    QCOMPARE(rig.manager.usage().usedSnapshots, 0);
    QCOMPARE(rig.manager.match(tokens), 0);
    VERIFY_MEMORY(rig);
  }

  void shrinkingGivesBackNoMoreThanPrefixesHold() {
    CacheRig rig({16, 2, 8});
    rig.complete(text(512, 1000), 512, {256});
    rig.complete(text(512, 2000), 512, {256});
    std::optional<Run> run = rig.admit(text(600, 2000));
    rig.runTo(*run);
    QCOMPARE(rig.manager.usage().liveBlocks, 3);
    QCOMPARE(rig.manager.usage().prefixBlocks, 2);
    QCOMPARE(rig.manager.shrink(1), 1);
    QCOMPARE(rig.manager.match(text(513, 1000)), 256);
    QCOMPARE(rig.manager.shrink(100), 1);
    QCOMPARE(rig.manager.shrink(100), 0);
    QCOMPARE(rig.manager.match(text(600, 2000)), 512);
    rig.release(*run);
    QVERIFY(nothingInUse(rig.manager));
  }

  void anOrdinaryStepCostsLittle() {
    CacheRig rig({1024, 64, 128});
    std::vector<Run> runs;
    for (int i = 0; i < 64; ++i) {
      runs.push_back(*rig.admit(text(2000, i * 10000), 1100));
      rig.runTo(runs.back(), 1101);
    }
    std::int64_t committed = 1101;
    QBENCHMARK {
      committed = committed % 128 == 126 ? committed - 100 : committed + 1;
      for (Run& run : runs) {
        QVERIFY(rig.manager.reserve(run.kv, committed + 4));
        rig.manager.commit(run.kv, run.tokens, run.promptTokens, committed);
      }
      QCOMPARE(rig.manager.usage().usedSnapshots, 64);
    }
  }
};

QTEST_GUILESS_MAIN(KvCacheManagerTest)
#include "kv_cache_manager_test.moc"
