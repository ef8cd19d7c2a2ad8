// SPDX-License-Identifier: GPL-3.0-or-later
// The tree of kept prefixes: which blocks and snapshots let a prompt begin in its middle.
#pragma once

namespace tandem::kvcache {

/// A node is kSnapshotAlignment tokens; its path from the root is the prefix. Nodes are found by
/// (parent, hash of their tokens) and compared token by token. A node holds a reference to the block
/// that its entries lie in (two nodes a block) and may hold a snapshot; leaves always do.
class PrefixCache {};

}  // namespace tandem::kvcache
