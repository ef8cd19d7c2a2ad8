// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/selftest_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/cuda/cuda_library.h"
#include "engine/kernels/cases/case_check.h"
#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cpu/cpu_operators.h"
#include "engine/kernels/reference/reference_operators.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

using kernels::CaseReport;
using kernels::CaseState;

/// The operators under test and what they need to live. The library is destroyed last.
struct Subject {
  std::optional<cuda::CudaLibrary> library;
  std::unique_ptr<kernels::Operators> operators;
  kernels::CaseBackend backend;
  std::string device;
  std::string reason;  // why `auto` did not take CUDA
};

Result<Subject> openCuda(const std::filesystem::path& folder) {
  Result<cuda::CudaLibrary> library = cuda::CudaLibrary::open(folder);
  if (!library) {
    return library.error();
  }
  const Result<cuda::DeviceFacts> facts = library->exports().deviceFacts();
  if (!facts) {
    return facts.error();
  }
  Result<std::unique_ptr<cuda::CaseOperators>> made = library->exports().makeCaseOperators();
  if (!made) {
    return made.error();
  }
  cuda::CaseOperators* const operators = made->get();
  Subject subject;
  subject.library = std::move(*library);
  subject.operators = std::move(*made);
  subject.backend = {operators,
                     [operators](kernels::OperatorId op) { return operators->hasKernel(op); },
                     [operators] { return operators->failure(); }};
  subject.device = fmt::format("{}, compute {}.{}, driver {}, runtime {}",
                               facts->name,
                               facts->computeMajor,
                               facts->computeMinor,
                               facts->driverVersion,
                               facts->runtimeVersion);
  return subject;
}

Subject onHost(std::unique_ptr<kernels::Operators> operators, std::string device) {
  Subject subject;
  subject.operators = std::move(operators);
  subject.backend.operators = subject.operators.get();
  subject.device = std::move(device);
  return subject;
}

Result<Subject> open(const std::string& backend, const std::filesystem::path& folder) {
  if (backend == "reference") {
    return onHost(std::make_unique<kernels::ReferenceOperators>(), "one thread");
  }
  std::string reason;
  if (backend != "cpu") {
    Result<Subject> cuda = openCuda(folder);
    if (cuda || backend == "cuda") {
      return cuda;
    }
    reason = cuda.error().text();
  }
  const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Subject subject =
      onHost(std::make_unique<kernels::CpuOperators>(threads), fmt::format("{} threads", threads));
  subject.reason = std::move(reason);
  return subject;
}

struct Tally {
  int passed = 0;
  int failed = 0;
  int notRun = 0;

  void count(CaseState state) {
    switch (state) {
      case CaseState::Passed:
        ++passed;
        return;
      case CaseState::Failed:
        ++failed;
        return;
      case CaseState::NoKernel:
      case CaseState::NoAnswer:
        ++notRun;
        return;
    }
  }
};

bool wasRun(const CaseReport& report) {
  return report.state == CaseState::Passed || report.state == CaseState::Failed;
}

nlohmann::ordered_json number(float value) {
  // JSON has no NaN and no infinity.
  return std::isfinite(value) ? nlohmann::ordered_json(value)
                              : nlohmann::ordered_json(fmt::format("{}", value));
}

nlohmann::ordered_json toJson(const kernels::OperatorCase& operatorCase, const CaseReport& report) {
  nlohmann::ordered_json line{{"operator", kernels::operatorName(operatorCase.op)},
                              {"case", operatorCase.name},
                              {"state", kernels::caseStateName(report.state)}};
  if (wasRun(report)) {
    line["elements"] = report.elements;
    line["outside"] = report.outside;
    line["row_invariant"] = report.dependentRow < 0;
    line["worst"] = {{"row", report.worst.row},
                     {"column", report.worst.column},
                     {"got", number(report.worst.got)},
                     {"expected", number(report.worst.expected)},
                     {"allowed", number(report.worst.allowed)}};
  }
  if (!report.failure.empty()) {
    line["failure"] = report.failure;
  }
  return line;
}

/// On CUDA a case without a kernel says whose kernel it waits for.
std::string stateText(CaseState state, const std::string& backend) {
  return state == CaseState::NoKernel && backend == "cuda" ? "no CUDA kernel yet"
                                                           : kernels::caseStateName(state);
}

void print(const kernels::OperatorCase& operatorCase,
           const CaseReport& report,
           const std::string& backend) {
  fmt::print("{:<18} {:<20} {}\n",
             stateText(report.state, backend),
             kernels::operatorName(operatorCase.op),
             operatorCase.name);
  if (wasRun(report)) {
    fmt::print("{:<18} {}\n", "", report.describe());
  }
}

}  // namespace

int selftestCommand(int argc, char** argv) {
  CLI::App app("Runs every operator's cases on one back end and prints the worst element of each.",
               "tandem-engine selftest");
  std::string backend = "auto";
  std::filesystem::path folder;
  bool json = false;
  app.add_option("--backend", backend, "auto takes CUDA where it loads, else the processor")
      ->check(CLI::IsMember({"auto", "reference", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--libdir", folder, "folder of libtandem_cuda.so; default: beside the program");
  app.add_flag("--json", json, "one JSON object instead of lines");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  const Result<Subject> subject = open(backend, folder);
  if (!subject) {
    fmt::print(stderr, "tandem-engine selftest: {}\n", subject.error().text());
    return kExitFailed;
  }
  const std::string name(subject->operators->name());
  if (!subject->reason.empty()) {
    fmt::print(stderr, "CUDA is not used: {}\n", subject->reason);
  }
  if (!json) {
    fmt::print("back end       {} on {}\n", name, subject->device);
  }

  Tally tally;
  nlohmann::ordered_json lines = nlohmann::ordered_json::array();
  for (const kernels::OperatorCase& operatorCase : kernels::allCases()) {
    const CaseReport report = kernels::checkCase(operatorCase, subject->backend);
    tally.count(report.state);
    if (json) {
      lines.push_back(toJson(operatorCase, report));
    } else {
      print(operatorCase, report, name);
    }
  }
  if (json) {
    const nlohmann::ordered_json all{{"backend", name},
                                     {"device", subject->device},
                                     {"passed", tally.passed},
                                     {"failed", tally.failed},
                                     {"not_run", tally.notRun},
                                     {"cases", std::move(lines)}};
    fmt::print("{}\n", all.dump(2));
  } else {
    fmt::print("{} passed, {} failed, {} not run\n", tally.passed, tally.failed, tally.notRun);
  }
  // A back end that ran nothing has shown nothing.
  return tally.failed == 0 && tally.passed > 0 ? kExitOk : kExitFailed;
}

}  // namespace tandem::tools
