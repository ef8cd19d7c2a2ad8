// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine probe as people and scripts run it: exit codes, the table and the JSON line.
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTest>

#include "tests/support/engine_process.h"
#include "tests/support/file_modes.h"
#include "tests/support/node_trees.h"

using namespace tandem::test;

class ProbeCommandTest : public QObject {
  Q_OBJECT

  const NodeTrees trees_;

  [[nodiscard]] QStringList probe(const QString& tree, const QStringList& more = {}) const {
    return QStringList{QStringLiteral("probe"), QStringLiteral("--sysroot"), trees_.path(tree)} +
           more;
  }

 private slots:
  void initTestCase() { QVERIFY(trees_.isMade()); }

  void aSparkIsOneLineOfJson() {
    Engine engine(probe(QStringLiteral("spark"),
                        {QStringLiteral("--json"),
                         QStringLiteral("--libdir"),
                         QStringLiteral(TANDEM_FAKE_NVIDIA "/gb10")}));
    QCOMPARE(engine.waitForExit(), kExitOk);
    QCOMPARE(engine.output().count(u'\n'), 1);
    const QJsonObject report = QJsonDocument::fromJson(engine.output().toUtf8()).object();
    QCOMPARE(report[u"v"].toInt(), 1);
    QCOMPARE(report[u"host"][u"dgx_spark"].toBool(), true);
    QCOMPARE(report[u"gpu"][u"devices"][0][u"name"].toString(), QStringLiteral("NVIDIA GB10"));
    QVERIFY(report[u"gpu"][u"devices"][0][u"memory_bytes"].isNull());
    QCOMPARE(report[u"nic"][u"rdma_devices"].toArray().size(), 4);
  }

  void aSparkIsATableForPeople() {
    Engine engine(probe(QStringLiteral("spark"),
                        {QStringLiteral("--libdir"), QStringLiteral(TANDEM_FAKE_NVIDIA "/gb10")}));
    QCOMPARE(engine.waitForExit(), kExitOk);
    for (const QString& words :
         {QStringLiteral("host      spark-head, Ubuntu 24.04.3 LTS"),
          QStringLiteral("memory    121.7 GiB, 115.4 GiB available"),
          QStringLiteral("10 × Cortex-X925, aarch64, 20 cores, 20 threads"),
          QStringLiteral(
              "NVIDIA GB10, memory unknown (NVML says: Not Supported (3)), compute 12.1"),
          QStringLiteral("driver    kernel module 580.142"),
          QStringLiteral("enP2p1s0f0np0   up, carrier, 200000 Mb/s, mtu 9000, mlx5_core"),
          QStringLiteral("rocep1s0f0/1    ACTIVE, Ethernet, 200 Gb/s, 4 addresses, enp1s0f0np0")}) {
      QVERIFY2(engine.output().contains(words), qPrintable(words + u'\n' + engine.output()));
    }
  }

  void absentHardwareIsNoFailure() {
    for (const QString& tree : {QStringLiteral("bare"), QStringLiteral("broken")}) {
      for (const QStringList& more : {QStringList(), QStringList{QStringLiteral("--json")}}) {
        Engine engine(probe(tree, more));
        QCOMPARE(engine.waitForExit(), kExitOk);
      }
    }
    Engine here({QStringLiteral("probe")});
    QCOMPARE(here.waitForExit(), kExitOk);
    QVERIFY2(here.output().contains(QStringLiteral("memory    ")), qPrintable(here.output()));
  }

  void aFileThatMayNotBeReadIsNoted() {
    if (!childrenCanObeyFileModes()) {
      QSKIP("root may read everything here, and cannot give that right up");
    }
    Engine engine(probe(QStringLiteral("broken")), obeyFileModes);
    QCOMPARE(engine.waitForExit(), kExitOk);
    QVERIFY2(engine.output().contains(
                 QStringLiteral("/etc/machine-id cannot be read: Permission denied")),
             qPrintable(engine.output()));
  }

  void aSysrootThatIsNoFolderFailsWithItsNameAndWhatToGive() {
    const QTemporaryDir folder;
    const QString missing = folder.filePath(QStringLiteral("missing"));
    const QString file = folder.filePath(QStringLiteral("file"));
    QVERIFY(QFile(file).open(QIODevice::WriteOnly));
    for (const auto& [path, reason] : {std::pair(missing, "cannot be opened: No such file"),
                                       std::pair(file, "is not a folder")}) {
      Engine engine({QStringLiteral("probe"), QStringLiteral("--sysroot"), path});
      QCOMPARE(engine.waitForExit(), kExitFailed);
      QVERIFY2(engine.output().startsWith(
                   QStringLiteral("tandem-engine probe: %1 %2").arg(path, QLatin1String(reason))),
               qPrintable(engine.output()));
      QVERIFY(engine.output().contains(QStringLiteral("Give --sysroot a folder that holds")));
    }
  }
};

QTEST_GUILESS_MAIN(ProbeCommandTest)
#include "probe_command_test.moc"
