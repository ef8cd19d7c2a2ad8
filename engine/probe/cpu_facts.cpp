// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/cpu_facts.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::probe {

namespace {

constexpr const char* kCpuInfo = "proc/cpuinfo";
constexpr const char* kCpus = "sys/devices/system/cpu/";

/// More than Linux can be built for.
constexpr int kMaxThreads = 8192;

/// SIMD that decides how fast the CPU back end can be; the kernel's names.
constexpr std::array<std::string_view, 19> kFeatures{"avx2",
                                                     "fma",
                                                     "f16c",
                                                     "avx_vnni",
                                                     "avx512f",
                                                     "avx512bw",
                                                     "avx512_vnni",
                                                     "avx512_bf16",
                                                     "avx512_fp16",
                                                     "amx_tile",
                                                     "amx_int8",
                                                     "amx_bf16",  // x86-64
                                                     "asimd",
                                                     "asimdhp",
                                                     "asimddp",
                                                     "i8mm",
                                                     "bf16",
                                                     "sve",
                                                     "sve2"};  // AArch64

/// AArch64 tells numbers where x86 tells a name.
struct ArmPart {
  unsigned implementer;
  unsigned part;
  std::string_view name;
};
constexpr std::array kArmParts{
    ArmPart{0x41, 0xd0c, "Neoverse-N1"},
    ArmPart{0x41, 0xd40, "Neoverse-V1"},
    ArmPart{0x41, 0xd49, "Neoverse-N2"},
    ArmPart{0x41, 0xd4f, "Neoverse-V2"},
    ArmPart{0x41, 0xd85, "Cortex-X925"},
    ArmPart{0x41, 0xd87, "Cortex-A725"},
};

/// One processor's paragraph of /proc/cpuinfo.
struct Processor {
  std::string_view modelName;
  std::string_view implementer;
  std::string_view part;
  std::string_view flags;
};

std::vector<Processor> parseCpuInfo(std::string_view text) {
  std::vector<Processor> processors;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      continue;
    }
    const std::string_view key = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (key == "processor") {
      processors.emplace_back();
    } else if (processors.empty()) {
      continue;
    } else if (key == "model name") {
      processors.back().modelName = value;
    } else if (key == "CPU implementer") {
      processors.back().implementer = value;
    } else if (key == "CPU part") {
      processors.back().part = value;
    } else if (key == "flags" || key == "Features") {
      processors.back().flags = value;
    }
  }
  return processors;
}

std::optional<unsigned> parseHex(std::string_view text) {
  const bool hasPrefix = text.substr(0, 2) == "0x";
  return parseNumber<unsigned>(text.substr(hasPrefix ? 2 : 0), 16);
}

std::string nameOf(const Processor& processor) {
  if (!processor.modelName.empty()) {
    return cleaned(processor.modelName.substr(0, FactReader::kMaxLineBytes));
  }
  const std::optional<unsigned> implementer = parseHex(processor.implementer);
  const std::optional<unsigned> part = parseHex(processor.part);
  if (!implementer || !part) {
    return "unknown";
  }
  const auto known = std::find_if(kArmParts.begin(), kArmParts.end(), [&](const ArmPart& arm) {
    return arm.implementer == *implementer && arm.part == *part;
  });
  return known != kArmParts.end()
             ? std::string(known->name)
             : fmt::format("implementer {:#x} part {:#x}", *implementer, *part);
}

std::vector<api::CpuKind> kindsOf(const std::vector<Processor>& processors) {
  std::map<std::string, int> threads;
  for (const Processor& processor : processors) {
    ++threads[nameOf(processor)];
  }
  std::vector<api::CpuKind> kinds;
  kinds.reserve(threads.size());
  for (const auto& [name, count] : threads) {
    kinds.push_back({name, count});
  }
  return kinds;
}

