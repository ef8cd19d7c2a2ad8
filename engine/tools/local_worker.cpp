// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/local_worker.h"

#include <fmt/core.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

namespace tandem::tools {

namespace {

Error systemError(const char* what) {
  return Error{ErrorCode::Unavailable, fmt::format("{}: {}", what, std::strerror(errno)), ""};
}

/// In the child, between fork and exec: async-signal-safe calls only.
[[noreturn]] void becomeWorker(pid_t parent, char* const* arguments) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the line above.
  if (::getppid() == parent) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Its own group: Ctrl+C in the terminal reaches rank 0 alone, which then stops both in order.
    ::setpgid(0, 0);
    // Not every library opens its sockets close-on-exec: a client's connection must end when rank 0
    // closes it, and the port must be free when rank 0 is gone.
    ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execv("/proc/self/exe", arguments);
  }
  ::_exit(127);
}

}  // namespace

Result<std::unique_ptr<PrivateFolder>> PrivateFolder::create() {
  // A standard location, not configuration: the session's folder lives in memory.
  const char* session = std::getenv("XDG_RUNTIME_DIR");
  std::error_code missing;
  const bool usable = session != nullptr && std::filesystem::is_directory(session, missing) &&
                      ::access(session, W_OK) == 0;
  const std::filesystem::path base =
      usable ? std::filesystem::path(session) : std::filesystem::temp_directory_path();
  std::string pattern = (base / "tandem-engine-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    return systemError("could not make a private folder");
  }
  return std::unique_ptr<PrivateFolder>(new PrivateFolder(pattern));
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<LocalWorker>> LocalWorker::start(const std::filesystem::path& model,
                                                        std::uint16_t peerPort,
                                                        const std::filesystem::path& secretFile,
                                                        const std::vector<std::string>& more) {
  std::vector<std::string> words{"tandem-engine",
                                 "worker",
                                 "--model",
                                 model.string(),
                                 "--peer",
                                 fmt::format("127.0.0.1:{}", peerPort),
                                 "--peer-secret",
                                 secretFile.string(),
                                 "--quiet"};
  words.insert(words.end(), more.begin(), more.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    return systemError("could not start the worker");
  }
  if (pid == 0) {
    becomeWorker(parent, arguments.data());
  }
  FileDescriptor pidFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidFd.valid()) {
    const Error error = systemError("could not watch the worker");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return error;
  }
  return std::unique_ptr<LocalWorker>(new LocalWorker(pid, std::move(pidFd)));
}

LocalWorker::~LocalWorker() {
  if (end_.empty()) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

std::string LocalWorker::waitForEnd(std::chrono::milliseconds patience) {
  if (!end_.empty()) {
    return end_;
  }
  pollfd entry{pidFd_.get(), POLLIN, 0};
  if (::poll(&entry, 1, static_cast<int>(patience.count())) != 1) {
    return {};
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  end_ = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("exit code {}", WEXITSTATUS(status));
  return end_;
}

}  // namespace tandem::tools
