// SPDX-License-Identifier: GPL-3.0-or-later
// The demo cluster: both ranks as processes of this user on this machine.
#pragma once

#include <cstdint>

#include "app/launcher/engine_host.h"
#include "app/launcher/engine_record.h"
#include "app/launcher/run_folder.h"

namespace tandem::app {

/// What the next start() starts. "" means: found by itself.
struct LocalEngineOptions {
  QString modelFolder;  // the demo model
  int ranks = 2;
  std::uint16_t port = 8000;  // 0: any free one
  QString program;            // beside this program, else in PATH
  QString runFolder;          // RunFolder::ofDemo()
  QString logFolder;          // stateFolder()
};

/// `tandem-engine serve` is rank 0 and starts rank 1, which the kernel ends with it.
class LocalEngineHost final : public EngineHost {
 public:
  explicit LocalEngineHost(LocalEngineOptions options = {});

  [[nodiscard]] QString name() const override;
  Result<EngineProcess> start() override;
  [[nodiscard]] std::optional<EngineProcess> find() const override;
  [[nodiscard]] std::optional<EngineProcess> findLost() const override;
  Result<void> terminate(bool force) override;
  [[nodiscard]] std::vector<QString> lastOutput(int lines) const override;

  [[nodiscard]] const RunFolder& runFolder() const { return folder_; }
  [[nodiscard]] const LocalEngineOptions& options() const { return options_; }

 private:
  /// The record of a process that runs.
  [[nodiscard]] std::optional<EngineRecord> running() const;

  LocalEngineOptions options_;
  RunFolder folder_;
};

}  // namespace tandem::app
