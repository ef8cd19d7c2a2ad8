// SPDX-License-Identifier: GPL-3.0-or-later
// The command-line options that several commands share, and the EngineConfig they fill.
#pragma once

#include <string>

#include "engine/api/engine_config.h"

namespace CLI {  // NOLINT(readability-identifier-naming): a library's
class App;
}

namespace tandem::tools {

/// --model --ranks --numerics --backend --threads --context --chunk --speculative --drafts.
/// `config` must outlive `app`.
void addModelOptions(CLI::App& app, api::EngineConfig& config);

/// --max-seqs --kv-gib --memory-utilization --prefix-cache
void addCacheOptions(CLI::App& app, api::EngineConfig& config);

/// --cache-folder --cache-disk-gib
void addCacheFolderOptions(CLI::App& app, api::EngineConfig& config);

/// --log-folder
void addLogOption(CLI::App& app, api::EngineConfig& config);

/// --memory-guard --memory-floor --memory-hold
void addMemoryGuardOptions(CLI::App& app, api::EngineConfig& config);

/// Fills `peer.host` and `peer.port` from "HOST:PORT", "[V6]:PORT" or "HOST". Gives "" or what is
/// wrong with it.
std::string parsePeerAddress(const std::string& text, api::PeerConfig& peer);

/// "exact" "cache" "act".
[[nodiscard]] const char* numericsName(api::Numerics numerics);

}  // namespace tandem::tools
