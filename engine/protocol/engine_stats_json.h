// SPDX-License-Identifier: GPL-3.0-or-later
// What an engine is and how it is doing, as JSON: EngineInfo, EngineStats.
#pragma once

#include "engine/api/engine_client.h"
#include "engine/api/engine_stats.h"
#include "engine/protocol/json_fields.h"

namespace tandem::protocol {

/// {"model", "context_tokens", "vocab_size", "ranks", "backend", "numerics", "fingerprint"}
[[nodiscard]] OutJson infoJson(const api::EngineInfo& info);
[[nodiscard]] api::EngineInfo readInfo(const FieldReader& fields);

/// Adds every field of the snapshot to the object `json`; what is not known is null.
void addStats(OutJson& json, const api::EngineStats& stats);
/// Fields that the first engines did not send may be missing; they keep their defaults.
[[nodiscard]] api::EngineStats readStats(const FieldReader& fields);

}  // namespace tandem::protocol
