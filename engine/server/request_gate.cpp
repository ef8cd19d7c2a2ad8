// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/request_gate.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>

#include <string>

namespace tandem::server {

namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

bool isForeignPage(std::string_view origin) {
  if (origin == "null") {  // a sandboxed frame of any site
    return true;
  }
  for (const std::string_view scheme : {kHttp, kHttps}) {
    if (origin.substr(0, scheme.size()) == scheme) {
      return !namesLoopback(origin.substr(scheme.size()));
    }
  }
  return false;  // app://, vscode-webview://: not a web site
}

ApiError forbidden(std::string message) {
  return ApiError{403, "invalid_request_error", "forbidden_source", "", std::move(message), {}};
}

}  // namespace

std::optional<ApiError> RequestGate::checkKey(const RequestHead& head) const {
  const std::string_view bearer = bearerToken(head.authorization);
  if (keys_.accept(bearer.empty() ? std::string_view(head.xApiKey) : bearer)) {
    return std::nullopt;
  }
  const bool missing = head.authorization.empty() && head.xApiKey.empty();
  return ApiError{401,
                  "invalid_request_error",
                  "invalid_api_key",
                  "",
                  missing ? "no API key was sent: use the header Authorization: Bearer KEY"
                          : "the API key is not one of this server's",
                  {}};
}

std::optional<ApiError> RequestGate::checkSource(const RequestHead& head) const {
  if (!onLoopback_) {
    return std::nullopt;
  }
  if (!head.host.empty() && !namesLoopback(head.host)) {
    return forbidden(
        fmt::format("the Host header says {}, but this server only answers as localhost",
                    head.host));
  }
  if (!keys_.required() && isForeignPage(head.origin)) {
    return forbidden(fmt::format("pages from {} may not use this server", head.origin));
  }
  return std::nullopt;
}

bool namesLoopback(std::string_view authority) {
  std::string_view name = authority;
  if (!name.empty() && name.front() == '[') {
    name = name.substr(1, name.find(']') - 1);
  } else {
    name = name.substr(0, name.find(':'));
  }
  const std::string text(name);
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
  }
  return text == "localhost" || text == "localhost.";
}

}  // namespace tandem::server
