// SPDX-License-Identifier: GPL-3.0-or-later
// The folder of kept records: what comes back of it after restarts, damage and full disks.
#include "engine/kvcache/disk_store.h"

#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <QDir>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>
#include <QtEndian>

#include "engine/kvcache/disk_record.h"
#include "tests/unit/engine/kvcache/disk_records.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace tandem;
using namespace tandem::kvcache;
using namespace tandem::test;

namespace {

unsigned modeOf(const QString& path) {
  struct stat info {};
  return ::stat(QFile::encodeName(path).constData(), &info) == 0 ? info.st_mode & 07777U : 0;
}

QByteArray contentOf(const QString& path) {
  QFile file(path);
  return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

void touch(const QString& path, std::time_t seconds) {
  const std::array<timespec, 2> times{timespec{seconds, 0}, timespec{seconds, 0}};
  if (::utimensat(AT_FDCWD, QFile::encodeName(path).constData(), times.data(), 0) != 0) {
    qFatal("could not touch %s", qPrintable(path));
  }
}

/// A disk of `kibibytes` in memory; not there where this process may not mount.
class SmallDisk {
 public:
  explicit SmallDisk(int kibibytes)
      : path_(QFile::encodeName(folder_.path())) {
    const QByteArray options = "size=" + QByteArray::number(kibibytes) + "k";
    mounted_ = ::mount("none", path_.constData(), "tmpfs", 0, options.constData()) == 0;
    reason_ = mounted_ ? "" : std::strerror(errno);
  }
  ~SmallDisk() {
    if (mounted_) {
      ::umount2(path_.constData(), MNT_DETACH);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] QString reason() const {
    return QStringLiteral("no small disk can be mounted here: %1").arg(QLatin1String(reason_));
  }
  [[nodiscard]] QString filePath(const QString& name) const { return folder_.filePath(name); }
  [[nodiscard]] bool makeReadOnly() const {
    return ::mount("none", path_.constData(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }
  /// Leaves less than a page.
  void fill() const {
    QFile file(filePath(QStringLiteral("filler")));
    if (!file.open(QIODevice::WriteOnly | QIODevice::Unbuffered)) {
      qFatal("no filler");
    }
    while (file.write(QByteArray(4096, 'f')) > 0) {
    }
  }

 private:
  QTemporaryDir folder_;
  QByteArray path_;
  bool mounted_ = false;
  const char* reason_ = "";
};

}  // namespace

class DiskStoreTest final : public QObject {
  Q_OBJECT

  std::unique_ptr<QTemporaryDir> parent_;
  QString folder_;
  std::unique_ptr<Logger> logger_;

  Result<DiskStore> open(std::uint64_t limit = kRoom, const StoreIdentity& who = identity()) {
    return DiskStore::open(folder_.toStdString(), limit, who, *logger_);
  }
  [[nodiscard]] QString pathOf(const RecordId& id) const {
    return folder_ + QLatin1Char('/') + QString::fromStdString(recordName(id));
  }
  static Result<void> write(DiskStore& store, int number, std::size_t size = 100) {
    return store.write(RecordKind::Block, key(number), payload(number, size));
  }
  /// By an engine of its own, which ends.
  Result<void> writeOnce(int number,
                         std::size_t size = 100,
                         const StoreIdentity& who = identity()) {
    Result<DiskStore> store = open(kRoom, who);
    return store.ok() ? write(*store, number, size) : store.error();
  }
  /// Whether the record is there and right.
  static bool holds(DiskStore& store, int number, std::size_t size = 100) {
    Bytes bytes(size);
    const Result<void> read = store.read(RecordKind::Block, key(number), bytes);
    return read.ok() && bytes == payload(number, size);
  }
  /// The numbers of the blocks, used longest ago first.
  static QList<int> order(const DiskStore& store) {
    QList<int> numbers;
    for (const RecordId& id : store.records()) {
      numbers.append(id.key.bytes[0]);
    }
    return numbers;
  }
  [[nodiscard]] QStringList files() const {
    return QDir(folder_).entryList(QDir::AllEntries | QDir::Hidden | QDir::System |
                                   QDir::NoDotAndDotDot);
  }
  /// All texts of the log, and forgets them.
  std::string log() {
    std::string texts;
    for (const LogRecord& record : logger_->recordsAfter(0)) {
      texts += record.text + '\n';
    }
    logger_ = std::make_unique<Logger>(0);
    return texts;
  }

 private slots:
  void init() {
    parent_ = std::make_unique<QTemporaryDir>();
    folder_ = parent_->filePath(QStringLiteral("cache"));
    logger_ = std::make_unique<Logger>(0);
  }

  void aRecordComesBackAsItWasWritten() {
    Result<DiskStore> store = open();
    QVERIFY(store.ok());
    const Bytes large = payload(3, 300000);
    QVERIFY(store->write(RecordKind::Block, key(1), payload(1, 100)).ok());
    QVERIFY(store->write(RecordKind::Snapshot, key(1), payload(2, 50)).ok());
    QVERIFY(store->write(RecordKind::Block, key(3), large).ok());
    QVERIFY(store->write(RecordKind::Block, key(4), {}).ok());
    QVERIFY(holds(*store, 1));
    QVERIFY(holds(*store, 3, large.size()));
    QVERIFY(holds(*store, 4, 0));
    Bytes bytes(50);
    QVERIFY(store->read(RecordKind::Snapshot, key(1), bytes).ok());
    QVERIFY(bytes == payload(2, 50));
    QVERIFY(store->payloadBytes(RecordKind::Snapshot, key(1)) == 50U);
    QVERIFY(!store->contains(RecordKind::Snapshot, key(3)));
    QVERIFY(!store->payloadBytes(RecordKind::Snapshot, key(3)));
    const DiskUsage usage = store->usage();
    QCOMPARE(usage.records, 4U);
    QCOMPARE(usage.bytes, 100U + 50 + 300000 + 4 * kRecordExtraBytes);
    QCOMPARE(usage.limitBytes, kRoom);
    QCOMPARE(log(), std::string());
  }

  void aRecordLiesInItsFileAsDocumented() {
    StoreIdentity who = identity();
    who.numerics = kernels::Numerics::Act;
    who.speculative = true;
    QVERIFY(open(kRoom, who)->write(RecordKind::Snapshot, key(7), payload(7, 300)).ok());
    QCOMPARE(files(), QStringList{QStringLiteral("snapshot-071112131415161718191a1b1c1d1eff.kv")});
    const QByteArray bytes = contentOf(pathOf({RecordKind::Snapshot, key(7)}));
    QCOMPARE(bytes.size(), 56 + 300 + 8);
    QCOMPARE(bytes.left(8), QByteArray("TDMKVREC"));
    QCOMPARE(qFromLittleEndian<quint32>(bytes.constData() + 8), 1U);
    QVERIFY(std::memcmp(bytes.constData() + 12, who.modelHash.data(), 16) == 0);
    QCOMPARE(bytes.mid(28, 4), QByteArray("\x02\x01\x02\x00", 4));
    QVERIFY(std::memcmp(bytes.constData() + 32, key(7).bytes.data(), 16) == 0);
    QCOMPARE(qFromLittleEndian<quint64>(bytes.constData() + 48), 300U);
    QVERIFY(std::memcmp(bytes.constData() + 56, payload(7, 300).data(), 300) == 0);
    QCOMPARE(qFromLittleEndian<quint64>(bytes.constData() + 356),
             quint64{XXH3_64bits(bytes.constData(), 356)});
  }

  void folderAndFilesAreForTheirOwnerOnly() {
    const mode_t before = ::umask(0);
    Result<DiskStore> store = open();
    const bool written = store.ok() && write(*store, 1).ok();
    ::umask(before);
    QVERIFY(written);
    QCOMPARE(modeOf(folder_), 0700U);
    QCOMPARE(modeOf(pathOf(block(1))), 0600U);
  }

  void recordsAndTheirOrderSurviveARestart() {
    {
      Result<DiskStore> store = open();
      for (const int number : {1, 2, 3, 4}) {
        QVERIFY(write(*store, number).ok());
      }
      QVERIFY(holds(*store, 2));
      QVERIFY(write(*store, 1).ok());  // there already: a use
      QCOMPARE(order(*store), (QList<int>{3, 4, 2, 1}));
    }
    Result<DiskStore> store = open();
    QVERIFY(store.ok());
    QCOMPARE(order(*store), (QList<int>{3, 4, 2, 1}));
    QCOMPARE(store->usage().bytes, 4 * (100 + kRecordExtraBytes));
    for (const int number : {1, 2, 3, 4}) {
      QVERIFY(holds(*store, number));
    }
    QCOMPARE(log(), std::string());
  }

  void theOrderHoldsWhenTheClockWasSetBack() {
    {
      Result<DiskStore> store = open();
      QVERIFY(write(*store, 1).ok());
      QVERIFY(write(*store, 2).ok());
    }
    touch(pathOf(block(1)), 4'000'000'000);
    touch(pathOf(block(2)), 3'999'999'999);
    {
      Result<DiskStore> store = open();
      QCOMPARE(order(*store), (QList<int>{2, 1}));
      QVERIFY(write(*store, 3).ok());
      QVERIFY(holds(*store, 2));
    }
    QCOMPARE(order(*open()), (QList<int>{1, 3, 2}));
  }

  void whatWasUsedLongestAgoGoesWhenThereIsNoRoom() {
    const std::uint64_t one = 100 + kRecordExtraBytes;
    Result<DiskStore> store = open(3 * one);
    QList<int> lost;
    store->watchLosses([&](const RecordId& id) { lost.append(id.key.bytes[0]); });
    for (const int number : {1, 2, 3}) {
      QVERIFY(write(*store, number).ok());
    }
    QCOMPARE(store->usage().evicted, 0U);
    QVERIFY(holds(*store, 1));
    QVERIFY(write(*store, 4).ok());
    QCOMPARE(order(*store), (QList<int>{3, 1, 4}));
    QVERIFY(!QFile::exists(pathOf(block(2))));
    // A larger one costs two.
    QVERIFY(write(*store, 5, 101).ok());
    QCOMPARE(order(*store), (QList<int>{4, 5}));
    QCOMPARE(lost, (QList<int>{2, 3, 1}));
    QCOMPARE(store->usage().evicted, 3U);
    QCOMPARE(store->usage().bytes, 2 * one + 1);
    QCOMPARE(files().size(), 2);
  }

  void aRecordLargerThanTheLimitIsRefusedAndCostsNothing() {
    Result<DiskStore> store = open(1000);
    QVERIFY(write(*store, 1).ok());
    const Result<void> refused = write(*store, 2, 1001 - kRecordExtraBytes);
    QVERIFY(!refused.ok());
    QVERIFY(refused.error().code == ErrorCode::OutOfRange);
    QVERIFY(contains(refused.error().message, "1001 B does not fit"));
    QVERIFY(contains(refused.error().message, "1000 B"));
    QVERIFY(holds(*store, 1));
    QVERIFY(write(*store, 2, 1000 - kRecordExtraBytes).ok());
    QCOMPARE(order(*store), (QList<int>{2}));
  }

  void aSmallerLimitTakesTheOldestAtTheStart() {
    {
      Result<DiskStore> store = open();
      for (const int number : {1, 2, 3, 4}) {
        QVERIFY(write(*store, number).ok());
      }
    }
    Result<DiskStore> store = open(2 * (100 + kRecordExtraBytes));
    QCOMPARE(order(*store), (QList<int>{3, 4}));
    QCOMPARE(files().size(), 2);
    QVERIFY(contains(log(), "the 2 oldest records are deleted"));
  }

  void aRecordCutAnywhereIsFoundAtTheStartAndWhenItIsRead() {
    QVERIFY(writeOnce(1, 24).ok());
    const QString path = pathOf(block(1));
    const QByteArray whole = contentOf(path);
    QCOMPARE(whole.size(), qsizetype(24 + kRecordExtraBytes));
    for (qsizetype length = 0; length <= whole.size() + 1; ++length) {
      const QByteArray cut = length > whole.size() ? whole + 'x' : whole.left(length);
      const bool sound = length == whole.size();
      writeFile(path, cut);
      {
        Result<DiskStore> store = open();
        QVERIFY(store.ok());
        QCOMPARE(store->contains(RecordKind::Block, key(1)), sound);
        QCOMPARE(store->usage().damaged, sound ? 0U : 1U);
        QCOMPARE(QFile::exists(path), sound);
      }
      const std::string atStart = log();
      QVERIFY(sound ? atStart.empty() : contains(atStart, "had 1 damaged records"));

      writeFile(path, whole);
      Result<DiskStore> store = open();
      writeFile(path, cut);
      Bytes bytes(24);
      const Result<void> read = store->read(RecordKind::Block, key(1), bytes);
      QCOMPARE(read.ok(), sound);
      QCOMPARE(QFile::exists(path), sound);
      if (!sound) {
        QVERIFY(read.error().code == ErrorCode::DataCorrupt);
        QVERIFY(contains(read.error().message, recordName(block(1))));
        QVERIFY(contains(log(), "and is deleted"));
        QCOMPARE(store->usage().bytes, 0U);
        QVERIFY(write(*store, 1, 24).ok());
      }
      QVERIFY(holds(*store, 1, 24));
    }
  }

  void noFlippedBitIsServed() {
    QVERIFY(writeOnce(1, 24).ok());
    const QString path = pathOf(block(1));
    const QByteArray whole = contentOf(path);
    std::size_t atStart = 0;
    for (qsizetype bit = 0; bit < whole.size() * 8; ++bit) {
      QByteArray flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      writeFile(path, whole);
      Result<DiskStore> store = open();
      writeFile(path, flipped);
      Bytes bytes(24);
      const Result<void> read = store->read(RecordKind::Block, key(1), bytes);
      QVERIFY2(!read.ok(), std::to_string(bit).c_str());
      QVERIFY(read.error().code == ErrorCode::DataCorrupt);
      QVERIFY(!QFile::exists(path));
      QVERIFY(!store->contains(RecordKind::Block, key(1)));

      store = Error{};  // gives the lock back
      writeFile(path, flipped);
      Result<DiskStore> next = open();
      atStart += next->contains(RecordKind::Block, key(1)) ? 0 : 1;
      QVERIFY(!holds(*next, 1, 24));
      QVERIFY(!QFile::exists(path));
    }
    // The header is looked at when the folder is opened, the rest when it is read.
    QCOMPARE(atStart, kRecordHeaderBytes * 8);
  }

  void whatAnotherModelOrSettingLeftIsDeleted_data() {
    QTest::addColumn<int>("at");  // the byte that differs
    QTest::addColumn<QByteArray>("says");
    QTest::newRow("version") << 8 << QByteArray("it has format 3, this engine has 1");
    QTest::newRow("model") << 27 << QByteArray("it is of another model");
    QTest::newRow("numerics") << 28 << QByteArray("it was made with other numerics");
    QTest::newRow("speculation") << 29 << QByteArray("the other setting of speculation");
  }

  void whatAnotherModelOrSettingLeftIsDeleted() {
    QFETCH(int, at);
    QFETCH(QByteArray, says);
    {
      Result<DiskStore> store = open();
      for (const int number : {1, 2, 3}) {
        QVERIFY(write(*store, number).ok());
      }
    }
    for (const int number : {1, 3}) {
      QByteArray content = contentOf(pathOf(block(number)));
      content[at] = static_cast<char>(content[at] ^ 2);
      writeFile(pathOf(block(number)), content);
    }
    Result<DiskStore> store = open();
    QCOMPARE(order(*store), (QList<int>{2}));
    QCOMPARE(files().size(), 1);
    const std::string said = log();
    QVERIFY(contains(said, "2 records that this engine has no use for"));
    QVERIFY(contains(said, says.toStdString()));
    QCOMPARE(store->usage().damaged, 0U);
  }

  void eachSettingIsPartOfTheIdentity() {
    QVERIFY(writeOnce(1).ok());
    StoreIdentity drafts = identity();
    drafts.speculative = true;
    QCOMPARE(open(kRoom, drafts)->usage().records, 0U);
    QVERIFY(writeOnce(1, 100, drafts).ok());
    StoreIdentity exact = drafts;
    exact.numerics = kernels::Numerics::Exact;
    QCOMPARE(open(kRoom, drafts)->usage().records, 1U);
    QCOMPARE(open(kRoom, exact)->usage().records, 0U);
    QVERIFY(writeOnce(1, 100, exact).ok());
    StoreIdentity other = exact;
    other.modelHash[0] ^= 1U;
    QCOMPARE(open(kRoom, other)->usage().records, 0U);
  }

  void aRecordUnderAnotherNameIsNotServed() {
    {
      Result<DiskStore> store = open();
      QVERIFY(write(*store, 1).ok());
    }
    QVERIFY(QFile::copy(pathOf(block(1)), pathOf(block(2))));
    QVERIFY(QFile::copy(pathOf(block(1)), pathOf({RecordKind::Snapshot, key(1)})));
    Result<DiskStore> store = open();
    QCOMPARE(order(*store), (QList<int>{1}));
    QCOMPARE(store->usage().damaged, 2U);
    QCOMPARE(files().size(), 1);
    QVERIFY(contains(log(), "it is not the record its name says"));
  }

  void whatACrashLeftHalfWrittenIsDeleted() {
    QVERIFY(writeOnce(1).ok());
    for (const int number : {2, 3}) {
      writeFile(folder_ + QLatin1Char('/') + QString::fromStdString(partName(block(number))),
                "TDMKVREC, half");
    }
    Result<DiskStore> store = open();
    QVERIFY(store.ok());
    QCOMPARE(files(), QStringList{QString::fromStdString(recordName(block(1)))});
    QVERIFY(contains(log(), "2 unfinished records"));
    // One that appears later does not stand in the way either.
    writeFile(folder_ + QLatin1Char('/') + QString::fromStdString(partName(block(2))), "x");
    QVERIFY(write(*store, 2).ok());
    QVERIFY(holds(*store, 2));
    QCOMPARE(files().size(), 2);
  }

  void anEngineKilledWhileItWritesLeavesWholeRecords() {
    int seen = 0;
    for (int round = 0; round < 8; ++round) {
      std::array<int, 2> started{};
      QVERIFY(::pipe(started.data()) == 0);
      const pid_t child = ::fork();
      if (child == 0) {
        Result<DiskStore> store = open();
        for (int number = 0; store.ok(); ++number) {
          if (::write(started[1], "x", 1) != 1) {
            break;
          }
          (void)write(*store, number % 200, 20000);
          if (number % 200 == 199) {
            for (int i = 0; i < 200; ++i) {
              (void)store->remove(RecordKind::Block, key(i));
            }
          }
        }
        ::_exit(1);
      }
      ::close(started[1]);
      // It says when a write begins; where in it the child is hit is left to chance.
      for (int begun = 0; begun < 5 + 3 * round; ++begun) {
        char byte = 0;
        QCOMPARE(::read(started[0], &byte, 1), ssize_t{1});
      }
      ::kill(child, SIGKILL);
      ::close(started[0]);
      int status = 0;
      QCOMPARE(::waitpid(child, &status, 0), child);
      QVERIFY(WIFSIGNALED(status));

      Result<DiskStore> store = open(std::uint64_t{100} << 20U);
      QVERIFY(store.ok());
      for (const int number : order(*store)) {
        QVERIFY(holds(*store, number, 20000));
        ++seen;
      }
      QCOMPARE(store->usage().damaged, 0U);
      QCOMPARE(files().size(), qsizetype(store->usage().records));
    }
    QVERIFY(seen > 0);
  }

  void filesThatAreNotOursAreNeverTouched() {
    const QString digits = QStringLiteral("00112233445566778899aabbccddeeff");
    const QStringList others{QStringLiteral("README"),
                             QStringLiteral(".hidden"),
                             QStringLiteral("something.part"),
                             QStringLiteral(".kv"),
                             QStringLiteral("block-.kv"),
                             QStringLiteral("block-%1").arg(digits),
                             QStringLiteral("block-%1.kv.bak").arg(digits),
                             QStringLiteral("block-%1.kv.part.part").arg(digits),
                             QStringLiteral("block-%1.kv").arg(digits.toUpper()),
                             QStringLiteral("block-%1.kv").arg(digits.chopped(1)),
                             QStringLiteral("block-%1.kv").arg(digits + u'0'),
                             QStringLiteral("block-%1.kv").arg(digits.chopped(1) + u'g'),
                             QStringLiteral("blocks-%1.kv").arg(digits),
                             QStringLiteral("xblock-%1.kv").arg(digits)};
    QVERIFY(QDir().mkdir(folder_));
    QVERIFY(QFile::setPermissions(folder_, QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner));
    for (const QString& name : others) {
      writeFile(folder_ + QLatin1Char('/') + name, "mine");
    }
    // Our names, but no files.
    QVERIFY(QDir().mkdir(pathOf(block(1))));
    const QString target = parent_->filePath(QStringLiteral("target"));
    writeFile(target, "mine");
    QVERIFY(QFile::link(target, pathOf(block(2))));
    const QStringList before = files();
    QCOMPARE(before.size(), others.size() + 2);
    {
      Result<DiskStore> store = open(2 * (100 + kRecordExtraBytes));
      QVERIFY(store.ok());
      QVERIFY(contains(log(), "2 records that could not be read or deleted"));
      QCOMPARE(store->usage().records, 0U);
      for (const int number : {3, 4, 5}) {
        QVERIFY(write(*store, number).ok());
      }
      for (const int number : {4, 5}) {
        QVERIFY(store->remove(RecordKind::Block, key(number)).ok());
      }
    }
    QCOMPARE(files(), before);
    for (const QString& name : others) {
      QCOMPARE(contentOf(folder_ + QLatin1Char('/') + name), QByteArray("mine"));
    }
    QCOMPARE(contentOf(target), QByteArray("mine"));
  }

  void aRecordThatBecameALinkIsNotFollowed() {
    Result<DiskStore> store = open();
    QVERIFY(write(*store, 1).ok());
    const QString target = parent_->filePath(QStringLiteral("target"));
    QVERIFY(QFile::rename(pathOf(block(1)), target));
    QVERIFY(QFile::link(target, pathOf(block(1))));
    Bytes bytes(100);
    const Result<void> read = store->read(RecordKind::Block, key(1), bytes);
    QVERIFY(!read.ok());
    QVERIFY(read.error().code == ErrorCode::DataCorrupt);
    QVERIFY(QFile::exists(target));
    QVERIFY(files().isEmpty());
  }

  void aFolderThatOthersMayWriteToIsRefused_data() {
    QTest::addColumn<uint>("mode");
    QTest::addColumn<bool>("fine");
    QTest::newRow("owner") << 0700U << true;
    QTest::newRow("others may read") << 0755U << true;
    QTest::newRow("group may write") << 0770U << false;
    QTest::newRow("all may write") << 01777U << false;
    QTest::newRow("others may only write") << 0702U << false;
  }

  void aFolderThatOthersMayWriteToIsRefused() {
    QFETCH(uint, mode);
    QFETCH(bool, fine);
    QVERIFY(QDir().mkdir(folder_));
    QVERIFY(::chmod(QFile::encodeName(folder_).constData(), mode) == 0);
    const Result<DiskStore> store = open();
    QCOMPARE(store.ok(), fine);
    if (!fine) {
      QVERIFY(store.error().code == ErrorCode::PermissionDenied);
      QVERIFY(contains(store.error().message, folder_.toStdString()));
      QVERIFY(contains(store.error().remedy, "chmod 700 " + folder_.toStdString()));
    }
  }

  void aFolderOfSomeoneElseIsRefused() {
    QString theirs = QStringLiteral("/usr");
    if (::geteuid() == 0) {
      theirs = folder_;
      QVERIFY(QDir().mkdir(theirs));
      QVERIFY(::chown(QFile::encodeName(theirs).constData(), 12345, 0) == 0);
      QVERIFY(::chmod(QFile::encodeName(theirs).constData(), 0700) == 0);
    }
    const Result<DiskStore> store =
        DiskStore::open(theirs.toStdString(), kRoom, identity(), *logger_);
    QVERIFY(!store.ok());
    QVERIFY(store.error().code == ErrorCode::PermissionDenied);
    QVERIFY(contains(store.error().message, ::geteuid() == 0 ? "user 12345" : "user 0"));
  }

  void aPathThatCannotBeIsRefused() {
    const auto codeOf = [&](const QString& path) {
      const Result<DiskStore> store =
          DiskStore::open(path.toStdString(), kRoom, identity(), *logger_);
      return store.ok() || !contains(store.error().message, path.toStdString())
                 ? ErrorCode::Internal
                 : store.error().code;
    };
    QVERIFY(codeOf(folder_ + QStringLiteral("/below")) == ErrorCode::NotFound);
    writeFile(folder_, "a file");
    QVERIFY(codeOf(folder_) == ErrorCode::NotFound);
    QVERIFY(codeOf(folder_ + QStringLiteral("/below")) == ErrorCode::NotFound);
    QCOMPARE(contentOf(folder_), QByteArray("a file"));
  }

  void aFolderHasOneStoreOnly() {
    {
      const Result<DiskStore> first = open();
      QVERIFY(first.ok());
      const Result<DiskStore> second = open();
      QVERIFY(!second.ok());
      QVERIFY(second.error().code == ErrorCode::AlreadyExists);
      QVERIFY(
          contains(second.error().message, folder_.toStdString() + " is in use by another engine"));
      QVERIFY(contains(second.error().remedy, "Stop that engine"));
    }
    QVERIFY(open().ok());
  }

  void aFolderIsFreeAgainWhenItsEngineWasKilled() {
    std::array<int, 2> ready{};
    QVERIFY(::pipe(ready.data()) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const Result<DiskStore> store = open();
      if (::write(ready[1], store.ok() ? "y" : "n", 1) == 1) {
        ::pause();
      }
      ::_exit(1);
    }
    char answer = 0;
    QCOMPARE(::read(ready[0], &answer, 1), ssize_t{1});
    ::close(ready[0]);
    ::close(ready[1]);
    const Result<DiskStore> refused = open();
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    QCOMPARE(answer, 'y');
    QVERIFY(!refused.ok());
    QVERIFY(refused.error().code == ErrorCode::AlreadyExists);
    QVERIFY(open().ok());
  }

  void aFullDiskLosesTheNewRecordOnly() {
    const SmallDisk disk(256);
    if (!disk.mounted()) {
      QSKIP(qPrintable(disk.reason()));
    }
    folder_ = disk.filePath(QStringLiteral("cache"));
    Result<DiskStore> store = open();
    QVERIFY(write(*store, 1, 10000).ok());
    disk.fill();
    // Within the first page, and after many.
    for (const std::size_t size : {std::size_t{10}, std::size_t{50000}}) {
      const Result<void> full = write(*store, 2, size);
      QVERIFY(!full.ok());
      QVERIFY(full.error().code == ErrorCode::Unavailable);
      QVERIFY(contains(full.error().message, "No space left on device"));
      QVERIFY(contains(full.error().remedy, "Make room on that disk"));
      QCOMPARE(files(), QStringList{QString::fromStdString(recordName(block(1)))});
    }
    QVERIFY(!store->contains(RecordKind::Block, key(2)));
    QVERIFY(holds(*store, 1, 10000));
    QCOMPARE(store->usage().records, 1U);
    QVERIFY(QFile::remove(disk.filePath(QStringLiteral("filler"))));
    QVERIFY(write(*store, 2, 50000).ok());
    QVERIFY(holds(*store, 2, 50000));
    QCOMPARE(store->usage().damaged, 0U);
  }

  void aReadOnlyDiskIsReadAndSaysThatItCannotBeWritten() {
    const SmallDisk disk(256);
    if (!disk.mounted()) {
      QSKIP(qPrintable(disk.reason()));
    }
    folder_ = disk.filePath(QStringLiteral("cache"));
    Result<DiskStore> store = open(2 * (100 + kRecordExtraBytes));
    QVERIFY(write(*store, 1).ok());
    QVERIFY(write(*store, 2).ok());
    QVERIFY(disk.makeReadOnly());
    const auto refusesToWrite = [](DiskStore& one) {
      const Result<void> refused = write(one, 3);
      return !refused.ok() && refused.error().code == ErrorCode::PermissionDenied &&
             contains(refused.error().message, "Read-only file system") &&
             contains(refused.error().remedy, "Choose another folder");
    };
    QVERIFY(holds(*store, 1));
    QVERIFY(refusesToWrite(*store));  // no room to be made
    QVERIFY(!store->remove(RecordKind::Block, key(1)).ok());
    QCOMPARE(store->usage().records, 2U);
    store = Error{};
    Result<DiskStore> again = open();
    QVERIFY(again.ok());
    QVERIFY(holds(*again, 1));
    QVERIFY(holds(*again, 2));
    QVERIFY(refusesToWrite(*again));
    QCOMPARE(files().size(), 2);
  }

  void aFolderRemovedMeanwhileIsSaidToBe() {
    Result<DiskStore> store = open();
    QVERIFY(write(*store, 1).ok());
    QVERIFY(QDir(folder_).removeRecursively());
    QVERIFY(!holds(*store, 1));
    const Result<void> lost = write(*store, 2);
    QVERIFY(!lost.ok());
    QVERIFY(lost.error().code == ErrorCode::NotFound);
    QVERIFY(contains(lost.error().message, folder_.toStdString() + " was removed while"));
    QVERIFY(contains(lost.error().remedy, "Restart the engine"));
    QCOMPARE(store->usage().records, 0U);
    QCOMPARE(store->usage().bytes, 0U);
    QVERIFY(!QFile::exists(folder_));
    store = Error{};
    Result<DiskStore> next = open();
    QVERIFY(write(*next, 2).ok());
  }

  void aRecordThatSomebodyDeletedIsForgottenAndCanBeWrittenAgain() {
    Result<DiskStore> store = open();
    QVERIFY(write(*store, 1).ok());
    QVERIFY(write(*store, 2).ok());
    QVERIFY(QFile::remove(pathOf(block(1))));
    QVERIFY(QFile::remove(pathOf(block(2))));
    Bytes bytes(100);
    const Result<void> read = store->read(RecordKind::Block, key(1), bytes);
    QVERIFY(!read.ok());
    QVERIFY(read.error().code == ErrorCode::NotFound);
    QVERIFY(contains(read.error().message, "somebody deleted it"));
    QVERIFY(!store->contains(RecordKind::Block, key(1)));
    QVERIFY(write(*store, 2).ok());  // it was still thought to be there
    QVERIFY(holds(*store, 2));
    QCOMPARE(store->usage().bytes, 100 + kRecordExtraBytes);
    QVERIFY(store->remove(RecordKind::Block, key(2)).ok());
    QVERIFY(store->remove(RecordKind::Block, key(2)).ok());
    QVERIFY(files().isEmpty());
  }

  void anotherLengthIsRefusedAndTheRecordStays() {
    Result<DiskStore> store = open();
    QVERIFY(write(*store, 1).ok());
    for (const std::size_t size : {std::size_t{0}, std::size_t{99}, std::size_t{101}}) {
      Bytes bytes(size);
      const Result<void> read = store->read(RecordKind::Block, key(1), bytes);
      QVERIFY(!read.ok());
      QVERIFY(read.error().code == ErrorCode::InvalidArgument);
      QVERIFY(contains(read.error().message, "100 bytes; " + std::to_string(size)));
    }
    QVERIFY(holds(*store, 1));
    Bytes bytes(100);
    QVERIFY(store->read(RecordKind::Block, key(9), bytes).error().code == ErrorCode::NotFound);
  }
};

QTEST_APPLESS_MAIN(DiskStoreTest)
#include "disk_store_test.moc"
