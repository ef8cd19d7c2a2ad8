// SPDX-License-Identifier: GPL-3.0-or-later
// Whatever happens in whatever order, every sequence sees its own prefix and nothing is lost.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <QTest>

#include "engine/base/token_id.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "tests/unit/engine/kvcache/cache_rig.h"

using namespace tandem;
using namespace tandem::kvcache;

namespace {

/// How often each thing happened: a run in which one never did shows nothing about it.
struct Counts {
  int steps = 0;
  int hits = 0;
  int halfBlockHits = 0;
  int refusals = 0;
  int preemptions = 0;
  int cancelledUnplanned = 0;
  int rejectedDrafts = 0;
  int restores = 0;
  int cancelledRestores = 0;
};

/// Many users who continue, edit and repeat each other's conversations, on too small a cache.
class Crowd {
 public:
  Crowd(const CacheCapacity& capacity,
        bool keepPrefixes,
        bool disk,
        std::int64_t maxDrafts,
        std::uint32_t seed)
      : maxDrafts_(maxDrafts),
        disk_(disk),
        random_(seed),
        rig_(capacity, keepPrefixes, maxDrafts, seed) {
    if (disk) {
      rig_.manager.storePrefixes();
    }
  }

  void run(int rounds) {
    for (int round = 0; round < rounds && problem().empty(); ++round) {
      for (int i = below(4); i > 0; --i) {
        arriveOrLeave();
      }
      if (disk_ && below(3) == 0) {
        bring();
      }
      if (below(20) == 0) {
        rig_.manager.shrink(below(4));
      }
      step();
      check();
    }
  }

  /// Everybody leaves; what is kept is given back.
  void finish() {
    if (restore_) {
      rig_.manager.cancelRestore(*restore_);
    }
    while (!running_.empty()) {
      leave(0);
    }
    static_cast<void>(rig_.manager.takeOperations());
    rig_.manager.shrink(rig_.manager.capacity().blocks);
  }

  [[nodiscard]] std::string problem() const {
    return problem_.empty() ? rig_.memory.problem() : problem_;
  }
  [[nodiscard]] const KvCacheManager& manager() const { return rig_.manager; }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  void fail(const char* problem) {
    if (problem_.empty()) {
      problem_ = problem;
    }
  }

  int below(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }

  void arriveOrLeave() {
    const int what = below(10);
    if (what < 6) {
      arrive();
    } else if (what < 8 && !running_.empty()) {
      leave(static_cast<std::size_t>(below(static_cast<int>(running_.size()))));
    } else if (!waiting_.empty()) {
      const auto next = waiting_.begin() + below(static_cast<int>(waiting_.size()));
      Run run = std::move(*next);
      waiting_.erase(next);
      admit(std::move(run.tokens), run.promptTokens);
    }
  }

  /// The beginning of an earlier conversation, cut anywhere, and something else after it. Few
  /// different tokens, so that they meet again.
  void arrive() {
    std::vector<TokenId> tokens;
    if (!history_.empty() && below(8) != 0) {
      const int back = 1 + below(std::min(static_cast<int>(history_.size()), 30));
      const std::vector<TokenId>& earlier =
          history_[history_.size() - static_cast<std::size_t>(back)];
      const int cut = below(static_cast<int>(earlier.size()) + 1);
      tokens.assign(earlier.begin(), earlier.begin() + (below(2) == 0 ? cut / 128 * 128 : cut));
    }
    const int more = 1 + below(below(2) == 0 ? 100 : 700);
    for (int i = 0; i < more; ++i) {
      tokens.push_back(i % 64 == 0 ? below(2) : 0);
    }
    if (static_cast<std::int64_t>(tokens.size()) > longest()) {
      tokens.resize(static_cast<std::size_t>(longest()));
    }
    const std::int64_t answer = 1 + below(below(4) == 0 ? 400 : 20);
    const std::int64_t promptTokens = std::max<std::int64_t>(std::ssize(tokens) - answer, 1);
    admit(std::move(tokens), promptTokens);
  }

  [[nodiscard]] std::int64_t longest() const {
    return rig_.manager.capacity().blocks * kBlockTokens - maxDrafts_;
  }

