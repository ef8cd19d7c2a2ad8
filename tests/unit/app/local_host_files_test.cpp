// SPDX-License-Identifier: GPL-3.0-or-later
// What a local engine is found by: the private folder, the record in it, and whose pid that is.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QDir>
#include <QFile>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include "app/launcher/detached_process.h"
#include "app/launcher/engine_record.h"
#include "app/launcher/local_engine_host.h"
#include "app/launcher/obituary.h"
#include "app/launcher/output_tail.h"
#include "app/launcher/process_identity.h"
#include "app/launcher/process_watch.h"
#include "app/launcher/run_folder.h"
#include "app/launcher/standard_folders.h"
#include "app/launcher/start_events.h"

namespace tandem::test {

using namespace tandem::app;

namespace {

constexpr int kPatienceMs = 30000;
constexpr int kNobody = 65534;

QString textOf(const Error& error) {
  return QString::fromStdString(error.text());
}

void writeFile(const QString& name, const QByteArray& text) {
  QFile file(name);
  QVERIFY(file.open(QIODevice::WriteOnly));
  file.write(text);
}

mode_t modeOf(const QString& name) {
  struct stat facts {};
  ::lstat(QFile::encodeName(name).constData(), &facts);
  return facts.st_mode & 07777U;
}

/// A process of ours that waits to be killed.
class Sleeper {
 public:
  explicit Sleeper(const std::string& script = "exec sleep 1000") {
    const Result<ProcessIdentity> started =
        startDetached({"/bin/sh", {"-c", script}, STDERR_FILENO},
                      [](const ProcessIdentity&) { return Result<void>(); });
    if (started) {
      identity_ = *started;
    }
  }
  ~Sleeper() { end(); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  void end() {
    kill();
    ::waitpid(static_cast<pid_t>(identity_.pid), nullptr, 0);
  }
  void kill() const { ::kill(static_cast<pid_t>(identity_.pid), SIGKILL); }
  [[nodiscard]] const ProcessIdentity& identity() const { return identity_; }

 private:
  ProcessIdentity identity_;
};

}  // namespace

class LocalHostFilesTest : public QObject {
  Q_OBJECT

