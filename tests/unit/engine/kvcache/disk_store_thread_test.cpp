// SPDX-License-Identifier: GPL-3.0-or-later
// The disk store on its own thread: jobs in order, and an engine that never waits for the disk.
#include "engine/kvcache/disk_store_thread.h"

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <QDir>
#include <QTemporaryDir>
#include <QTest>

#include "tests/support/file_limit.h"
#include "tests/unit/engine/kvcache/disk_records.h"

using namespace tandem;
using namespace tandem::kvcache;
using namespace tandem::test;
using namespace std::chrono_literals;

namespace {

/// Whoever logs waits here until the gate is opened.
class Gate {
 public:
  class Sink final : public LogSink {
   public:
    explicit Sink(Gate& gate)
        : gate_(gate) {}
    void write(const LogRecord&) override {
      MutexLock lock(gate_.mutex_);
      gate_.reached_ = true;
      gate_.changed_.notify_all();
      while (!gate_.open_) {
        gate_.changed_.wait(lock);
      }
    }

   private:
    Gate& gate_;
  };

  void open() {
    const MutexLock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void waitUntilReached() {
    MutexLock lock(mutex_);
    while (!reached_) {
      changed_.wait(lock);
    }
  }

 private:
  Mutex mutex_;
  Condition changed_;
  bool open_ TANDEM_GUARDED_BY(mutex_) = false;
  bool reached_ TANDEM_GUARDED_BY(mutex_) = false;
};

}  // namespace

class DiskStoreThreadTest final : public QObject {
  Q_OBJECT

  std::unique_ptr<QTemporaryDir> parent_;
  QString folder_;
  std::unique_ptr<Logger> logger_;

  Result<DiskStore> open(std::uint64_t limit = kRoom) {
    return DiskStore::open(folder_.toStdString(), limit, identity(), *logger_);
  }
  [[nodiscard]] QString pathOf(const RecordId& id) const {
    return folder_ + QLatin1Char('/') + QString::fromStdString(recordName(id));
  }
  /// By an engine of its own, which ends.
  Result<void> writeOnce(int number) {
    Result<DiskStore> store = open();
    return store.ok() ? store->write(RecordKind::Block, key(number), payload(number, 100))
                      : store.error();
  }
  [[nodiscard]] QStringList files() const {
    return QDir(folder_).entryList(QDir::Files | QDir::Hidden | QDir::System);
  }
  std::unique_ptr<DiskStoreThread> start(std::uint64_t maxPendingBytes,
                                         std::uint64_t limit = kRoom) {
    Result<DiskStore> store = open(limit);
    return *DiskStoreThread::start(*std::move(store), maxPendingBytes, *logger_);
  }
  /// The next `count` outcomes, waited for as the engine does.
  static std::vector<DiskOutcome> outcomes(DiskStoreThread& thread, std::size_t count) {
    std::vector<DiskOutcome> all;
    pollfd entry{thread.readyFd(), POLLIN, 0};
    while (all.size() < count && ::poll(&entry, 1, kPatienceMs) == 1) {
      for (DiskOutcome& outcome : thread.take()) {
        all.push_back(std::move(outcome));
      }
    }
    return all;
  }

 private slots:
  void init() {
    parent_ = std::make_unique<QTemporaryDir>();
    folder_ = parent_->filePath(QStringLiteral("cache"));
    logger_ = std::make_unique<Logger>(0);
  }

  void jobsAreDoneInOrderAndAReadFindsTheWriteBeforeIt() {
    const auto thread = start(kRoom);
    const auto first = thread->write(RecordKind::Block, key(1), payload(1, 100));
    const std::uint64_t second = thread->read(RecordKind::Block, key(1));
    const std::uint64_t third = thread->remove(RecordKind::Block, key(1));
    const std::uint64_t fourth = thread->read(RecordKind::Block, key(1));
    const std::vector<DiskOutcome> all = outcomes(*thread, 4);
    QCOMPARE(all.size(), std::size_t{4});
    QVERIFY(first == all[0].ticket);
    QVERIFY(all[0].operation == DiskOperation::Write && all[0].result.ok());
    QCOMPARE(all[1].ticket, second);
    QVERIFY(all[1].operation == DiskOperation::Read && all[1].result.ok());
    QVERIFY(all[1].id == block(1));
    QVERIFY(all[1].payload == payload(1, 100));
    QCOMPARE(all[2].ticket, third);
    QVERIFY(all[2].operation == DiskOperation::Remove && all[2].result.ok());
    QCOMPARE(all[3].ticket, fourth);
    QVERIFY(!all[3].result.ok());
    QVERIFY(all[3].result.error().code == ErrorCode::NotFound);
    QVERIFY(all[3].payload.empty());
    QVERIFY(thread->take().empty());
    pollfd entry{thread->readyFd(), POLLIN, 0};
    QCOMPARE(::poll(&entry, 1, 0), 0);
  }

