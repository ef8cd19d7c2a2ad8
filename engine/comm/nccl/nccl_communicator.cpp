// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/nccl/nccl_communicator.h"

#include <fmt/core.h>

#include <cassert>
#include <cstring>

namespace tandem::comm {

namespace {

Error ncclError(ncclResult_t code, const char* call, int rank) {
  return Error{ErrorCode::Internal,
               fmt::format("{} on rank {}: {} ({})",
                           call,
                           rank,
                           ncclGetErrorString(code),
                           ncclGetLastError(nullptr)),
               "Run the engine with NCCL_DEBUG=INFO and look for the interface it chose."};
}

}  // namespace

Result<NcclId> makeNcclId() {
  ncclUniqueId raw{};
  static_assert(sizeof raw == sizeof(NcclId));
  if (const ncclResult_t code = ncclGetUniqueId(&raw); code != ncclSuccess) {
    return ncclError(code, "ncclGetUniqueId", 0);
  }
  NcclId id{};
  std::memcpy(id.data(), &raw, sizeof raw);
  return id;
}

Result<std::unique_ptr<Communicator>> NcclCommunicator::connect(const NcclId& id,
                                                                int rank,
                                                                int ranks) {
  if (ranks > 2) {
    return Error{
        ErrorCode::InvalidArgument,
        fmt::format("{} ranks were asked for, and sums are bit-equal for two at most", ranks),
        "Use one or two ranks."};
  }
  Result<device::UniqueStream> stream = device::makeStream();
  if (!stream) {
    return stream.error();
  }
  ncclUniqueId raw{};
  std::memcpy(&raw, id.data(), sizeof raw);
  ncclComm_t comm = nullptr;
  if (const ncclResult_t code = ncclCommInitRank(&comm, ranks, raw, rank); code != ncclSuccess) {
    return ncclError(code, "ncclCommInitRank", rank);
  }
  return std::unique_ptr<Communicator>(
      new NcclCommunicator(std::move(*stream), UniqueComm(comm), rank, ranks));
}

Result<void> NcclCommunicator::allReduceSum(std::span<float> data) {
  return finish(ncclAllReduce(data.data(),
                              data.data(),
                              data.size(),
                              ncclFloat32,
                              ncclSum,
                              comm_.get(),
                              stream_.get()),
                "ncclAllReduce");
}

Result<void> NcclCommunicator::allGather(std::span<const std::byte> mine,
                                         std::span<std::byte> all) {
  assert(all.size() == mine.size() * static_cast<std::size_t>(ranks_));
  return finish(
      ncclAllGather(mine.data(), all.data(), mine.size(), ncclUint8, comm_.get(), stream_.get()),
      "ncclAllGather");
}

Result<void> NcclCommunicator::broadcast(std::span<std::byte> data, int root) {
  return finish(ncclBroadcast(data.data(),
                              data.data(),
                              data.size(),
                              ncclUint8,
                              root,
                              comm_.get(),
                              stream_.get()),
                "ncclBroadcast");
}

Result<void> NcclCommunicator::finish(ncclResult_t enqueued, const char* call) {
  if (enqueued != ncclSuccess) {
    return ncclError(enqueued, call, rank_);
  }
  TANDEM_CHECK_CUDA(cudaStreamSynchronize(stream_.get()));
  ncclResult_t asynchronous = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(comm_.get(), &asynchronous);
  if (asked != ncclSuccess || asynchronous != ncclSuccess) {
    return ncclError(asked != ncclSuccess ? asked : asynchronous, call, rank_);
  }
  return {};
}

}  // namespace tandem::comm
