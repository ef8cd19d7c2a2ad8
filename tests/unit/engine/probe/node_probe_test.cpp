// SPDX-License-Identifier: GPL-3.0-or-later
// What the probe makes of a machine's files: of a Spark's, of a bare machine's, and of any others.
#include "engine/probe/node_probe.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <QTemporaryDir>
#include <QTest>

#include "engine/probe/fact_reader.h"
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

void writeFile(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

bool mentions(const std::vector<std::string>& notes, const std::string& words) {
  return std::any_of(notes.begin(), notes.end(), [&](const std::string& note) {
    return note.find(words) != std::string::npos;
  });
}

template <typename Item>
const Item& named(const std::vector<Item>& items, const std::string& name) {
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
  if (found == items.end()) {
    qFatal("nothing is called %s", name.c_str());
  }
  return *found;
}

}  // namespace

class NodeProbeTest : public QObject {
  Q_OBJECT

  const test::NodeTrees trees_;

 private slots:
  void initTestCase() { QVERIFY(trees_.isMade()); }

  void aSparkIsRecognisedWithItsMemoryAndProcessors() {
    const api::NodeReport report = probeFolder(trees_ / "spark");
    QCOMPARE(report.notes.size(), 0U);
    QCOMPARE(report.host.hostname.value(), std::string("spark-head"));
    QCOMPARE(report.host.os.value(), std::string("Ubuntu 24.04.3 LTS"));
    QCOMPARE(report.host.kernel.value(), std::string("6.17.0-1014-nvidia"));
    QVERIFY(report.host.hasMachineId);
    QVERIFY(report.host.isDgxSpark);
    QCOMPARE(report.memory.totalBytes.value(), 127598748ULL * 1024U);
    QCOMPARE(report.memory.availableBytes.value(), 121000000ULL * 1024U);
    QCOMPARE(report.memory.swapTotalBytes.value(), 16777212ULL * 1024U);
    QCOMPARE(report.memory.hugePageBytes.value(), 2U << 20U);
    QCOMPARE(report.memory.hugePagesTotal.value(), 0U);
    QCOMPARE(report.cpu.architecture.value(), std::string("aarch64"));
    QCOMPARE(report.cpu.kinds,
             (std::vector<api::CpuKind>{{"Cortex-A725", 10}, {"Cortex-X925", 10}}));
    QCOMPARE(report.cpu.cores.value(), 20);
    QCOMPARE(report.cpu.threads.value(), 20);
    QCOMPARE(
        report.cpu.features,
        (std::vector<std::string>{"asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"}));
    QCOMPARE(report.cpu.governors, std::vector<std::string>{"performance"});
  }

  void aSparksCabledPortIsToldFromTheOneThatIsSwitchedOff() {
    const api::NicFacts nic = probeFolder(trees_ / "spark").nic;
    QCOMPARE(nic.interfaces.size(), 7U);
    const api::NetworkInterface& up = named(nic.interfaces, "enP2p1s0f0np0");
    QVERIFY(!up.isVirtual);
    QCOMPARE(up.carrier, std::optional(true));
    QCOMPARE(up.speedMbps, std::optional<std::int64_t>(200000));
    QCOMPARE(up.mtu, std::optional<std::int64_t>(9000));
    QCOMPARE(up.driver.value(), std::string("mlx5_core"));
    QCOMPARE(up.pciAddress.value(), std::string("0002:01:00.0"));
    QCOMPARE(up.mac.value(), std::string("4c:bb:47:00:01:00"));
    QVERIFY(up.addresses.empty());  // a tree has none
    const api::NetworkInterface& off = named(nic.interfaces, "enP2p1s0f1np1");
    QCOMPARE(off.operState.value(), std::string("down"));
    QVERIFY(!off.carrier && !off.speedMbps);
    QCOMPARE(named(nic.interfaces, "enP7s7").driver.value(), std::string("r8127"));
    QVERIFY(named(nic.interfaces, "lo").isVirtual);
  }

