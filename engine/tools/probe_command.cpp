// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/probe_command.h"

#include <fmt/core.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include "engine/base/result.h"
#include "engine/probe/node_probe.h"
#include "engine/probe/sys_root.h"
#include "engine/protocol/node_report_json.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/node_report_text.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

int probeCommand(int argc, char** argv) {
  CLI::App app("Says what this machine is: memory, processors, GPUs, network. Changes nothing.",
               "tandem-engine probe");
  std::filesystem::path sysroot = "/";
  std::filesystem::path libraries;
  bool asJson = false;
  app.add_flag("--json", asJson, "one JSON object instead of text");
  app.add_option("--sysroot", sysroot, "folder with the /proc, /sys and /etc to read")
      ->capture_default_str();
  const CLI::Option* const named = app.add_option(
      "--libdir",
      libraries,
      "folder of libnvidia-ml.so.1 and libcuda.so.1; default: where the loader looks");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  const Result<probe::SysRoot> root = probe::SysRoot::open(sysroot);
  if (!root) {
    fmt::print(stderr, "tandem-engine probe: {}\n", root.error().text());
    return kExitFailed;
  }
  std::optional<std::filesystem::path> folder;
  if (named->count() > 0 || root->isThisMachine()) {
    folder = libraries;
  }
  const api::NodeReport report = probe::probeNode(*root, folder);
  if (asJson) {
    fmt::print("{}\n", protocol::encodeNodeReport(report));
  } else {
    fmt::print("{}", nodeReportText(report));
  }
  return kExitOk;
}

}  // namespace tandem::tools
