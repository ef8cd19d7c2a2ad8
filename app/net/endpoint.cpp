// SPDX-License-Identifier: GPL-3.0-or-later
// Joins base and path.
#include "app/net/endpoint.h"

namespace tandem::app {

QUrl Endpoint::resolve(const QString& path) const {
  QUrl url = base;
  QString folder = base.path();
  while (folder.endsWith(QLatin1Char('/'))) {
    folder.chop(1);
  }
  url.setPath(folder + path);
  return url;
}

QString Endpoint::server() const {
  QUrl named = base;
  named.setUserInfo({});
  return named.authority();
}

}  // namespace tandem::app