  void aSparksRdmaDevicesNameTheirInterfacesAndFilledAddresses() {
    const api::NicFacts nic = probeFolder(trees_ / "spark").nic;
    QCOMPARE(nic.rdmaDevices.size(), 4U);
    const api::RdmaDevice& device = named(nic.rdmaDevices, "rocep1s0f0");
    QCOMPARE(device.interfaces, std::vector<std::string>{"enp1s0f0np0"});
    QCOMPARE(device.pciAddress.value(), std::string("0000:01:00.0"));
    QCOMPARE(device.ports.size(), 1U);
    const api::RdmaPort& port = device.ports[0];
    QCOMPARE(port.number, 1);
    QCOMPARE(port.state.value(), std::string("ACTIVE"));
    QCOMPARE(port.physState.value(), std::string("LinkUp"));
    QCOMPARE(port.linkLayer.value(), std::string("Ethernet"));
    QCOMPARE(port.rateGbps.value(), 200.0);
    QCOMPARE(port.gids.size(), 4U);  // of eight slots
    QCOMPARE(
        port.gids[3],
        (api::RdmaGid{3, "0000:0000:0000:0000:0000:ffff:c0a8:640a", "RoCE v2", "enp1s0f0np0"}));
    QCOMPARE(named(nic.rdmaDevices, "rocep1s0f1").ports.at(0).state.value(), std::string("DOWN"));
  }

  void aBareMachineHasNoGpuAndNoRdmaAndThatIsNoProblem() {
    const api::NodeReport report = probeFolder(trees_ / "bare");
    QCOMPARE(report.notes.size(), 0U);
    QVERIFY(!report.host.product && !report.host.isDgxSpark);
    QVERIFY(report.gpu.devices.empty());
    QVERIFY(report.nic.rdmaDevices.empty());
    QCOMPARE(report.cpu.architecture.value(), std::string("x86_64"));
    QCOMPARE(report.cpu.kinds, (std::vector<api::CpuKind>{{"AMD EPYC", 2}}));
    QCOMPARE(report.cpu.cores.value(), 1);  // two threads of it
    QCOMPARE(report.cpu.threads.value(), 2);
    QCOMPARE(report.cpu.features, (std::vector<std::string>{"avx2", "fma", "f16c"}));
    QVERIFY(report.cpu.governors.empty());
    const api::NetworkInterface& nic = named(report.nic.interfaces, "eth0");
    QCOMPARE(nic.driver.value(), std::string("virtio_net"));
    QVERIFY(!nic.pciAddress);
    QVERIFY(!nic.speedMbps);  // the file says -1
  }

  void anEmptyFolderIsAMachineOfWhichNothingIsKnown() {
    const QTemporaryDir empty;
    api::NodeReport report = probeFolder(empty.path().toStdString());
    report.gpu = {};  // it says why there is no driver
    QVERIFY(report == api::NodeReport());
  }

