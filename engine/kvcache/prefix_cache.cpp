// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/prefix_cache.h"

#include <algorithm>
#include <cassert>

namespace tandem::kvcache {

namespace {

constexpr std::size_t kNodesPerBlock = kBlockTokens / kSnapshotAlignment;

}  // namespace

PrefixCache::PrefixCache(BlockPool& blocks, TokenHash hash)
    : blocks_(blocks),
      hash_(hash) {
  // A table that grows stops the engine for as long as it takes to move it.
  byTokens_.reserve(static_cast<std::size_t>(blocks.total()) * kNodesPerBlock);
}

std::vector<PrefixNode> PrefixCache::find(std::span<const TokenId> tokens) const {
  std::vector<PrefixNode> path;
  std::int32_t at = kNone;
  while (tokens.size() >= kNodeTokens) {
    const std::span<const TokenId> piece = tokens.first(kNodeTokens);
    at = child(at, keyOf(at, piece), piece);
    if (at == kNone) {
      break;
    }
    path.push_back(describe(at));
    tokens = tokens.subspan(kNodeTokens);
  }
  return path;
}

std::optional<PrefixNodeId> PrefixCache::findKept(std::span<const TokenId> tokens,
                                                  PrefixNodeId from) const {
  const std::int32_t index = descend(tokens, from);
  if (index == kNone || !at(index).snapshot ||
      static_cast<std::size_t>(at(index).depth) * kNodeTokens != tokens.size()) {
    return std::nullopt;
  }
  return PrefixNodeId{index, at(index).generation};
}

PrefixCache::Inserted PrefixCache::insert(std::span<const TokenId> tokens,
                                          std::span<const BlockId> blocks,
                                          SnapshotId snapshot,
                                          PrefixNodeId from) {
  assert(!tokens.empty() && tokens.size() % kNodeTokens == 0);
  const std::size_t wanted = tokens.size() / kNodeTokens;
  std::int32_t index = descend(tokens, from);
  for (auto depth = static_cast<std::size_t>(depthOf(index)); depth < wanted; ++depth) {
    const std::span<const TokenId> piece = tokens.subspan(depth * kNodeTokens, kNodeTokens);
    index = add(index, keyOf(index, piece), piece, blocks[depth / kNodesPerBlock]);
  }
  const PrefixNodeId id{index, at(index).generation};
  std::optional<SnapshotId> unused;
  if (at(index).snapshot) {
    unused = snapshot;
  } else {
    at(index).snapshot = snapshot;
    appendToUses(index);
  }
  touch(id);
  return {id, unused};
}

void PrefixCache::touch(PrefixNodeId node) {
  assert(exists(node));
  touched_.clear();
  for (std::int32_t index = node.index; index != kNone; index = at(index).parent) {
    if (at(index).snapshot) {
      touched_.push_back(index);
    }
  }
  std::for_each(touched_.rbegin(), touched_.rend(), [this](std::int32_t index) {
    removeFromUses(index);
    appendToUses(index);
  });
}

void PrefixCache::pin(PrefixNodeId node) {
  assert(exists(node) && at(node.index).snapshot);
  ++at(node.index).pins;
}

void PrefixCache::unpin(PrefixNodeId node) {
  assert(exists(node) && at(node.index).pins > 0);
  --at(node.index).pins;
}

std::optional<SnapshotId> PrefixCache::evictLeaf() {
  std::int32_t chosen = kNone;
  for (std::int32_t index = oldest_; index != kNone; index = at(index).newer) {
    const Node& node = at(index);
    if (node.children > 0 || node.pins > 0) {
      continue;
    }
    if (blocks_.onlyKept(node.block)) {
      chosen = index;
      break;
    }
    if (chosen == kNone) {
      chosen = index;
    }
  }
  if (chosen == kNone) {
    return std::nullopt;
  }
  return removeLeaf(chosen);
}

std::optional<SnapshotId> PrefixCache::evictSnapshot() {
  std::int32_t index = oldest_;
  while (index != kNone && at(index).pins > 0) {
    index = at(index).newer;
  }
  if (index == kNone) {
    return std::nullopt;
  }
  return at(index).children > 0 ? takeSnapshot(index) : removeLeaf(index);
}

std::vector<PrefixNode> PrefixCache::path(PrefixNodeId node) const {
  std::vector<PrefixNode> nodes;
  if (exists(node)) {
    for (std::int32_t index = node.index; index != kNone; index = at(index).parent) {
      nodes.push_back(describe(index));
    }
    std::reverse(nodes.begin(), nodes.end());
  }
  return nodes;
}

std::optional<PrefixNode> PrefixCache::node(PrefixNodeId id) const {
  if (!exists(id)) {
    return std::nullopt;
  }
  return describe(id.index);
}

bool PrefixCache::exists(PrefixNodeId id) const {
  return id.index != kNone && at(id.index).generation == id.generation;
}

PrefixNode PrefixCache::describe(std::int32_t index) const {
  const Node& node = at(index);
  return {{index, node.generation},
          node.depth * kSnapshotAlignment,
          node.block,
          node.snapshot,
          node.chain};
}

std::uint64_t PrefixCache::keyOf(std::int32_t parent, std::span<const TokenId> tokens) const {
  // Any odd constant: it only has to keep equal tokens below different parents apart.
  return hash_(tokens) ^ (static_cast<std::uint64_t>(parent + 1) * 0x9e3779b97f4a7c15U);
}

std::int32_t PrefixCache::child(std::int32_t parent,
                                std::uint64_t key,
                                std::span<const TokenId> tokens) const {
  const auto [first, last] = byTokens_.equal_range(key);
  const auto found = std::find_if(first, last, [&](const auto& entry) {
    const Node& node = at(entry.second);
    return node.parent == parent && std::equal(tokens.begin(), tokens.end(), node.tokens.begin());
  });
  return found == last ? kNone : found->second;
}

std::int32_t PrefixCache::descend(std::span<const TokenId> tokens, PrefixNodeId from) const {
  const std::size_t wanted = tokens.size() / kNodeTokens;
  std::int32_t index = kNone;
  if (exists(from) && static_cast<std::size_t>(at(from.index).depth) <= wanted) {
    index = from.index;
  }
  for (auto depth = static_cast<std::size_t>(depthOf(index)); depth < wanted; ++depth) {
    const std::span<const TokenId> piece = tokens.subspan(depth * kNodeTokens, kNodeTokens);
    const std::int32_t next = child(index, keyOf(index, piece), piece);
    if (next == kNone) {
      break;
    }
    index = next;
  }
  return index;
}

std::int32_t PrefixCache::depthOf(std::int32_t index) const {
  return index == kNone ? 0 : at(index).depth;
}

std::int32_t PrefixCache::add(std::int32_t parent,
                              std::uint64_t key,
                              std::span<const TokenId> tokens,
                              BlockId block) {
  std::int32_t index = static_cast<std::int32_t>(nodes_.size());
  if (unusedNodes_.empty()) {
    nodes_.emplace_back();
  } else {
    index = unusedNodes_.back();
    unusedNodes_.pop_back();
  }
  Node& node = at(index);
  std::copy(tokens.begin(), tokens.end(), node.tokens.begin());
  node.key = key;
  node.parent = parent;
  node.depth = depthOf(parent) + 1;
  node.chain = extendChain(parent == kNone ? ChainHash{} : at(parent).chain, tokens);
  node.block = block;
  ++node.generation;
  blocks_.keep(block);
  if (parent != kNone) {
    ++at(parent).children;
  }
  byTokens_.emplace(key, index);
  return index;
}

void PrefixCache::remove(std::int32_t index) {
  Node& node = at(index);
  assert(node.children == 0 && node.pins == 0 && !node.snapshot);
  const auto [first, last] = byTokens_.equal_range(node.key);
  byTokens_.erase(
      std::find_if(first, last, [index](const auto& entry) { return entry.second == index; }));
  blocks_.forget(node.block);
  if (node.parent != kNone) {
    --at(node.parent).children;
  }
  ++node.generation;
  unusedNodes_.push_back(index);
}

SnapshotId PrefixCache::removeLeaf(std::int32_t index) {
  const SnapshotId snapshot = takeSnapshot(index);
  while (index != kNone && at(index).children == 0 && !at(index).snapshot) {
    const std::int32_t parent = at(index).parent;
    remove(index);
    index = parent;
  }
  return snapshot;
}

SnapshotId PrefixCache::takeSnapshot(std::int32_t index) {
  Node& node = at(index);
  const SnapshotId snapshot = *node.snapshot;
  node.snapshot.reset();
  removeFromUses(index);
  return snapshot;
}

void PrefixCache::appendToUses(std::int32_t index) {
  Node& node = at(index);
  node.older = newest_;
  node.newer = kNone;
  (newest_ == kNone ? oldest_ : at(newest_).newer) = index;
  newest_ = index;
}

void PrefixCache::removeFromUses(std::int32_t index) {
  const Node& node = at(index);
  (node.older == kNone ? oldest_ : at(node.older).newer) = node.newer;
  (node.newer == kNone ? newest_ : at(node.newer).older) = node.older;
}

}  // namespace tandem::kvcache
