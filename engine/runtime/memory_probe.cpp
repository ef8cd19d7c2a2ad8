// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/memory_probe.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

#include "engine/base/byte_size.h"

namespace tandem::runtime {

void readMemory(api::RankMemory& memory, const std::filesystem::path& proc) {
  std::uint64_t totalPages = 0;
  std::uint64_t residentPages = 0;
  std::ifstream statm(proc / "self" / "statm");
  if (statm >> totalPages >> residentPages) {
    memory.processBytes = residentPages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  std::ifstream meminfo(proc / "meminfo");
  std::string name;
  std::uint64_t kibibytes = 0;
  while (meminfo >> name >> kibibytes) {
    if (name == "MemTotal:") {
      memory.hostTotalBytes = kibibytes * kKiB;
    } else if (name == "MemAvailable:") {
      memory.hostAvailableBytes = std::max(kibibytes, std::uint64_t{1}) * kKiB;
    }
    meminfo.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
}

}  // namespace tandem::runtime