std::vector<std::string> featuresOfAll(const std::vector<Processor>& processors) {
  std::vector<std::set<std::string_view>> flags;
  for (const Processor& processor : processors) {
    const std::vector<std::string_view> words = split(processor.flags, ' ');
    flags.emplace_back(words.begin(), words.end());
  }
  std::vector<std::string> features;
  for (const std::string_view feature : kFeatures) {
    const auto has = [&](const auto& words) { return words.count(feature) != 0; };
    if (!flags.empty() && std::all_of(flags.begin(), flags.end(), has)) {
      features.emplace_back(feature);
    }
  }
  return features;
}

std::optional<std::string> architectureOf(const std::vector<Processor>& processors) {
  if (processors.empty()) {
    return std::nullopt;
  }
  if (!processors.front().implementer.empty()) {
    return "aarch64";
  }
  // "lm" is what the kernel calls the 64-bit mode of an x86 processor.
  const std::vector<std::string_view> words = split(processors.front().flags, ' ');
  const bool isX86 = std::find(words.begin(), words.end(), "lm") != words.end();
  return isX86 ? std::optional<std::string>("x86_64") : std::nullopt;
}

/// "0-3,8" as numbers; nothing for another text or more than kMaxThreads.
std::optional<std::vector<int>> parseCpuList(std::string_view text) {
  std::vector<int> cpus;
  for (const std::string_view range : split(text, ',')) {
    const std::size_t dash = range.find('-');
    const std::optional<int> first = parseNumber<int>(range.substr(0, dash));
    const std::optional<int> last =
        dash == std::string_view::npos ? first : parseNumber<int>(range.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last >= kMaxThreads) {
      return std::nullopt;
    }
    for (int cpu = *first; cpu <= *last; ++cpu) {
      cpus.push_back(cpu);
    }
  }
  if (cpus.size() > kMaxThreads) {
    return std::nullopt;
  }
  return cpus;
}

std::vector<int> readOnlineCpus(const FactReader& reader) {
  const std::string path = std::string(kCpus) + "online";
  const std::optional<std::string> text = reader.line(path);
  if (!text) {
    return {};
  }
  const std::optional<std::vector<int>> cpus = parseCpuList(*text);
  if (!cpus) {
    reader.note(path, fmt::format("{} is no list of processors", shownValue(*text)));
    return {};
  }
  return *cpus;
}

/// Threads of one core name the same list of threads.
std::optional<std::string> siblingsOf(const FactReader& reader, const std::string& cpu) {
  std::optional<std::string> siblings = reader.line(cpu + "/topology/core_cpus_list");
  if (!siblings) {
    siblings = reader.line(cpu + "/topology/thread_siblings_list");  // before Linux 5.3
  }
  return siblings;
}

}  // namespace

api::CpuFacts readCpuFacts(const FactReader& reader) {
  api::CpuFacts facts;
  const std::string info = reader.contents(kCpuInfo).value_or("");
  const std::vector<Processor> processors = parseCpuInfo(info);
  if (!info.empty() && processors.empty()) {
    reader.note(kCpuInfo, "names no processor");
  }
  facts.kinds = kindsOf(processors);
  facts.features = featuresOfAll(processors);
  facts.architecture = reader.line("proc/sys/kernel/arch");  // since Linux 6.1
  if (!facts.architecture) {
    facts.architecture = architectureOf(processors);
  }
  const std::vector<int> online = readOnlineCpus(reader);
  if (!online.empty() || !processors.empty()) {
    facts.threads = static_cast<int>(online.empty() ? processors.size() : online.size());
  }
  std::set<std::string> cores;
  std::set<std::string> governors;
  for (const int number : online) {
    const std::string cpu = kCpus + fmt::format("cpu{}", number);
    if (const std::optional<std::string> siblings = siblingsOf(reader, cpu)) {
      cores.insert(*siblings);
    }
    if (const auto governor = reader.line(cpu + "/cpufreq/scaling_governor")) {
      governors.insert(*governor);
    }
  }
  if (!cores.empty()) {
    facts.cores = static_cast<int>(cores.size());
  }
  facts.governors.assign(governors.begin(), governors.end());
  return facts;
}

}  // namespace tandem::probe