  void whatCannotBeReadIsUnknownAndNotedWithItsPathValueAndReason() {
    const api::NodeReport report = probeFolder(trees_ / "broken");
    for (const char* note :
         {"/etc/hostname: \"?????????\" of 9 bytes is no line of text",
          "/etc/os-release cannot be read: Too many levels of symbolic links",
          "/proc/sys/kernel/osrelease is longer than 4194304 bytes",
          "/proc/meminfo: MemTotal is \"-5 kB\"",
          "/proc/meminfo: MemAvailable is \"99999999999999999999 kB\"",
          "/proc/meminfo: SwapTotal is \"1 parsec\"",
          "/proc/cpuinfo: names no processor",
          "/sys/devices/system/cpu/online: \"0-99999999\" is no list of processors",
          "/sys/bus/pci/devices/0000:01:00.0/vendor is not a regular file",
          "/sys/bus/pci/devices/not an address/device is not a regular file",
          "/proc/driver/nvidia/version: \"NVRM version: none of your business\"",
          "/sys/class/net: \"two?lines\" is no name of a device",
          "/sys/class/net/net0/address: \"?[31mred\"",
          "/sys/class/net/net0/mtu: \"-1\" is no number from 0 to 65536",
          "/sys/class/net/net0/carrier: \"2\" is no number from 0 to 1",
          "/sys/class/net/net0/speed: \"fast\" is no number",
          "/sys/class/infiniband/rdma0/ports/1/rate: \"nan Gb/sec\" is no rate"}) {
      QVERIFY2(mentions(report.notes, note), note);
    }
    QVERIFY(!report.host.hostname && !report.host.os && !report.host.kernel);
    QVERIFY(report.memory == api::MemoryFacts());
    QVERIFY(!report.cpu.threads && report.cpu.kinds.empty());
    const api::NetworkInterface& nic = named(report.nic.interfaces, "net0");
    QVERIFY(!nic.mac && !nic.mtu && !nic.carrier && !nic.speedMbps && !nic.operState);
    QCOMPARE(report.nic.interfaces.size(), 1U);  // bonding_masters is none
    const std::vector<api::RdmaPort>& ports = named(report.nic.rdmaDevices, "rdma0").ports;
    QCOMPARE(ports.size(), 1U);  // "abc" is none
    QVERIFY(!ports[0].rateGbps && ports[0].gids.empty());
  }

  void aLinkOutOfTheTreeEndsInsideIt() {
    // product_name -> /../../proc/outside, which the tree has and this machine has not.
    QCOMPARE(probeFolder(trees_ / "broken").host.product.value(), std::string("inside"));
    const QTemporaryDir folder;
    const fs::path etc = fs::path(folder.path().toStdString()) / "etc";
    fs::create_directories(etc);
    fs::create_symlink("/proc/sys/kernel/osrelease", etc / "hostname");
    QVERIFY(!probeFolder(etc.parent_path()).host.hostname);
  }

  void notesHaveAnEnd() {
    const QTemporaryDir folder;
    const fs::path root = folder.path().toStdString();
    for (int i = 0; i < 200; ++i) {
      writeFile(root / "sys/class/net" / ("n" + std::to_string(i)) / "address", "\x01");
    }
    const api::NodeReport report = probeFolder(root);
    QCOMPARE(report.notes.size(), FactReader::kMaxNotes + 1);
    QVERIFY(mentions(report.notes, "more files could not be read"));
  }

  void thisMachineKnowsItsNameItsMemoryAndItsAddresses() {
    const Result<SysRoot> root = SysRoot::open("/");
    QVERIFY(root.ok() && root->isThisMachine());
    const api::NodeReport report = probeNode(*root, std::nullopt);
    char name[256] = {};
    QCOMPARE(::gethostname(name, sizeof name), 0);
    QCOMPARE(report.host.hostname.value(), std::string(name));
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
    QCOMPARE(report.memory.totalBytes.value(),
             pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
    QCOMPARE(report.cpu.threads.value(), static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
    const std::vector<std::string>& addresses = named(report.nic.interfaces, "lo").addresses;
    QVERIFY(std::find(addresses.begin(), addresses.end(), "127.0.0.1/8") != addresses.end());
  }

  void whatIsNoFolderIsRefusedByName() {
    const QTemporaryDir folder;
    const fs::path file = fs::path(folder.path().toStdString()) / "file";
    writeFile(file, "x");
    for (const fs::path& wrong : {file, file / "below", file.parent_path() / "missing"}) {
      const Result<SysRoot> root = SysRoot::open(wrong);
      QVERIFY(!root.ok());
      QVERIFY(root.error().message.find(wrong.string()) != std::string::npos);
      QVERIFY(root.error().remedy.find("--sysroot") != std::string::npos);
    }
  }
};

QTEST_GUILESS_MAIN(NodeProbeTest)
#include "node_probe_test.moc"
