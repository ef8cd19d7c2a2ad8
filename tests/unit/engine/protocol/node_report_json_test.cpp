// SPDX-License-Identifier: GPL-3.0-or-later
// A node report written as JSON and read back, by this program and by others.
#include "engine/protocol/node_report_json.h"

#include <string>

#include <QTest>

using namespace tandem;
using namespace tandem::protocol;

namespace {

/// Every optional filled, every list with something in it.
api::NodeReport fullReport() {
  api::NodeReport report;
  report.host = {"spark-1", "Ubuntu \"24\"\n", "6.17", true, "NVIDIA_DGX_Spark", true};
  report.memory = {1, 2, 3, 4, 5, 6, UINT64_MAX};
  report
      .cpu = {"aarch64", {{"Cortex-X925", 10}, {"Cortex-A725", 10}}, 20, 19, {"sve2"}, {"a", "b"}};
  report.gpu.devices = {{"000f:01:00.0", "0x2e12", "NVIDIA GB10", 7, "", {{12, 1}}},
                        {"000e:01:00.0", {}, {}, {}, "Not Supported", {}}};
  report.gpu.kernelModule = {"580.142", ""};
  report.gpu.nvml = {{}, "no library"};
  report.gpu.cuda = {"13.0", ""};
  report.nic.interfaces = {{"enp1s0f0np0",
                            true,
                            "4c:bb",
                            9000,
                            "up",
                            false,
                            200000,
                            "mlx5_core",
                            "0000:01:00.0",
                            {"192.168.100.10/24", "fe80::1/64"}}};
  report.nic.rdmaDevices = {
      {"rocep1s0f0",
       "0000:01:00.0",
       {"enp1s0f0np0"},
       {{1, "ACTIVE", "LinkUp", "Ethernet", 97.5, {{3, "::", "RoCE v2", "e"}}},
        {2, {}, {}, {}, {}, {}}}}};
  report.notes = {"/a: b"};
  return report;
}

}  // namespace

class NodeReportJsonTest : public QObject {
  Q_OBJECT

 private slots:
  void whatIsWrittenIsReadBackAndNothingIsLost() {
    for (const api::NodeReport& report : {fullReport(), api::NodeReport()}) {
      const std::string line = encodeNodeReport(report);
      QCOMPARE(line.find('\n'), std::string::npos);
      const Result<api::NodeReport> read = decodeNodeReport(line);
      QVERIFY2(read.ok(), read.ok() ? "" : read.error().message.c_str());
      QVERIFY(*read == report);
    }
  }

  void theFormIsTheOneThatScriptsKnow() {
    api::NodeReport report;
    report.host.hostname = "a";
    report.gpu.devices = {{"000f:01:00.0", {}, {}, {}, "x", {{12, 1}}}};
    QCOMPARE(encodeNodeReport(report),
             std::string(R"({"v":1,"type":"node_report",)"
                         R"("host":{"hostname":"a","os":null,"kernel":null,"machine_id":false,)"
                         R"("product":null,"dgx_spark":false},)"
                         R"("memory":{"total_bytes":null,"available_bytes":null,)"
                         R"("swap_total_bytes":null,"swap_free_bytes":null,"huge_page_bytes":null,)"
                         R"("huge_pages_total":null,"huge_pages_free":null},)"
                         R"("cpu":{"architecture":null,"kinds":[],"threads":null,"cores":null,)"
                         R"("features":[],"governors":[]},)"
                         R"("gpu":{"devices":[{"pci_address":"000f:01:00.0","pci_device_id":null,)"
                         R"("name":null,"memory_bytes":null,"memory_unknown_because":"x",)"
                         R"("compute_capability":{"major":12,"minor":1}}],)"
                         R"("kernel_module":{"version":null,"absent_because":""},)"
                         R"("nvml":{"version":null,"absent_because":""},)"
                         R"("cuda":{"version":null,"absent_because":""}},)"
                         R"("nic":{"interfaces":[],"rdma_devices":[]},"notes":[]})"));
  }

