// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/node_probe.h"

#include "engine/probe/cpu_facts.h"
#include "engine/probe/fact_reader.h"
#include "engine/probe/gpu_facts.h"
#include "engine/probe/host_facts.h"
#include "engine/probe/memory_facts.h"
#include "engine/probe/nic_facts.h"

namespace tandem::probe {

api::NodeReport probeNode(const SysRoot& root,
                          const std::optional<std::filesystem::path>& libraries) {
  api::NodeReport report;
  const FactReader reader(root, report.notes);
  report.host = readHostFacts(reader);
  report.memory = readMemoryFacts(reader);
  report.cpu = readCpuFacts(reader);
  report.gpu = readGpuFacts(reader, libraries);
  report.nic = readNicFacts(reader);
  return report;
}

}  // namespace tandem::probe