  void admit(std::vector<TokenId> tokens, std::int64_t promptTokens) {
    std::vector<std::int64_t> boundaries;
    for (std::int64_t boundary = below(300); boundary < promptTokens; boundary += 1 + below(300)) {
      boundaries.push_back(boundary);
    }
    const std::vector<TokenId> prompt(tokens.begin(), tokens.begin() + promptTokens);
    const std::int64_t found = rig_.manager.match(prompt);
    const KvUsage before = rig_.manager.usage();
    std::optional<Run> run = rig_.admit(std::move(tokens),
                                        promptTokens,
                                        boundaries,
                                        std::min<std::int64_t>(promptTokens, 300));
    if (!run) {
      ++counts_.refusals;
      const KvUsage after = rig_.manager.usage();
      if (after.freeBlocks != before.freeBlocks || after.prefixBlocks != before.prefixBlocks ||
          after.usedSnapshots != before.usedSnapshots) {
        fail("an admission that failed changed something");
      }
      if (running_.empty() && !restore_) {
        fail("a sequence was not admitted though nobody runs");
      }
      return;
    }
    if (run->kv.cachedTokens > found) {
      fail("admitted with more than match() found");
    }
    counts_.hits += run->kv.cachedTokens > 0 ? 1 : 0;
    counts_.halfBlockHits += run->kv.cachedTokens % kBlockTokens != 0 ? 1 : 0;
    history_.push_back(run->tokens);
    running_.push_back(*std::move(run));
    if (below(10) == 0) {
      ++counts_.cancelledUnplanned;
      leave(running_.size() - 1);
    }
  }

  /// Goes on with the prefix that is on its way from the disk, or begins with another.
  void bring() {
    if (restore_) {
      if (below(4) == 0) {
        ++counts_.cancelledRestores;
        rig_.manager.cancelRestore(*restore_);
      } else {
        ++counts_.restores;
        rig_.manager.finishRestore(*restore_, restoring_);
      }
      restore_.reset();
      return;
    }
    if (history_.empty()) {
      return;
    }
    const std::vector<TokenId>& tokens =
        history_[static_cast<std::size_t>(below(static_cast<int>(history_.size())))];
    const auto nodes = static_cast<int>(std::ssize(tokens) / kSnapshotAlignment);
    if (nodes == 0) {
      return;
    }
    restoring_.assign(tokens.begin(), tokens.begin() + (1 + below(nodes)) * kSnapshotAlignment);
    if (rig_.manager.match(restoring_) == std::ssize(restoring_)) {
      return;
    }
    restore_ = rig_.manager.beginRestore(restoring_, below(600));
    if (restore_ && !std::ranges::all_of(restore_->pieces, [this](const DiskPiece& piece) {
          return rig_.memory.onDisk(piece.record);
        })) {
      rig_.manager.cancelRestore(*restore_);
      restore_.reset();
    }
  }

  void leave(std::size_t index) {
    rig_.release(running_[index]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  void preempt(std::size_t index) {
    ++counts_.preemptions;
    Run run;
    run.tokens = running_[index].tokens;
    // One token more than is committed: it was chosen and not computed.
    run.promptTokens =
        std::min(std::max(running_[index].promptTokens, running_[index].kv.committed + 1),
                 run.length());
    leave(index);
    waiting_.push_back(std::move(run));
  }

  void step() {
    std::vector<std::size_t> stepping;
    for (std::size_t i = 0; i < running_.size();) {
      Run& run = running_[i];
      const bool prompt = run.kv.committed < run.promptTokens;
      const int accepted = prompt ? 1 + below(300) : 1 + below(static_cast<int>(maxDrafts_) + 1);
      const int rejected = prompt ? 0 : static_cast<int>(maxDrafts_) + 1 - accepted;
      if (below(6) == 0) {
        ++i;  // sits this one out
      } else if (rig_.prepare(run, accepted, rejected)) {
        counts_.rejectedDrafts += rejected;
        stepping.push_back(i++);
      } else if (running_.size() == 1 && restore_) {
        rig_.manager.cancelRestore(*restore_);
        restore_.reset();
      } else if (running_.size() == 1) {
        fail("the only sequence does not get its blocks");
        return;
      } else {
        preempt(running_.size() - 1);  // the youngest; this one, if it is
      }
    }
    std::erase_if(stepping, [this](std::size_t i) { return i >= running_.size(); });
    std::vector<Run*> all;
    std::transform(running_.begin(), running_.end(), std::back_inserter(all), [](Run& run) {
      return &run;
    });
    rig_.plan(all);
    // Whoever comes while the step is under way is in the next plan, and so is what it leaves.
    while (below(3) == 0) {
      arrive();
    }
    for (const std::size_t i : stepping) {
      rig_.feed(running_[i]);
      ++counts_.steps;
    }
    for (std::size_t i = running_.size(); i-- > 0;) {
      if (running_[i].left() == 0) {
        leave(i);
      }
    }
  }

  void check() {
    std::set<BlockId> live;
    std::set<SlotId> slots;
    bool planned = !restore_;
    for (const Run& run : running_) {
      planned = planned && run.begun;
      live.insert(run.kv.blocks.begin(), run.kv.blocks.end());
      slots.insert(run.kv.slot);
      if (run.begun) {
        rig_.memory.checkBlocks(run.kv.blocks, run.tokens, run.kv.committed);
      }
    }
    const KvUsage usage = rig_.manager.usage();
    // Those who resume need more until their plan.
    const auto needed = static_cast<std::int32_t>(live.size());
    if (usage.liveBlocks < needed || (planned && usage.liveBlocks > needed) ||
        usage.liveBlocks + usage.prefixBlocks + usage.freeBlocks != usage.blocks) {
      fail("the blocks do not add up");
    }
    if (slots.size() != running_.size() ||
        rig_.manager.freeSlots() + static_cast<std::int32_t>(slots.size()) !=
            rig_.manager.capacity().sequences) {
      fail("the slots do not add up");
    }
  }

  const std::int64_t maxDrafts_;
  const bool disk_;
  std::optional<PrefixRestore> restore_;
  std::vector<TokenId> restoring_;
  std::mt19937 random_;
  CacheRig rig_;
  std::vector<Run> running_;  // the oldest first
  std::vector<Run> waiting_;  // preempted
  std::vector<std::vector<TokenId>> history_;
  Counts counts_;
  std::string problem_;
};

}  // namespace

class KvCachePropertyTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void everySequenceSeesExactlyItsOwnPrefix_data() {
    QTest::addColumn<int>("blocks");
    QTest::addColumn<int>("slots_");
    QTest::addColumn<int>("snapshots");
    QTest::addColumn<int>("maxDrafts");
    QTest::addColumn<bool>("keepPrefixes");
    QTest::addColumn<bool>("disk");
    QTest::newRow("few blocks") << 6 << 4 << 32 << 3 << true << false;
    QTest::newRow("few snapshots") << 10 << 4 << 3 << 3 << true << false;
    QTest::newRow("one snapshot") << 12 << 4 << 1 << 1 << true << false;
    QTest::newRow("few of everything") << 8 << 3 << 6 << 5 << true << false;
    QTest::newRow("one slot") << 3 << 1 << 4 << 3 << true << false;
    QTest::newRow("plenty") << 64 << 8 << 64 << 0 << true << false;
    QTest::newRow("nothing kept") << 8 << 3 << 6 << 3 << false << false;
    QTest::newRow("a disk, few blocks") << 12 << 4 << 32 << 3 << true << true;
    QTest::newRow("a disk, few snapshots") << 16 << 4 << 3 << 3 << true << true;
    QTest::newRow("a disk, plenty") << 64 << 8 << 64 << 0 << true << true;
  }

