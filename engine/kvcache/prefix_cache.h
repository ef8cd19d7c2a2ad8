// SPDX-License-Identifier: GPL-3.0-or-later
// The tree of kept prefixes: which blocks and snapshots let a prompt begin in its middle.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/token_hash.h"

namespace tandem::kvcache {

/// Names a node, also after it is gone: a later one in its place is of another generation. The
/// default names none.
struct PrefixNodeId {
  std::int32_t index = -1;
  std::uint32_t generation = 0;

  friend bool operator==(const PrefixNodeId&, const PrefixNodeId&) = default;
};

/// What is kept of a prefix that ends at a node.
struct PrefixNode {
  PrefixNodeId id;
  std::int64_t position = 0;  // tokens of the prefix, a multiple of kSnapshotAlignment
  BlockId block = -1;         // holds the entries of its last kSnapshotAlignment tokens, and, if
                              // `position` is a multiple of kBlockTokens, those of the whole block
  std::optional<SnapshotId> snapshot;  // as of `position`
  ChainHash chain;
};

/// A node is kSnapshotAlignment tokens; its path from the root is the prefix. Nodes are found by
/// (parent, hash of their tokens) and compared token by token. A node keeps the block that its
/// entries lie in (two nodes a block) and may own a snapshot; leaves always do, since nobody can
/// resume without one.
///
/// It says which snapshots came free; who owns their numbers must take them back. Rank 0, engine
/// thread.
class PrefixCache {
 public:
  /// blocks  must outlive this
  explicit PrefixCache(BlockPool& blocks, TokenHash hash = hashTokens);

  ~PrefixCache() = default;
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// The nodes of the longest kept prefix of `tokens`, from the root; not all have a snapshot.
  [[nodiscard]] std::vector<PrefixNode> find(std::span<const TokenId> tokens) const;

  /// The node at the end of `tokens` (whole nodes, at least one), if it has a snapshot.
  ///
  /// from  a node on the path of `tokens` where the search may begin; the root if it is gone
  [[nodiscard]] std::optional<PrefixNodeId> findKept(std::span<const TokenId> tokens,
                                                     PrefixNodeId from = {}) const;

  struct Inserted {
    PrefixNodeId node;
    /// The given snapshot, if the node had one already: the older one stays.
    std::optional<SnapshotId> unused;
  };

  /// Keeps `tokens` (whole nodes, at least one), which counts as use of their path. Nodes that
  /// exist stay as they are.
  ///
  /// blocks    of the sequence that computed them, from its first on
  /// snapshot  of that sequence at tokens.size(); owned from here on unless it is given back
  /// from      as in findKept()
  Inserted insert(std::span<const TokenId> tokens,
                  std::span<const BlockId> blocks,
                  SnapshotId snapshot,
                  PrefixNodeId from = {});

  /// Makes the snapshots on the node's path the last to be evicted, the node's own the very last.
  void touch(PrefixNodeId node);

  /// While pinned (as often as unpinned) a node keeps its snapshot, and its path its blocks.
  void pin(PrefixNodeId node);
  void unpin(PrefixNodeId node);

  /// Forgets the least recently used leaf and what was kept for it alone, and returns its snapshot.
  /// Leaves whose block nobody else needs go first: the others give no room yet. Nothing when all
  /// are pinned.
  [[nodiscard]] std::optional<SnapshotId> evictLeaf();

  /// Takes the least recently used snapshot away; with a leaf's the leaf goes as well.
  [[nodiscard]] std::optional<SnapshotId> evictSnapshot();

  /// The nodes from the root to this one; none when it is gone.
  [[nodiscard]] std::vector<PrefixNode> path(PrefixNodeId node) const;

  /// Nothing when the node is gone.
  [[nodiscard]] std::optional<PrefixNode> node(PrefixNodeId id) const;
  [[nodiscard]] std::size_t size() const { return byTokens_.size(); }

 private:
  static constexpr std::int32_t kNone = -1;  // as a parent: the root
  static constexpr std::size_t kNodeTokens = kSnapshotAlignment;

  struct Node {
    std::array<TokenId, kNodeTokens> tokens{};
    ChainHash chain;
    std::uint64_t key = 0;
    std::int32_t parent = kNone;
    std::int32_t depth = 0;  // nodes on its path
    BlockId block = -1;
    std::optional<SnapshotId> snapshot;
    std::int32_t children = 0;
    std::int32_t pins = 0;
    std::uint32_t generation = 0;  // odd while it exists
    std::int32_t older = kNone;    // nodes with a snapshot, in the order of their use
    std::int32_t newer = kNone;
  };

  [[nodiscard]] Node& at(std::int32_t index) { return nodes_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Node& at(std::int32_t index) const {
    return nodes_[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] bool exists(PrefixNodeId id) const;
  [[nodiscard]] PrefixNode describe(std::int32_t index) const;

  [[nodiscard]] std::uint64_t keyOf(std::int32_t parent, std::span<const TokenId> tokens) const;
  [[nodiscard]] std::int32_t child(std::int32_t parent,
                                   std::uint64_t key,
                                   std::span<const TokenId> tokens) const;
  /// The deepest node of `tokens` at or below `from`.
  [[nodiscard]] std::int32_t descend(std::span<const TokenId> tokens, PrefixNodeId from) const;
  [[nodiscard]] std::int32_t depthOf(std::int32_t index) const;

  std::int32_t add(std::int32_t parent,
                   std::uint64_t key,
                   std::span<const TokenId> tokens,
                   BlockId block);
  void remove(std::int32_t index);
  SnapshotId removeLeaf(std::int32_t index);
  SnapshotId takeSnapshot(std::int32_t index);

  void appendToUses(std::int32_t index);
  void removeFromUses(std::int32_t index);

  BlockPool& blocks_;
  const TokenHash hash_;
  std::deque<Node> nodes_;
  std::vector<std::int32_t> unusedNodes_;
  std::unordered_multimap<std::uint64_t, std::int32_t> byTokens_;
  std::int32_t oldest_ = kNone;
  std::int32_t newest_ = kNone;
  std::vector<std::int32_t> touched_;  // of touch(), kept for its memory
};

}  // namespace tandem::kvcache
