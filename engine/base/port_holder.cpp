// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/port_holder.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

namespace tandem {

namespace {

namespace fs = std::filesystem;

/// Inodes of sockets that listen on `port`, from the kernel's table of IPv4 or IPv6 sockets:
/// `sl local_address rem_address st … uid timeout inode`, the port in hexadecimal after a colon.
void collectListeners(const char* table, std::uint16_t port, std::vector<std::string>& inodes) {
  constexpr std::string_view kListening = "0A";
  const std::string suffix = fmt::format(":{:04X}", port);
  std::ifstream file(table);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string slot;
    std::string local;
    std::string remote;
    std::string state;
    std::string skipped;
    std::string inode;
    fields >> slot >> local >> remote >> state >> skipped >> skipped >> skipped >> skipped >>
        skipped >> inode;
    if (state == kListening && local.size() > suffix.size() &&
        local.compare(local.size() - suffix.size(), suffix.size(), suffix) == 0) {
      inodes.push_back(fmt::format("socket:[{}]", inode));
    }
  }
}

bool holdsOneOf(const fs::path& process, const std::vector<std::string>& links) {
  std::error_code failed;
  for (fs::directory_iterator fd(process / "fd", failed), end; !failed && fd != end;
       fd.increment(failed)) {
    std::error_code unreadable;
    const std::string target = fs::read_symlink(fd->path(), unreadable).string();
    if (!unreadable && std::find(links.begin(), links.end(), target) != links.end()) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string describePortHolder(std::uint16_t port) {
  std::vector<std::string> links;
  collectListeners("/proc/net/tcp", port, links);
  collectListeners("/proc/net/tcp6", port, links);
  std::error_code failed;
  for (fs::directory_iterator process("/proc", failed), end; !failed && process != end;
       process.increment(failed)) {
    const std::string name = process->path().filename().string();
    int pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) {
      continue;
    }
    if (holdsOneOf(process->path(), links)) {
      std::ifstream file(process->path() / "comm");
      std::string program;
      std::getline(file, program);
      return fmt::format("{} (pid {})", program, pid);
    }
  }
  return "another process";
}

}  // namespace tandem
