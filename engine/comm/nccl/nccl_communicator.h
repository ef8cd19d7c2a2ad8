// SPDX-License-Identifier: GPL-3.0-or-later
// Collectives over NCCL, on buffers in device memory.
#pragma once

#include <memory>

#include <nccl.h>

#include "engine/base/result.h"
#include "engine/comm/communicator.h"
#include "engine/comm/nccl_id.h"
#include "engine/device/cuda/cuda_handles.h"

namespace tandem::comm {

/// Fails    Internal with NCCL's own words.
[[nodiscard]] Result<NcclId> makeNcclId();

/// One rank's ncclComm_t and the stream its collectives run on.
///
/// The methods return when the stream has finished them. With two ranks a sum has one order, so
/// both hold the same bits; with more NCCL chooses the order, and this class refuses to be made.
class NcclCommunicator final : public Communicator {
 public:
  /// Blocks until every rank has called it with the same id. Uses the calling thread's device.
  /// Fails    InvalidArgument for more than two ranks; Internal with NCCL's own words.
  static Result<std::unique_ptr<Communicator>> connect(const NcclId& id, int rank, int ranks);

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return ranks_; }
  Result<void> allReduceSum(std::span<float> data) override;
  Result<void> allGather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  Result<void> broadcast(std::span<std::byte> data, int root) override;

 private:
  struct Destroy {
    // Abort, not destroy: destroy waits for a peer that may be gone.
    void operator()(ncclComm_t comm) const { static_cast<void>(ncclCommAbort(comm)); }
  };
  using UniqueComm = std::unique_ptr<std::remove_pointer_t<ncclComm_t>, Destroy>;

  NcclCommunicator(device::UniqueStream stream, UniqueComm comm, int rank, int ranks)
      : stream_(std::move(stream)),
        comm_(std::move(comm)),
        rank_(rank),
        ranks_(ranks) {}

  Result<void> finish(ncclResult_t enqueued, const char* call);

  device::UniqueStream stream_;
  UniqueComm comm_;
  int rank_;
  int ranks_;
};

}  // namespace tandem::comm