  void everySequenceSeesExactlyItsOwnPrefix() {
    QFETCH(const int, blocks);
    QFETCH(const int, slots_);
    QFETCH(const int, snapshots);
    QFETCH(const int, maxDrafts);
    QFETCH(const bool, keepPrefixes);
    QFETCH(const bool, disk);
#ifdef TANDEM_SANITIZED
    const int rounds = 500;
#else
    const int rounds = 3000;
#endif
    Counts sum;
    for (std::uint32_t seed = 1; seed <= 3; ++seed) {
      Crowd crowd({blocks, slots_, snapshots}, keepPrefixes, disk, maxDrafts, seed);
      crowd.run(rounds);
      crowd.finish();
      QVERIFY2(crowd.problem().empty(),
               qPrintable(QString("seed %1: ").arg(seed) + crowd.problem().c_str()));
      const KvUsage usage = crowd.manager().usage();
      QCOMPARE(usage.freeBlocks, blocks);
      QCOMPARE(usage.usedSnapshots, 0);
      QCOMPARE(crowd.manager().freeSlots(), slots_);
      QCOMPARE(crowd.manager().prefixes().size(), 0U);
      sum.steps += crowd.counts().steps;
      sum.hits += crowd.counts().hits;
      sum.halfBlockHits += crowd.counts().halfBlockHits;
      sum.refusals += crowd.counts().refusals;
      sum.preemptions += crowd.counts().preemptions;
      sum.cancelledUnplanned += crowd.counts().cancelledUnplanned;
      sum.rejectedDrafts += crowd.counts().rejectedDrafts;
      sum.restores += crowd.counts().restores;
      sum.cancelledRestores += crowd.counts().cancelledRestores;
    }
    qInfo(
        "%d steps, %d hits, %d of them within a block, %d refusals, %d preemptions, "
        "%d ends before a plan, %d restores",
        sum.steps,
        sum.hits,
        sum.halfBlockHits,
        sum.refusals,
        sum.preemptions,
        sum.cancelledUnplanned,
        sum.restores);
    QCOMPARE(sum.restores > 10, disk);
    QCOMPARE(sum.cancelledRestores > 0, disk);
    QVERIFY(sum.steps > rounds);
    QVERIFY(sum.refusals > 0);
    QVERIFY(sum.cancelledUnplanned > 0);
    QCOMPARE(sum.hits > 20, keepPrefixes);
    QCOMPARE(sum.halfBlockHits > 10, keepPrefixes);
    if (!disk) {  // restores hold blocks back, so that fewer are started
      QCOMPARE(sum.preemptions > 0, slots_ > 1 && blocks < 64);
    }
    QCOMPARE(sum.rejectedDrafts > 0, maxDrafts > 0);
  }
};

QTEST_GUILESS_MAIN(KvCachePropertyTest)
#include "kv_cache_property_test.moc"
