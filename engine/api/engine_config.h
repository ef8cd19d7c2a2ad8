// SPDX-License-Identifier: GPL-3.0-or-later
// Everything an engine process is told at its start, from argv or a file. Never changed afterwards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace tandem::api {

/// Rounding of activations and caches; the names of the oracle. One setting for the whole engine,
/// the same in prefill and decode.
enum class Numerics {
  Exact,  // dequantised float32 everywhere: tests
  Cache,  // KV and indexer entries in their stored formats: the default
  Act,    // Cache, and FP8 activations in groups of 128 before quantised linears
};

enum class BackendChoice { Auto, Reference, Cpu, Cuda };

struct HttpConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8000;         // 0: any free port, reported in the ready event
  std::filesystem::path apiKeyFile;  // empty: no key; required when host is not loopback
};

/// The channel between rank 0 and rank 1.
struct PeerConfig {
  // Rank 0: the address of its own to listen on; empty: it starts a local worker.
  // Rank 1: the address of rank 0.
  std::string host;
  std::uint16_t port = 29411;        // rank 0 listens, rank 1 connects
  std::filesystem::path secretFile;  // 0600, 32 random bytes
};

/// When a node that runs out of memory is more important than the engine. What is not set follows
/// from the node's own size, see runtime::MemoryGuard.
struct MemoryGuardConfig {
  bool enabled = true;
  std::uint64_t floorBytes = 0;  // 0: automatic. With less left on any node the engine ends
  std::uint64_t holdBytes = 0;   // 0: automatic. With less left no new request is started
};

struct EngineConfig {
  std::filesystem::path modelFolder;
  int rank = 0;
  int ranks = 1;  // tensor parallelism: 1 or 2
  Numerics numerics = Numerics::Cache;
  BackendChoice backend = BackendChoice::Auto;
  int threads = 0;                 // compute threads of the CPU back end; 0: cores / local ranks
  std::int64_t contextTokens = 0;  // 0: the model's max_position_embeddings
  int maxQueuedRequests = 64;
  int maxSequences = 6;  // answered at the same time
  int prefillChunkTokens = 256;
  int longestStallMs = 66;          // of an answer while prompts are read, see SchedulerLimits
  double kvGib = 0;                 // of the caches of one rank; 0: by memoryUtilization
  double memoryUtilization = 0.82;  // of what a node has available once the weights are loaded
  bool prefixCache = true;          // keep what was computed for the next prompt that begins so
  std::filesystem::path
      cacheFolder;           // its rank-N is where this rank keeps prefixes; empty: nowhere
  double cacheDiskGib = 64;  // that folder's limit
  bool speculative = true;   // draft with the MTP module, if the model has one
  bool alwaysDraft = false;  // also where that is slower: to measure with
  int maxDrafts = 2;         // tokens drafted in a step, 1 to 3
  bool defaultThinking = false;
  MemoryGuardConfig memoryGuard;
  HttpConfig http;
  PeerConfig peer;
  std::filesystem::path controlSocket;  // empty: no control socket
  std::filesystem::path logFolder;      // empty: stderr only
};

}  // namespace tandem::api
