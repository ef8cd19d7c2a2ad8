// SPDX-License-Identifier: GPL-3.0-or-later
// fork, and exec once the parent says go.
#include "app/launcher/detached_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/close_range.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace tandem::app {

namespace {

struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};

std::optional<Pipe> makePipe() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return std::nullopt;
  }
  return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

/// What the child needs, made before the fork: it may not allocate.
struct ChildPlan {
  const char* program;
  char* const* arguments;
  int output;
  int null;
  int go;          // read end: a byte says run, the end says the parent is gone
  int goWriteEnd;  // of the parent: the child must not keep it open itself
  int failure;     // write end: errno of exec; closed by a successful one
};

void resetSignals() {
  struct sigaction normal {};
  normal.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) {
    ::sigaction(number, &normal, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void becomeProgram(const ChildPlan& plan) {
  ::close(plan.goWriteEnd);
  ::setsid();
  resetSignals();
  char byte = 0;
  ssize_t count = 0;
  do {
    count = ::read(plan.go, &byte, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 1 && ::chdir("/") == 0 && ::dup2(plan.null, STDIN_FILENO) >= 0 &&
      ::dup2(plan.output, STDOUT_FILENO) >= 0 && ::dup2(plan.output, STDERR_FILENO) >= 0) {
    // Not every library opens its descriptors close-on-exec.
    ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execv(plan.program, plan.arguments);
  }
  const int why = errno;
  // Nobody is left to tell if this fails.
  [[maybe_unused]] const ssize_t told = ::write(plan.failure, &why, sizeof why);
  ::_exit(127);
}

Error startError(const std::string& program, int why) {
  const std::string message =
      fmt::format("{} could not be started: {}", program, std::strerror(why));
  switch (why) {
    case ENOENT:
      return {ErrorCode::NotFound, message, "Install or build Tandem again."};
    case EACCES:
    case EPERM:
      return {ErrorCode::PermissionDenied, message, "Make it executable for this user."};
    default:
      return {ErrorCode::Unavailable, message, ""};
  }
}

void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<ProcessIdentity> startDetached(
    const DetachedProgram& program,
    const std::function<Result<void>(const ProcessIdentity&)>& record) {
  std::vector<std::string> words{program.program};
  words.insert(words.end(), program.arguments.begin(), program.arguments.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);

  const FileDescriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::optional<Pipe> go = makePipe();
  std::optional<Pipe> failure = makePipe();
  if (!null.valid() || !go || !failure) {
    return startError(program.program, errno);
  }
  const ChildPlan plan{program.program.c_str(),
                       arguments.data(),
                       program.outputFd,
                       null.get(),
                       go->read.get(),
                       go->write.get(),
                       failure->write.get()};
  const pid_t pid = ::fork();
  if (pid < 0) {
    return startError(program.program, errno);
  }
  if (pid == 0) {
    becomeProgram(plan);
  }
  failure->write.reset();

  const std::optional<ProcessIdentity> identity = identifyProcess(pid);
  const Result<void> recorded =
      identity ? record(*identity)
               : Result<void>(Error{ErrorCode::Internal, "/proc does not show a new process", ""});
  if (!recorded) {
    go->write.reset();
    reap(pid);
    return recorded.error();
  }
  // This process still has the read end too, so a child that is gone already raises no SIGPIPE.
  [[maybe_unused]] const ssize_t said = ::write(go->write.get(), "g", 1);
  int why = 0;
  ssize_t count = 0;
  do {
    count = ::read(failure->read.get(), &why, sizeof why);
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(sizeof why)) {
    reap(pid);
    return startError(program.program, why);
  }
  return *identity;
}

}  // namespace tandem::app
