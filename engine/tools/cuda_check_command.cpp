// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/cuda_check_command.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/byte_size.h"
#include "engine/base/file_descriptor.h"
#include "engine/cuda/cuda_library.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

constexpr int kRanks = 2;
constexpr std::array<std::size_t, 3> kAllReduceFloats{256, 12 * 1024, 1024 * 1024};

int fail(const Error& error) {
  fmt::print(stderr, "tandem-engine cuda-check: {}\n", error.text());
  return kExitFailed;
}

Result<void> sumAsRank(int rank,
                       const FileDescriptor& idSocket,
                       const std::filesystem::path& folder) {
  // NCCL takes two ranks on one GPU only when it believes that they are on two hosts. These are its
  // own settings, made for this check alone, before the library is opened.
  ::setenv("NCCL_HOSTID", rank == 0 ? "tandem-check-0" : "tandem-check-1", 1);
  ::setenv("NCCL_SOCKET_IFNAME", "lo", 1);
  Result<cuda::CudaLibrary> library = cuda::CudaLibrary::open(folder);
  if (!library) {
    return library.error();
  }
  comm::NcclId id{};
  if (rank == 0) {
    const Result<comm::NcclId> made = library->exports().makeNcclId();
    if (!made) {
      return made.error();
    }
    id = *made;
    if (::send(idSocket.get(), id.data(), id.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(id.size())) {
      return Error{ErrorCode::Internal, "rank 1 did not take the NCCL id", ""};
    }
  } else if (::recv(idSocket.get(), id.data(), id.size(), MSG_WAITALL) !=
             static_cast<ssize_t>(id.size())) {
    return Error{ErrorCode::Internal, "rank 0 gave no NCCL id", ""};
  }
  Result<std::unique_ptr<comm::Communicator>> communicator =
      library->exports().connectNccl(id, rank, kRanks);
  if (!communicator) {
    return communicator.error();
  }
  for (const std::size_t floats : kAllReduceFloats) {
    if (Result<void> sum = library->exports().checkAllReduce(**communicator, floats); !sum) {
      return sum;
    }
  }
  return {};
}

/// Two processes on this machine's GPU sum over NCCL. The caller has not touched CUDA yet: a
/// context does not survive a fork.
Result<void> checkTwoNcclRanks(const std::filesystem::path& folder) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return Error{ErrorCode::Internal, "socketpair failed", ""};
  }
  std::array<FileDescriptor, 2> sockets{FileDescriptor(pair[0]), FileDescriptor(pair[1])};
  std::array<pid_t, kRanks> children{};
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto index = static_cast<std::size_t>(rank);
    children[index] = ::fork();
    if (children[index] == 0) {
      sockets[1 - index].reset();
      const Result<void> summed = sumAsRank(rank, sockets[index], folder);
      if (!summed) {
        fmt::print(stderr, "rank {}: {}\n", rank, summed.error().text());
      }
      ::_exit(summed ? kExitOk : kExitFailed);
    }
  }
  sockets = {};
  bool allSummed = true;
  for (const pid_t child : children) {
    int status = 0;
    allSummed = ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                WEXITSTATUS(status) == kExitOk && allSummed;
  }
  if (!allSummed) {
    return Error{ErrorCode::Internal, "two NCCL ranks did not sum; the lines above say why", ""};
  }
  return {};
}

}  // namespace

int cudaCheckCommand(int argc, char** argv) {
  CLI::App app("Checks that the CUDA library loads, and that two NCCL ranks sum on this machine.",
               "tandem-engine cuda-check");
  std::filesystem::path folder;
  bool nccl = false;
  app.add_option("--libdir", folder, "folder of libtandem_cuda.so; default: beside the program");
  app.add_flag("--nccl", nccl, "let two processes on this GPU sum over NCCL");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  if (nccl) {
    if (const Result<void> summed = checkTwoNcclRanks(folder); !summed) {
      return fail(summed.error());
    }
    fmt::print("nccl      {} ranks summed {}, {} and {} floats\n",
               kRanks,
               kAllReduceFloats[0],
               kAllReduceFloats[1],
               kAllReduceFloats[2]);
  }
  Result<cuda::CudaLibrary> library = cuda::CudaLibrary::open(folder);
  if (!library) {
    return fail(library.error().within("CUDA is not used"));
  }
  const Result<cuda::DeviceFacts> facts = library->exports().deviceFacts();
  if (!facts) {
    return fail(facts.error().within("CUDA is not used"));
  }
  fmt::print("library   {}\n", library->file().string());
  fmt::print("device    {}, compute {}.{}, {} multiprocessors, {} ({} free), {} L2, {} shared\n",
             facts->name,
             facts->computeMajor,
             facts->computeMinor,
             facts->multiprocessors,
             formatBytes(facts->totalBytes),
             formatBytes(facts->freeBytes),
             formatBytes(facts->l2Bytes),
             formatBytes(facts->sharedBytesPerBlock));
  fmt::print("versions  driver {}, runtime {}, NCCL {}\n",
             facts->driverVersion,
             facts->runtimeVersion,
             facts->ncclVersion);
  return kExitOk;
}

}  // namespace tandem::tools