  void missingFieldsAreUnknownAndUnknownFieldsAreIgnored() {
    const Result<api::NodeReport> read = decodeNodeReport(
        R"({"type":"node_report","v":1,"disk":{"free":1},"cpu":{"threads":4,"new":[]}})");
    QVERIFY(read.ok());
    api::NodeReport expected;
    expected.cpu.threads = 4;
    QVERIFY(*read == expected);
  }

  void bytesThatAreNoUtf8AreRepaired() {
    api::NodeReport report;
    report.host.hostname =
        "a\xff"
        "b";
    const Result<api::NodeReport> read = decodeNodeReport(encodeNodeReport(report));
    QVERIFY(read.ok());
    QCOMPARE(read->host.hostname.value(), std::string("a\uFFFDb"));
  }

  void anotherVersionIsRefusedWithBoth() {
    const Result<api::NodeReport> read = decodeNodeReport(R"({"v":2,"type":"node_report"})");
    QVERIFY(!read.ok());
    QCOMPARE(read.error().code, ErrorCode::DataCorrupt);
    QVERIFY(read.error().message.find("version 2; this program reads version 1") !=
            std::string::npos);
    QVERIFY(!read.error().remedy.empty());
  }

  void deepNestingInAnUnknownFieldHarmsNobody() {
    const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
    QVERIFY(decodeNodeReport("{\"v\":1,\"type\":\"node_report\",\"new\":" + deep + "}").ok());
  }

  void whatIsNoReportIsRefusedWithTheFieldAndItsValue_data() {
    QTest::addColumn<QByteArray>("fields");
    QTest::addColumn<QString>("says");
    const auto row = [](const char* fields, const char* says) {
      QTest::newRow(says) << QByteArray(fields) << QString::fromUtf8(says);
    };
    row(R"("host":[])", "host is array; expected an object");
    row(R"("host":{"hostname":7})", "host.hostname is 7; expected a text");
    row(R"("host":{"machine_id":"yes"})", "host.machine_id is \"yes\"; expected true or false");
    row(R"("memory":{"total_bytes":-1})", "memory.total_bytes is -1; expected a whole number");
    row(R"("memory":{"total_bytes":1.5})", "memory.total_bytes is 1.5; expected a whole number");
    row(R"("cpu":{"threads":2147483648})", "cpu.threads is 2147483648; expected a whole number");
    row(R"("cpu":{"kinds":[{},{"threads":"2"}]})", "cpu.kinds[1].threads is \"2\"; expected");
    row(R"("cpu":{"features":["a",null]})", "cpu.features[1] is null; expected a text");
    row(R"("nic":{"rdma_devices":[{"ports":[{"rate_gbps":"fast"}]}]})",
        "nic.rdma_devices[0].ports[0].rate_gbps is \"fast\"; expected a number");
    row(R"("notes":"none")", "notes is \"none\"; expected a list");
  }
  void whatIsNoReportIsRefusedWithTheFieldAndItsValue() {
    QFETCH(QByteArray, fields);
    QFETCH(QString, says);
    const Result<api::NodeReport> read =
        decodeNodeReport((R"({"v":1,"type":"node_report",)" + fields + "}").toStdString());
    QVERIFY(!read.ok());
    QCOMPARE(read.error().code, ErrorCode::DataCorrupt);
    QVERIFY2(read.error().message.find(says.toStdString()) != std::string::npos,
             read.error().message.c_str());
  }

  void whatIsNoObjectOfThisTypeIsRefused() {
    for (const std::string& text : {std::string(),
                                    std::string("[]"),
                                    std::string("{\"v\":1"),
                                    std::string("{\"v\":1,\"type\":\"hello\"}"),
                                    std::string("{\"v\":\"1\",\"type\":\"node_report\"}"),
                                    std::string(2'000'000, '[')}) {
      const Result<api::NodeReport> read = decodeNodeReport(text);
      QVERIFY(!read.ok());
      QCOMPARE(read.error().code, ErrorCode::DataCorrupt);
    }
  }
};

QTEST_APPLESS_MAIN(NodeReportJsonTest)
#include "node_report_json_test.moc"
