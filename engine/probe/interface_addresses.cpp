// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/interface_addresses.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

namespace tandem::probe {

namespace {

struct FreeAddresses {
  void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

int countBits(const std::uint8_t* bytes, std::size_t size) {
  int bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    bits += std::popcount(bytes[i]);
  }
  return bits;
}

/// The address bytes of an IPv4 or IPv6 socket address; null for another family.
const std::uint8_t* addressBytes(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    return reinterpret_cast<const std::uint8_t*>(
        &reinterpret_cast<const sockaddr_in&>(address).sin_addr);
  }
  if (address.sa_family == AF_INET6) {
    return reinterpret_cast<const std::uint8_t*>(
        &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  }
  return nullptr;
}

std::optional<std::string> addressText(const ifaddrs& entry) {
  if (entry.ifa_addr == nullptr || addressBytes(*entry.ifa_addr) == nullptr) {
    return std::nullopt;
  }
  const int family = entry.ifa_addr->sa_family;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(family, addressBytes(*entry.ifa_addr), text.data(), text.size()) == nullptr) {
    return std::nullopt;
  }
  if (entry.ifa_netmask == nullptr) {
    return text.data();
  }
  // Some kernels leave the family of a mask empty; its bytes lie where the address has them.
  sockaddr_storage mask{};
  std::memcpy(&mask,
              entry.ifa_netmask,
              family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  mask.ss_family = static_cast<sa_family_t>(family);
  const std::size_t size = family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
  const int prefix = countBits(addressBytes(reinterpret_cast<const sockaddr&>(mask)), size);
  return fmt::format("{}/{}", text.data(), prefix);
}

}  // namespace

Result<std::map<std::string, std::vector<std::string>>> readInterfaceAddresses() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("the kernel does not tell its addresses: {}", std::strerror(errno)),
                 ""};
  }
  const std::unique_ptr<ifaddrs, FreeAddresses> list(first);
  std::map<std::string, std::vector<std::string>> addresses;
  for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
    if (const std::optional<std::string> text = addressText(*entry)) {
      addresses[entry->ifa_name].push_back(*text);
    }
  }
  return addresses;
}

}  // namespace tandem::probe