 private slots:
  void aNewRunFolderIsForItsOwnerAlone();
  void aFolderOpenToOthersIsRefusedWithItsMode();
  void aFolderOfAnotherUserIsRefused();
  void aLinkInPlaceOfTheFolderIsRefused();
  void aPathTooLongForASocketIsRefused();
  void onlyOneHoldsTheLock();
  void aRuntimeFolderThatOthersCanEnterIsNotUsed();
  void stateGoesWhereTheConventionSays();
  void aRecordIsReadAsItWasWritten();
  void anythingElseIsNoRecord_data();
  void anythingElseIsNoRecord();
  void aProcessThatHasEndedHasNoIdentityEvenBeforeItIsWaitedFor();
  void aPidGivenToAnotherProgramIsNeitherFoundNorSignalled();
  void theProgramRunsAloneInASessionOfItsOwn();
  void aProgramThatCannotBeRecordedNeverRuns();
  void aProgramThatCannotBeRunSaysWhy();
  void theEndOfAChildIsSeenWithItsReason_data();
  void theEndOfAChildIsSeenWithItsReason();
  void theEndOfAnyOtherProcessIsSeen();
  void theTailOfALongFileBeginsWithAWholeLine();
  void theSentenceAnEngineEndsWithIsFound();
  void phasesToldAgainReplaceTheEnginesOwn();
};

void LocalHostFilesTest::aNewRunFolderIsForItsOwnerAlone() {
  const QTemporaryDir base;
  const RunFolder folder(base.filePath(QStringLiteral("tandem/demo")));
  QVERIFY(folder.check().error().code == ErrorCode::NotFound);
  const mode_t before = ::umask(0);
  const Result<void> made = folder.make();
  ::umask(before);
  QVERIFY2(made, made ? "" : made.error().text().c_str());
  QCOMPARE(modeOf(folder.path()), mode_t{0700});
  QCOMPARE(modeOf(base.filePath(QStringLiteral("tandem"))), mode_t{0700});
  QVERIFY(folder.make());
}

void LocalHostFilesTest::aFolderOpenToOthersIsRefusedWithItsMode() {
  const QTemporaryDir base;
  const RunFolder folder(base.filePath(QStringLiteral("tandem/demo")));
  QVERIFY(folder.make());
  for (const QString& open : {folder.path(), base.filePath(QStringLiteral("tandem"))}) {
    for (const mode_t mode : {mode_t{0720}, mode_t{0702}, mode_t{0755}}) {
      ::chmod(QFile::encodeName(open).constData(), mode);
      const Result<void> made = folder.make();
      QVERIFY(!made);
      QVERIFY(made.error().code == ErrorCode::PermissionDenied);
      const QString text = textOf(made.error());
      QVERIFY2(text.contains(open) && text.contains(QString::number(mode, 8)) &&
                   text.contains(QStringLiteral("chmod 700")),
               qPrintable(text));
      LocalEngineOptions options;
      options.runFolder = folder.path();
      options.program = QStringLiteral("/bin/true");
      options.modelFolder = base.path();
      QVERIFY(LocalEngineHost(options).start().error().code == ErrorCode::PermissionDenied);
      QVERIFY(!LocalEngineHost(options).find());
    }
    ::chmod(QFile::encodeName(open).constData(), 0700);
  }
}

void LocalHostFilesTest::aFolderOfAnotherUserIsRefused() {
  const QTemporaryDir base;
  const RunFolder folder(base.filePath(QStringLiteral("tandem/demo")));
  QVERIFY(folder.make());
  if (::chown(QFile::encodeName(folder.path()).constData(), kNobody, kNobody) != 0) {
    QSKIP("only root can give a folder away");
  }
  const Result<void> checked = folder.make();
  QVERIFY(!checked);
  QVERIFY2(textOf(checked.error()).contains(QStringLiteral("belongs to user 65534")),
           qPrintable(textOf(checked.error())));
}

void LocalHostFilesTest::aLinkInPlaceOfTheFolderIsRefused() {
  const QTemporaryDir base;
  const QString elsewhere = base.filePath(QStringLiteral("elsewhere"));
  QVERIFY(RunFolder(elsewhere + QStringLiteral("/x")).make());
  QVERIFY(QFile::link(elsewhere, base.filePath(QStringLiteral("tandem"))));
  const Result<void> made = RunFolder(base.filePath(QStringLiteral("tandem/demo"))).make();
  QVERIFY(!made);
  QVERIFY2(textOf(made.error()).contains(QStringLiteral("is no folder")),
           qPrintable(textOf(made.error())));
}

void LocalHostFilesTest::aPathTooLongForASocketIsRefused() {
  const QTemporaryDir base;
  // sun_path has 108 bytes, the last of which is 0; "/engine-0.sock" is 14 of them.
  for (const qsizetype length : {107 - 14, 108 - 14}) {
    const QString parent = base.path() + u'/' + QStringLiteral("a").repeated(40);
    const QString path = parent + u'/' + QStringLiteral("b").repeated(length - parent.size() - 1);
    const Result<void> made = RunFolder(path).make();
    QCOMPARE(made.ok(), length == 107 - 14);
    if (!made) {
      QVERIFY2(textOf(made.error()).contains(QStringLiteral("108 bytes; 107 are possible")),
               qPrintable(textOf(made.error())));
    }
  }
}

void LocalHostFilesTest::onlyOneHoldsTheLock() {
  const QTemporaryDir base;
  const RunFolder folder(base.filePath(QStringLiteral("run")));
  QVERIFY(folder.make());
  Result<FileDescriptor> lock = folder.lock();
  QVERIFY(lock);
  QVERIFY(folder.lock().error().code == ErrorCode::AlreadyExists);
  // Nobody starts an engine beside the one that is being started.
  LocalEngineOptions options;
  options.runFolder = folder.path();
  options.program = QStringLiteral("/bin/true");
  options.modelFolder = base.path();
  options.logFolder = base.path();
  LocalEngineHost host(options);
  QVERIFY(host.start().error().code == ErrorCode::AlreadyExists);
  QVERIFY(!QFile::exists(folder.state()));
  lock->reset();
  QVERIFY(folder.lock());
  QVERIFY(host.start());
}

void LocalHostFilesTest::aRuntimeFolderThatOthersCanEnterIsNotUsed() {
  const QTemporaryDir base;
  qputenv("XDG_RUNTIME_DIR", QFile::encodeName(base.path()));
  QCOMPARE(RunFolder::ofDemo().path(), base.filePath(QStringLiteral("tandem/demo")));
  ::chmod(QFile::encodeName(base.path()).constData(), 0755);
  const QString own = QDir::temp().filePath(QStringLiteral("tandem-%1/demo").arg(::geteuid()));
  QCOMPARE(RunFolder::ofDemo().path(), own);
  qputenv("XDG_RUNTIME_DIR", "relative");
  QCOMPARE(RunFolder::ofDemo().path(), own);
  qunsetenv("XDG_RUNTIME_DIR");
  QCOMPARE(RunFolder::ofDemo().path(), own);
}

void LocalHostFilesTest::stateGoesWhereTheConventionSays() {
  qputenv("XDG_STATE_HOME", "/somewhere");
  QCOMPARE(stateFolder(), QStringLiteral("/somewhere/tandem"));
  qputenv("XDG_STATE_HOME", "relative");
  QCOMPARE(stateFolder(), QDir::home().filePath(QStringLiteral(".local/state/tandem")));
  qunsetenv("XDG_STATE_HOME");
  QCOMPARE(stateFolder(), QDir::home().filePath(QStringLiteral(".local/state/tandem")));
}

void LocalHostFilesTest::aRecordIsReadAsItWasWritten() {
  const QTemporaryDir base;
  const QString file = base.filePath(QStringLiteral("engine.json"));
  QVERIFY(readEngineRecord(file).error().code == ErrorCode::NotFound);
  const EngineRecord record{{4'000'000, 123'456'789'012'345, QStringLiteral("boot")},
                            QStringLiteral("/run/käse.sock"),
                            QStringLiteral("/models/demo model"),
                            8000,
                            1'795'000'000'123};
  QVERIFY(writeEngineRecord(file, record));
  QCOMPARE(modeOf(file), mode_t{0600});
  const Result<EngineRecord> read = readEngineRecord(file);
  QVERIFY(read);
  QVERIFY(read->process == record.process);
  QCOMPARE(read->controlSocket, record.controlSocket);
  QCOMPARE(read->model, record.model);
  QCOMPARE(read->port, record.port);
  QCOMPARE(read->startedWallMs, record.startedWallMs);
  const Result<void> failed = writeEngineRecord(file + QStringLiteral("/x"), record);
  QVERIFY(!failed);
  QVERIFY(textOf(failed.error()).contains(file));
}

void LocalHostFilesTest::anythingElseIsNoRecord_data() {
  QTest::addColumn<QByteArray>("text");
  QTest::newRow("empty") << QByteArray();
  QTest::newRow("no JSON") << QByteArray("pid=4");
  QTest::newRow("no object") << QByteArray("[1]");
  QTest::newRow("another version") << QByteArray(R"({"version":2,"pid":4,"control_socket":"/x"})");
  QTest::newRow("a pid that means every process")
      << QByteArray(R"({"version":1,"pid":-1,"control_socket":"/x"})");
  QTest::newRow("no socket") << QByteArray(R"({"version":1,"pid":4})");
}

void LocalHostFilesTest::anythingElseIsNoRecord() {
  QFETCH(QByteArray, text);
  const QTemporaryDir base;
  const QString file = base.filePath(QStringLiteral("engine.json"));
  writeFile(file, text);
  QVERIFY(readEngineRecord(file).error().code == ErrorCode::DataCorrupt);
}

void LocalHostFilesTest::aProcessThatHasEndedHasNoIdentityEvenBeforeItIsWaitedFor() {
  QVERIFY(identifyProcess(::getpid()));
  QVERIFY(!identifyProcess(0));
  QVERIFY(!identifyProcess(-1));
  Sleeper sleeper;
  QVERIFY(identifyProcess(sleeper.identity().pid) == sleeper.identity());
  QVERIFY(openProcess(sleeper.identity()).valid());
  sleeper.kill();
  QTRY_VERIFY_WITH_TIMEOUT(!identifyProcess(sleeper.identity().pid), kPatienceMs);
  QVERIFY(!openProcess(sleeper.identity()).valid());
  sleeper.end();
  QVERIFY(!identifyProcess(sleeper.identity().pid));
}

void LocalHostFilesTest::aPidGivenToAnotherProgramIsNeitherFoundNorSignalled() {
  const QTemporaryDir base;
  LocalEngineOptions options;
  options.runFolder = base.filePath(QStringLiteral("run"));
  LocalEngineHost host(options);
  QVERIFY(host.runFolder().make());
  Sleeper other;
  EngineRecord record{other.identity(), host.runFolder().socket(), {}, 0, 0};
  QVERIFY(writeEngineRecord(host.runFolder().state(), record));
  QVERIFY(host.find());
  QCOMPARE(host.find()->pid, other.identity().pid);

  // The same number, started a tick later or before the machine was last started.
  for (const ProcessIdentity& earlier :
       {ProcessIdentity{record.process.pid, record.process.startTicks - 1, record.process.boot},
        ProcessIdentity{record.process.pid, record.process.startTicks, QStringLiteral("x")}}) {
    EngineRecord reused = record;
    reused.process = earlier;
    QVERIFY(writeEngineRecord(host.runFolder().state(), reused));
    QVERIFY(!host.find());
    QVERIFY(host.terminate(true));
    QVERIFY(identifyProcess(other.identity().pid) == other.identity());
  }
  QVERIFY(writeEngineRecord(host.runFolder().state(), record));
  QVERIFY(host.terminate(true));
  QTRY_VERIFY_WITH_TIMEOUT(!host.find(), kPatienceMs);
}

void LocalHostFilesTest::theProgramRunsAloneInASessionOfItsOwn() {
  const QTemporaryDir base;
  QFile output(base.filePath(QStringLiteral("out")));
  QVERIFY(output.open(QIODevice::ReadWrite));
  QFile leaked(base.filePath(QStringLiteral("leaked")));
  QVERIFY(leaked.open(QIODevice::ReadWrite));
  const int leakedFd = ::fcntl(leaked.handle(), F_DUPFD, 50);  // without close-on-exec
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const std::string script = "echo session $(ps -o sid= -p $$) pid $$; pwd; test -e /proc/$$/fd/" +
                             std::to_string(leakedFd) +
                             " && echo open || echo closed; readlink /proc/$$/fd/0; echo err >&2; "
                             "exec grep SigBlk /proc/self/status";
  const Result<ProcessIdentity> started =
      startDetached({"/bin/sh", {"-c", script}, output.handle()},
                    [](const ProcessIdentity&) { return Result<void>(); });
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::close(leakedFd);
  QVERIFY(started);
  ::waitpid(static_cast<pid_t>(started->pid), nullptr, 0);
  output.seek(0);
  const QStringList lines = QString::fromUtf8(output.readAll()).split(u'\n');
  const QString pid = QString::number(started->pid);
  QCOMPARE(lines.value(0).simplified(), QStringLiteral("session %1 pid %1").arg(pid));
  QCOMPARE(lines.value(1), QStringLiteral("/"));
  QCOMPARE(lines.value(2), QStringLiteral("closed"));
  QCOMPARE(lines.value(3), QStringLiteral("/dev/null"));
  QCOMPARE(lines.value(4), QStringLiteral("err"));
  QCOMPARE(lines.value(5).simplified(), QStringLiteral("SigBlk: 0000000000000000"));
}

void LocalHostFilesTest::aProgramThatCannotBeRecordedNeverRuns() {
  const QTemporaryDir base;
  const QString trace = base.filePath(QStringLiteral("trace"));
  std::int64_t pid = 0;
  const Result<ProcessIdentity> started =
      startDetached({"/bin/sh", {"-c", "touch " + trace.toStdString()}, STDERR_FILENO},
                    [&pid](const ProcessIdentity& identity) {
                      pid = identity.pid;
                      return Result<void>(Error{ErrorCode::Unavailable, "disk full", ""});
                    });
  QVERIFY(!started);
  QCOMPARE(started.error().message, std::string("disk full"));
  QVERIFY(pid > 0 && !identifyProcess(pid));
  QVERIFY(!QFile::exists(trace));
}

void LocalHostFilesTest::aProgramThatCannotBeRunSaysWhy() {
  const QTemporaryDir base;
  LocalEngineOptions options;
  options.runFolder = base.filePath(QStringLiteral("run"));
  options.modelFolder = base.path();
  options.program = base.filePath(QStringLiteral("engine"));
  LocalEngineHost missing(options);
  const Result<EngineProcess> none = missing.start();
  QVERIFY(!none);
  QVERIFY(none.error().code == ErrorCode::NotFound);
  QVERIFY(textOf(none.error()).contains(options.program));
  QVERIFY(!missing.find());
  writeFile(options.program, "#!/bin/sh\n");
  QVERIFY(missing.start().error().code == ErrorCode::PermissionDenied);
  QVERIFY(!missing.find() && !missing.findLost());
}

void LocalHostFilesTest::theEndOfAChildIsSeenWithItsReason_data() {
  QTest::addColumn<QByteArray>("script");
  QTest::addColumn<QString>("end");
  QTest::newRow("exit code") << QByteArray("exit 75") << QStringLiteral("exit code 75");
  QTest::newRow("signal") << QByteArray("kill -9 $$") << QStringLiteral("signal 9");
}

void LocalHostFilesTest::theEndOfAChildIsSeenWithItsReason() {
  QFETCH(QByteArray, script);
  QFETCH(QString, end);
  const Sleeper child(script.toStdString());
  ProcessWatch watch;
  QSignalSpy ended(&watch, &ProcessWatch::ended);
  QVERIFY(watch.watch(child.identity().pid));
  QTRY_COMPARE_WITH_TIMEOUT(ended.size(), 1, kPatienceMs);
  QCOMPARE(ended[0][0].toString(), end);
  QVERIFY(!watch.active());
}

void LocalHostFilesTest::theEndOfAnyOtherProcessIsSeen() {
  // A grandchild, which its parent leaves behind.
  const QTemporaryDir base;
  QFile output(base.filePath(QStringLiteral("out")));
  QVERIFY(output.open(QIODevice::ReadWrite));
  const Result<ProcessIdentity> parent =
      startDetached({"/bin/sh", {"-c", "sleep 1000 & echo $!"}, output.handle()},
                    [](const ProcessIdentity&) { return Result<void>(); });
  QVERIFY(parent);
  ::waitpid(static_cast<pid_t>(parent->pid), nullptr, 0);
  output.seek(0);
  const std::int64_t pid = output.readAll().trimmed().toLongLong();
  QVERIFY(pid > 0);
  ProcessWatch watch;
  QSignalSpy ended(&watch, &ProcessWatch::ended);
  QVERIFY(watch.watch(pid));
  ::kill(static_cast<pid_t>(pid), SIGKILL);
  QTRY_COMPARE_WITH_TIMEOUT(ended.size(), 1, kPatienceMs);
  QCOMPARE(ended[0][0].toString(), QString());
}

void LocalHostFilesTest::theTailOfALongFileBeginsWithAWholeLine() {
  const QTemporaryDir base;
  const QString file = base.filePath(QStringLiteral("out"));
  QVERIFY(lastLines(file, 5).empty());
  writeFile(file, QByteArray("a line of text\n").repeated(10000) + "last\nwithout end");
  const std::vector<QString> all = lastLines(file, 1 << 20);
  QVERIFY(all.size() > 4000);
  QCOMPARE(all.front(), QStringLiteral("a line of text"));
  const std::vector<QString> expected{QStringLiteral("a line of text"),
                                      QStringLiteral("last"),
                                      QStringLiteral("without end")};
  QVERIFY(lastLines(file, 3) == expected);
}

void LocalHostFilesTest::theSentenceAnEngineEndsWithIsFound() {
  const std::vector<QString> lines{QStringLiteral("13:37:05.120 rank 0 info start: x"),
                                   QStringLiteral("tandem-engine serve: port 8000 is in use"),
                                   QStringLiteral("a library says goodbye")};
  QCOMPARE(failureSentence(lines), QStringLiteral("port 8000 is in use"));
  QVERIFY(!failureSentence({lines.front()}));
  QCOMPARE(failedStart(7, {}, lines).message, std::string("port 8000 is in use"));
  const std::string silent = failedStart(7, QStringLiteral("signal 9"), {}).message;
  QCOMPARE(silent,
           std::string("the engine (pid 7) ended with signal 9 before it could be reached; it "
                       "printed nothing"));
  const std::string lost = lostEngine(7, {}, lines).message;
  QVERIFY(lost.find("a library says goodbye") != std::string::npos);
}

void LocalHostFilesTest::phasesToldAgainReplaceTheEnginesOwn() {
  api::PhaseEvent connect;
  connect.phase = api::Phase::Connect;
  StartEvents events;
  events.beginSpawn();
  QVERIFY(events.endSpawn(api::PhaseEventKind::End, "pid 7"));
  QVERIFY(!events.endSpawn(api::PhaseEventKind::End, "pid 7"));
  events.expectRetelling();
  QVERIFY(!events.engineEvent(connect));
  QVERIFY(!events.engineEvent(connect));
  QCOMPARE(events.events().size(), std::size_t{4});
  events.expectRetelling();
  QVERIFY(events.engineEvent(connect));
  QVERIFY(!events.engineEvent(connect));
  QCOMPARE(events.events().size(), std::size_t{4});
  QVERIFY(events.events()[0].phase == api::Phase::Spawn);
  QVERIFY(events.events()[1].kind == api::PhaseEventKind::End);
  QVERIFY(events.events()[2].phase == api::Phase::Connect);
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::LocalHostFilesTest)
#include "local_host_files_test.moc"
