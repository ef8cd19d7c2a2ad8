// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a checkpoint on threads as ranks and compares it with what the oracle computed.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "engine/model/deepseek_v4.h"

namespace tandem::test {

// A sanitized build is many times slower: it runs each path of the code, not each combination.
#ifdef TANDEM_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr std::size_t kWhole = 1024;  // a chunk that holds every prompt of the goldens

struct Scored {
  std::vector<float> logits;
  std::vector<float> drafts;
};

/// Feeds `tokens` in chunks and keeps the last `rows` rows of logits and draft logits.
Result<Scored> feed(model::DeepseekV4& model,
                    const std::vector<TokenId>& tokens,
                    std::size_t chunk,
                    std::size_t rows);

/// Runs `body` on rank 0 and the same on every other rank, each in a thread.
Result<Scored> onRanks(const std::string& folder,
                       const model::ModelOptions& options,
                       int ranks,
                       const std::function<Result<Scored>(model::DeepseekV4&)>& body);

// Data of test functions: each back end in the column `backend`; and with `ranks` and `chunk`
// beside it, which are what checkExact takes.
void addBackends(std::initializer_list<model::Backend> backends);
void addExactRows(std::initializer_list<model::Backend> backends);

// The checks fail the test function that calls them. `folder` has golden.safetensors.

/// Every logit of exact numerics.
void checkExact(const std::string& folder,
                const std::string& modelFolder,
                model::Backend backend,
                int ranks,
                int chunk);

/// Most rows of cache numerics, by distance, argmax and divergence.
void checkCache(const std::string& folder, const std::string& modelFolder, int ranks);

/// Each block fed with the oracle's streams: choices agree on 98 % of rows, and each of those
/// has a relative error of at most 1e-3, against the golden or, where a rounding tie decides,
/// against the float64 evaluation in `ties`.
void checkActBlocks(const std::string& goldens,
                    const std::string& modelFolder,
                    const std::string& ties,
                    const std::string& prompt,
                    model::Backend backend);

}  // namespace tandem::test