  void itKnowsWhatIsOnTheDiskAndWhatWasEvicted() {
    const std::uint64_t one = 100 + kRecordExtraBytes;
    QVERIFY(writeOnce(1).ok());
    const auto thread = start(kRoom, 2 * one);
    QVERIFY(thread->contains(RecordKind::Block, key(1)));
    QCOMPARE(thread->counters().usage.records, 1U);
    thread->write(RecordKind::Block, key(2), payload(2, 100));
    thread->write(RecordKind::Block, key(3), payload(3, 100));
    QVERIFY(thread->waitUntilIdle(std::chrono::milliseconds(kPatienceMs)));
    QVERIFY(!thread->contains(RecordKind::Block, key(1)));
    QVERIFY(thread->contains(RecordKind::Block, key(2)));
    QVERIFY(thread->contains(RecordKind::Block, key(3)));
    QVERIFY(!thread->contains(RecordKind::Snapshot, key(3)));
    const DiskCounters counters = thread->counters();
    QCOMPARE(counters.usage.records, 2U);
    QCOMPARE(counters.usage.evicted, 1U);
    QCOMPARE(counters.pendingBytes, 0U);
  }

  void aDiskThatHangsCostsWritesButNoTime() {
    // Reading a damaged record logs, and the log hangs.
    QVERIFY(writeOnce(1).ok());
    Gate gate;
    logger_->addSink(std::make_unique<Gate::Sink>(gate));
    const auto thread = start(250);
    writeFile(pathOf(block(1)), "broken");
    thread->read(RecordKind::Block, key(1));
    gate.waitUntilReached();
    QVERIFY(thread->write(RecordKind::Block, key(2), payload(2, 100)).has_value());
    QVERIFY(thread->write(RecordKind::Block, key(3), payload(3, 150)).has_value());
    QVERIFY(!thread->write(RecordKind::Block, key(4), payload(4, 1)).has_value());
    QVERIFY(!thread->write(RecordKind::Block, key(5), payload(5, 251)).has_value());
    thread->read(RecordKind::Block, key(3));
    QCOMPARE(thread->counters().pendingBytes, 250U);
    QCOMPARE(thread->counters().droppedWrites, 2U);
    QVERIFY(!thread->contains(RecordKind::Block, key(2)));
    QVERIFY(thread->take().empty());
    QVERIFY(!thread->waitUntilIdle(20ms));
    gate.open();
    const std::vector<DiskOutcome> all = outcomes(*thread, 4);
    QCOMPARE(all.size(), std::size_t{4});
    QVERIFY(all[0].result.error().code == ErrorCode::DataCorrupt);
    QVERIFY(all[1].result.ok() && all[2].result.ok());
    QVERIFY(all[3].payload == payload(3, 150));
    QVERIFY(thread->waitUntilIdle(std::chrono::milliseconds(kPatienceMs)));
    QCOMPARE(thread->counters().pendingBytes, 0U);
    QVERIFY(thread->write(RecordKind::Block, key(4), payload(4, 250)).has_value());
    QCOMPARE(thread->counters().droppedWrites, 2U);
  }

  void aDiskThatFailsIsReportedOnceAndAgainWhenItWorks() {
    const auto thread = start(2 * kRoom);
    {
      const FileLimit limit(80);
      for (const int number : {1, 2, 3}) {
        thread->write(RecordKind::Block, key(number), payload(number, 100));
      }
      QVERIFY(thread->waitUntilIdle(std::chrono::milliseconds(kPatienceMs)));
    }
    for (const DiskOutcome& outcome : outcomes(*thread, 3)) {
      QVERIFY(!outcome.result.ok());
      QVERIFY(outcome.result.error().code == ErrorCode::Unavailable);
    }
    QVERIFY(files().isEmpty());
    QVERIFY(!thread->contains(RecordKind::Block, key(1)));
    thread->write(RecordKind::Block, key(4), payload(4, 100));
    thread->write(RecordKind::Block, key(5), payload(5, kRoom));  // never: larger than the limit
    QVERIFY(thread->waitUntilIdle(std::chrono::milliseconds(kPatienceMs)));
    QVERIFY(thread->contains(RecordKind::Block, key(4)));
    QCOMPARE(thread->counters().failedWrites, 4U);
    const std::vector<LogRecord> lines = logger_->recordsAfter(0);
    QCOMPARE(lines.size(), std::size_t{2});
    QVERIFY(contains(lines[0].text, "File too large"));
    QVERIFY(contains(lines[0].text, "nothing is kept on the disk until that works again"));
    QVERIFY(contains(lines[1].text, "goes on; 3 records were not kept"));
  }

  void whatWaitsAtTheEndIsDroppedAndTheFolderIsFree() {
    {
      const auto thread = start(kRoom);
      for (int number = 0; number < 50; ++number) {
        thread->write(RecordKind::Block, key(number), payload(number, 1000));
      }
    }
    Result<DiskStore> store = open();
    QVERIFY(store.ok());
    QCOMPARE(store->usage().damaged, 0U);
    QCOMPARE(files().size(), qsizetype(store->usage().records));
    for (const RecordId& id : store->records()) {
      Bytes bytes(1000);
      QVERIFY(store->read(id.kind, id.key, bytes).ok());
      QVERIFY(bytes == payload(id.key.bytes[0], 1000));
    }
  }
};

QTEST_APPLESS_MAIN(DiskStoreThreadTest)
#include "disk_store_thread_test.moc"
