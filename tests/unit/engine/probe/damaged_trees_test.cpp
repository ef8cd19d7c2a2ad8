// SPDX-License-Identifier: GPL-3.0-or-later
// A machine's files, damaged by chance: the probe always ends, with a report that can be sent on.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <QTemporaryDir>
#include <QTest>

#include "engine/probe/node_probe.h"
#include "engine/protocol/node_report_json.h"
#include "tests/support/node_trees.h"

using namespace tandem;
using namespace tandem::probe;

namespace fs = std::filesystem;

namespace {

api::NodeReport probeFolder(const fs::path& folder) {
  const Result<SysRoot> root = SysRoot::open(folder);
  if (!root) {
    qFatal("%s", root.error().message.c_str());
  }
  return probeNode(*root, std::nullopt);
}

std::chrono::nanoseconds threadCpuTime() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

/// Makes of a tree's file something that nobody expects; what was damaged to be no file is left so.
void damage(const fs::path& path, std::mt19937& random) {
  if (!fs::is_regular_file(fs::symlink_status(path))) {
    return;
  }
  std::string content;
  {
    std::ifstream file(path, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(file), {});
  }
  const auto below = [&](std::size_t limit) { return random() % std::max<std::size_t>(limit, 1); };
  switch (below(9)) {
    case 0:
      content.resize(below(content.size()));
      break;
    case 1:
      for (int i = 0; i < 4 && !content.empty(); ++i) {
        content[below(content.size())] = static_cast<char>(random() & 0xffU);
      }
      break;
    case 2:
      content.insert(below(content.size()), "-99999999999999999999");
      break;
    case 3:
      content.insert(below(content.size()), std::string(1U << 20U, ':'));
      break;
    case 4:
      content += content + content;
      break;
    case 5:
      fs::remove(path);
      return;
    case 6:
      fs::remove(path);
      fs::create_directory(path);
      return;
    case 7:
      fs::remove(path);
      fs::create_symlink(path.filename(), path);
      return;
    default:
      fs::remove(path);
      ::mkfifo(path.c_str(), 0600);
      return;
  }
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace

class DamagedTreesTest : public QObject {
  Q_OBJECT

  const test::NodeTrees trees_;

 private slots:
  void initTestCase() { QVERIFY(trees_.isMade()); }

  void damagedTreesGiveAReportThatJsonCanCarryInBoundedTime() {
    // Debug builds with sanitizers included; a healthy tree takes milliseconds.
    constexpr auto kMaxCpuTime = std::chrono::seconds(10);
    constexpr int kRounds = 200;
    constexpr int kDamages = 5;
    std::mt19937 random(20260);
    const QTemporaryDir folder;
    const fs::path copies = folder.path().toStdString();
    std::map<std::string, std::vector<fs::path>> filesOf;
    for (const char* tree : {"spark", "bare"}) {
      fs::copy(trees_ / tree,
               copies / tree,
               fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      for (const fs::directory_entry& entry : fs::recursive_directory_iterator(trees_ / tree)) {
        if (fs::is_regular_file(entry.symlink_status())) {
          filesOf[tree].push_back(entry.path().lexically_relative(trees_ / tree));
        }
      }
      std::sort(filesOf[tree].begin(), filesOf[tree].end());
    }
    for (int round = 0; round < kRounds; ++round) {
      const char* const tree = round % 2 == 0 ? "spark" : "bare";
      // Few files hold much; they are damaged more often than chance would.
      std::vector<fs::path> damaged{round % 3 == 0 ? "proc/meminfo" : "proc/cpuinfo"};
      for (int i = 0; i < kDamages; ++i) {
        damaged.push_back(filesOf[tree][random() % filesOf[tree].size()]);
      }
      for (const fs::path& file : damaged) {
        damage(copies / tree / file, random);
      }
      const std::chrono::nanoseconds begin = threadCpuTime();
      const api::NodeReport report = probeFolder(copies / tree);
      QVERIFY2(threadCpuTime() - begin < kMaxCpuTime, QByteArray::number(round).constData());
      const Result<api::NodeReport> read =
          protocol::decodeNodeReport(protocol::encodeNodeReport(report));
      QVERIFY2(read.ok(), read.ok() ? "" : read.error().message.c_str());
      QCOMPARE(read->nic.interfaces.size(), report.nic.interfaces.size());
      for (const fs::path& file : damaged) {
        fs::remove_all(copies / tree / file);
        fs::copy_file(trees_ / tree / file, copies / tree / file);
      }
    }
  }
};

QTEST_GUILESS_MAIN(DamagedTreesTest)
#include "damaged_trees_test.moc"
